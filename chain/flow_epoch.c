#include "chain/flow_epoch.h"

#include "chain/request.h"

#include <assert.h>
#include <stdlib.h>

#define SETTLE_MS 10000 /* after the last S_i came: none is on the way any more */

struct answer {
	uint8_t *bytes; /* as received, with the extension; NULL = not here */
	size_t len;
};

struct flow_setup {
	struct wire_pair *pair; /* until S_n, or NULL */
	struct record_packet phase0;
	uint16_t exit_flags; /* of R_n */
	uint64_t heard_ms;   /* when the last S_i came, new or again */
	uint8_t *tail;       /* B_n ‖ sealed, or NULL */
	size_t tail_len;
	uint8_t *stack;                      /* R_1 … R_n with their extensions */
	size_t stack_at[CHAIN_HOPS_MAX + 1]; /* where each begins; [n_hops] = the end */
	struct answer answers[CHAIN_HOPS_MAX];
};

static_assert(CHAIN_HOPS_MAX <= 16, "flow_epoch.answered has a bit for each");

static void fill_request(struct flow_setup *s, const struct flow_epoch_options *o, size_t i,
	struct wire_request *ret)
{
	chain_request_fill(o->spec, i, o->target, o->wall_ms, ret);
	ret->cmd = WIRE_CMD_UDP;
	ret->proto = 1;
	ret->fid = o->fids[i];
	if (i + 1 < o->spec->n_hops)
		return;
	ret->flags = WIRE_EXIT;
	chain_request_seal(ret, o->spec->hops[i].cipher, s->pair);
	s->exit_flags = ret->flags;
}

static int seal_stack(struct flow_setup *s, const struct flow_epoch_options *o)
{
	size_t at = 0, n_hops = o->spec->n_hops;
	for (size_t i = 0; i < n_hops; i++) {
		struct wire_request request;
		uint8_t salt[WIRE_SALT];
		seal_random(salt, sizeof salt);
		fill_request(s, o, i, &request);
		s->stack_at[i] = at;
		int n = wire_request_encode(
			&request, WIRE_UDP, o->spec->hops[i].key, salt, s->stack + at);
		if (n < 0)
			return n;
		at += (size_t)n;
	}
	s->stack_at[n_hops] = at;
	return 0;
}

static void free_setup(struct flow_setup *s)
{
	if (s == NULL)
		return;
	wire_pair_release(s->pair);
	record_packet_deinit(&s->phase0);
	for (size_t i = 0; i < CHAIN_HOPS_MAX; i++)
		free(s->answers[i].bytes);
	free(s->tail);
	free(s->stack);
	seal_wipe(s, sizeof *s);
	free(s);
}

static int make_setup(const struct flow_epoch_options *o, struct flow_setup **ret)
{
	size_t n_hops = o->spec->n_hops;
	struct flow_setup *s = calloc(1, sizeof *s);
	int error = ERR_NOMEM;
	if (s == NULL)
		return ERR_NOMEM;
	s->stack = malloc(n_hops * WIRE_REQUEST_MAX);
	if (s->stack == NULL)
		goto free_setup;
	if (o->ephemeral != NULL) {
		s->pair = wire_pair_acquire(o->ephemeral, o->now_ms);
		if (s->pair == NULL)
			goto free_setup;
	}
	error = seal_stack(s, o);
	if (error != 0)
		goto free_setup;
	uint8_t *shrunk = realloc(s->stack, s->stack_at[n_hops]);
	s->stack = shrunk != NULL ? shrunk : s->stack;
	wire_datagram_phase0(o->spec->hops[n_hops - 1].key, s->stack + s->stack_at[n_hops - 1],
		true, &s->phase0);
	*ret = s;
	return 0;

free_setup:
	free_setup(s);
	return error;
}

int flow_epoch_make(const struct flow_epoch_options *options, struct flow_epoch **ret)
{
	struct flow_epoch *epoch = calloc(1, sizeof *epoch);
	if (epoch == NULL)
		return ERR_NOMEM;
	int error = make_setup(options, &epoch->setup);
	if (error != 0) {
		free(epoch);
		return error;
	}
	epoch->n_hops = (uint8_t)options->spec->n_hops;
	epoch->serial = options->serial;
	epoch->sealed_ms = options->now_ms;
	*ret = epoch;
	return 0;
}

void flow_epoch_free(struct flow_epoch *epoch)
{
	if (epoch == NULL)
		return;
	free_setup(epoch->setup);
	record_packet_deinit(&epoch->up);
	record_packet_deinit(&epoch->down);
	seal_wipe(epoch, sizeof *epoch);
	free(epoch);
}

struct bytes flow_epoch_request(const struct flow_epoch *epoch, size_t i)
{
	const struct flow_setup *s = epoch->setup;
	return bytes_of(s->stack + s->stack_at[i], s->stack_at[i + 1] - s->stack_at[i]);
}

/* ---- answers ---- */

/* S_n is here: th is over exactly these bytes. */
static bool derive(struct flow_epoch *e, const struct wire_key *key, struct bytes s_n,
	const struct wire_response *response)
{
	uint8_t ss[SEAL_CURVE] = { 0 };
	struct wire_secrets secrets;
	struct flow_setup *s = e->setup;
	if (s->pair != NULL && !wire_pair_agree(s->pair, response->eph, ss))
		return false;
	wire_secrets_derive(key, ss, flow_epoch_request(e, (size_t)e->n_hops - 1), s_n, &secrets);
	wire_datagram_phase1(
		&secrets, (enum record_cipher)response->cipher, false, &e->up, &e->down);
	seal_wipe(ss, sizeof ss);
	seal_wipe(&secrets, sizeof secrets);
	wire_pair_release(s->pair);
	s->pair = NULL;
	record_packet_deinit(&s->phase0);
	e->has_keys = true;
	return true;
}

/* Opens S and its extension. Return: NONE (not ours, or cut off), OK (ret->status says), BROKEN. */
static enum flow_answer open_answer(const struct flow_epoch *e, const struct wire_key *key,
	size_t i, struct bytes from, struct wire_response *ret, size_t *ret_len)
{
	struct wire_request request = {
		.cmd = WIRE_CMD_UDP,
		.flags = i + 1u == e->n_hops ? e->setup->exit_flags : 0,
	};
	struct bytes sealed = { NULL, 0 };
	uint16_t ext_len = 0;
	enum wire_response_verdict verdict;
	if (from.len < WIRE_RESPONSE)
		return FLOW_ANSWER_NONE;
	verdict = wire_response_open(
		from.ptr, flow_epoch_request(e, i).ptr, &request, key, ret, &ext_len);
	if (verdict != WIRE_RESPONSE_OK)
		return verdict == WIRE_RESPONSE_BROKEN ? FLOW_ANSWER_BROKEN : FLOW_ANSWER_NONE;
	if (ext_len > 0)
		sealed = bytes_of(from.ptr + WIRE_RESPONSE, WIRE_EXT_SEALED((size_t)ext_len));
	if (from.len - WIRE_RESPONSE < sealed.len)
		return FLOW_ANSWER_NONE;
	*ret_len = WIRE_RESPONSE + sealed.len;
	verdict = wire_response_open_ext(from.ptr, sealed, &request, key, ret);
	if (verdict != WIRE_RESPONSE_OK)
		return verdict == WIRE_RESPONSE_BROKEN ? FLOW_ANSWER_BROKEN : FLOW_ANSWER_NONE;
	return ret->status == STATUS_OK && ret->val == 0 ? FLOW_ANSWER_BROKEN : FLOW_ANSWER_OK;
}

static enum flow_answer keep_answer(struct flow_epoch *e, const struct wire_key *key, size_t i,
	struct bytes s, uint64_t now_ms, const struct wire_response *response)
{
	bool is_exit = i + 1u == e->n_hops;
	uint8_t *copy = malloc(s.len);
	if (copy == NULL)
		return FLOW_ANSWER_NOMEM;
	if (is_exit && !derive(e, key, s, response)) {
		free(copy);
		return FLOW_ANSWER_BROKEN;
	}
	memcpy(copy, s.ptr, s.len);
	e->setup->answers[i].bytes = copy;
	e->setup->answers[i].len = s.len;
	e->setup->heard_ms = now_ms;
	e->answered |= (uint16_t)(1u << i);
	if (is_exit) {
		e->fid = response->val;
		e->since_ms = now_ms;
	}
	return FLOW_ANSWER_OK;
}

enum flow_answer flow_epoch_answer(struct flow_epoch *epoch, const struct chain_spec *spec,
	size_t i, struct bytes from, uint64_t now_ms, struct wire_response *ret, size_t *ret_len)
{
	struct flow_setup *s = epoch->setup;
	const struct wire_key *key = spec->hops[i].key;
	if (s == NULL)
		return FLOW_ANSWER_NONE;
	const struct answer *held = &s->answers[i];
	if (held->bytes != NULL) { /* one S_i per R_i: any other is dropped */
		if (from.len < held->len || memcmp(from.ptr, held->bytes, held->len) != 0)
			return FLOW_ANSWER_NONE;
		s->heard_ms = now_ms;
		*ret_len = held->len;
		return FLOW_ANSWER_AGAIN;
	}
	enum flow_answer answer = open_answer(epoch, key, i, from, ret, ret_len);
	if (answer != FLOW_ANSWER_OK)
		return answer;
	if (ret->status != STATUS_OK)
		return FLOW_ANSWER_STATUS;
	return keep_answer(epoch, key, i, bytes_of(from.ptr, *ret_len), now_ms, ret);
}

bool flow_epoch_is_complete(const struct flow_epoch *epoch)
{
	return epoch->answered == (1u << epoch->n_hops) - 1;
}

bool flow_epoch_has_answer(const struct flow_epoch *epoch, size_t i)
{
	return (epoch->answered >> i & 1) != 0;
}

/* ---- payload ---- */

int flow_epoch_seal(
	struct flow_epoch *epoch, const struct wire_up *up, struct bytes data, uint8_t *to)
{
	uint8_t aad[WIRE_BLOCK];
	struct record_packet *key = epoch->has_keys ? &epoch->up : &epoch->setup->phase0;
	wire_up_print(up, aad);
	return record_packet_seal(key, up->number, aad, data, to);
}

void flow_epoch_keep_tail(struct flow_epoch *epoch, struct bytes tail)
{
	struct flow_setup *s = epoch->setup;
	assert(s->tail == NULL);
	s->tail = malloc(tail.len);
	if (s->tail == NULL)
		return;
	memcpy(s->tail, tail.ptr, tail.len);
	s->tail_len = tail.len;
}

struct bytes flow_epoch_tail(const struct flow_epoch *epoch)
{
	return epoch->setup == NULL ? bytes_of(NULL, 0)
				    : bytes_of(epoch->setup->tail, epoch->setup->tail_len);
}

uint64_t flow_epoch_settle_ms(const struct flow_epoch *epoch)
{
	bool may = epoch->setup != NULL && epoch->is_confirmed && flow_epoch_is_complete(epoch);
	return may ? epoch->setup->heard_ms + SETTLE_MS : UINT64_MAX;
}

void flow_epoch_settle(struct flow_epoch *epoch)
{
	free_setup(epoch->setup);
	epoch->setup = NULL;
}

void flow_epoch_rest(struct flow_epoch *epoch)
{
	record_packet_rest(&epoch->up);
	record_packet_rest(&epoch->down);
	if (epoch->setup != NULL)
		record_packet_rest(&epoch->setup->phase0);
}
