#include "chain/flow_state.h"

#define SMALL 2048 /* a datagram of usual size */
#define LARGE 65536

/* Where the parser stands behind D_n. */
struct arrival {
	struct wire_down down;
	struct bytes sealed;
	bool is_validated; /* X_n is D_n: the exit's epoch is not pending */
	uint64_t now_ms;
};

/* An exit that waits for the proof leaves S out of what would be longer than 1,400 bytes: only a
 * short answer without S says that it has it. */
#define SHORT_ANSWER 1200

static void on_data(
	struct flow_client *f, struct flow_epoch *e, const struct arrival *a, struct bytes data)
{
	flow_on_opened(f);
	f->health.heard_ms = a->now_ms;
	f->health.pause_ms = 0;
	bool is_short = data.len <= SHORT_ANSWER || (a->down.flags & WIRE_DOWN_PONG) != 0;
	if (e == f->current && a->is_validated && is_short)
		flow_on_confirmed(f, a->now_ms);
	if ((a->down.flags & WIRE_DOWN_PONG) != 0)
		return;
	flow_on_delivered(f);
	e->has_traffic = true;
	f->counters.n_delivered++;
	f->counters.n_delivered_bytes += data.len;
	f->ops->deliver(data, f->owner);
}

/* @to: scratch of sealed.len bytes. */
static void open_into(struct flow_client *f, const struct arrival *a, uint8_t *to)
{
	struct flow_epoch *const held[] = { f->current, f->previous }; /* newest first */
	uint8_t aad[WIRE_BLOCK];
	bool is_replay = false;
	wire_down_print(&a->down, aad);
	for (size_t k = 0; k < 2; k++) {
		struct flow_epoch *e = held[k];
		if (e == NULL || (e->fid & 1) != (a->down.flags & WIRE_DOWN_EPOCH))
			continue;
		if (!window_is_fresh(&e->window, a->down.number)) {
			is_replay = true;
			continue;
		}
		int len = record_packet_open(&e->down, a->down.number, aad, a->sealed, to);
		if (len < 0 || !window_take(&e->window, a->down.number))
			continue;
		on_data(f, e, a, bytes_of(to, (size_t)len));
		return;
	}
	if (is_replay)
		f->counters.n_replayed++;
	else
		f->counters.n_forged++;
}

__attribute__((noinline)) static void open_small(struct flow_client *f, const struct arrival *a)
{
	uint8_t scratch[SMALL];
	open_into(f, a, scratch);
}

__attribute__((noinline)) static void open_large(struct flow_client *f, const struct arrival *a)
{
	uint8_t scratch[LARGE];
	open_into(f, a, scratch);
}

static void open_data(struct flow_client *f, const struct arrival *a)
{
	if (a->sealed.len < WIRE_SEALED_MIN || a->sealed.len > LARGE)
		f->counters.n_junk++;
	else if (a->sealed.len <= SMALL)
		open_small(f, a);
	else
		open_large(f, a);
}

/* ---- status ---- */

static void on_too_long(struct flow_client *f, size_t i, uint16_t value)
{
	bool is_exit = i + 1u == f->n_hops;
	size_t before = flow_client_room(f, WIRE_FORM_S);
	size_t limit = wire_datagram_limit((unsigned)i + 1, f->n_hops, value);
	size_t *old = is_exit ? &f->exit_limit : &f->link_limit;
	*old = limit < *old ? limit : *old;
	if (is_exit || flow_client_room(f, WIRE_FORM_S) < before)
		f->ops->on_status(STATUS_MSGSIZE, f->owner);
}

static void on_status(struct flow_client *f, size_t i, const struct wire_down *down)
{
	struct flow_hop *hop = &f->hops[i];
	bool is_exit = i + 1u == f->n_hops;
	if (down->number <= hop->status_number) {
		f->counters.n_replayed++;
		return;
	}
	hop->status_number = down->number;
	f->counters.n_statuses++;
	if (down->status == STATUS_MSGSIZE)
		on_too_long(f, i, (uint16_t)(down->number & 0xffff));
	else if (down->status == STATUS_RESETUP ||
		 (down->status == STATUS_PORT_UNREACH && !is_exit))
		f->health.wants_setup = true;
	else if (is_exit)
		f->ops->on_status(down->status, f->owner);
}

/* ---- the datagram ---- */

static bool read_block(
	const struct flow_client *f, size_t i, struct bytes *from, struct wire_down *ret)
{
	if (from->len < WIRE_BLOCK || !wire_down_decode(f->spec->hops[i].key, from->ptr, ret) ||
		ret->fid != f->hops[i].fid)
		return false;
	*from = bytes_of(from->ptr + WIRE_BLOCK, from->len - WIRE_BLOCK);
	return true;
}

/* X_1 … X_n, as far as they go. Return: whether data follows, in *a. */
static bool parse_items(struct flow_client *f, struct bytes *from, struct arrival *a)
{
	for (size_t i = 0; i < f->n_hops; i++) {
		if (from->len == 0) /* hop i spoke for itself */
			return false;
		a->is_validated = read_block(f, i, from, &a->down);
		if (!a->is_validated) {
			if (!flow_setup_parse(f, i, from, a->now_ms))
				return false;
		} else if (a->down.status != STATUS_OK) {
			if (from->len == 0)
				on_status(f, i, &a->down);
			else
				f->counters.n_junk++;
			return false;
		}
	}
	if (a->is_validated)
		return true;
	if (from->len == 0)
		return false;
	bool is_block = read_block(f, (size_t)f->n_hops - 1, from, &a->down);
	if (is_block && a->down.status == STATUS_OK)
		return true;
	if (is_block && from->len == 0)
		on_status(f, (size_t)f->n_hops - 1, &a->down);
	else
		f->counters.n_junk++;
	return false;
}

void flow_parse(struct flow_client *flow, struct bytes datagram, uint64_t now_ms)
{
	struct arrival arrival = { .now_ms = now_ms };
	if (datagram.len == 0)
		flow->counters.n_junk++;
	if (!parse_items(flow, &datagram, &arrival))
		return;
	arrival.sealed = datagram;
	open_data(flow, &arrival);
}
