#include "chain/echo.h"

#include "chain/request.h"
#include "chain/wire_datagram.h"

#include <assert.h>
#include <stdlib.h>

#define PROTO_UDP 1 /* docs/protocol.md 2.2, proto */

struct hop {
	uint64_t fid;
	size_t at; /* of R_i in the stack */
	bool has_answer;
	struct wire_request request;
	struct wire_response response;
	uint8_t s[WIRE_RESPONSE]; /* as it came: another one for the same R_i is dropped */
};

struct chain_echo {
	const struct chain_spec *spec;
	struct addr target;
	bool has_target;
	uint64_t left_ms;
	uint8_t *stack; /* R_1 … R_n with their extensions */
	size_t len;
	uint64_t n_junk;
	struct chain_error error;
	size_t n_hops;
	struct hop hops[]; /* n_hops */
};

static void fill_request(struct chain_echo *e, size_t i, uint64_t wall_ms)
{
	struct wire_request *r = &e->hops[i].request;
	bool is_last = i + 1 == e->n_hops;
	chain_request_fill(e->spec, i, &e->target, wall_ms, r);
	chain_request_hurry(e->left_ms, r);
	do
		seal_random(&r->fid, sizeof r->fid);
	while (r->fid == 0);
	e->hops[i].fid = r->fid;
	r->flags = WIRE_TRACE;
	r->cmd = WIRE_CMD_UDP;
	r->proto = PROTO_UDP;
	if (is_last && !e->has_target) {
		r->cmd = WIRE_ECHO;
		r->proto = 0;
		r->to = (struct addr){ 0 };
		r->atyp = WIRE_ATYP_NONE;
	} else if (is_last) { /* nothing will be sealed under it: no pair is needed */
		r->flags |= WIRE_EXIT;
		chain_request_seal(r, e->spec->hops[i].cipher, NULL);
	}
}

static int seal_stack(struct chain_echo *e, uint64_t wall_ms)
{
	for (size_t i = 0; i < e->n_hops; i++) {
		uint8_t salt[WIRE_SALT];
		seal_random(salt, sizeof salt);
		fill_request(e, i, wall_ms);
		e->hops[i].at = e->len;
		int n = wire_request_encode(&e->hops[i].request, WIRE_UDP, e->spec->hops[i].key,
			salt, e->stack + e->len);
		if (n < 0)
			return n;
		e->len += (size_t)n;
	}
	return e->len <= WIRE_DATAGRAM_MAX ? 0 : ERR_INVAL;
}

int chain_echo_new(
	const struct chain_echo_options *options, uint64_t wall_ms, struct chain_echo **ret)
{
	size_t n_hops = options->n_hops;
	assert(n_hops >= 1 && n_hops <= options->spec->n_hops);
	assert(options->target == NULL || n_hops == options->spec->n_hops);
	struct chain_echo *e = calloc(1, sizeof *e + n_hops * sizeof e->hops[0]);
	if (e == NULL)
		return ERR_NOMEM;
	e->spec = options->spec;
	e->n_hops = n_hops;
	e->has_target = options->target != NULL;
	e->left_ms = options->left_ms;
	if (e->has_target)
		e->target = *options->target;
	e->stack = malloc(n_hops * WIRE_REQUEST_MAX);
	int error = e->stack != NULL ? seal_stack(e, wall_ms) : ERR_NOMEM;
	if (error != 0) {
		chain_echo_free(e);
		return error;
	}
	*ret = e;
	return 0;
}

void chain_echo_free(struct chain_echo *echo)
{
	if (echo == NULL)
		return;
	free(echo->stack);
	seal_wipe(echo, sizeof *echo + echo->n_hops * sizeof echo->hops[0]);
	free(echo);
}

struct bytes chain_echo_request(const struct chain_echo *echo)
{
	return bytes_of(echo->stack, echo->len);
}

/* ---- failures ---- */

/* @i from 0. */
static struct chain_error error_at(const struct chain_echo *e, size_t i, int code)
{
	return (struct chain_error){
		.hop = (uint8_t)(i + 1),
		.n_hops = (uint8_t)e->spec->n_hops,
		.stage = CHAIN_ANSWER,
		.is_udp = true,
		.code = code,
		.address = e->spec->hops[i].addr,
		.connect_us = i > 0 ? e->hops[i - 1].response.connect_us : 0,
	};
}

void chain_echo_fail(const struct chain_echo *echo, int code, struct chain_error *ret)
{
	size_t i = 0;
	while (i + 1 < echo->n_hops && echo->hops[i].has_answer)
		i++;
	*ret = error_at(echo, i, code);
}

static enum chain_echo_step fail_broken(struct chain_echo *e, size_t i)
{
	e->error = error_at(e, i, ERR_BAD_RECORD);
	return CHAIN_ECHO_FAILED;
}

static enum chain_echo_step fail_status(
	struct chain_echo *e, size_t i, uint8_t status, uint8_t detail, const char *text)
{
	e->error = error_at(e, i, 0);
	e->error.stage = CHAIN_STATUS;
	e->error.status = status;
	e->error.detail = detail;
	e->error.hop_address = e->error.address;
	e->error.address = e->hops[i].request.to;
	memcpy(e->error.text, text, strlen(text) + 1);
	return CHAIN_ECHO_FAILED;
}

static enum chain_echo_step drop(struct chain_echo *e)
{
	e->n_junk++;
	return CHAIN_ECHO_MORE;
}

/* ---- S_i ---- */

enum answer {
	ANSWER_NONE,   /* no S_i, cut off, or another than the first */
	ANSWER_BROKEN, /* authentic, and against the rules */
	ANSWER_OK,
};

static enum answer verdict_of(enum wire_response_verdict verdict)
{
	return verdict == WIRE_RESPONSE_BROKEN ? ANSWER_BROKEN : ANSWER_NONE;
}

/* Opens S_i at the front of *from, with its extension, and goes behind it. */
static enum answer open_answer(
	const struct chain_echo *e, size_t i, struct bytes *from, struct wire_response *ret)
{
	const struct hop *hop = &e->hops[i];
	const struct wire_key *key = e->spec->hops[i].key;
	struct bytes ext = { NULL, 0 };
	uint16_t ext_len = 0;
	if (from->len < WIRE_RESPONSE)
		return ANSWER_NONE;
	enum wire_response_verdict verdict = wire_response_open(
		from->ptr, e->stack + hop->at, &hop->request, key, ret, &ext_len);
	if (verdict != WIRE_RESPONSE_OK)
		return verdict_of(verdict);
	if (ext_len > 0)
		ext = bytes_of(from->ptr + WIRE_RESPONSE, WIRE_EXT_SEALED((size_t)ext_len));
	if (from->len - WIRE_RESPONSE < ext.len)
		return ANSWER_NONE;
	verdict = wire_response_open_ext(from->ptr, ext, &hop->request, key, ret);
	if (verdict != WIRE_RESPONSE_OK)
		return verdict_of(verdict);
	if (ret->status == STATUS_OK && ret->val == 0)
		return ANSWER_BROKEN;
	size_t len = WIRE_RESPONSE + ext.len;
	*from = bytes_of(from->ptr + len, from->len - len);
	return ANSWER_OK;
}

static enum answer take_answer(struct chain_echo *e, size_t i, struct bytes *from)
{
	struct hop *hop = &e->hops[i];
	const uint8_t *s = from->ptr;
	struct wire_response response;
	enum answer answer = open_answer(e, i, from, &response);
	if (answer != ANSWER_OK)
		return answer;
	if (hop->has_answer)
		return memcmp(hop->s, s, sizeof hop->s) == 0 ? ANSWER_OK : ANSWER_NONE;
	hop->has_answer = true;
	hop->response = response;
	memcpy(hop->s, s, sizeof hop->s);
	return ANSWER_OK;
}

/* Takes D_i from the front of *from. Return: whether it was one. */
static bool take_block(
	const struct chain_echo *e, size_t i, struct bytes *from, struct wire_down *ret)
{
	if (from->len < WIRE_BLOCK || !wire_down_decode(e->spec->hops[i].key, from->ptr, ret) ||
		ret->fid != e->hops[i].fid)
		return false;
	*from = bytes_of(from->ptr + WIRE_BLOCK, from->len - WIRE_BLOCK);
	return true;
}

/* X_i. Return: MORE: what is behind it is to be looked at. */
static enum chain_echo_step take_item(
	struct chain_echo *e, size_t i, struct bytes *from, bool *ret_is_junk)
{
	struct wire_down down;
	const struct wire_response *s = &e->hops[i].response;
	bool is_last = i + 1 == e->n_hops;
	*ret_is_junk = false;
	if (take_block(e, i, from, &down)) {
		/* With a status it is hop i's own word about what comes behind it, and ends. */
		*ret_is_junk = is_last || (down.status != STATUS_OK && from->len > 0);
		return *ret_is_junk || down.status == STATUS_OK
			       ? CHAIN_ECHO_MORE
			       : fail_status(e, i, down.status, 0, "");
	}
	enum answer answer = take_answer(e, i, from);
	if (answer == ANSWER_BROKEN)
		return fail_broken(e, i);
	*ret_is_junk = answer == ANSWER_NONE;
	if (*ret_is_junk)
		return CHAIN_ECHO_MORE;
	if (s->status != STATUS_OK)
		return fail_status(e, i, s->status, s->detail, s->text);
	return is_last ? CHAIN_ECHO_DONE : CHAIN_ECHO_MORE;
}

enum chain_echo_step chain_echo_feed(struct chain_echo *echo, struct bytes datagram)
{
	bool is_junk = datagram.len == 0;
	for (size_t i = 0; i < echo->n_hops && datagram.len > 0 && !is_junk; i++) {
		enum chain_echo_step step = take_item(echo, i, &datagram, &is_junk);
		if (step != CHAIN_ECHO_MORE)
			return step;
	}
	return is_junk ? drop(echo) : CHAIN_ECHO_MORE;
}

const struct wire_response *chain_echo_response(const struct chain_echo *echo, unsigned i)
{
	const struct hop *hop = &echo->hops[i - 1];
	return hop->has_answer ? &hop->response : NULL;
}

bool chain_echo_has_clock(const struct chain_echo *echo, unsigned i)
{
	return echo->hops[i - 1].request.cmd == WIRE_ECHO;
}

const struct chain_error *chain_echo_error(const struct chain_echo *echo)
{
	return &echo->error;
}

uint64_t chain_echo_n_junk(const struct chain_echo *echo)
{
	return echo->n_junk;
}
