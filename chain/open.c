#include "chain/open.h"

#include "chain/request.h"

#include <assert.h>
#include <stdlib.h>

#define SLACK_MS  2000 /* for the answers themselves (2.7.6) */
#define SEEN_MIN  8    /* bytes that identify another protocol beyond chance */
#define PROTO_UDP 1    /* docs/protocol.md 2.2, proto */

struct chain_open {
	const struct chain_spec *spec;
	size_t first, n_hops;          /* asked are [first..n_hops) of the spec's */
	uint8_t last_cmd;              /* of the last hop asked */
	const union addr_sock *client; /* during new() */
	bool is_trace;
	uint64_t left_ms;
	struct wire_request *requests;       /* n_hops; from first on used, as all below */
	struct wire_response *responses;     /* n_hops */
	uint8_t *stack;                      /* all request headers */
	size_t stack_at[CHAIN_HOPS_MAX + 1]; /* where each begins; [n_hops] = the end */
	struct wire_pair *pair;              /* forward secrecy; NULL: not sealed */
	uint64_t start_ms, heard_wall_ms;
	size_t i_hop; /* whose answer is awaited, 0-based */
	bool is_reading_ext;
	size_t n_in, n_wanted;
	uint8_t in[WIRE_RESPONSE_MAX];
	struct wire_secrets secrets;
	struct chain_error error;
};

static void fill_request(
	struct chain_open *o, size_t i, const struct addr *target, uint64_t wall_ms)
{
	struct wire_request *r = &o->requests[i];
	chain_request_fill(o->spec, i, target, wall_ms, r);
	chain_request_hurry(o->left_ms, r);
	r->cmd = WIRE_CONNECT;
	r->flags = o->is_trace ? WIRE_TRACE : 0;
	if (i + 1 < o->n_hops)
		return;
	r->cmd = o->last_cmd;
	r->proto = o->last_cmd == WIRE_CMD_UDP ? PROTO_UDP : 0;
	if (o->last_cmd == WIRE_ECHO || o->last_cmd == WIRE_NOOP || o->last_cmd == WIRE_MEASURE) {
		r->to = (struct addr){ 0 };
		r->atyp = WIRE_ATYP_NONE;
	}
	r->has_client =
		o->last_cmd == WIRE_CONNECT && o->client != NULL && i + 1 == o->spec->n_hops;
	if (r->has_client)
		r->client = *o->client;
	if (o->last_cmd == WIRE_NOOP)
		r->flags = WIRE_KEEP;
	else if (o->last_cmd != WIRE_ECHO)
		r->flags |= WIRE_EXIT;
	if (o->pair != NULL)
		chain_request_seal(r, o->spec->hops[i].cipher, o->pair);
}

static int seal_stack(struct chain_open *o, const struct addr *target, uint64_t wall_ms)
{
	size_t at = 0;
	for (size_t i = o->first; i < o->n_hops; i++) {
		uint8_t salt[WIRE_SALT];
		seal_random(salt, sizeof salt);
		fill_request(o, i, target, wall_ms);
		o->stack_at[i] = at;
		int n = wire_request_encode(
			&o->requests[i], WIRE_TCP, o->spec->hops[i].key, salt, o->stack + at);
		if (n < 0)
			return n;
		at += (size_t)n;
	}
	o->stack_at[o->n_hops] = at;
	return 0;
}

int chain_open_new(const struct chain_open_options *options, uint64_t wall_ms, uint64_t now_ms,
	struct chain_open **ret)
{
	struct chain_open *o = calloc(1, sizeof *o);
	int error = ERR_NOMEM;
	if (o == NULL)
		return ERR_NOMEM;
	assert(options->first < options->n_hops && options->n_hops <= options->spec->n_hops);
	o->spec = options->spec;
	o->last_cmd = options->cmd;
	o->client = options->client;
	o->is_trace = options->is_trace;
	o->left_ms = options->left_ms;
	o->first = o->i_hop = options->first;
	o->n_hops = options->n_hops;
	o->start_ms = now_ms;
	o->n_wanted = WIRE_RESPONSE;
	o->requests = calloc(o->n_hops, sizeof *o->requests);
	o->responses = calloc(o->n_hops, sizeof *o->responses);
	o->stack = malloc((o->n_hops - o->first) * WIRE_REQUEST_MAX);
	if (o->requests == NULL || o->responses == NULL || o->stack == NULL)
		goto free_open;
	if (options->ephemeral != NULL) {
		o->pair = wire_pair_acquire(options->ephemeral, now_ms);
		if (o->pair == NULL)
			goto free_open;
	}
	error = seal_stack(o, options->target, wall_ms);
	o->client = NULL;
	if (error != 0)
		goto free_open;
	*ret = o;
	return 0;

free_open:
	chain_open_free(o);
	return error;
}

void chain_open_free(struct chain_open *open)
{
	if (open == NULL)
		return;
	wire_pair_release(open->pair);
	seal_wipe(&open->secrets, sizeof open->secrets);
	free(open->requests);
	free(open->responses);
	free(open->stack);
	free(open);
}

struct bytes chain_open_request(const struct chain_open *open)
{
	return bytes_of(open->stack, open->stack_at[open->n_hops]);
}

/* Every later hop answers at least one block too, so that many bytes belong to answers for certain.
 */
size_t chain_open_wants(const struct chain_open *open)
{
	return open->n_wanted - open->n_in + (open->n_hops - open->i_hop - 1) * WIRE_RESPONSE;
}

bool chain_open_is_silent(const struct chain_open *open)
{
	return open->i_hop == open->first && open->n_in == 0;
}

unsigned chain_open_hop(const struct chain_open *open)
{
	return (unsigned)open->i_hop + 1;
}

uint32_t chain_open_deadline_ms(const struct chain_open *open)
{
	uint32_t n_awaited = (uint32_t)(open->i_hop - open->first) + 1;
	return n_awaited * open->spec->connect_timeout_ms + SLACK_MS;
}

/* The printable start of bytes that are no header, or "". */
static void copy_seen(const struct chain_open *o, char to[32])
{
	size_t n = 0;
	to[0] = '\0';
	if (o->is_reading_ext || o->n_in < SEEN_MIN)
		return;
	while (n < 31 && n < o->n_in && o->in[n] >= 0x20 && o->in[n] < 0x7f && o->in[n] != '"') {
		to[n] = (char)o->in[n];
		n++;
	}
	to[n >= SEEN_MIN ? n : 0] = '\0';
}

void chain_open_fail(const struct chain_open *open, int code, struct chain_error *ret)
{
	const struct wire_response *before =
		open->i_hop > open->first ? &open->responses[open->i_hop - 1] : NULL;
	bool has_time = before != NULL && before->val > 0 && before->val <= INT64_MAX;
	*ret = (struct chain_error){
		.hop = (uint8_t)(open->i_hop + 1),
		.n_hops = (uint8_t)open->spec->n_hops,
		.stage = CHAIN_ANSWER,
		.code = code,
		.address = open->spec->hops[open->i_hop].addr,
		.connect_us = before != NULL ? before->connect_us : 0,
		.n_in = (uint16_t)open->n_in,
		.n_wanted = (uint16_t)open->n_wanted,
		.clock_skew_ms = has_time ? (int64_t)(before->val - open->heard_wall_ms) : 0,
	};
	copy_seen(open, ret->seen);
}

static enum chain_open_step fail(struct chain_open *o, int code, uint64_t now_ms)
{
	chain_open_fail(o, code, &o->error);
	o->error.elapsed_ms = (uint32_t)(now_ms - o->start_ms);
	return CHAIN_OPEN_FAILED;
}

static enum chain_open_step fail_status(struct chain_open *o, uint64_t now_ms)
{
	const struct wire_response *s = &o->responses[o->i_hop];
	chain_open_fail(o, 0, &o->error);
	o->error.stage = CHAIN_STATUS;
	o->error.status = s->status;
	o->error.detail = s->detail;
	o->error.elapsed_ms = (uint32_t)(now_ms - o->start_ms);
	o->error.seen[0] = '\0';
	o->error.hop_address = o->spec->hops[o->i_hop].addr;
	o->error.address = o->requests[o->i_hop].to;
	memcpy(o->error.text, s->text, sizeof s->text);
	return CHAIN_OPEN_FAILED;
}

static struct bytes request_of(const struct chain_open *o, size_t i)
{
	return bytes_of(o->stack + o->stack_at[i], o->stack_at[i + 1] - o->stack_at[i]);
}

/* The exit said OK: derive the payload's secrets while R_n and S_n are at hand. */
static bool derive(struct chain_open *o)
{
	const struct wire_response *s = &o->responses[o->i_hop];
	uint8_t ss[SEAL_CURVE];
	if (o->pair == NULL)
		return true;
	if (!wire_pair_agree(o->pair, s->eph, ss))
		return false;
	wire_secrets_derive(o->spec->hops[o->i_hop].key, ss, request_of(o, o->i_hop),
		bytes_of(o->in, o->n_in), &o->secrets);
	seal_wipe(ss, sizeof ss);
	return true;
}

static enum chain_open_step on_response(struct chain_open *o, uint64_t now_ms)
{
	const struct wire_response *s = &o->responses[o->i_hop];
	bool is_last = o->i_hop + 1 == o->n_hops;
	if (s->status != STATUS_OK)
		return fail_status(o, now_ms);
	if (o->last_cmd == WIRE_NOOP && is_last && !(s->flags & WIRE_S_KEEP))
		return fail(o, ERR_CANCELED, now_ms);
	if (is_last && !derive(o))
		return fail(o, ERR_CRYPTO, now_ms);
	if (is_last)
		return CHAIN_OPEN_DONE;
	o->i_hop++;
	o->n_in = 0;
	o->n_wanted = WIRE_RESPONSE;
	o->is_reading_ext = false;
	return CHAIN_OPEN_MORE;
}

static enum chain_open_step on_block(struct chain_open *o, uint64_t now_ms)
{
	size_t i = o->i_hop;
	uint16_t ext_len = 0;
	const struct wire_key *key = o->spec->hops[i].key;
	struct wire_response *s = &o->responses[i];
	enum wire_response_verdict verdict =
		wire_response_open(o->in, request_of(o, i).ptr, &o->requests[i], key, s, &ext_len);
	if (verdict != WIRE_RESPONSE_OK)
		return fail(o, ERR_BAD_RECORD, now_ms);
	if (ext_len > 0) {
		o->is_reading_ext = true;
		o->n_wanted = WIRE_RESPONSE + WIRE_EXT_SEALED((size_t)ext_len);
		return CHAIN_OPEN_MORE;
	}
	if (wire_response_open_ext(o->in, bytes_of(NULL, 0), &o->requests[i], key, s) !=
		WIRE_RESPONSE_OK)
		return fail(o, ERR_BAD_RECORD, now_ms);
	return on_response(o, now_ms);
}

static enum chain_open_step on_ext(struct chain_open *o, uint64_t now_ms)
{
	struct bytes sealed = bytes_of(o->in + WIRE_RESPONSE, o->n_in - WIRE_RESPONSE);
	if (wire_response_open_ext(o->in, sealed, &o->requests[o->i_hop],
		    o->spec->hops[o->i_hop].key, &o->responses[o->i_hop]) != WIRE_RESPONSE_OK)
		return fail(o, ERR_BAD_RECORD, now_ms);
	return on_response(o, now_ms);
}

/* A nonce that spells this by chance: 2^-64. Waiting for 96 bytes would wait for ever: a server
 * that speaks first says its line and listens. */
static bool is_another_protocol(const struct chain_open *o)
{
	return !o->is_reading_ext && o->n_in >= SEEN_MIN &&
	       (memcmp(o->in, "SSH-2.0-", 8) == 0 || memcmp(o->in, "HTTP/1.1", 8) == 0 ||
		       memcmp(o->in, "HTTP/1.0", 8) == 0);
}

/* Adds at most what completes the present block. Return: how much was taken. */
static size_t take(struct chain_open *o, struct bytes in)
{
	size_t n = o->n_wanted - o->n_in;
	n = n < in.len ? n : in.len;
	memcpy(o->in + o->n_in, in.ptr, n);
	o->n_in += n;
	return n;
}

enum chain_open_step chain_open_feed(
	struct chain_open *open, struct bytes in, uint64_t wall_ms, uint64_t now_ms)
{
	enum chain_open_step step = CHAIN_OPEN_MORE;
	assert(in.len <= chain_open_wants(open));
	open->heard_wall_ms = wall_ms;
	while (in.len > 0 && step == CHAIN_OPEN_MORE) {
		size_t n = take(open, in);
		in = bytes_of(in.ptr + n, in.len - n);
		if (is_another_protocol(open))
			return fail(open, ERR_BAD_RECORD, now_ms);
		if (open->n_in == open->n_wanted)
			step = open->is_reading_ext ? on_ext(open, now_ms) : on_block(open, now_ms);
	}
	return step;
}

const struct chain_error *chain_open_error(const struct chain_open *open)
{
	return &open->error;
}

const struct wire_response *chain_open_response(const struct chain_open *open, unsigned i)
{
	return &open->responses[i - 1];
}

bool chain_open_secrets(
	const struct chain_open *open, uint8_t *ret_cipher, struct wire_secrets *ret)
{
	if (open->pair == NULL)
		return false;
	*ret_cipher = open->responses[open->n_hops - 1].cipher;
	*ret = open->secrets;
	return true;
}
