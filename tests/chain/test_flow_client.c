/*
 * The client's side of a UDP flow against a chain played by hand: what it sends is read block by
 * block with the hops' keys, what it gets is built with them. Time is a number.
 */
#include "chain/flow_client.h"
#include "common/window.h"
#include "tests/support/failing.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define HOPS    3
#define N_SENT  4096
#define WALL    UINT64_C(1760000000000)
#define LINK    1500
#define MAX_LEN 65536

/* A datagram the client sent, as the hops read it. */
struct seen {
	uint64_t at_ms;
	size_t len;
	char items[HOPS + 1]; /* R = request, B = assigned id, P = provisional id */
	uint64_t numbers[HOPS];
	uint16_t flags;   /* of B_n */
	bool has_block;   /* B_n */
	bool has_payload; /* it opened */
	int epoch;        /* it was sealed under, 0 = the first R_n */
	char payload[64];
	size_t payload_len;
};

struct exit_epoch {
	uint64_t fid;
	struct record_packet phase0, up, down;
	bool has_keys;
	uint64_t next;
};

struct hop {
	uint64_t fid_c, assigned, n_status;
	uint8_t r[WIRE_REQUEST_MAX], s[WIRE_RESPONSE_MAX];
	size_t r_len, s_len;
	unsigned n_requests, n_copies;
	uint64_t time_ms;
	struct addr to;
};

struct world {
	struct chain_spec spec;
	struct wire_ephemeral *client_pairs, *exit_pairs;
	struct flow_client *flow;
	struct hop hops[HOPS];
	struct exit_epoch epochs[64];
	int n_epochs; /* R_n seen */
	struct seen sent[N_SENT];
	size_t n_sent;
	uint64_t now;
	/* what the callbacks said */
	char delivered[64];
	size_t n_delivered, delivered_len;
	uint8_t status;
	unsigned n_status, n_open, n_fail;
	struct chain_error error;
	bool frees_in_send, frees_in_deliver, frees_in_status, frees_in_open, sends_in_deliver;
};
static struct world *w;

static bool is_exit(size_t i)
{
	return i + 1 == w->spec.n_hops;
}

static const struct wire_key *key_of(size_t i)
{
	return w->spec.hops[i].key;
}

/* ---- the hops' reading of what goes up ---- */

static struct wire_response good_answer(size_t i, const struct wire_request *request)
{
	struct wire_response s = { .connect_us = 1000 + (uint32_t)i };
	uint64_t random;
	seal_random(&random, sizeof random);
	s.val = (random | 2) & ~UINT64_C(1);
	if (w->hops[i].assigned != 0)
		s.val |= ~w->hops[i].assigned & 1; /* the other parity */
	if (!is_exit(i))
		return s;
	s.flags = WIRE_S_E2E | ((request->flags & WIRE_FS) != 0 ? WIRE_S_FS : 0);
	s.cipher = (request->flags & WIRE_OFFER_AES_128_GCM) != 0 ? RECORD_AES_128_GCM
								  : RECORD_CHACHA20_POLY1305;
	return s;
}

static void make_exit_keys(const struct wire_request *request, struct wire_response *s)
{
	struct exit_epoch *e = &w->epochs[w->n_epochs++];
	struct hop *h = &w->hops[w->spec.n_hops - 1];
	struct wire_pair *pair = NULL;
	struct wire_secrets secrets;
	uint8_t ss[SEAL_CURVE] = { 0 }, nonce[SEAL_NONCE];
	memset(e, 0, sizeof *e);
	if ((request->flags & WIRE_FS) != 0) {
		while (pair == NULL) /* also where memory fails, once */
			pair = wire_pair_acquire(w->exit_pairs, w->now);
		memcpy(s->eph, wire_pair_public(pair), SEAL_CURVE);
		cr_assert(wire_pair_agree(pair, request->eph, ss));
		wire_pair_release(pair);
	}
	seal_random(nonce, sizeof nonce);
	int n = wire_response_encode(s, h->r, key_of(w->spec.n_hops - 1), nonce, h->s);
	cr_assert_gt(n, 0);
	h->s_len = (size_t)n;
	wire_secrets_derive(key_of(w->spec.n_hops - 1), ss, bytes_of(h->r, h->r_len),
		bytes_of(h->s, h->s_len), &secrets);
	wire_datagram_phase1(&secrets, (enum record_cipher)s->cipher, true, &e->up, &e->down);
	wire_datagram_phase0(key_of(w->spec.n_hops - 1), h->r, false, &e->phase0);
	e->fid = s->val;
	e->has_keys = true;
}

/* Reads R_i. Return: its length. */
static size_t read_request(size_t i, struct bytes from)
{
	struct hop *h = &w->hops[i];
	struct wire_request_plain plain;
	struct wire_request request = { 0 };
	struct wire_response s;
	uint8_t ext[WIRE_EXT_MAX], detail, nonce[SEAL_NONCE];
	uint16_t ext_len;
	size_t len = WIRE_REQUEST;
	cr_assert_geq(from.len, WIRE_REQUEST, "hop %zu gets neither block nor request", i + 1);
	cr_assert(wire_request_open(from.ptr, WIRE_UDP, key_of(i), &plain), "R_%zu opens", i + 1);
	cr_assert_eq(wire_request_check(&plain, WIRE_UDP, &request, &ext_len, &detail), STATUS_OK);
	struct bytes sealed = { NULL, 0 };
	if (ext_len > 0) {
		sealed = bytes_of(from.ptr + WIRE_REQUEST, WIRE_EXT_SEALED((size_t)ext_len));
		cr_assert(wire_request_open_ext(from.ptr, key_of(i), sealed, ext));
	}
	cr_assert_eq(wire_request_check_ext(bytes_of(ext, ext_len), &request, &detail), STATUS_OK);
	len += sealed.len;
	if (h->r_len == len && memcmp(h->r, from.ptr, len) == 0) {
		h->n_copies++;
		return len;
	}
	cr_assert(h->fid_c == 0 || h->fid_c == request.fid, "fid_c is for life");
	cr_assert_neq(request.fid, 0);
	h->fid_c = request.fid;
	h->time_ms = request.time_ms;
	h->to = request.to;
	memcpy(h->r, from.ptr, len);
	h->r_len = len;
	h->n_requests++;
	h->n_copies = 1;
	s = good_answer(i, &request);
	if (is_exit(i)) {
		make_exit_keys(&request, &s);
	} else {
		seal_random(nonce, sizeof nonce);
		if (i == 1) /* one with an extension */
			strcpy(s.text, "hello");
		int n = wire_response_encode(&s, h->r, key_of(i), nonce, h->s);
		cr_assert_gt(n, 0);
		h->s_len = (size_t)n;
	}
	h->assigned = s.val;
	return len;
}

static void open_payload(struct seen *seen, const struct wire_up *up, struct bytes sealed)
{
	uint8_t aad[WIRE_BLOCK], plain[MAX_LEN];
	wire_up_print(up, aad);
	cr_assert_geq(sealed.len, WIRE_SEALED_MIN);
	for (int k = w->n_epochs - 1; k >= 0; k--) {
		struct exit_epoch *e = &w->epochs[k];
		bool is_phase1 = (up->flags & WIRE_UP_KEYPHASE) != 0;
		if (is_phase1 && e->fid != up->fid)
			continue;
		int n = record_packet_open(
			is_phase1 ? &e->up : &e->phase0, up->number, aad, sealed, plain);
		if (n < 0)
			continue;
		seen->has_payload = true;
		seen->epoch = k;
		seen->payload_len = (size_t)n;
		memcpy(seen->payload, plain, (size_t)n < 63 ? (size_t)n : 63);
		return;
	}
	cr_assert_fail("payload does not open");
}

static void read_datagram(struct bytes from, struct seen *seen)
{
	struct wire_up up = { 0 };
	size_t n = w->spec.n_hops;
	for (size_t i = 0; i < n; i++) {
		const struct wire_mask *mask = key_of(i)->mask;
		bool is_block = from.len >= 32 && wire_up_decode(mask, from.ptr, &up);
		bool is_mine =
			is_block && ((up.flags & WIRE_UP_PROV) != 0 ? w->hops[i].fid_c == up.fid
								    : up.number < 1u << 26);
		/* a salt that decrypts to a block has a random number, almost never so small */
		if (!is_mine) {
			size_t len = read_request(i, from);
			seen->items[i] = 'R';
			from = bytes_of(from.ptr + len, from.len - len);
			continue;
		}
		seen->items[i] = (up.flags & WIRE_UP_PROV) != 0 ? 'P' : 'B';
		seen->numbers[i] = up.number;
		from = bytes_of(from.ptr + WIRE_BLOCK, from.len - WIRE_BLOCK);
		if (!is_exit(i))
			cr_assert_eq(up.flags & WIRE_UP_PING, 0);
	}
	if (seen->items[n - 1] == 'R' && from.len > 0) {
		cr_assert_geq(from.len, 32);
		cr_assert(wire_up_decode(key_of(n - 1)->mask, from.ptr, &up));
		cr_assert_eq(up.flags, WIRE_UP_PROV);
		cr_assert_eq(up.fid, w->hops[n - 1].fid_c);
		from = bytes_of(from.ptr + WIRE_BLOCK, from.len - WIRE_BLOCK);
	} else if (seen->items[n - 1] == 'R') {
		return;
	}
	seen->has_block = true;
	seen->flags = up.flags;
	seen->numbers[n - 1] = up.number;
	bool is_prov = (up.flags & WIRE_UP_PROV) != 0;
	cr_assert_neq(is_prov, (up.flags & WIRE_UP_KEYPHASE) != 0);
	open_payload(seen, &up, from);
}

/* ---- callbacks ---- */

static void free_flow(void)
{
	struct flow_client *flow = w->flow;
	w->flow = NULL;
	flow_client_free(flow);
}
static void on_send(struct bytes datagram, void *owner)
{
	(void)owner;
	cr_assert_lt(w->n_sent, N_SENT);
	struct seen *seen = &w->sent[w->n_sent++];
	memset(seen, 0, sizeof *seen);
	seen->at_ms = w->now;
	seen->len = datagram.len;
	read_datagram(datagram, seen);
	if (w->frees_in_send)
		free_flow();
}
static void on_deliver(struct bytes data, void *owner)
{
	(void)owner;
	w->n_delivered++;
	w->delivered_len = data.len;
	memset(w->delivered, 0, sizeof w->delivered);
	if (data.len > 0)
		memcpy(w->delivered, data.ptr, data.len < 63 ? data.len : 63);
	if (w->sends_in_deliver)
		(void)flow_client_send(w->flow, bytes_of("again", 5), w->now, WALL + w->now);
	if (w->frees_in_deliver)
		free_flow();
}
static void on_status(uint8_t status, void *owner)
{
	(void)owner;
	w->status = status;
	w->n_status++;
	if (w->frees_in_status)
		free_flow();
}
static void on_open(void *owner)
{
	(void)owner;
	w->n_open++;
	if (w->frees_in_open)
		free_flow();
}
static void on_fail(const struct chain_error *error, void *owner)
{
	(void)owner;
	w->n_fail++;
	w->error = *error;
}
static const struct flow_client_ops ops = { .send = on_send,
	.deliver = on_deliver,
	.on_status = on_status,
	.on_open = on_open,
	.on_fail = on_fail };

/* ---- the world ---- */

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
	w = calloc(1, sizeof *w);
	w->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	w->spec.n_hops = HOPS;
	w->spec.hops = calloc(HOPS, sizeof *w->spec.hops);
	for (size_t i = 0; i < HOPS; i++) {
		uint8_t credential[WIRE_CREDENTIAL] = { (uint8_t)(1 + i), 2, 3 };
		credential[SEAL_KEY] = (uint8_t)(9 + i);
		cr_assert_eq(wire_key_new(credential, &w->spec.hops[i].key), WIRE_KEY_OK);
		cr_assert_eq(addr_parse_dial("10.0.0.1:7000", &w->spec.hops[i].addr), ADDR_OK);
	}
	cr_assert_eq(wire_ephemeral_new(60000, &w->client_pairs), 0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->exit_pairs), 0);
	w->now = 5000;
}

static void tear_down(void)
{
	flow_client_free(w->flow);
	wire_ephemeral_free(w->client_pairs);
	wire_ephemeral_free(w->exit_pairs);
	for (int k = 0; k < w->n_epochs; k++) {
		record_packet_deinit(&w->epochs[k].phase0);
		record_packet_deinit(&w->epochs[k].up);
		record_packet_deinit(&w->epochs[k].down);
	}
	for (size_t i = 0; i < HOPS; i++)
		wire_key_free(w->spec.hops[i].key);
	free(w->spec.hops);
	free(w);
}
TestSuite(flow_client, .init = set_up, .fini = tear_down);

static int make_flow_to(const char *target, bool has_fs)
{
	struct addr to;
	cr_assert_eq(addr_parse_dial(target, &to), ADDR_OK);
	struct flow_client_options options = { .spec = &w->spec,
		.target = &to,
		.ephemeral = has_fs ? w->client_pairs : NULL,
		.link_mtu = LINK,
		.ops = &ops };
	return flow_client_new(&options, w->now, &w->flow);
}
static void make_flow(void)
{
	cr_assert_eq(make_flow_to("192.0.2.1:53", true), 0);
}
static enum flow_client_verdict send_text(const char *text)
{
	return flow_client_send(w->flow, bytes_of(text, strlen(text)), w->now, WALL + w->now);
}
static enum flow_client_verdict send_zeros(size_t len)
{
	static const uint8_t zeros[65536];
	return flow_client_send(w->flow, bytes_of(zeros, len), w->now, WALL + w->now);
}
static const struct seen *last(void)
{
	cr_assert_gt(w->n_sent, 0);
	return &w->sent[w->n_sent - 1];
}

/* Lets the time pass to @to, with a tick whenever one is due. */
static void run_to(uint64_t to)
{
	while (w->flow != NULL && flow_client_due_ms(w->flow) <= to) {
		uint64_t due = flow_client_due_ms(w->flow);
		w->now = due > w->now ? due : w->now;
		flow_client_tick(w->flow, w->now, WALL + w->now);
		cr_assert_gt(flow_client_due_ms(w->flow), w->now, "a timer must move");
	}
	w->now = to;
}
static void run(uint64_t ms)
{
	run_to(w->now + ms);
}

/* A datagram down, in pieces. */
struct down {
	uint8_t bytes[MAX_LEN];
	size_t len;
};
static void put(struct down *d, const void *from, size_t len)
{
	memcpy(d->bytes + d->len, from, len);
	d->len += len;
}
static void put_s(struct down *d, size_t i)
{
	put(d, w->hops[i].s, w->hops[i].s_len);
}
static void put_d(struct down *d, size_t i)
{
	struct wire_down block = { .fid = w->hops[i].fid_c, .number = w->hops[i].n_status++ };
	wire_down_encode(key_of(i), &block, d->bytes + d->len);
	d->len += WIRE_BLOCK;
}
static void put_data_numbered(
	struct down *d, int epoch, const char *text, size_t len, uint8_t flags, uint64_t number)
{
	size_t n = w->spec.n_hops - 1;
	struct exit_epoch *e = &w->epochs[epoch];
	struct wire_down block = {
		.fid = w->hops[n].fid_c, .flags = (uint8_t)(flags | (e->fid & 1)), .number = number
	};
	uint8_t aad[WIRE_BLOCK];
	wire_down_print(&block, aad);
	wire_down_encode(key_of(n), &block, d->bytes + d->len);
	d->len += WIRE_BLOCK;
	int sealed =
		record_packet_seal(&e->down, number, aad, bytes_of(text, len), d->bytes + d->len);
	cr_assert_gt(sealed, 0);
	d->len += (size_t)sealed;
}
static void put_data(struct down *d, int epoch, const char *text, uint8_t flags)
{
	put_data_numbered(d, epoch, text, strlen(text), flags, w->epochs[epoch].next++);
}
static void deliver(const struct down *d)
{
	uint8_t *exact = NULL; /* its end is the datagram's, so that a read beyond it is seen */
	while (exact == NULL)
		exact = malloc(d->len > 0 ? d->len : 1);
	memcpy(exact, d->bytes, d->len);
	flow_client_receive(w->flow, exact, d->len, w->now, WALL + w->now);
	free(exact);
}
/* X of each hop: 'S' or 'D'; then data of @epoch if @text. A final 'S' is followed by D_n. */
static void answer(const char *items, int epoch, const char *text)
{
	static struct down d;
	size_t n = strlen(items);
	d.len = 0;
	for (size_t i = 0; i < n; i++) {
		if (items[i] == 'S')
			put_s(&d, i);
		else if (i + 1 < w->spec.n_hops)
			put_d(&d, i);
	}
	if (text != NULL)
		put_data(&d, epoch, text, 0);
	deliver(&d);
}
static void pong(int epoch)
{
	static struct down d;
	d.len = 0;
	for (size_t i = 0; i + 1 < w->spec.n_hops; i++)
		put_d(&d, i);
	put_data(&d, epoch, "", WIRE_DOWN_PONG);
	deliver(&d);
}
static void say_status(size_t i, uint8_t status, uint64_t number)
{
	static struct down d;
	struct wire_down block = { .fid = w->hops[i].fid_c, .status = status, .number = number };
	d.len = 0;
	for (size_t k = 0; k < i; k++)
		put_d(&d, k);
	wire_down_encode(key_of(i), &block, d.bytes + d.len);
	d.len += WIRE_BLOCK;
	deliver(&d);
}
/* Hop i refuses the R it has. */
static void refuse(size_t i, uint8_t status)
{
	static struct down d;
	struct wire_response s = { .status = status, .detail = 7 };
	uint8_t nonce[SEAL_NONCE];
	strcpy(s.text, "no");
	seal_random(nonce, sizeof nonce);
	d.len = 0;
	for (size_t k = 0; k < i; k++)
		put_d(&d, k);
	int n = wire_response_encode(&s, w->hops[i].r, key_of(i), nonce, d.bytes + d.len);
	cr_assert_gt(n, 0);
	d.len += (size_t)n;
	deliver(&d);
}
static void open_flow(void)
{
	make_flow();
	cr_assert_eq(send_text("hello"), FLOW_CLIENT_SENT);
	answer("SSS", 0, "world");
	cr_assert_eq(w->n_open, 1);
	pong(0);
}

/* ---- forms ---- */

Test(flow_client, first_datagram_is_f_with_payload)
{
	make_flow();
	cr_assert_eq(flow_client_due_ms(w->flow), UINT64_MAX);
	cr_assert_eq(send_text("hello"), FLOW_CLIENT_SENT);
	cr_assert_eq(w->n_sent, 1);
	cr_assert_str_eq(last()->items, "RRR");
	cr_assert_eq(last()->len, 3 * 128 + 32 + 5);
	cr_assert(last()->has_payload);
	cr_assert_str_eq(last()->payload, "hello");
	cr_assert_eq(last()->flags, WIRE_UP_PROV);
	for (size_t i = 0; i < HOPS; i++) {
		int64_t off = (int64_t)(w->hops[i].time_ms - (WALL + w->now));
		cr_assert(off >= -500 && off <= 500);
	}
	cr_assert_neq(w->hops[0].fid_c, w->hops[1].fid_c);
}

Test(flow_client, payload_before_the_exit_answers_goes_as_p)
{
	make_flow();
	(void)send_text("one");
	cr_assert_eq(send_text("two"), FLOW_CLIENT_SENT);
	cr_assert_str_eq(last()->items, "PPP");
	cr_assert_str_eq(last()->payload, "two");
	cr_assert_eq(last()->len, 3 * 16 + 16 + 3);
	cr_assert_eq(last()->numbers[0], 1);
	cr_assert_eq(last()->numbers[2], 1);
	answer("S", 0, NULL);
	(void)send_text("three");
	cr_assert_str_eq(last()->items, "BPP");
	cr_assert_eq(last()->numbers[2], 2);
}

Test(flow_client, a_long_first_payload_goes_as_p_behind_f)
{
	make_flow();
	size_t room = flow_client_room(w->flow, WIRE_FORM_F);
	cr_assert_eq(room, 1056);
	cr_assert_eq(flow_client_room(w->flow, WIRE_FORM_S), 1408);
	cr_assert_eq(send_zeros(65444), FLOW_CLIENT_TOO_LONG);
	cr_assert_eq(w->n_sent, 0);
	cr_assert_eq(send_zeros(1057), FLOW_CLIENT_SENT);
	cr_assert_eq(w->n_sent, 2);
	cr_assert_str_eq(w->sent[0].items, "RRR");
	cr_assert_eq(w->sent[0].len, 384);
	cr_assert_str_eq(w->sent[1].items, "PPP");
	cr_assert_eq(w->sent[1].payload_len, 1057);
}

Test(flow_client, steady_state_has_sixteen_bytes_per_hop_and_a_tag)
{
	open_flow();
	cr_assert_eq(w->n_delivered, 1);
	cr_assert_str_eq(w->delivered, "world");
	(void)send_text("steady");
	cr_assert_str_eq(last()->items, "BBB");
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE);
	cr_assert_eq(last()->len, 3 * 16 + 16 + 6);
	cr_assert_str_eq(last()->payload, "steady");
	cr_assert_eq(send_zeros(1408), FLOW_CLIENT_SENT);
	cr_assert_eq(last()->len, 1472);
	cr_assert_eq(send_zeros(1409), FLOW_CLIENT_SENT, "in fragments, as UDP does");
	cr_assert_eq(last()->len, 1473);
	cr_assert_eq(send_zeros(65444), FLOW_CLIENT_TOO_LONG);
	cr_assert_eq(flow_client_counters(w->flow)->n_too_long, 1);
}

Test(flow_client, an_empty_datagram_is_a_datagram)
{
	open_flow();
	cr_assert_eq(send_zeros(0), FLOW_CLIENT_SENT);
	cr_assert(last()->has_payload);
	cr_assert_eq(last()->flags & WIRE_UP_PING, 0);
	cr_assert_eq(last()->payload_len, 0);
	answer("DDD", 0, "");
	cr_assert_eq(w->n_delivered, 2);
	cr_assert_eq(w->delivered_len, 0);
}

Test(flow_client, the_last_answer_is_followed_by_a_ping)
{
	make_flow();
	(void)send_text("hello");
	answer("SSS", 0, NULL);
	cr_assert_eq(w->n_open, 1);
	cr_assert_eq(w->n_sent, 2);
	cr_assert_str_eq(last()->items, "BBB");
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE | WIRE_UP_PING);
	cr_assert_eq(last()->payload_len, 0);
	cr_assert_eq(w->n_delivered, 0);
	pong(0);
	cr_assert_eq(w->n_delivered, 0);
}

Test(flow_client, a_datagram_at_hand_stands_for_the_ping)
{
	make_flow();
	w->sends_in_deliver = true;
	(void)send_text("hello");
	answer("SSS", 0, "world");
	cr_assert_eq(w->n_sent, 2);
	cr_assert_str_eq(last()->payload, "again");
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE);
}

Test(flow_client, an_unanswered_ping_is_repeated_until_the_exit_proves_itself)
{
	make_flow();
	(void)send_text("hello");
	answer("SSS", 0, NULL);
	run(1000);
	cr_assert_eq(w->n_sent, 3);
	run(2000);
	cr_assert_eq(w->n_sent, 4);
	pong(0);
	run(60000);
	cr_assert_eq(w->n_sent, 4);
}

Test(flow_client, payload_passes_while_a_middle_hop_has_not_answered)
{
	make_flow();
	(void)send_text("hello");
	static struct down d;
	d.len = 0;
	put_d(&d, 0); /* hop 1 keeps its S_1: D_1 may come before any S */
	put_s(&d, 1);
	put_s(&d, 2);
	deliver(&d);
	cr_assert_eq(w->n_open, 1);
	cr_assert_str_eq(last()->items, "RBB");
	(void)send_text("mixed");
	cr_assert_str_eq(last()->items, "RBB");
	cr_assert_str_eq(last()->payload, "mixed");
	(void)send_zeros(1400); /* too long with R_1 in it */
	cr_assert_str_eq(last()->items, "PBB");
	size_t before = w->n_sent;
	run(6000);
	cr_assert_geq(w->n_sent - before, 3);
	cr_assert_str_eq(last()->items, "RBB");
	cr_assert_eq(w->hops[0].n_requests, 1);
	answer("S", 0, NULL);
	cr_assert_str_eq(last()->items, "BBB");
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE | WIRE_UP_PING);
}

Test(flow_client, long_names_travel_in_extensions)
{
	cr_assert_eq(addr_parse_dial(
			     "a-rather-long-name-of-hop-two.example:7000", &w->spec.hops[1].addr),
		ADDR_OK);
	cr_assert_eq(make_flow_to("a-rather-long-name-of-a-target.example:443", true), 0);
	size_t more = (3 + 37 + 16) + (3 + 38 + 16);
	cr_assert_eq(flow_client_room(w->flow, WIRE_FORM_F), 1056 - more);
	(void)send_text("hello");
	cr_assert_eq(last()->len, 3 * 128 + 32 + 5 + more);
	cr_assert_str_eq(w->hops[2].to.name, "a-rather-long-name-of-a-target.example");
	answer("SSS", 0, "world");
	cr_assert_eq(w->n_delivered, 1);
}

Test(flow_client, one_shot_without_the_curve)
{
	cr_assert_eq(make_flow_to("192.0.2.1:53", false), 0);
	(void)send_text("query");
	answer("SSS", 0, "reply");
	cr_assert_str_eq(w->delivered, "reply");
	cr_assert(w->n_open == 1 && w->n_fail == 0);
}

Test(flow_client, one_hop_is_a_chain)
{
	w->spec.n_hops = 1;
	make_flow();
	(void)send_text("hello");
	cr_assert_str_eq(last()->items, "R");
	answer("S", 0, "world");
	cr_assert_str_eq(w->delivered, "world");
	cr_assert_str_eq(last()->items, "B");
	(void)send_text("more");
	cr_assert_eq(last()->len, 36);
}

/* ---- repetition ---- */

Test(flow_client, f_is_repeated_at_growing_gaps_and_sealed_anew_every_four_seconds)
{
	static const uint64_t at[] = { 0, 250, 750, 1750, 3750, 4000, 4250, 4750 };
	uint64_t start = w->now;
	make_flow();
	(void)send_text("hello");
	run(5000);
	cr_assert_eq(w->n_sent, sizeof at / sizeof at[0]);
	for (size_t i = 0; i < w->n_sent; i++) {
		cr_assert_eq(w->sent[i].at_ms - start, at[i]);
		cr_assert_str_eq(w->sent[i].items, "RRR");
		/* the same bytes again, and never under another R: it might come twice */
		cr_assert_eq(w->sent[i].has_payload, i < 5);
		cr_assert_eq(w->sent[i].numbers[2], 0);
	}
	cr_assert_eq(w->hops[0].n_requests, 2);
	cr_assert_eq(w->hops[2].n_requests, 2);
}

Test(flow_client, hops_that_answered_get_blocks_in_repetitions)
{
	make_flow();
	(void)send_text("hello");
	answer("S", 0, NULL);
	run(250);
	cr_assert_str_eq(last()->items, "BRR");
	cr_assert_not(last()->has_block);
	cr_assert_eq(last()->numbers[0], 1);
	answer("DS", 0, NULL);
	run(500);
	cr_assert_str_eq(last()->items, "BBR");
	cr_assert_eq(last()->numbers[1], 2);
	answer("DDS", 0, NULL);
	cr_assert_eq(w->n_open, 1);
	cr_assert_str_eq(last()->items, "BBB");
}

Test(flow_client, without_an_exit_the_flow_fails_after_thirty_seconds)
{
	uint64_t start = w->now;
	make_flow();
	(void)send_text("hello");
	answer("S", 0, NULL);
	run(29999);
	cr_assert_eq(w->n_fail, 0);
	run(1);
	cr_assert_eq(w->n_fail, 1);
	cr_assert_eq(w->error.hop, 2);
	cr_assert_eq(w->error.n_hops, 3);
	cr_assert_eq(w->error.stage, CHAIN_ANSWER);
	cr_assert_eq(w->error.code, ERR_TIMEOUT);
	cr_assert_eq(w->error.connect_us, 1000);
	cr_assert_eq(w->error.elapsed_ms, w->now - start);
	cr_assert_eq(send_text("more"), FLOW_CLIENT_FAILED);
	cr_assert_eq(flow_client_due_ms(w->flow), UINT64_MAX);
	cr_assert_eq(flow_client_counters(w->flow)->n_epochs, 8);
}

Test(flow_client, a_hop_that_refuses_ends_the_flow)
{
	make_flow();
	(void)send_text("hello");
	refuse(2, STATUS_DENIED_PORT);
	cr_assert_eq(w->n_fail, 1);
	cr_assert_eq(w->error.stage, CHAIN_STATUS);
	cr_assert_eq(w->error.hop, 3);
	cr_assert_eq(w->error.status, STATUS_DENIED_PORT);
	cr_assert_eq(w->error.detail, 7);
	cr_assert_str_eq(w->error.text, "no");
	cr_assert_eq(w->error.address.port, 53);
}

Test(flow_client, an_answer_against_the_rules_ends_the_flow)
{
	struct wire_response none = { .val = 0 };
	uint8_t nonce[SEAL_NONCE] = { 3 };
	make_flow();
	(void)send_text("hello");
	cr_assert_eq(wire_response_encode(&none, w->hops[0].r, key_of(0), nonce, w->hops[0].s),
		WIRE_RESPONSE);
	answer("S", 0, NULL);
	cr_assert_eq(w->n_fail, 1);
	cr_assert_eq(w->error.hop, 1);
	cr_assert_eq(w->error.stage, CHAIN_ANSWER);
	cr_assert_eq(w->error.code, ERR_BAD_RECORD);
}

Test(flow_client, an_answer_to_a_discarded_request_is_dropped)
{
	static struct down d;
	make_flow();
	(void)send_text("hello");
	d.len = 0;
	put_s(&d, 0);
	put_s(&d, 1);
	put_s(&d, 2);
	run(4000);
	deliver(&d);
	cr_assert_eq(w->n_open, 0);
	answer("SSS", 1, "world");
	cr_assert_eq(w->n_open, 1);
	cr_assert_str_eq(w->delivered, "world");
}

/* ---- what is dropped ---- */

Test(flow_client, a_second_answer_to_the_same_request_must_be_the_same)
{
	uint8_t nonce[SEAL_NONCE] = { 7 };
	struct wire_response other = { .val = 77 };
	open_flow();
	uint64_t junk = flow_client_counters(w->flow)->n_junk;
	answer("SSS", 0, "same");
	cr_assert_str_eq(w->delivered, "same");
	int n = wire_response_encode(&other, w->hops[0].r, key_of(0), nonce, w->hops[0].s);
	w->hops[0].s_len = (size_t)n;
	answer("SSS", 0, "other");
	cr_assert_str_eq(w->delivered, "same");
	cr_assert_eq(flow_client_counters(w->flow)->n_junk, junk + 1);
}

Test(flow_client, answers_are_let_go_when_none_can_be_on_the_way)
{
	open_flow();
	run(9000);
	answer("SSS", 0, "late copy");
	cr_assert_str_eq(w->delivered, "late copy");
	run(9000);
	answer("SSS", 0, "later copy");
	cr_assert_str_eq(w->delivered, "later copy");
	run(10000);
	answer("SSS", 0, "too late");
	cr_assert_str_eq(w->delivered, "later copy");
	answer("DDD", 0, "steady");
	cr_assert_str_eq(w->delivered, "steady");
}

Test(flow_client, every_turned_bit_is_noticed)
{
	static struct down d, bad;
	open_flow();
	d.len = 0;
	put_d(&d, 0);
	put_d(&d, 1);
	put_data(&d, 0, "payload", 0);
	for (size_t bit = 0; bit < d.len * 8; bit++) {
		bad = d;
		bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		deliver(&bad);
		cr_assert_eq(w->n_delivered, 1, "bit %zu", bit);
	}
	for (size_t len = 0; len < d.len; len++) {
		bad = d;
		bad.len = len;
		deliver(&bad);
		cr_assert_eq(w->n_delivered, 1, "length %zu", len);
	}
	deliver(&d);
	cr_assert_eq(w->n_delivered, 2);
	cr_assert_eq(w->n_status, 0);
	cr_assert_eq(w->n_fail, 0);
}

Test(flow_client, every_turned_bit_of_the_answers_is_noticed)
{
	static struct down d, bad;
	make_flow();
	(void)send_text("hello");
	d.len = 0;
	put_s(&d, 0);
	for (size_t bit = 0; bit < d.len * 8; bit++) {
		bad = d;
		bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		deliver(&bad);
	}
	cr_assert_eq(flow_client_counters(w->flow)->n_junk, d.len * 8);
	(void)send_text("more");
	cr_assert_str_eq(last()->items, "PPP");
	d.len = 0;
	put_s(&d, 0);
	put_s(&d, 1);
	put_s(&d, 2);
	for (size_t len = 0; len < d.len; len++) {
		bad = d;
		bad.len = len;
		deliver(&bad);
		cr_assert_eq(w->n_open, 0);
	}
	deliver(&d);
	cr_assert_eq(w->n_open, 1);
}

Test(flow_client, junk_of_every_length_changes_nothing)
{
	static struct down d;
	open_flow();
	size_t n_sent = w->n_sent;
	for (size_t len = 0; len < 1500; len++) {
		d.len = len;
		seal_random(d.bytes, len);
		deliver(&d);
	}
	cr_assert_eq(w->n_sent, n_sent);
	cr_assert_eq(w->n_delivered, 1);
	cr_assert_eq(flow_client_counters(w->flow)->n_junk, 1500);
}

Test(flow_client, nothing_is_delivered_twice)
{
	static struct down d;
	open_flow();
	d.len = 0;
	put_d(&d, 0);
	put_d(&d, 1);
	put_data(&d, 0, "once", 0);
	deliver(&d);
	deliver(&d);
	cr_assert_eq(w->n_delivered, 2);
	cr_assert_eq(flow_client_counters(w->flow)->n_replayed, 1);
}

static void numbered(uint64_t number)
{
	static struct down d;
	d.len = 0;
	put_d(&d, 0);
	put_d(&d, 1);
	put_data_numbered(&d, 0, "x", 1, 0, number);
	deliver(&d);
}

Test(flow_client, order_may_be_lost_within_the_window)
{
	open_flow();
	size_t before = w->n_delivered;
	numbered(5000);
	numbered(5000 - WINDOW_SIZE + 1);
	cr_assert_eq(w->n_delivered, before + 2);
	numbered(5000 - WINDOW_SIZE - 64);
	cr_assert_eq(w->n_delivered, before + 2);
	cr_assert_eq(flow_client_counters(w->flow)->n_replayed, 1);
}

/* ---- statuses ---- */

Test(flow_client, resetup_is_obeyed_with_growing_pauses)
{
	open_flow();
	run(10000);
	unsigned before = w->hops[2].n_requests;
	say_status(0, STATUS_RESETUP, 100 << 16);
	cr_assert_eq(w->hops[2].n_requests, before + 1, "at once");
	say_status(0, STATUS_RESETUP, 101 << 16);
	run(999);
	cr_assert_eq(w->hops[2].n_requests, before + 1);
	run(1);
	cr_assert_eq(w->hops[2].n_requests, before + 2, "at the end of the pause");
	say_status(0, STATUS_RESETUP, 102 << 16);
	run(1999);
	cr_assert_eq(w->hops[2].n_requests, before + 2);
	run(1);
	cr_assert_eq(w->hops[2].n_requests, before + 3);
	say_status(0, STATUS_RESETUP, 103 << 16);
	run(3999);
	cr_assert_eq(w->hops[2].n_requests, before + 3);
	run(1);
	cr_assert_eq(w->hops[2].n_requests, before + 4);
	answer("SSS", w->n_epochs - 1, "back");
	cr_assert_str_eq(w->delivered, "back");
	run(1000);
	say_status(0, STATUS_RESETUP, 104 << 16);
	cr_assert_eq(w->hops[2].n_requests, before + 5, "a D_n ended the doubling");
}

Test(flow_client, a_status_counts_once_and_only_if_newer)
{
	open_flow();
	run(2000);
	unsigned before = w->hops[2].n_requests;
	say_status(2, STATUS_PORT_UNREACH, 100 << 16);
	cr_assert_eq(w->n_status, 1);
	cr_assert_eq(w->status, STATUS_PORT_UNREACH);
	say_status(2, STATUS_PORT_UNREACH, 100 << 16);
	say_status(2, STATUS_PORT_UNREACH, 99 << 16);
	cr_assert_eq(w->n_status, 1);
	cr_assert_eq(w->hops[2].n_requests, before);
	say_status(1, STATUS_PORT_UNREACH, 50 << 16);
	cr_assert_eq(w->n_status, 1, "a middle hop's is not the application's");
	cr_assert_eq(w->hops[2].n_requests, before + 1);
	say_status(1, STATUS_HOST_UNREACH, 51 << 16);
	cr_assert_eq(w->n_status, 1);
	say_status(2, STATUS_DENIED_PRIVATE, 101 << 16);
	cr_assert_eq(w->n_status, 2);
	cr_assert_eq(w->status, STATUS_DENIED_PRIVATE);
}

Test(flow_client, msgsize_lowers_the_room)
{
	open_flow();
	say_status(0, STATUS_MSGSIZE, (100 << 16) | 1400);
	cr_assert_eq(flow_client_room(w->flow, WIRE_FORM_S), 1400 - 32 - 16);
	cr_assert_eq(w->n_status, 1);
	say_status(0, STATUS_MSGSIZE, (101 << 16) | 1450);
	cr_assert_eq(flow_client_room(w->flow, WIRE_FORM_S), 1400 - 32 - 16);
	cr_assert_eq(w->n_status, 1);
	cr_assert_eq(send_zeros(1353), FLOW_CLIENT_TOO_LONG);
	say_status(2, STATUS_MSGSIZE, (100 << 16) | 20);
	cr_assert_eq(flow_client_room(w->flow, WIRE_FORM_S), 1200);
	cr_assert_eq(w->n_status, 2);
	cr_assert_eq(send_zeros(1200), FLOW_CLIENT_SENT);
	cr_assert_leq(flow_client_room(w->flow, WIRE_FORM_F), 1056);
}

/* ---- liveness ---- */

Test(flow_client, silence_is_answered_with_a_ping_then_with_a_new_epoch)
{
	open_flow();
	run(20000);
	size_t n_sent = w->n_sent;
	(void)send_text("1");
	(void)send_text("2");
	run(10000);
	cr_assert_eq(w->n_sent, n_sent + 2, "two are not enough");
	(void)send_text("3");
	n_sent = w->n_sent;
	run(1);
	cr_assert_eq(w->n_sent, n_sent + 1);
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE | WIRE_UP_PING);
	run(998);
	cr_assert_eq(w->n_sent, n_sent + 1);
	run(2);
	cr_assert_eq(w->n_sent, n_sent + 2);
	cr_assert_str_eq(last()->items, "RRR");
	cr_assert_eq(w->hops[0].n_requests, 2);
	(void)send_text("meanwhile");
	cr_assert_str_eq(last()->items, "BBB");
	cr_assert_eq(last()->epoch, 0);
	run(28500);
	cr_assert_eq(w->n_fail, 0);
	run(2000);
	cr_assert_eq(w->n_fail, 1);
	cr_assert_eq(w->error.hop, 1);
}

static uint64_t ping_after(void)
{
	uint64_t start = w->now;
	size_t n_sent;
	(void)send_text("1");
	(void)send_text("2");
	(void)send_text("3");
	n_sent = w->n_sent;
	while (w->n_sent == n_sent)
		run(10);
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE | WIRE_UP_PING);
	pong(0);
	return w->now - start;
}

Test(flow_client, patience_doubles_while_only_pongs_come)
{
	open_flow();
	cr_assert_eq(ping_after(), 2000);
	cr_assert_eq(ping_after(), 4000);
	cr_assert_eq(ping_after(), 8000);
	answer("DDD", 0, "payload");
	cr_assert_eq(ping_after(), 2000);
}

/* ---- new epochs ---- */

static void rekey(void)
{
	uint64_t end = w->now + FLOW_CLIENT_REKEY_MS;
	unsigned before = w->hops[2].n_requests;
	while (w->now < end && w->hops[2].n_requests == before) {
		run(500);
		if (w->hops[2].n_requests > before)
			break;
		(void)send_text("busy");
		answer("DDD", w->n_epochs - 1, "busy");
	}
	cr_assert_eq(w->hops[2].n_requests, before + 1);
}

Test(flow_client, a_busy_flow_gets_a_new_epoch_every_two_minutes)
{
	open_flow();
	uint64_t start = w->now;
	rekey();
	cr_assert_eq(w->now - start, FLOW_CLIENT_REKEY_MS);
	cr_assert_str_eq(last()->items, "RRR");
	(void)send_text("old keys");
	cr_assert_eq(last()->epoch, 0);
	/* the exit seals with its validated epoch until the new one is validated */
	answer("SSS", 0, "old");
	cr_assert_str_eq(w->delivered, "old");
	cr_assert_eq(last()->flags, WIRE_UP_KEYPHASE | WIRE_UP_PING);
	cr_assert_eq(last()->epoch, 1);
	(void)send_text("new keys");
	cr_assert_eq(last()->epoch, 1);
	cr_assert_eq(last()->numbers[2], 1);
	answer("DDD", 1, "new");
	cr_assert_str_eq(w->delivered, "new");
	answer("DDD", 0, "late");
	cr_assert_str_eq(w->delivered, "late");
	run(10000);
	answer("DDD", 0, "too late");
	cr_assert_str_eq(w->delivered, "late");
	cr_assert_eq(w->n_open, 1);
	rekey();
	answer("SSS", 1, "third");
	cr_assert_str_eq(w->delivered, "third");
	cr_assert_eq(last()->epoch, 2);
}

Test(flow_client, a_quiet_flow_keeps_its_epoch)
{
	open_flow();
	rekey();
	answer("SSS", 1, NULL);
	pong(1);
	size_t n_sent = w->n_sent;
	run(600000);
	cr_assert_eq(w->n_sent, n_sent);
	cr_assert_eq(flow_client_due_ms(w->flow), UINT64_MAX);
}

Test(flow_client, high_numbers_ask_for_a_new_epoch)
{
	open_flow();
	numbered((1 << 24) - 1);
	cr_assert_gt(flow_client_due_ms(w->flow), w->now);
	numbered(1 << 24);
	run(0);
	cr_assert_eq(w->hops[0].n_requests, 2);
}

Test(flow_client, a_refused_new_epoch_does_not_end_a_flow_that_works)
{
	open_flow();
	rekey();
	refuse(1, STATUS_LIMIT);
	cr_assert_eq(w->n_fail, 0);
	answer("DDD", 0, "still");
	cr_assert_str_eq(w->delivered, "still");
	unsigned before = w->hops[0].n_requests;
	run(29999);
	cr_assert_eq(w->hops[0].n_requests, before);
	run(1);
	cr_assert_eq(w->hops[0].n_requests, before + 1);
	answer("SSS", w->n_epochs - 1, NULL);
	(void)send_text("again");
	cr_assert_eq(last()->epoch, w->n_epochs - 1);
}

Test(flow_client, an_epoch_the_exit_never_validated_gives_way)
{
	open_flow();
	rekey();
	answer("SSS", 0, NULL); /* the PING is lost: the exit stays with epoch 0 */
	w->hops[2].assigned = w->epochs[0].fid;
	run(1500);
	say_status(0, STATUS_RESETUP, 100 << 16);
	cr_assert_eq(w->n_epochs, 3);
	cr_assert_eq((w->epochs[1].fid ^ w->epochs[2].fid) & 1, 0);
	answer("SSS", 0, "first");
	cr_assert_str_eq(w->delivered, "first");
	answer("DDD", 0, "first again");
	cr_assert_str_eq(w->delivered, "first again");
	answer("DDD", 2, "third");
	cr_assert_str_eq(w->delivered, "third");
}

/* ---- callbacks and ends ---- */

Test(flow_client, the_owner_may_free_it_from_inside)
{
	make_flow();
	w->frees_in_open = true;
	(void)send_text("hello");
	answer("SSS", 0, "world");
	cr_assert_null(w->flow);
	cr_assert_eq(w->n_delivered, 0);
}

Test(flow_client, also_from_inside_a_delivery_and_a_status)
{
	open_flow();
	w->frees_in_deliver = true;
	answer("DDD", 0, "last");
	cr_assert_null(w->flow);
	memset(w->hops, 0, sizeof w->hops);
	make_flow();
	(void)send_text("hello");
	w->frees_in_status = true;
	say_status(2, STATUS_PORT_UNREACH, 1 << 16);
	cr_assert_null(w->flow);
}

Test(flow_client, also_from_inside_a_call_inside_a_callback)
{
	open_flow();
	w->sends_in_deliver = true;
	w->frees_in_send = true;
	answer("DDD", 0, "last");
	cr_assert_null(w->flow);
	cr_assert_str_eq(last()->payload, "again");
}

Test(flow_client, rest_changes_nothing_that_shows)
{
	open_flow();
	flow_client_rest(w->flow);
	(void)send_text("after");
	cr_assert_str_eq(last()->payload, "after");
	answer("DDD", 0, "rest");
	cr_assert_str_eq(w->delivered, "rest");
}

Test(flow_client, a_target_no_request_can_name_is_refused)
{
	struct addr to = { .kind = ADDR_NAME, .port = 53, .name = "1.2.3" };
	struct flow_client_options options = {
		.spec = &w->spec, .target = &to, .link_mtu = LINK, .ops = &ops
	};
	cr_assert_eq(flow_client_new(&options, 0, &w->flow), ERR_INVAL);
	to = (struct addr){ .kind = ADDR_NONE };
	cr_assert_eq(flow_client_new(&options, 0, &w->flow), ERR_INVAL);
}

/* What the flow does with memory failing once somewhere: it may fail, and says so, or go on. */
static void live(void)
{
	if (make_flow_to("a-rather-long-name-of-a-target.example:443", true) != 0)
		return;
	(void)send_text("hello");
	run(300);
	answer("S", 0, NULL);
	if (w->n_epochs > 0 && w->n_fail == 0) {
		answer("DSS", 0, "world");
		answer("DSS", 0, "world");
		answer("SSS", 0, "world");
		pong(0);
	}
	for (int i = 0; i < 124 && w->n_fail == 0; i++) {
		(void)send_text("busy");
		if (w->n_epochs == 1)
			pong(0);
		run(1000);
	}
	if (w->n_epochs > 1 && w->n_fail == 0) {
		answer("SSS", 1, NULL);
		answer("SSS", 1, NULL);
		pong(w->n_epochs - 1);
	}
	run(31000);
}

Test(flow_client, memory_that_fails_anywhere_is_survived)
{
	bool has_failed = true;
	for (unsigned long nth = 1; has_failed; nth++) {
		failing_start(nth);
		live();
		has_failed = failing_stop();
		if (w->flow != NULL && w->n_fail == 0)
			cr_assert_eq(send_text("end"), FLOW_CLIENT_SENT);
		if (!has_failed)
			cr_assert_str_eq(last()->payload, "end");
		tear_down();
		set_up();
		cr_assert_lt(nth, 200);
	}
}
