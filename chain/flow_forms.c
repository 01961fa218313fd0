#include "chain/flow_state.h"

#include <assert.h>

#define SMALL 2048 /* a datagram of usual size */
#define LARGE 65536

static_assert(LARGE >= CHAIN_HOPS_MAX * WIRE_REQUEST_MAX, "form F of any chain");

enum item {
	ITEM_BLOCK,       /* B_i with the id the hop assigned */
	ITEM_PROVISIONAL, /* B_i with fid_c */
	ITEM_REQUEST,     /* R_i */
};

/* A datagram up, before it is written. */
struct form {
	struct flow_epoch *epoch; /* whose numbers, keys and requests */
	uint16_t flags;           /* of B_n, but for PROV */
	bool has_payload;         /* @data is to be sealed */
	struct bytes data;
	struct bytes tail; /* B_n ‖ sealed as it went before, behind R_n */
	uint64_t number;
	uint8_t items[CHAIN_HOPS_MAX]; /* enum item */
};

static bool is_request_last(const struct flow_client *f, const struct form *form)
{
	return form->items[f->n_hops - 1] == ITEM_REQUEST;
}

static size_t form_size(const struct flow_client *f, const struct form *form)
{
	size_t size = form->tail.len;
	for (size_t i = 0; i < f->n_hops; i++)
		size += form->items[i] == ITEM_REQUEST ? flow_epoch_request(form->epoch, i).len
						       : WIRE_BLOCK;
	if (form->has_payload)
		size += form->data.len + WIRE_SEALED_MIN;
	if (form->has_payload && is_request_last(f, form))
		size += WIRE_BLOCK;
	return size;
}

static struct wire_up block_of(const struct flow_client *f, const struct form *form, size_t i)
{
	bool is_exit = i + 1u == f->n_hops;
	struct wire_up up = {
		.number = form->number,
		.flags = is_exit ? form->flags : form->flags & WIRE_UP_KEYPHASE,
	};
	if (form->items[i] != ITEM_BLOCK) {
		up.flags |= WIRE_UP_PROV;
		up.fid = f->hops[i].fid;
	} else {
		up.fid = is_exit ? form->epoch->fid : f->hops[i].assigned;
	}
	return up;
}

/* Return: bytes written, or a negative error. */
static int write_form(const struct flow_client *f, const struct form *form, uint8_t *to)
{
	uint8_t *at = to;
	size_t n = f->n_hops;
	for (size_t i = 0; i < n; i++) {
		if (form->items[i] == ITEM_REQUEST) {
			struct bytes r = flow_epoch_request(form->epoch, i);
			memcpy(at, r.ptr, r.len);
			at += r.len;
			continue;
		}
		struct wire_up up = block_of(f, form, i);
		wire_up_encode(f->spec->hops[i].key->mask, &up, at);
		at += WIRE_BLOCK;
	}
	if (form->tail.len > 0)
		memcpy(at, form->tail.ptr, form->tail.len);
	at += form->tail.len;
	if (!form->has_payload)
		return (int)(at - to);
	struct wire_up last = block_of(f, form, n - 1);
	if (is_request_last(f, form)) {
		wire_up_encode(f->spec->hops[n - 1].key->mask, &last, at);
		at += WIRE_BLOCK;
	}
	int sealed = flow_epoch_seal(form->epoch, &last, form->data, at);
	return sealed < 0 ? sealed : (int)(at - to) + sealed;
}

/* What the first F carried behind R_n, for its repetitions. */
static void keep_tail(const struct flow_client *f, const struct form *form, struct bytes datagram)
{
	size_t len = form->data.len + WIRE_BLOCK + WIRE_SEALED_MIN;
	if (form->has_payload && is_request_last(f, form))
		flow_epoch_keep_tail(form->epoch, bytes_of(datagram.ptr + datagram.len - len, len));
}

static void write_and_send(struct flow_client *f, const struct form *form, uint8_t *buffer)
{
	int len = write_form(f, form, buffer);
	if (len < 0)
		return; /* no memory for a cipher: lost, as any datagram may be */
	keep_tail(f, form, bytes_of(buffer, (size_t)len));
	f->ops->send(bytes_of(buffer, (size_t)len), f->owner);
}

__attribute__((noinline)) static void send_small(struct flow_client *f, const struct form *form)
{
	uint8_t buffer[SMALL];
	write_and_send(f, form, buffer);
}

/* Apart, so that a usual datagram does not touch that much stack. */
__attribute__((noinline)) static void send_large(struct flow_client *f, const struct form *form)
{
	uint8_t buffer[LARGE];
	write_and_send(f, form, buffer);
}

/* Requests alone have none, nor has what is sent as it was before. */
static bool has_number(const struct flow_client *f, const struct form *form)
{
	bool has_block = form->has_payload;
	for (size_t i = 0; i < f->n_hops; i++)
		has_block = has_block || form->items[i] != ITEM_REQUEST;
	return has_block;
}

static void send_form(struct flow_client *f, struct form *form)
{
	size_t size = form_size(f, form);
	if (f->is_freed || size > LARGE || form->epoch->next_number > WIRE_NUMBER_MAX)
		return;
	if (has_number(f, form))
		form->number = form->epoch->next_number++;
	if (size <= SMALL)
		send_small(f, form);
	else
		send_large(f, form);
}

void flow_send_requests(
	struct flow_client *flow, struct flow_epoch *epoch, const struct bytes *data)
{
	struct form form = { .epoch = epoch, .flags = epoch->has_keys ? WIRE_UP_KEYPHASE : 0 };
	bool has_blocks = false;
	for (size_t i = 0; i < flow->n_hops; i++) {
		bool is_here = flow_epoch_has_answer(epoch, i);
		form.items[i] = is_here ? ITEM_BLOCK : ITEM_REQUEST;
		has_blocks = has_blocks || is_here;
	}
	if (data != NULL) {
		form.has_payload = true;
		form.data = *data;
	} else if (epoch->has_keys) { /* B_n is followed by sealed */
		form.has_payload = true;
		form.flags |= WIRE_UP_PING;
	} else if (!has_blocks) { /* the same bytes; with blocks its number would be used twice */
		form.tail = flow_epoch_tail(epoch);
	}
	send_form(flow, &form);
}

void flow_send_provisional(struct flow_client *flow, struct bytes data)
{
	struct form form = { .epoch = flow->pending, .has_payload = true, .data = data };
	for (size_t i = 0; i < flow->n_hops; i++)
		form.items[i] =
			flow_epoch_has_answer(flow->pending, i) ? ITEM_BLOCK : ITEM_PROVISIONAL;
	send_form(flow, &form);
}

/* Hops that never answered get R_i again, where the datagram stays short enough for that. */
static void fill_steady(struct flow_client *f, struct form *form)
{
	size_t most = f->link_mtu < SMALL ? f->link_mtu : SMALL;
	for (size_t i = 0; i < f->n_hops; i++)
		form->items[i] = f->hops[i].assigned != 0 ? ITEM_BLOCK : ITEM_REQUEST;
	if (flow_epoch_is_complete(form->epoch) || form_size(f, form) + 48 <= most)
		return;
	for (size_t i = 0; i < f->n_hops; i++)
		form->items[i] = f->hops[i].assigned != 0 ? ITEM_BLOCK : ITEM_PROVISIONAL;
}

static void send_steady(struct flow_client *f, struct bytes data, uint16_t flags)
{
	struct form form = {
		.epoch = f->current,
		.flags = WIRE_UP_KEYPHASE | flags,
		.has_payload = true,
		.data = data,
	};
	fill_steady(f, &form);
	f->health.wants_ping = false;
	send_form(f, &form);
}

void flow_send_steady(struct flow_client *flow, struct bytes data)
{
	send_steady(flow, data, 0);
}

void flow_send_ping(struct flow_client *flow)
{
	send_steady(flow, bytes_of(NULL, 0), WIRE_UP_PING);
}
