#include "hop/flow.h"

#include "hop/flow_state.h"

#include <stddef.h>
#include <stdlib.h>

#define PORT_DNS 53
#define MASKS    2 /* mask keys of a hop at most (docs/protocol.md 2.1) */

static void on_table_end(struct flow *flow, bool is_evicted, void *owner)
{
	(void)owner;
	hop_flow_end((struct hop_flow *)flow, is_evicted ? "evicted" : "idle");
}

int hop_flows_new(const struct hop_flows_options *options, uint64_t now_ms, struct hop_flows **ret)
{
	struct hop_flows *flows = calloc(1, sizeof *flows);
	if (flows == NULL)
		return ERR_NOMEM;
	flows->options = *options;
	flows->now_ms = now_ms;
	flows->scratch = malloc(FLOW_SCRATCH);
	if (hop_pools_new(flows) != 0 || flows->scratch == NULL ||
		flow_table_new(options->max_flows, now_ms, on_table_end, NULL, &flows->table) !=
			0) {
		hop_pools_free(flows);
		free(flows->scratch);
		free(flows);
		return ERR_NOMEM;
	}
	*ret = flows;
	return 0;
}

void hop_flows_end(struct hop_flows *flows)
{
	for (struct flow *f; (f = flow_table_first(flows->table)) != NULL;)
		hop_flow_end((struct hop_flow *)f, "stopped");
}

void hop_flows_use(
	struct hop_flows *flows, const struct hop_users *users, struct hop_generation *generation)
{
	flows->options.users = users;
	flows->options.generation = generation;
}

void hop_flows_free(struct hop_flows *flows)
{
	if (flows == NULL)
		return;
	hop_flows_end(flows);
	timer_stop(flow_table_wheel(flows->table), &flows->rest);
	flow_table_free(flows->table);
	hop_pools_free(flows);
	free(flows->scratch);
	free(flows);
}

/* ---- Down ---- */

/* Keeps @rest for later, or counts it as lost. */
static void held_add(
	struct hop_flow *f, struct hop_held **at, const struct hop_path *from, struct bytes rest)
{
	if (*at == NULL)
		*at = calloc(1, sizeof **at);
	struct hop_held *held = *at;
	if (held == NULL || held->n == FLOW_HELD_MAX ||
		held->n_bytes + rest.len > FLOW_HELD_BYTES ||
		(held->bytes[held->n] = malloc(rest.len)) == NULL) {
		f->flows->counters.n_pending++;
		return;
	}
	memcpy(held->bytes[held->n], rest.ptr, rest.len);
	held->len[held->n] = (uint16_t)rest.len;
	if (from != NULL)
		held->from[held->n] = *from;
	held->n++;
	held->n_bytes += rest.len;
}

static void hint(struct hop_flow *f, enum hop_hint kind, uint8_t status, uint16_t value,
	const struct hop_path *only);

/* Whether @len more bytes may go to the bound address: always, unless its proof may have been made
 * by another one that got S; then the client is asked for an R that only it presents. */
static bool spend_bound(struct hop_flow *f, size_t len)
{
	struct hop_epoch *e = f->valid;
	if (!e->is_shared)
		return true;
	if (e->n_out + len <= FLOW_UNPROVED_FACTOR * e->n_in) {
		e->n_out += len;
		return true;
	}
	f->flows->counters.n_amplification++;
	hint(f, FLOW_HINT_RESETUP, STATUS_RESETUP, 0, &e->bound);
	return false;
}

/* Whether @len more bytes may go to an address that has not proved that it receives. */
static bool spend(struct hop_flow *f, struct hop_epoch *e, struct hop_source *source, size_t len)
{
	uint64_t factor = source == &e->handshake->sources[0] ? FLOW_UNPROVED_FACTOR : 1;
	if ((f->valid != NULL && hop_path_is_equal(&f->valid->bound, &source->path)))
		return spend_bound(f, len);
	if (source->n_out + len > factor * source->n_in) {
		f->flows->counters.n_amplification++;
		return false;
	}
	source->n_out += len;
	return true;
}

static bool send_to_source(struct hop_flow *f, struct hop_epoch *e, struct hop_source *source,
	struct bytes head, struct bytes body)
{
	const struct hop_flows_options *o = &f->flows->options;
	if (!spend(f, e, source, head.len + body.len))
		return false;
	o->ops->send_down(&source->path, head, body, o->owner);
	return true;
}

void hop_send_response(struct hop_epoch *epoch, struct hop_source *source, struct bytes tail)
{
	struct hop_handshake *h = epoch->handshake;
	source->n_responses++;
	send_to_source(epoch->flow, epoch, source, bytes_of(h->s, h->n_s), tail);
}

/* X ‖ rest to one address that presented the pending R: X is S, or where that gets too long D, with
 * S ahead of it once per copy of R. */
static bool reply_to_source(
	struct hop_epoch *e, struct hop_source *source, struct bytes d, struct bytes rest)
{
	struct hop_handshake *h = e->handshake;
	if (h->n_s + rest.len <= FLOW_RESPONSE_MAX)
		return send_to_source(e->flow, e, source, bytes_of(h->s, h->n_s), rest);
	if (source->n_responses < source->n_copies)
		hop_send_response(e, source, bytes_of(NULL, 0));
	return send_to_source(e->flow, e, source, d, rest);
}

/* @d: D_i of a middle hop; empty at the exit, whose D_n begins @rest. */
static void reply(struct hop_flow *f, struct bytes d, struct bytes rest)
{
	const struct hop_flows_options *o = &f->flows->options;
	struct hop_epoch *p = f->pending;
	bool is_bound_listed = false, is_sent = f->valid != NULL;
	if (p != NULL && p->handshake->s != NULL) {
		struct hop_handshake *h = p->handshake;
		for (unsigned i = 0; i < h->n_sources; i++) {
			if (f->valid != NULL &&
				hop_path_is_equal(&f->valid->bound, &h->sources[i].path))
				is_bound_listed = true;
			if (reply_to_source(p, &h->sources[i], d, rest))
				is_sent = true;
		}
	}
	if (!is_sent && rest.len > WIRE_BLOCK)
		held_add(f, &f->late, NULL, rest);
	if (f->valid != NULL && !is_bound_listed && spend_bound(f, d.len + rest.len))
		o->ops->send_down(&f->valid->bound, d, rest, o->owner);
}

/* The exit's words: D_n ‖ sealed under the newest epoch that is proved, else the pending one. */
static void seal_down(struct hop_flow *f, uint8_t flags, struct bytes data)
{
	struct hop_flows *flows = f->flows;
	struct hop_epoch *e = f->valid != NULL ? f->valid : f->pending;
	uint8_t plain[WIRE_BLOCK];
	struct hop_keys *keys = e != NULL && e->seal != NULL ? hop_epoch_wake(e) : NULL;
	if (keys == NULL || data.len > WIRE_DATAGRAM_MAX - WIRE_BLOCK - WIRE_SEALED_MIN ||
		e->seal->number > WIRE_NUMBER_MAX)
		return;
	struct wire_down down = {
		.fid = f->fid_c,
		.flags = (uint8_t)(flags | (e->fid & 1 ? WIRE_DOWN_EPOCH : 0)),
		.number = e->seal->number++,
	};
	wire_down_print(&down, plain);
	wire_down_encode(f->entry->key->key, &down, flows->scratch);
	int n = record_packet_seal(
		&keys->down, down.number, plain, data, flows->scratch + WIRE_BLOCK);
	if (n > 0)
		reply(f, bytes_of(NULL, 0), bytes_of(flows->scratch, WIRE_BLOCK + (size_t)n));
}

/* D with a status, at most once a second and kind; to @only, or to whom replies go. */
static void hint(struct hop_flow *f, enum hop_hint kind, uint8_t status, uint16_t value,
	const struct hop_path *only)
{
	const struct hop_flows_options *o = &f->flows->options;
	uint32_t second = (uint32_t)(f->flows->now_ms / 1000) + 1;
	uint32_t unix_s = (uint32_t)(f->flows->wall_ms / 1000);
	uint8_t block[WIRE_BLOCK];
	if (f->hinted_s[kind] == second)
		return;
	f->hinted_s[kind] = second;
	f->hint_count = f->hint_count + 1 > unix_s ? f->hint_count + 1 : unix_s;
	struct wire_down down = {
		.fid = f->fid_c,
		.status = status,
		.number = (uint64_t)f->hint_count << 16 | value,
	};
	wire_down_encode(f->entry->key->key, &down, block);
	if (only != NULL)
		o->ops->send_down(only, bytes_of(block, sizeof block), bytes_of(NULL, 0), o->owner);
	else if (f->is_exit)
		reply(f, bytes_of(NULL, 0), bytes_of(block, sizeof block));
	else
		reply(f, bytes_of(block, sizeof block), bytes_of(NULL, 0));
}

/* What a middle hop puts before what it passes down: D_i to @block. Empty at the exit. */
static struct bytes put_down(struct hop_flow *f, uint8_t block[WIRE_BLOCK])
{
	struct wire_down down = { .fid = f->fid_c, .number = f->number };
	if (f->is_exit)
		return bytes_of(NULL, 0);
	f->number++;
	wire_down_encode(f->entry->key->key, &down, block);
	return bytes_of(block, WIRE_BLOCK);
}

static void set_now(struct hop_flows *flows, uint64_t now_ms, uint64_t wall_ms)
{
	flows->now_ms = now_ms;
	flows->wall_ms = wall_ms;
}

uint32_t hop_flow_answered_ms(uint16_t port)
{
	return port == PORT_DNS ? HOP_FLOW_DNS_MS : HOP_FLOW_IDLE_MS;
}

static void on_reply(struct hop_flow *f, size_t len)
{
	struct hop_flows *flows = f->flows;
	flows->counters.n_down++;
	f->n_down += len;
	if (f->has_reply) {
		flow_use(flows->table, &f->flow, flows->now_ms);
		return;
	}
	f->has_reply = true;
	flow_set_idle(flows->table, &f->flow,
		f->is_exit ? hop_flow_answered_ms(f->port) : HOP_FLOW_IDLE_MS, flows->now_ms);
}

void hop_flow_receive(
	struct hop_flow *flow, uint8_t *datagram, size_t len, uint64_t now_ms, uint64_t wall_ms)
{
	uint8_t block[WIRE_BLOCK];
	set_now(flow->flows, now_ms, wall_ms);
	on_reply(flow, len);
	if (flow->is_exit) {
		seal_down(flow, 0, bytes_of(datagram, len));
		return;
	}
	reply(flow, put_down(flow, block), bytes_of(datagram, len));
}

void hop_flow_trouble(
	struct hop_flow *flow, uint8_t status, uint16_t value, uint64_t now_ms, uint64_t wall_ms)
{
	enum hop_hint kind = status == STATUS_PORT_UNREACH ? FLOW_HINT_PORT
			     : status == STATUS_MSGSIZE    ? FLOW_HINT_SIZE
							   : FLOW_HINT_OTHER;
	set_now(flow->flows, now_ms, wall_ms);
	hint(flow, kind, status, status == STATUS_MSGSIZE ? value : 0, NULL);
}

/* ---- Up ---- */

static void forward(struct hop_flow *f, struct bytes datagram)
{
	const struct hop_flows_options *o = &f->flows->options;
	f->flows->counters.n_up++;
	f->n_up += datagram.len;
	flow_use(f->flows->table, &f->flow, f->flows->now_ms);
	o->ops->send_up(f, datagram, o->owner);
}

/* @from has shown that it receives: it gets what was more than an unproved address may. */
static void prove(struct hop_epoch *e, const struct hop_path *from)
{
	struct hop_flow *f = e->flow;
	struct hop_held *late = f->late;
	hop_epoch_prove(e, from);
	f->late = NULL;
	for (unsigned i = 0; late != NULL && i < late->n; i++) {
		uint8_t block[WIRE_BLOCK];
		reply(f, put_down(f, block), bytes_of(late->bytes[i], late->len[i]));
	}
	hop_held_free(late);
}

/* The key of the phase that B_n's flags name, or NULL where they are not legal. */
static struct record_packet *key_of(struct hop_epoch *e, struct hop_keys *keys, uint16_t flags)
{
	if (flags == WIRE_UP_PROV)
		return e->handshake != NULL && e->handshake->phase0.cipher != RECORD_NONE
			       ? &e->handshake->phase0
			       : NULL;
	return (flags & ~WIRE_UP_PING) == WIRE_UP_KEYPHASE ? &keys->up : NULL;
}

/* At the exit: opens what follows B_n to scratch. Return: its length, or -1: counted as lost. */
static int open_sealed(struct hop_epoch *e, const struct wire_up *up, struct bytes sealed)
{
	struct hop_flows *flows = e->flow->flows;
	struct hop_keys *keys = e->seal != NULL ? hop_epoch_wake(e) : NULL;
	struct record_packet *key = keys != NULL ? key_of(e, keys, up->flags) : NULL;
	uint8_t plain[WIRE_BLOCK];
	int n = -1;
	wire_up_print(up, plain);
	if (key != NULL && sealed.len >= WIRE_SEALED_MIN && sealed.len <= FLOW_SCRATCH &&
		window_is_fresh(&keys->window, up->number)) {
		n = record_packet_open(key, up->number, plain, sealed, flows->scratch);
		if (up->flags & WIRE_UP_PROV)
			record_packet_rest(key); /* few are sent in phase 0 */
		if (n >= 0 && window_take(&keys->window, up->number))
			return n;
	}
	if (key != NULL && !window_is_fresh(&keys->window, up->number))
		flows->counters.n_window++;
	else
		flows->counters.n_forged++;
	return -1;
}

/* At the exit: what B_n stands for. */
static void open_up(struct hop_epoch *e, const struct hop_path *from, const struct wire_up *up,
	struct bytes sealed)
{
	struct hop_flow *f = e->flow;
	struct hop_flows *flows = f->flows;
	int n = open_sealed(e, up, sealed);
	if (n < 0)
		return;
	if ((up->flags & WIRE_UP_PROV) == 0 && e->validated_ms == 0)
		prove(e, from);
	if ((up->flags & WIRE_UP_PING) == 0) {
		forward(f, bytes_of(flows->scratch, (size_t)n));
	} else if (n == 0) {
		flow_use(flows->table, &f->flow, flows->now_ms);
		seal_down(f, WIRE_DOWN_PONG, bytes_of(NULL, 0));
	}
}

void hop_pass_up(struct hop_flow *flow, struct hop_epoch *epoch, const struct hop_path *from,
	struct bytes rest)
{
	struct wire_up up;
	if (rest.len == 0)
		return;
	if (!flow->is_open) {
		if (!flow->is_answer)
			held_add(flow, &flow->held, from, rest);
		return;
	}
	if (!flow->is_exit) {
		forward(flow, rest);
		return;
	}
	if (rest.len < WIRE_BLOCK + WIRE_SEALED_MIN ||
		!wire_up_decode(flow->entry->key->key->mask, rest.ptr, &up) ||
		up.flags != WIRE_UP_PROV || up.fid != flow->fid_c) {
		flow->flows->counters.n_forged++;
		return;
	}
	open_up(epoch, from, &up, bytes_of(rest.ptr + WIRE_BLOCK, rest.len - WIRE_BLOCK));
}

/* A block with an assigned id from an address that may not use it. */
static void on_wrong_source(struct hop_epoch *e, const struct hop_path *from, size_t len)
{
	e->flow->flows->counters.n_wrong_source++;
	if (len >= 2 * WIRE_BLOCK &&
		(e->flow->valid == NULL || !hop_path_is_equal(&e->flow->valid->bound, from)))
		hint(e->flow, FLOW_HINT_RESETUP, STATUS_RESETUP, 0, from);
}

/* A block that hit @e; @source: by its provisional id, else NULL. */
static void on_block(struct hop_epoch *e, struct hop_source *source, const struct hop_path *from,
	const struct wire_up *up, struct bytes in)
{
	struct hop_flow *f = e->flow;
	struct bytes rest = bytes_of(in.ptr + WIRE_BLOCK, in.len - WIRE_BLOCK);
	bool is_proved = e->validated_ms != 0;
	if (source == NULL && !is_proved)
		source = hop_source_find(e->handshake, from);
	if (source == NULL && !(is_proved && hop_path_is_equal(&e->bound, from))) {
		on_wrong_source(e, from, in.len);
		return;
	}
	if (source != NULL)
		source->n_in += in.len;
	if (is_proved && hop_path_is_equal(&e->bound, from))
		e->n_in += in.len;
	if (!f->is_open) {
		if (!f->is_answer)
			held_add(f, &f->held, from, f->is_exit ? in : rest);
		return;
	}
	if (f->is_exit) {
		open_up(e, from, up, rest);
		return;
	}
	if ((up->flags & WIRE_UP_PROV) == 0 && !is_proved)
		prove(e, from);
	if (rest.len > 0)
		forward(f, rest);
}

static struct hop_epoch *epoch_of_source(struct hop_flow *f, const struct flow_name *name)
{
	struct hop_epoch *epochs[] = { f->pending, f->valid };
	for (size_t i = 0; i < sizeof epochs / sizeof epochs[0]; i++) {
		const struct hop_handshake *h = epochs[i] != NULL ? epochs[i]->handshake : NULL;
		if (h != NULL && (const char *)name >= (const char *)h->sources &&
			(const char *)name < (const char *)(h->sources + FLOW_SOURCES_MAX))
			return epochs[i];
	}
	return NULL;
}

static bool receive_block(struct hop_flows *flows, const struct hop_path *from,
	const struct wire_up *up, struct bytes in)
{
	uint8_t text[FLOW_NAME_MAX];
	struct flow_name *name;
	if ((up->flags & WIRE_UP_PROV) == 0) {
		name = flow_find(flows->table, FLOW_BY_FID, &up->fid, sizeof up->fid);
		if (name == NULL)
			return false;
		on_block((struct hop_epoch *)((char *)name - offsetof(struct hop_epoch, name)),
			NULL, from, up, in);
		return true;
	}
	uint8_t len = hop_source_print(&from->peer, up->fid, text);
	name = flow_find(flows->table, FLOW_BY_SOURCE, text, len);
	struct hop_epoch *e =
		name != NULL ? epoch_of_source((struct hop_flow *)name->flow, name) : NULL;
	if (e == NULL)
		return false;
	on_block(e, (struct hop_source *)((char *)name - offsetof(struct hop_source, name)), from,
		up, in);
	return true;
}

void hop_flows_receive(struct hop_flows *flows, const struct hop_path *from, uint8_t *datagram,
	size_t len, uint64_t now_ms, uint64_t wall_ms)
{
	struct bytes in = bytes_of(datagram, len);
	set_now(flows, now_ms, wall_ms);
	for (size_t i = 0; i < MASKS && len >= 2 * WIRE_BLOCK; i++) {
		const struct wire_mask *mask = hop_users_mask(flows->options.users, i);
		struct wire_up up;
		if (mask != NULL && wire_up_decode(mask, datagram, &up) &&
			receive_block(flows, from, &up, in))
			return;
	}
	if (len >= WIRE_REQUEST)
		hop_request_receive(flows, from, in);
	else
		flows->counters.n_junk++;
}

/* ---- The upstream socket ---- */

static void release_held(struct hop_flow *f)
{
	struct hop_held *held = f->held;
	f->held = NULL;
	for (unsigned i = 0; held != NULL && f->pending != NULL && i < held->n; i++)
		hop_pass_up(f, f->pending, &held->from[i], bytes_of(held->bytes[i], held->len[i]));
	hop_held_free(held);
}

static void tell_sources(struct hop_epoch *e)
{
	for (unsigned i = 0; i < e->handshake->n_sources; i++)
		hop_send_response(e, &e->handshake->sources[i], bytes_of(NULL, 0));
}

/* What failed keeps only its answer, for copies of R. */
static void become_answer(struct hop_flow *f)
{
	const struct hop_flows_options *o = &f->flows->options;
	flow_name_remove(f->flows->table, &f->name);
	f->is_answer = true;
	f->flows->n_answers++;
	hop_held_free(f->held);
	f->held = NULL;
	f->is_admitted = false;
	o->ops->close(f, wire_status_find(f->pending->handshake->status)->slug, o->owner);
}

void hop_flow_opened(struct hop_flow *flow, const struct hop_flow_outcome *outcome, uint64_t now_ms,
	uint64_t wall_ms)
{
	struct hop_handshake *h = flow->pending->handshake;
	struct wire_response response = {
		.status = outcome->status,
		.detail = outcome->detail,
		.tries = outcome->tries,
		.resolve_us = outcome->resolve_us,
		.connect_us = outcome->connect_us,
		.has_address = outcome->has_address && (h->flags & WIRE_TRACE),
		.address = outcome->address,
	};
	set_now(flow->flows, now_ms, wall_ms);
	if (hop_respond(h, &response) != 0) {
		hop_flow_end(flow, "memory");
		return;
	}
	if (outcome->status != STATUS_OK) {
		tell_sources(flow->pending);
		become_answer(flow);
		return;
	}
	flow->is_open = true;
	if (flow->is_exit)
		tell_sources(flow->pending);
	release_held(flow);
}

void hop_flows_shorten(struct hop_flows *flows, uint32_t idle_ms, uint64_t now_ms)
{
	flow_table_shorten(flows->table, idle_ms, now_ms);
}

void hop_flows_run(struct hop_flows *flows, uint64_t now_ms)
{
	flows->now_ms = now_ms;
	flow_table_run(flows->table, now_ms);
}

int hop_flows_due_ms(const struct hop_flows *flows, uint64_t now_ms)
{
	return flow_table_due_ms(flows->table, now_ms);
}

const struct hop_flow_counters *hop_flows_counters(const struct hop_flows *flows)
{
	return &flows->counters;
}

uint32_t hop_flows_count(const struct hop_flows *flows)
{
	return flow_table_count(flows->table);
}

uint32_t hop_flows_count_open(const struct hop_flows *flows)
{
	return flow_table_count(flows->table) - flows->n_answers;
}

void *hop_flow_data(const struct hop_flow *flow)
{
	return flow->data;
}

void hop_flow_set_data(struct hop_flow *flow, void *data)
{
	flow->data = data;
}

const struct hop_entry *hop_flow_entry(const struct hop_flow *flow)
{
	return flow->entry;
}

bool hop_flow_is_exit(const struct hop_flow *flow)
{
	return flow->is_exit;
}

const union addr_sock *hop_flow_peer(const struct hop_flow *flow)
{
	if (flow->valid != NULL)
		return &flow->valid->bound.peer;
	return flow->pending != NULL && flow->pending->handshake->n_sources > 0
		       ? &flow->pending->handshake->sources[0].path.peer
		       : NULL;
}

void hop_flow_bytes(const struct hop_flow *flow, uint64_t *ret_up, uint64_t *ret_down)
{
	*ret_up = flow->n_up;
	*ret_down = flow->n_down;
}
