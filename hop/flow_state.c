#include "hop/flow_state.h"

#include "hop/reply.h"

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
	struct hop_flow *f = pool_take(flows->flow_pool);
	if (f == NULL)
		return NULL;
	f->flows = flows;
	f->entry = entry;
	f->generation = hop_generation_hold(flows->options.generation);
	return f;
}

int hop_flow_list(struct hop_flow *flow)
{
	struct hop_flows *flows = flow->flows;
	return flow_add(flows->table, &flow->flow, HOP_FLOW_UNREPLIED_MS, flows->now_ms);
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
	if (flow->is_admitted)
		o->ops->close(flow, why, o->owner); /* may ask for the peer */
	if (flow->is_answer)
		flow->flows->n_answers--;
	hop_epoch_drop(flow->pending);
	hop_epoch_drop(flow->valid);
	hop_epoch_drop(flow->old);
	hop_held_free(flow->held);
	hop_held_free(flow->late);
	flow_name_remove(flow->flows->table, &flow->name);
	flow_remove(flow->flows->table, &flow->flow);
	hop_generation_release(flow->generation);
	pool_give(flow->flows->flow_pool, flow);
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
		if (taken != NULL && ((struct hop_flow *)taken->flow)->entry->kid != f->entry->kid)
			return NULL; /* another user's */
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
	if (h->r != h->r_inside)
		free(h->r);
	if (h->s != h->s_inside)
		free(h->s);
	pool_give(e->flow->flows->handshake_pool, h);
	e->handshake = NULL;
}

/* Without contexts; what was opened and is to be sealed next makes new ones. */
static void cool(struct hop_flows *flows, struct hop_keys *keys)
{
	if (!keys->is_hot)
		return;
	record_packet_rest(&keys->up);
	record_packet_rest(&keys->down);
	keys->is_hot = false;
	flows->n_hot--;
	DL_DELETE(flows->hot, keys);
	DL_APPEND(flows->cold, keys);
}

static void heat(struct hop_flows *flows, struct hop_keys *keys)
{
	if (keys->is_hot)
		return;
	if (flows->n_hot == FLOW_HOT_MAX)
		cool(flows, flows->hot);
	keys->is_hot = true;
	flows->n_hot++;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it does not see the list end */
	DL_DELETE(flows->cold, keys);
	DL_APPEND(flows->hot, keys);
}

static void fall_asleep(struct hop_flows *flows, struct hop_keys *keys)
{
	struct hop_seal *seal = keys->seal;
	cool(flows, keys);
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the same */
	DL_DELETE(flows->cold, keys);
	seal->next = keys->window.next;
	seal->keys = NULL;
	record_packet_deinit(&keys->up);
	record_packet_deinit(&keys->down);
	pool_give(flows->keys_pool, keys);
}

static void drop_seal(struct hop_epoch *e)
{
	struct hop_flows *flows = e->flow->flows;
	if (e->seal == NULL)
		return;
	if (e->seal->keys != NULL)
		fall_asleep(flows, e->seal->keys);
	seal_wipe(e->seal, sizeof *e->seal);
	pool_give(flows->seal_pool, e->seal);
	e->seal = NULL;
}

void hop_epoch_drop(struct hop_epoch *epoch)
{
	if (epoch == NULL)
		return;
	struct hop_flow *f = epoch->flow;
	drop_handshake(epoch);
	drop_seal(epoch);
	flow_name_remove(f->flows->table, &epoch->name);
	if (f->pending == epoch)
		f->pending = NULL;
	if (f->valid == epoch)
		f->valid = NULL;
	if (f->old == epoch)
		f->old = NULL;
	pool_give(f->flows->epoch_pool, epoch);
}

static void rest_list(struct hop_flows *flows, struct hop_keys *list)
{
	struct hop_keys *keys, *next;
	DL_FOREACH_SAFE (list, keys, next) {
		if (flows->now_ms - keys->used_ms >= FLOW_REST_MS)
			fall_asleep(flows, keys);
	}
}

static void on_rest(struct timer *timer)
{
	struct hop_flows *flows =
		(struct hop_flows *)((char *)timer - offsetof(struct hop_flows, rest));
	rest_list(flows, flows->hot);
	rest_list(flows, flows->cold);
	if (flows->hot != NULL || flows->cold != NULL)
		timer_start(flow_table_wheel(flows->table), timer, flows->now_ms + FLOW_REST_MS,
			on_rest);
}

static struct hop_keys *make_keys(struct hop_flows *flows, struct hop_seal *seal)
{
	struct wire_secrets secrets;
	struct hop_keys *keys = pool_take(flows->keys_pool);
	if (keys == NULL)
		return NULL;
	memcpy(secrets.up, seal->up, sizeof secrets.up);
	memcpy(secrets.down, seal->down, sizeof secrets.down);
	wire_datagram_phase1(
		&secrets, (enum record_cipher)seal->cipher, true, &keys->up, &keys->down);
	seal_wipe(&secrets, sizeof secrets);
	window_start(&keys->window, seal->next);
	keys->seal = seal;
	seal->keys = keys;
	DL_APPEND(flows->cold, keys);
	return keys;
}

struct hop_keys *hop_epoch_wake(struct hop_epoch *epoch)
{
	struct hop_flows *flows = epoch->flow->flows;
	struct hop_keys *keys = epoch->seal->keys;
	if (keys == NULL)
		keys = make_keys(flows, epoch->seal);
	if (keys == NULL)
		return NULL;
	heat(flows, keys);
	keys->used_ms = flows->now_ms;
	if (!timer_is_running(&flows->rest))
		timer_start(flow_table_wheel(flows->table), &flows->rest,
			flows->now_ms + FLOW_REST_MS, on_rest);
	return keys;
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
		if (f->valid == NULL)
			hop_flow_end(f, f->is_answer ? "answered" : "not-confirmed");
		else
			hop_epoch_drop(e);
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
	h->r = r.len <= sizeof h->r_inside ? h->r_inside : malloc(r.len);
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
	struct hop_epoch *e = pool_take(flows->epoch_pool);
	struct hop_handshake *h = pool_take(flows->handshake_pool);
	if (e == NULL || h == NULL) {
		pool_give(flows->epoch_pool, e);
		pool_give(flows->handshake_pool, h);
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
	const struct hop_source *source = hop_source_find(epoch->handshake, from);
	epoch->is_shared = epoch->handshake->n_sources > 1;
	epoch->n_in = source != NULL ? source->n_in : 0;
	epoch->n_out = source != NULL ? source->n_out : 0;
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
	e->seal = pool_take(e->flow->flows->seal_pool);
	if (e->seal == NULL)
		return ERR_NOMEM;
	wire_secrets_derive(e->flow->entry->key->key, h->ss, bytes_of(h->r, h->n_r),
		bytes_of(h->s, h->n_s), &secrets);
	memcpy(e->seal->up, secrets.up, sizeof e->seal->up);
	memcpy(e->seal->down, secrets.down, sizeof e->seal->down);
	e->seal->cipher = h->cipher;
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
	hop_reply_name(response, h->flags);
	seal_random(nonce, sizeof nonce);
	int n = wire_response_encode(response, h->r, h->epoch->flow->entry->key->key, nonce, bytes);
	if (n < 0)
		return n;
	h->s = (size_t)n <= sizeof h->s_inside ? h->s_inside : malloc((size_t)n);
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

int hop_pools_new(struct hop_flows *flows)
{
	flows->flow_pool = pool_new(sizeof(struct hop_flow));
	flows->epoch_pool = pool_new(sizeof(struct hop_epoch));
	flows->handshake_pool = pool_new(sizeof(struct hop_handshake));
	flows->seal_pool = pool_new(sizeof(struct hop_seal));
	flows->keys_pool = pool_new(sizeof(struct hop_keys));
	return flows->flow_pool != NULL && flows->epoch_pool != NULL &&
			       flows->handshake_pool != NULL && flows->seal_pool != NULL &&
			       flows->keys_pool != NULL
		       ? 0
		       : ERR_NOMEM;
}

void hop_pools_free(struct hop_flows *flows)
{
	pool_free(flows->flow_pool);
	pool_free(flows->epoch_pool);
	pool_free(flows->handshake_pool);
	pool_free(flows->seal_pool);
	pool_free(flows->keys_pool);
}
