/* A request in a datagram: new ones through lines 1 to 17 of docs/protocol.md 2.2, copies as 2.10
 * says. */
#include "common/record.h"
#include "hop/flow_state.h"
#include "hop/header.h"
#include "hop/reply.h"

#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define PRIVILEGED_PORT 1024 /* no ECHO is answered to a port below: it may be a service's */

/* One request on its way through the checks. */
struct incoming {
	struct hop_flows *flows;
	const struct hop_path *from;
	struct bytes in;
	const struct hop_entry *entry;
	struct wire_request_plain plain;
	struct wire_request request;
	uint8_t ext[WIRE_EXT_MAX];
	uint16_t n_ext; /* plaintext bytes of the extension */
	uint8_t status, detail, cipher;
};

static size_t length_of(const struct incoming *i)
{
	return WIRE_REQUEST + (i->n_ext > 0 ? WIRE_EXT_SEALED((size_t)i->n_ext) : 0);
}

/* Lines 1 to 3. */
static bool open_request(struct incoming *i)
{
	struct hop_flow_counters *n = &i->flows->counters;
	const struct hop_flows_options *o = &i->flows->options;
	switch (hop_users_find(o->users, i->in.ptr, i->flows->wall_ms, &i->entry)) {
	case USERS_UNKNOWN:
		n->n_junk++;
		return false;
	case USERS_EXPIRED:
		n->n_unauthentic++;
		return false;
	case USERS_FOUND:
		break;
	}
	if (replay_find(o->replay, i->entry->kid, i->in.ptr)) {
		n->n_replayed++;
		return false;
	}
	if (!wire_request_open(i->in.ptr, WIRE_UDP, i->entry->key->key, &i->plain)) {
		n->n_unauthentic++;
		return false;
	}
	return true;
}

static void log_skew(const struct incoming *i, uint64_t time_ms)
{
	char from[ADDR_TEXT_MAX];
	LOG_LIMITED(LOG_LEVEL_NOTICE,
		"rejected: authentic, but its clock differs reason=clock from=%s user=%s "
		"off_s=%.1f transport=udp",
		addr_sock_print(&i->from->peer, from), i->entry->user->name,
		(double)(int64_t)(time_ms - i->flows->wall_ms) / 1000);
}

/* Line 5: what R says of its extension, before anything else of it is believed. */
static bool open_extension(struct incoming *i)
{
	struct wire_reader r;
	wire_reader_init(&r, bytes_of(i->plain.bytes, sizeof i->plain.bytes));
	uint8_t version = wire_u8(&r);
	wire_u8(&r);
	uint16_t flags = wire_u16(&r);
	wire_u64(&r);
	uint16_t n_ext = wire_u16(&r);
	if (version != 1 || (flags & WIRE_EXT) == 0 || n_ext == 0 || n_ext > WIRE_EXT_MAX)
		return true;
	i->n_ext = n_ext;
	if (i->in.len < length_of(i))
		return false;
	struct bytes sealed = bytes_of(i->in.ptr + WIRE_REQUEST, WIRE_EXT_SEALED((size_t)n_ext));
	return wire_request_open_ext(i->in.ptr, i->entry->key->key, sealed, i->ext);
}

/* Lines 4 and 6. */
static bool take_salt(struct incoming *i)
{
	struct hop_flow_counters *n = &i->flows->counters;
	const struct hop_flows_options *o = &i->flows->options;
	uint64_t time_ms = wire_request_time(&i->plain);
	switch (replay_insert(o->replay, i->entry->kid, i->in.ptr, time_ms, i->flows->wall_ms,
		i->flows->now_ms)) {
	case REPLAY_FRESH:
		return true;
	case REPLAY_SEEN:
		n->n_replayed++;
		return false;
	case REPLAY_FULL:
		n->n_quota++;
		return false;
	case REPLAY_OLD:
	case REPLAY_EARLY:
		break;
	}
	n->n_clock++;
	log_skew(i, time_ms);
	return false;
}

/* Line 13. */
static void check_implemented(struct incoming *i)
{
	const struct wire_request *r = &i->request;
	i->status = STATUS_OK;
	if (r->cmd == WIRE_ECHO)
		return;
	i->status = STATUS_UNSUPPORTED;
	i->detail = DETAIL_FLAGS;
	if (r->flags & WIRE_OPEN_UDP)
		return;
	i->cipher = hop_header_cipher(r->flags);
	if ((r->flags & WIRE_E2E) == 0 || i->cipher != RECORD_NONE)
		i->status = STATUS_OK;
}

/* Lines 7 to 13. */
static void check_request(struct incoming *i)
{
	uint16_t n_ext = 0;
	i->status =
		(uint8_t)wire_request_check(&i->plain, WIRE_UDP, &i->request, &n_ext, &i->detail);
	if (i->status == STATUS_OK)
		i->status = (uint8_t)wire_request_check_ext(
			bytes_of(i->ext, n_ext), &i->request, &i->detail);
	if (i->status == STATUS_OK)
		check_implemented(i);
}

static bool has_sender_port(const struct incoming *i)
{
	return addr_sock_port(&i->from->peer) >= PRIVILEGED_PORT;
}

/* S without a place in the table: a copy of R then gets silence, a new R another S. */
static void answer_once(struct incoming *i, struct wire_response *response, struct bytes tail)
{
	const struct hop_flows_options *o = &i->flows->options;
	uint8_t bytes[WIRE_RESPONSE_MAX], nonce[SEAL_NONCE];
	if (i->status != STATUS_VERSION && i->plain.bytes[1] != WIRE_CMD_UDP)
		response->val = i->flows->wall_ms;
	hop_reply_name(response, i->request.flags);
	seal_random(nonce, sizeof nonce);
	int n = wire_response_encode(response, i->in.ptr, i->entry->key->key, nonce, bytes);
	if (n > 0)
		o->ops->send_down(i->from, bytes_of(bytes, (size_t)n), tail, o->owner);
}

/* Answers wait for copies in a quarter of the table at most, and push nothing out of it. */
static bool has_room_for_answer(const struct hop_flows *flows)
{
	uint32_t max = flows->options.max_flows;
	return flow_table_count(flows->table) < max && flows->n_answers < (max + 3) / 4;
}

/* ECHO, and every refusal: S alone now and on every copy, kept without a flow's name. */
static void answer(struct incoming *i)
{
	struct wire_response response = { .status = i->status, .detail = i->detail };
	struct bytes r = bytes_of(i->in.ptr, length_of(i)), tail = { NULL, 0 };
	bool is_echo = i->status == STATUS_OK;
	if (is_echo && !has_sender_port(i))
		return;
	if (is_echo)
		tail = bytes_of(i->in.ptr + r.len, i->in.len - r.len);
	struct hop_flow *f =
		has_room_for_answer(i->flows) ? hop_flow_new(i->flows, i->entry) : NULL;
	if (f == NULL) {
		answer_once(i, &response, tail);
		return;
	}
	f->is_answer = true;
	i->flows->n_answers++;
	if (hop_flow_list(f) != 0) {
		hop_flow_end(f, "limit");
		return;
	}
	f->pending = hop_epoch_new(f, &i->request, r);
	if (f->pending == NULL || hop_source_add(f->pending->handshake, i->from) == NULL) {
		hop_flow_end(f, "memory");
		return;
	}
	struct hop_handshake *h = f->pending->handshake;
	h->cmd = i->status == STATUS_VERSION ? 0 : i->plain.bytes[1];
	if (hop_respond(h, &response) != 0) {
		hop_flow_end(f, "memory");
		return;
	}
	h->n_arrivals = h->sources[0].n_copies = 1;
	h->sources[0].n_in = i->in.len;
	hop_send_response(f->pending, &h->sources[0], tail);
}

static void refuse(struct incoming *i, uint8_t status, uint8_t detail)
{
	i->status = status;
	i->detail = detail;
	answer(i);
}

/* What makes two requests the same flow: cmd, flags, atyp, proto, port, addr and NAME. */
static void hash_target(const struct incoming *i, uint8_t to[16])
{
	struct bytes parts[] = {
		bytes_of(i->plain.bytes + 1, 3),
		bytes_of(i->plain.bytes + 16, 20),
		bytes_of(i->request.to.name, strlen(i->request.to.name)),
	};
	seal_hash(bytes_of(NULL, 0), parts, sizeof parts / sizeof parts[0], to, 16);
}

static struct hop_flow *find_flow(
	const struct incoming *i, uint8_t name[static WIRE_KID + sizeof(uint64_t)])
{
	memcpy(name, &i->entry->kid, WIRE_KID);
	memcpy(name + WIRE_KID, &i->request.fid, sizeof i->request.fid);
	struct flow_name *found =
		flow_find(i->flows->table, FLOW_BY_CLIENT, name, WIRE_KID + sizeof i->request.fid);
	return found != NULL ? (struct hop_flow *)found->flow : NULL;
}

/* Another user's provisional id at this address may not be taken over. */
static bool is_source_taken(const struct incoming *i)
{
	uint8_t text[FLOW_NAME_MAX];
	uint8_t len = hop_source_print(&i->from->peer, i->request.fid, text);
	struct flow_name *taken = flow_find(i->flows->table, FLOW_BY_SOURCE, text, len);
	return taken != NULL && ((struct hop_flow *)taken->flow)->entry->kid != i->entry->kid;
}

static bool is_stale(const struct incoming *i, const struct hop_flow *f)
{
	const struct hop_epoch *e = f->pending != NULL ? f->pending : f->valid;
	return e != NULL && i->request.time_ms + FLOW_STAMP_BACK_MS < e->stamp_ms;
}

/* Line 16, and what phase 0 needs. Return: false after a refusal. */
static bool prepare_exit(struct incoming *i, struct hop_handshake *h)
{
	struct hop_flows *flows = i->flows;
	wire_datagram_phase0(i->entry->key->key, h->r, false, &h->phase0);
	h->cipher = i->cipher;
	if ((h->flags & WIRE_FS) == 0)
		return true;
	h->pair = wire_pair_acquire(flows->options.ephemeral, flows->now_ms);
	if (h->pair != NULL && wire_pair_agree(h->pair, i->request.eph, h->ss))
		return true;
	i->status = h->pair == NULL ? STATUS_LOCAL : STATUS_BAD_REQUEST;
	i->detail = h->pair == NULL ? DETAIL_LOCAL_MEMORY : 48;
	return false;
}

/* A new epoch of @f, its upstream socket there or on its way. Return: NULL after a refusal, @f as
 * it was. */
static struct hop_epoch *begin_epoch(struct incoming *i, struct hop_flow *f)
{
	struct hop_epoch *e = hop_epoch_new(f, &i->request, bytes_of(i->in.ptr, length_of(i)));
	i->status = STATUS_LOCAL;
	i->detail = DETAIL_LOCAL_MEMORY;
	if (e == NULL)
		return NULL;
	struct hop_handshake *h = e->handshake;
	if (hop_epoch_assign(e) != 0 || (f->is_exit && !prepare_exit(i, h)) ||
		hop_source_add(h, i->from) == NULL) {
		hop_epoch_drop(e);
		return NULL;
	}
	h->n_arrivals = h->sources[0].n_copies = 1;
	h->sources[0].n_in = i->in.len;
	hop_epoch_drop(f->pending);
	if (f->is_exit) { /* sealed under the one before: nobody opens it any more */
		hop_held_free(f->late);
		f->late = NULL;
	}
	f->pending = e;
	return e;
}

/* A new R of a flow that lives: a pending epoch; its socket stays. */
static void renew(struct incoming *i, struct hop_flow *f)
{
	struct bytes rest = bytes_of(i->in.ptr + length_of(i), i->in.len - length_of(i));
	struct wire_response response = { .status = STATUS_OK };
	if (is_stale(i, f)) {
		i->flows->counters.n_clock++;
		return;
	}
	if (!rate_take(&i->entry->limits->connects, i->flows->now_ms)) {
		i->flows->counters.n_quota++;
		return; /* a refusal would end what works; the client tries again */
	}
	struct hop_epoch *e = begin_epoch(i, f);
	if (e == NULL) {
		answer(i);
		return;
	}
	if (f->is_open && hop_respond(e->handshake, &response) != 0) {
		hop_epoch_drop(e);
		return;
	}
	if (f->is_open && f->is_exit)
		hop_send_response(e, &e->handshake->sources[0], bytes_of(NULL, 0));
	hop_pass_up(f, e, i->from, rest);
}

/* Lines 15 to 17 for a flow that is new. */
static void begin(struct incoming *i, const uint8_t name[static WIRE_KID + sizeof(uint64_t)])
{
	const struct hop_flows_options *o = &i->flows->options;
	struct bytes rest = bytes_of(i->in.ptr + length_of(i), i->in.len - length_of(i));
	struct hop_flow *f = hop_flow_new(i->flows, i->entry);
	if (f == NULL) {
		refuse(i, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
		return;
	}
	uint8_t status = (uint8_t)o->ops->admit(f, i->entry, o->owner);
	f->is_admitted = status == STATUS_OK;
	if (status == STATUS_OK && hop_flow_list(f) != 0)
		status = STATUS_LIMIT;
	if (status != STATUS_OK) {
		hop_flow_end(f, "refused");
		refuse(i, status, 0);
		return;
	}
	f->fid_c = i->request.fid;
	f->port = i->request.to.port;
	f->is_exit = i->request.flags & WIRE_EXIT;
	hash_target(i, f->target);
	if (flow_name_add(i->flows->table, &f->flow, &f->name, FLOW_BY_CLIENT, name,
		    WIRE_KID + sizeof f->fid_c) != 0) {
		hop_flow_end(f, "memory");
		refuse(i, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
		return;
	}
	struct hop_epoch *e = begin_epoch(i, f);
	if (e == NULL) {
		hop_flow_end(f, "refused");
		answer(i);
		return;
	}
	hop_pass_up(f, e, i->from, rest);
	o->ops->open(f, &i->request, o->owner);
}

static void take(struct incoming *i)
{
	uint8_t name[WIRE_KID + sizeof(uint64_t)], target[16];
	if (i->request.cmd == WIRE_ECHO) {
		if (!rate_take(&i->entry->limits->connects, i->flows->now_ms))
			i->status = STATUS_RATE;
		answer(i);
		return;
	}
	if (is_source_taken(i)) {
		refuse(i, STATUS_BAD_REQUEST, 36);
		return;
	}
	struct hop_flow *f = find_flow(i, name);
	hash_target(i, target);
	if (f != NULL && seal_is_equal(f->target, target, sizeof target)) {
		renew(i, f);
		return;
	}
	if (f != NULL)
		hop_flow_end(f, "replaced");
	begin(i, name);
}

/* ---- Copies of an R that is known. ---- */

/* Who may present R again: anybody while its epoch is pending, then only who is bound. */
static struct hop_source *source_of_copy(struct hop_handshake *h, const struct hop_path *from)
{
	struct hop_epoch *e = h->epoch;
	struct hop_source *source = hop_source_find(h, from);
	if (e->validated_ms != 0)
		return hop_path_is_equal(&e->bound, from) ? source : NULL;
	return source != NULL ? source : hop_source_add(h, from);
}

static void on_copy(struct hop_handshake *h, const struct hop_path *from, struct bytes in)
{
	struct hop_flow *f = h->epoch->flow;
	struct hop_flows *flows = f->flows;
	struct bytes rest = bytes_of(in.ptr + h->n_r, in.len - h->n_r);
	bool is_told = f->is_answer || f->is_exit;
	struct hop_source *source = NULL;
	if (flows->now_ms - h->epoch->accepted_ms < FLOW_PENDING_MS &&
		(f->is_answer == false || h->cmd != WIRE_ECHO ||
			addr_sock_port(&from->peer) >= PRIVILEGED_PORT))
		source = source_of_copy(h, from);
	if (source == NULL) {
		flows->counters.n_replayed++;
		return;
	}
	bool is_first = source == &h->sources[0];
	source->n_in += in.len;
	source->n_copies++;
	h->n_arrivals++;
	if (h->s != NULL && h->status != STATUS_OK) {
		hop_send_response(h->epoch, source, bytes_of(NULL, 0));
		return;
	}
	if (h->s != NULL && (is_told || h->n_arrivals >= 3))
		hop_send_response(h->epoch, source, f->is_answer ? rest : bytes_of(NULL, 0));
	if (is_first && !f->is_answer)
		hop_pass_up(f, h->epoch, from, rest);
}

void hop_request_receive(struct hop_flows *flows, const struct hop_path *from, struct bytes in)
{
	struct incoming i = { .flows = flows, .from = from, .in = in };
	struct flow_name *known = flow_find(flows->table, FLOW_BY_SALT, in.ptr, WIRE_SALT);
	if (known != NULL) {
		struct hop_handshake *h =
			(struct hop_handshake *)((char *)known -
						 offsetof(struct hop_handshake, salt));
		if (in.len >= h->n_r && seal_is_equal(in.ptr, h->r, h->n_r))
			on_copy(h, from, in);
		else
			flows->counters.n_replayed++;
		return;
	}
	if (!open_request(&i))
		return;
	if (!open_extension(&i)) {
		flows->counters.n_unauthentic++;
		return;
	}
	if (!take_salt(&i))
		return;
	check_request(&i);
	if (i.status == STATUS_OK)
		take(&i);
	else
		answer(&i);
}
