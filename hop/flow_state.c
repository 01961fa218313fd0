#include "hop/flow_state.h"

#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

static struct timer_wheel *wheel_of(const struct hop_flow *f)
{
	return flow_table_wheel(f->flows->table);
}

bool hop_path_is_equal(const struct hop_path *a, const struct hop_path *b)
{
	return addr_sock_is_equal(&a->peer, &b->peer);
}

struct hop_flow *hop_flow_new(struct hop_flows *flows, const struct hop_entry *entry)
{
	struct hop_flow *f = calloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	f->flows = flows;
	f->entry = entry;
	if (flow_add(flows->table, &f->flow, HOP_FLOW_UNREPLIED_MS, flows->now_ms) != 0) {
		free(f);
		return NULL;
	}
	return f;
}

void hop_held_free(struct hop_held *held)
{
	for (unsigned i = 0; held != NULL && i < held->n; i++)
		free(held->bytes[i]);
	free(held);
}

void hop_flow_end(struct hop_flow *flow, const char *why)
{
	const struct hop_flows_options *o = &flow->flows->options;
	hop_epoch_drop(flow->pending);
	hop_epoch_drop(flow->valid);
	hop_epoch_drop(flow->old);
	hop_held_free(flow->held);
	hop_held_free(flow->late);
	flow_name_remove(flow->flows->table, &flow->name);
	flow_remove(flow->flows->table, &flow->flow);
	if (flow->is_admitted)
		o->ops->close(flow, why, o->owner);
	free(flow);
}

uint8_t hop_source_print(const union addr_sock *peer, uint64_t fid_c, uint8_t to[FLOW_NAME_MAX])
{
	struct wire_writer w;
	wire_writer_init(&w, to, FLOW_NAME_MAX);
	wire_put_u16(&w, addr_sock_port(peer));
	wire_put_u64(&w, fid_c);
	if (peer->any.sa_family == AF_INET6)
		wire_put_bytes(&w, &peer->ip6.sin6_addr, sizeof peer->ip6.sin6_addr);
	else
		wire_put_bytes(&w, &peer->ip4.sin_addr, sizeof peer->ip4.sin_addr);
	return (uint8_t)wire_written(&w);
}

struct hop_source *hop_source_find(struct hop_handshake *h, const struct hop_path *from)
{
	for (unsigned i = 0; i < h->n_sources; i++) {
		if (hop_path_is_equal(&h->sources[i].path, from))
			return &h->sources[i];
	}
	return NULL;
}

struct hop_source *hop_source_add(struct hop_handshake *h, const struct hop_path *from)
{
	struct hop_flow *f = h->epoch->flow;
	struct flow_table *table = f->flows->table;
	uint8_t text[FLOW_NAME_MAX];
	if (h->n_sources == FLOW_SOURCES_MAX)
		return NULL;
	struct hop_source *source = &h->sources[h->n_sources];
	*source = (struct hop_source){ .path = *from };
	if (!f->is_answer) {
		uint8_t len = hop_source_print(&from->peer, f->fid_c, text);
		struct flow_name *taken = flow_find(table, FLOW_BY_SOURCE, text, len);
		if (taken != NULL)
			flow_name_remove(table, taken);
		if (flow_name_add(table, &f->flow, &source->name, FLOW_BY_SOURCE, text, len) != 0)
			return NULL;
	}
	h->n_sources++;
	return source;
}

static void forget_sources(struct hop_handshake *h)
{
	for (unsigned i = 0; i < h->n_sources; i++)
		flow_name_remove(h->epoch->flow->flows->table, &h->sources[i].name);
}

static void drop_handshake(struct hop_epoch *e)
{
	struct hop_handshake *h = e->handshake;
	if (h == NULL)
		return;
	timer_stop(wheel_of(e->flow), &h->timer);
	forget_sources(h);
	flow_name_remove(e->flow->flows->table, &h->salt);
	record_packet_deinit(&h->phase0);
	wire_pair_release(h->pair);
	seal_wipe(h->ss, sizeof h->ss);
	free(h->r);
	free(h->s);
	free(h);
	e->handshake = NULL;
}

static void rest_keys(struct hop_flows *flows, struct hop_keys *keys)
{
	if (!keys->is_warm)
		return;
	DL_DELETE(flows->warm, keys);
	keys->is_warm = false;
	record_packet_rest(&keys->up);
	record_packet_rest(&keys->down);
}

static void drop_keys(struct hop_epoch *e)
{
	if (e->keys == NULL)
		return;
	rest_keys(e->flow->flows, e->keys);
	record_packet_deinit(&e->keys->up);
	record_packet_deinit(&e->keys->down);
	free(e->keys);
	e->keys = NULL;
}

void hop_epoch_drop(struct hop_epoch *epoch)
{
	if (epoch == NULL)
		return;
	struct hop_flow *f = epoch->flow;
	drop_handshake(epoch);
	drop_keys(epoch);
	flow_name_remove(f->flows->table, &epoch->name);
	if (f->pending == epoch)
		f->pending = NULL;
	if (f->valid == epoch)
		f->valid = NULL;
	if (f->old == epoch)
		f->old = NULL;
	free(epoch);
}

static void on_rest(struct timer *timer)
{
	struct hop_flows *flows =
		(struct hop_flows *)((char *)timer - offsetof(struct hop_flows, rest));
	struct hop_keys *keys, *next;
	DL_FOREACH_SAFE (flows->warm, keys, next) {
		if (flows->now_ms - keys->used_ms >= FLOW_REST_MS)
			rest_keys(flows, keys);
	}
	if (flows->warm != NULL)
		timer_start(flow_table_wheel(flows->table), timer, flows->now_ms + FLOW_REST_MS,
			on_rest);
}

void hop_keys_use(struct hop_flows *flows, struct hop_keys *keys)
{
	keys->used_ms = flows->now_ms;
	if (keys->is_warm)
		return;
	keys->is_warm = true;
	DL_APPEND(flows->warm, keys);
	if (!timer_is_running(&flows->rest))
		timer_start(flow_table_wheel(flows->table), &flows->rest,
			flows->now_ms + FLOW_REST_MS, on_rest);
}

/* What ends with time after R was accepted and after its client proved itself. */
static void on_handshake_due(struct timer *timer)
{
	struct hop_handshake *h =
		(struct hop_handshake *)((char *)timer - offsetof(struct hop_handshake, timer));
	struct hop_epoch *e = h->epoch;
	struct hop_flow *f = e->flow;
	uint64_t now_ms = f->flows->now_ms, known_ms = e->accepted_ms + FLOW_PENDING_MS;
	uint64_t overlap_ms = e->validated_ms + FLOW_OVERLAP_MS;
	bool is_known = now_ms < known_ms;
	if (e->validated_ms == 0) {
		hop_epoch_drop(e);
		if (f->valid == NULL)
			hop_flow_end(f, f->is_answer ? "answered" : "not-confirmed");
		return;
	}
	if (now_ms >= overlap_ms) {
		hop_epoch_drop(f->old);
		record_packet_deinit(&h->phase0);
	}
	if (!is_known || now_ms >= overlap_ms)
		forget_sources(h);
	if (!is_known && now_ms >= overlap_ms)
		drop_handshake(e);
	else
		timer_start(wheel_of(f), timer,
			is_known && (now_ms >= overlap_ms || known_ms < overlap_ms) ? known_ms
										    : overlap_ms,
			on_handshake_due);
}

static bool copy_request(struct hop_handshake *h, struct bytes r)
{
	h->r = malloc(r.len);
	if (h->r == NULL)
		return false;
	memcpy(h->r, r.ptr, r.len);
	h->n_r = r.len;
	return true;
}

struct hop_epoch *hop_epoch_new(
	struct hop_flow *flow, const struct wire_request *request, struct bytes r)
{
	struct hop_flows *flows = flow->flows;
	struct hop_epoch *e = calloc(1, sizeof *e);
	struct hop_handshake *h = calloc(1, sizeof *h);
	if (e == NULL || h == NULL) {
		free(e);
		free(h);
		return NULL;
	}
	e->flow = flow;
	e->handshake = h;
	e->stamp_ms = request->time_ms;
	e->accepted_ms = flows->now_ms;
	h->epoch = e;
	h->flags = request->flags;
	h->cmd = request->cmd;
	if (!copy_request(h, r) || flow_name_add(flows->table, &flow->flow, &h->salt, FLOW_BY_SALT,
					   r.ptr, WIRE_SALT) != 0) {
		hop_epoch_drop(e);
		return NULL;
	}
	timer_start(wheel_of(flow), &h->timer, flows->now_ms + FLOW_PENDING_MS, on_handshake_due);
	return e;
}

int hop_epoch_assign(struct hop_epoch *epoch)
{
	struct hop_flow *f = epoch->flow;
	int error;
	do {
		seal_random(&epoch->fid, sizeof epoch->fid);
		if (f->valid != NULL)
			epoch->fid = (epoch->fid & ~UINT64_C(1)) | (~f->valid->fid & 1);
		error = epoch->fid == 0 ? -EEXIST
					: flow_name_add(f->flows->table, &f->flow, &epoch->name,
						  FLOW_BY_FID, &epoch->fid, sizeof epoch->fid);
	} while (error == -EEXIST);
	return error;
}

void hop_epoch_prove(struct hop_epoch *epoch, const struct hop_path *from)
{
	struct hop_flow *f = epoch->flow;
	uint64_t now_ms = f->flows->now_ms;
	uint64_t known_ms = epoch->accepted_ms + FLOW_PENDING_MS;
	hop_epoch_drop(f->old);
	f->old = f->valid;
	if (f->old != NULL)
		drop_handshake(f->old);
	f->valid = epoch;
	f->pending = NULL;
	epoch->bound = *from;
	epoch->validated_ms = now_ms > 0 ? now_ms : 1;
	flow_confirm(f->flows->table, &f->flow);
	timer_start(wheel_of(f), &epoch->handshake->timer,
		known_ms < now_ms + FLOW_OVERLAP_MS ? known_ms : now_ms + FLOW_OVERLAP_MS,
		on_handshake_due);
}

/* Phase 1 of the exit, from R and S as they are on the wire. */
static int derive_keys(struct hop_handshake *h)
{
	struct hop_epoch *e = h->epoch;
	struct wire_secrets secrets;
	e->keys = calloc(1, sizeof *e->keys);
	if (e->keys == NULL)
		return ERR_NOMEM;
	wire_secrets_derive(e->flow->entry->key->key, h->ss, bytes_of(h->r, h->n_r),
		bytes_of(h->s, h->n_s), &secrets);
	wire_datagram_phase1(
		&secrets, (enum record_cipher)h->cipher, true, &e->keys->up, &e->keys->down);
	seal_wipe(&secrets, sizeof secrets);
	return 0;
}

static void fill_response(struct hop_handshake *h, struct wire_response *s)
{
	if (h->cmd == WIRE_CMD_UDP)
		s->val = s->status == STATUS_OK ? h->epoch->fid : 0;
	else
		s->val = s->status == STATUS_VERSION ? 0 : h->epoch->flow->flows->wall_ms;
	if (s->status != STATUS_OK || (h->flags & WIRE_E2E) == 0)
		return;
	s->flags |= WIRE_S_E2E;
	s->cipher = h->cipher;
	if (h->flags & WIRE_FS) {
		s->flags |= WIRE_S_FS;
		memcpy(s->eph, wire_pair_public(h->pair), sizeof s->eph);
	}
}

int hop_respond(struct hop_handshake *h, struct wire_response *response)
{
	uint8_t bytes[WIRE_RESPONSE_MAX], nonce[SEAL_NONCE];
	fill_response(h, response);
	seal_random(nonce, sizeof nonce);
	int n = wire_response_encode(response, h->r, h->epoch->flow->entry->key->key, nonce, bytes);
	if (n < 0)
		return n;
	h->s = malloc((size_t)n);
	if (h->s == NULL)
		return ERR_NOMEM;
	memcpy(h->s, bytes, (size_t)n);
	h->n_s = (size_t)n;
	h->status = response->status;
	int error = response->status == STATUS_OK && (h->flags & WIRE_E2E) ? derive_keys(h) : 0;
	wire_pair_release(h->pair);
	h->pair = NULL;
	seal_wipe(h->ss, sizeof h->ss);
	return error;
}
