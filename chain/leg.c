#include "chain/leg.h"

#include "chain/foreign.h"
#include "chain/open.h"
#include "common/loop.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define SKEW_WARN_MS 5000 /* docs/protocol.md 2.12 */
#define SEEN_MIN     8    /* bytes that identify another protocol beyond chance */

struct chain_leg {
	const struct chain_spec *spec;
	struct loop *loop;
	size_t first, end;
	struct addr to;          /* of a foreign proxy: what it is to reach */
	struct chain_open *open; /* exactly one of both */
	struct chain_foreign *foreign;
	bool is_written; /* the stack */
	size_t n_in;     /* from the foreign proxy */
	struct chain_error error;
};

/* ---- what a leg is ---- */

static bool is_hop(const struct chain_spec *spec, size_t i)
{
	return spec->hops[i].step == CHAIN_STEP_HOP;
}

/* Only the chain's last hop seals payload: what foreign proxies behind it hear goes sealed too. */
static bool is_last_hop(const struct chain_spec *spec, size_t i)
{
	for (size_t k = i + 1; k < spec->n_hops; k++) {
		if (is_hop(spec, k))
			return false;
	}
	return is_hop(spec, i);
}

bool chain_leg_is_possible(const struct chain_spec *spec, enum chain_purpose purpose, size_t n_hops,
	struct chain_error *ret)
{
	bool is_for_hops =
		purpose == CHAIN_TO_FLOW || purpose == CHAIN_TO_MEASURE || purpose == CHAIN_TO_KEEP;
	if (!is_for_hops || is_hop(spec, n_hops - 1))
		return true;
	const struct chain_hop *last = &spec->hops[n_hops - 1];
	*ret = (struct chain_error){
		.stage = CHAIN_STATUS,
		.hop = (uint8_t)n_hops,
		.n_hops = (uint8_t)spec->n_hops,
		.status = STATUS_UNSUPPORTED,
		.foreign = chain_step_name(last->step),
		.address = last->addr,
		.hop_address = last->addr,
		.text = "at the end of a chain a foreign proxy carries TCP connections only",
	};
	return false;
}

static uint8_t command_of(enum chain_purpose purpose)
{
	switch (purpose) {
	case CHAIN_TO_TARGET:
		return WIRE_CONNECT;
	case CHAIN_TO_FLOW:
		return WIRE_CMD_UDP;
	case CHAIN_TO_MEASURE:
		return WIRE_MEASURE;
	case CHAIN_TO_KEEP:
		return WIRE_NOOP;
	case CHAIN_TO_ECHO:
		break;
	}
	return WIRE_ECHO;
}

/* Datagrams are sealed through a header-only chain, too; ECHO and NOOP have no payload. */
static bool is_sealed(const struct chain_spec *spec, uint8_t cmd, size_t last)
{
	if (cmd == WIRE_ECHO || cmd == WIRE_NOOP || !is_last_hop(spec, last))
		return false;
	return cmd == WIRE_CMD_UDP || !spec->is_header_only;
}

static int start_hops(struct chain_leg *leg, const struct chain_leg_options *o)
{
	while (leg->end < o->n_hops && is_hop(leg->spec, leg->end))
		leg->end++;
	bool is_way_end = leg->end == o->n_hops;
	uint8_t cmd = is_way_end ? command_of(o->purpose) : WIRE_CONNECT;
	struct chain_open_options options = {
		.spec = leg->spec,
		.first = leg->first,
		.n_hops = leg->end,
		.cmd = cmd,
		.target = o->target,
		.client = o->client_at,
		.is_trace = o->is_trace,
		.left_ms = o->left_ms,
		.ephemeral = is_sealed(leg->spec, cmd, leg->end - 1)
				     ? chain_client_ephemeral(o->client)
				     : NULL,
	};
	return chain_open_new(&options, loop_wall_ms(), loop_now_ms(leg->loop), &leg->open);
}

static int start_foreign(struct chain_leg *leg, const struct chain_leg_options *o)
{
	const struct chain_hop *proxy = &leg->spec->hops[leg->first];
	bool is_echo = o->purpose == CHAIN_TO_ECHO && leg->first + 1 == o->n_hops;
	leg->end = leg->first + 1;
	if (leg->end < leg->spec->n_hops)
		leg->to = leg->spec->hops[leg->end].addr;
	else if (o->target != NULL)
		leg->to = *o->target;
	return chain_foreign_new(proxy, is_echo ? NULL : &leg->to, &leg->foreign);
}

int chain_leg_new(const struct chain_leg_options *options, struct chain_leg **ret)
{
	struct chain_leg *leg = calloc(1, sizeof *leg);
	if (leg == NULL)
		return ERR_NOMEM;
	leg->spec = chain_client_spec(options->client);
	leg->loop = chain_client_loop(options->client);
	leg->first = leg->end = options->first;
	int error = is_hop(leg->spec, leg->first) ? start_hops(leg, options)
						  : start_foreign(leg, options);
	if (error != 0) {
		free(leg);
		return error;
	}
	*ret = leg;
	return 0;
}

void chain_leg_free(struct chain_leg *leg)
{
	if (leg == NULL)
		return;
	chain_open_free(leg->open);
	chain_foreign_free(leg->foreign);
	free(leg);
}

size_t chain_leg_end(const struct chain_leg *leg)
{
	return leg->end;
}

/* ---- what goes and comes ---- */

struct bytes chain_leg_output(struct chain_leg *leg)
{
	if (leg->foreign != NULL)
		return chain_foreign_output(leg->foreign);
	bool was_written = leg->is_written;
	leg->is_written = true;
	return was_written ? bytes_of(NULL, 0) : chain_open_request(leg->open);
}

size_t chain_leg_wants(const struct chain_leg *leg)
{
	return leg->open != NULL ? chain_open_wants(leg->open) : chain_foreign_wants(leg->foreign);
}

static enum chain_leg_step feed_open(struct chain_leg *leg, struct bytes in)
{
	switch (chain_open_feed(leg->open, in, loop_wall_ms(), loop_now_ms(leg->loop))) {
	case CHAIN_OPEN_MORE:
		return CHAIN_LEG_MORE;
	case CHAIN_OPEN_DONE:
		return CHAIN_LEG_DONE;
	case CHAIN_OPEN_FAILED:
		break;
	}
	leg->error = *chain_open_error(leg->open);
	return CHAIN_LEG_FAILED;
}

static void fail_status(struct chain_leg *leg)
{
	chain_leg_fail(leg, 0, &leg->error);
	leg->error.stage = CHAIN_STATUS;
	leg->error.status = chain_foreign_status(leg->foreign);
	leg->error.foreign_code = chain_foreign_code(leg->foreign);
	leg->error.hop_address = leg->error.address;
	leg->error.address = leg->to;
	memcpy(leg->error.text, chain_foreign_text(leg->foreign), CHAIN_FOREIGN_TEXT_MAX + 1);
}

/* The printable start of what is not the proxy's protocol. */
static void copy_seen(struct chain_leg *leg)
{
	struct bytes in = chain_foreign_in(leg->foreign);
	char *seen = leg->error.seen;
	size_t n = 0;
	while (n + 1 < sizeof leg->error.seen && n < in.len && in.ptr[n] >= 0x20 &&
		in.ptr[n] < 0x7f && in.ptr[n] != '"') {
		seen[n] = (char)in.ptr[n];
		n++;
	}
	seen[n >= SEEN_MIN ? n : 0] = '\0';
}

static enum chain_leg_step feed_foreign(struct chain_leg *leg, struct bytes in)
{
	leg->n_in += in.len;
	switch (chain_foreign_feed(leg->foreign, in)) {
	case CHAIN_FOREIGN_MORE:
		return CHAIN_LEG_MORE;
	case CHAIN_FOREIGN_DONE:
		return CHAIN_LEG_DONE;
	case CHAIN_FOREIGN_REFUSED:
		fail_status(leg);
		break;
	case CHAIN_FOREIGN_NO_LOGIN:
		chain_leg_fail(leg, leg->spec->hops[leg->first].user != NULL ? -EACCES : -EPERM,
			&leg->error);
		break;
	case CHAIN_FOREIGN_BROKEN:
		chain_leg_fail(leg, ERR_BAD_RECORD, &leg->error);
		copy_seen(leg);
		break;
	}
	return CHAIN_LEG_FAILED;
}

enum chain_leg_step chain_leg_feed(struct chain_leg *leg, struct bytes in)
{
	return leg->open != NULL ? feed_open(leg, in) : feed_foreign(leg, in);
}

uint32_t chain_leg_deadline_ms(const struct chain_leg *leg)
{
	return leg->open != NULL ? chain_open_deadline_ms(leg->open)
				 : leg->spec->connect_timeout_ms;
}

bool chain_leg_is_silent(const struct chain_leg *leg)
{
	return leg->open != NULL ? chain_open_is_silent(leg->open) : leg->n_in == 0;
}

/* ---- how it ends ---- */

void chain_leg_fail(const struct chain_leg *leg, int code, struct chain_error *ret)
{
	if (leg->open != NULL) {
		chain_open_fail(leg->open, code, ret);
		return;
	}
	const struct chain_hop *proxy = &leg->spec->hops[leg->first];
	*ret = (struct chain_error){
		.hop = (uint8_t)(leg->first + 1),
		.n_hops = (uint8_t)leg->spec->n_hops,
		.stage = CHAIN_ANSWER,
		.code = code,
		.address = proxy->addr,
		.foreign = chain_step_name(proxy->step),
	};
}

const struct chain_error *chain_leg_error(const struct chain_leg *leg)
{
	return &leg->error;
}

static void note_foreign(
	const struct chain_leg *leg, struct chain_answers *answers, uint64_t now_us)
{
	struct chain_answer *a = &answers->hops[leg->first];
	*a = (struct chain_answer){ .at_us = now_us - answers->start_us, .is_foreign = true };
	snprintf(a->software, sizeof a->software, "%s: foreign, not encrypted",
		chain_step_name(leg->spec->hops[leg->first].step));
	if (answers->n_answers <= leg->first)
		answers->n_answers = leg->first + 1;
}

void chain_leg_note(const struct chain_leg *leg, enum chain_leg_step step,
	struct chain_answers *answers, uint64_t now_us)
{
	if (leg->foreign != NULL) {
		if (step == CHAIN_LEG_DONE)
			note_foreign(leg, answers, now_us);
		return;
	}
	uint64_t wall_us = loop_wall_us();
	bool is_read = step == CHAIN_LEG_DONE ||
		       (step == CHAIN_LEG_FAILED && leg->error.stage == CHAIN_STATUS);
	size_t n = chain_open_hop(leg->open) - (is_read ? 0 : 1);
	size_t i = answers->n_answers > leg->first ? answers->n_answers : leg->first;
	for (; i < n; i++)
		chain_answers_set(answers, i, chain_open_response(leg->open, (unsigned)i + 1), true,
			now_us, wall_us);
}

void chain_leg_warn(const struct chain_leg *leg)
{
	uint64_t now_ms = loop_wall_ms();
	for (size_t i = leg->first; leg->open != NULL && i < leg->end; i++) {
		uint64_t theirs_ms = chain_open_response(leg->open, (unsigned)i + 1)->val;
		int64_t skew_ms = (int64_t)(theirs_ms - now_ms);
		if (skew_ms <= SKEW_WARN_MS && skew_ms >= -SKEW_WARN_MS)
			continue;
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"this machine's clock differs from a hop's hop=%zu behind_s=%lld", i + 1,
			(long long)(skew_ms / 1000));
	}
}

bool chain_leg_secrets(const struct chain_leg *leg, uint8_t *ret_cipher, struct wire_secrets *ret)
{
	return leg->open != NULL && chain_open_secrets(leg->open, ret_cipher, ret);
}
