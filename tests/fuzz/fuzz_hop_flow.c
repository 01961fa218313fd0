/*
 * The flow rules of a hop, fed with a row of events: each begins with a byte that chooses what
 * happens, a byte that chooses from where, and a byte of its own. Whatever comes: a source that did
 * not prove itself gets at most three times what it sent; the exit passes on only what was sealed
 * for it, each number of an epoch once; every flow that was admitted is closed.
 */
#include "hop/flow.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>

#define N_PEERS     4
#define N_REQUESTS  6
#define N_FLOWS     8
#define MAX_FLOWS   4
#define N_PAYLOADS  512
#define DATAGRAM    2048
#define WALL        UINT64_C(1760000000000)
#define WALL_OF(ms) (WALL + (ms))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* A request that was sent, and what is known of its answer. */
struct sent {
	uint8_t r[WIRE_REQUEST_MAX];
	size_t len;
	struct wire_request request;
	uint64_t fid; /* 0 = not known yet */
	struct record_packet seal[2];
	unsigned serial;
};

/* A payload that was sealed: under which request, with which number. */
struct sealed {
	unsigned serial;
	uint64_t number;
	bool is_delivered;
};

static struct world {
	struct hop_options options;
	struct hop_users *users;
	struct wire_ephemeral *ephemeral;
	struct wire_key *key;

	struct replay *replay;
	struct hop_flows *flows;
	uint64_t now_ms;
	struct sent sent[N_REQUESTS];
	unsigned n_sent;
	struct hop_flow *live[N_FLOWS];
	size_t n_live;
	bool is_waiting[N_FLOWS]; /* for hop_flow_opened() */
	uint8_t opens;            /* how open() answers: 0 OK, 1 refused, 2 later */
	size_t n_in[N_PEERS], n_out[N_PEERS];
	bool is_proved[N_PEERS];
	uint16_t n_payloads; /* numbered from 0 */
	struct sealed payloads[N_PAYLOADS];
} w;

static size_t i_live(const struct hop_flow *flow)
{
	for (size_t i = 0; i < w.n_live; i++) {
		if (w.live[i] == flow)
			return i;
	}
	abort();
}

static void learn(struct sent *s, struct bytes d)
{
	static const uint8_t ss[32];
	struct wire_response response;
	struct wire_secrets secrets;
	struct record_packet down;
	uint16_t ext_len = 0;
	if (wire_response_open(d.ptr, s->r, &s->request, w.key, &response, &ext_len) !=
			WIRE_RESPONSE_OK ||
		response.status != STATUS_OK || s->fid != 0)
		return;
	check(response.val != 0);
	s->fid = response.val;
	if ((s->request.flags & WIRE_EXIT) == 0)
		return;
	size_t len = WIRE_RESPONSE;
	if (ext_len > 0)
		len += WIRE_EXT_SEALED((size_t)ext_len);
	check(len <= d.len);
	wire_secrets_derive(w.key, ss, bytes_of(s->r, s->len), bytes_of(d.ptr, len), &secrets);
	wire_datagram_phase1(
		&secrets, (enum record_cipher)response.cipher, false, &s->seal[1], &down);
}

static void on_send_down(
	const struct hop_path *to, struct bytes head, struct bytes body, void *owner)
{
	static uint8_t d[2 * 65536];
	size_t peer = to->via;
	(void)owner;
	check(peer < N_PEERS && head.len + body.len <= sizeof d && head.len + body.len > 0);
	if (head.len > 0)
		memcpy(d, head.ptr, head.len);
	if (body.len > 0)
		memcpy(d + head.len, body.ptr, body.len);
	w.n_out[peer] += head.len + body.len;
	check(w.is_proved[peer] || w.n_out[peer] <= 3 * w.n_in[peer]);
	for (size_t i = 0; i < N_REQUESTS && head.len + body.len >= WIRE_RESPONSE; i++) {
		if (w.sent[i].len > 0)
			learn(&w.sent[i], bytes_of(d, head.len + body.len));
	}
}

static void on_send_up(struct hop_flow *flow, struct bytes datagram, void *owner)
{
	(void)owner;
	i_live(flow);
	if (!hop_flow_is_exit(flow))
		return;
	check(datagram.len >= 2);
	unsigned number = (unsigned)datagram.ptr[0] << 8 | datagram.ptr[1];
	check(number < w.n_payloads);
	const struct sealed *p = &w.payloads[number];
	for (unsigned i = 0; i < w.n_payloads; i++) {
		const struct sealed *other = &w.payloads[i];
		check(!other->is_delivered || other->serial != p->serial ||
			other->number != p->number);
	}
	w.payloads[number].is_delivered = true;
}

static void answer(struct hop_flow *flow, bool is_ok)
{
	struct hop_flow_outcome outcome = { .status = is_ok ? STATUS_OK : STATUS_REFUSED };
	w.is_waiting[i_live(flow)] = false;
	hop_flow_opened(flow, &outcome, w.now_ms, WALL_OF(w.now_ms));
}

static void on_open(struct hop_flow *flow, const struct wire_request *request, void *owner)
{
	(void)owner;
	check(request->cmd == WIRE_CMD_UDP);
	w.is_waiting[i_live(flow)] = true;
	if (w.opens < 2)
		answer(flow, w.opens == 0);
}

static void on_close(struct hop_flow *flow, const char *why, void *owner)
{
	size_t i = i_live(flow);
	(void)owner;
	check(why != NULL);
	w.n_live--;
	w.live[i] = w.live[w.n_live];
	w.is_waiting[i] = w.is_waiting[w.n_live];
}

static enum wire_status on_admit(struct hop_flow *flow, const struct hop_entry *entry, void *owner)
{
	(void)owner;
	check(entry != NULL);
	if (w.n_live == N_FLOWS)
		return STATUS_LIMIT;
	w.is_waiting[w.n_live] = false;
	w.live[w.n_live++] = flow;
	return STATUS_OK;
}

static const struct hop_flows_ops ops = {
	.send_down = on_send_down,
	.send_up = on_send_up,
	.open = on_open,
	.close = on_close,
	.admit = on_admit,
};

static void start(void)
{
	static struct hop_user_key keys[1];
	static struct hop_user users[1];
	static char name[] = "user";
	uint8_t credential[WIRE_CREDENTIAL] = { 1 };
	credential[SEAL_KEY] = 2;
	check(seal_start() == 0 && record_start() == 0);
	check(wire_key_new(credential, &w.key) == WIRE_KEY_OK);
	keys[0] = (struct hop_user_key){ .key = w.key, .not_after_ms = UINT64_MAX };
	users[0] = (struct hop_user){ .name = name, .keys = keys, .n_keys = 1 };
	w.options = (struct hop_options)HOP_OPTIONS_DEFAULT;
	w.options.users = users;
	w.options.n_users = 1;
	check(hop_users_new(&w.options, &w.users) == 0);
	check(wire_ephemeral_new(60000, &w.ephemeral) == 0);
}

static void begin(void)
{
	static const struct replay_options memory = { .path = NULL };
	w.now_ms = 100000;
	check(replay_open(&memory, WALL, 1, &w.replay) == 0);
	struct hop_flows_options options = { .users = w.users,
		.replay = w.replay,
		.ephemeral = w.ephemeral,
		.max_flows = MAX_FLOWS,
		.ops = &ops };
	check(hop_flows_new(&options, w.now_ms, &w.flows) == 0);
}

static void end(void)
{
	hop_flows_free(w.flows);
	check(w.n_live == 0);
	replay_close(w.replay);
	for (size_t i = 0; i < N_REQUESTS; i++) {
		record_packet_deinit(&w.sent[i].seal[0]);
		record_packet_deinit(&w.sent[i].seal[1]);
	}
	size_t keep = offsetof(struct world, replay);
	memset((uint8_t *)&w + keep, 0, sizeof w - keep);
}

/* ---- events ---- */

struct event {
	uint8_t peer, option;
	struct bytes data;
};

static void receive(unsigned peer, const uint8_t *bytes, size_t len)
{
	struct hop_path from = { .via = (uint32_t)peer };
	uint8_t *copy = malloc(len > 0 ? len : 1); /* of its size: reads past it are seen */
	check(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	from.peer.ip4 = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)(1000 + peer)),
		.sin_addr = { htonl(0xc0000201) } };
	w.n_in[peer] += len;
	hop_flows_receive(w.flows, &from, copy, len, w.now_ms, WALL_OF(w.now_ms));
	free(copy);
	check(hop_flows_count(w.flows) <= MAX_FLOWS);
}

static struct bytes payload(
	const struct sent *s, uint64_t number, struct bytes data, uint8_t to[DATAGRAM])
{
	size_t len = data.len < 64 ? data.len : 64;
	check(w.n_payloads < N_PAYLOADS);
	w.payloads[w.n_payloads] = (struct sealed){ .serial = s->serial, .number = number };
	to[0] = (uint8_t)(w.n_payloads >> 8);
	to[1] = (uint8_t)w.n_payloads++;
	if (len > 0)
		memcpy(to + 2, data.ptr, len);
	return bytes_of(to, len + 2);
}

/* A block for @s and, for an exit, its payload; @option: bits 0..2 flags, 3 the other id, 4 a tag
 * that does not verify, 5 no payload of its own. Return: bytes. */
static size_t put_block(
	struct sent *s, uint64_t number, uint8_t option, struct bytes data, uint8_t *to)
{
	struct wire_up up = { .flags = option & 7, .number = number };
	uint8_t plain[WIRE_BLOCK], text[DATAGRAM];
	bool is_provisional = ((option & WIRE_UP_PROV) != 0) != ((option & 8) != 0);
	up.fid = is_provisional ? s->request.fid : s->fid;
	wire_up_print(&up, plain);
	wire_up_encode(w.key->mask, &up, to);
	struct record_packet *seal = &s->seal[(option & WIRE_UP_KEYPHASE) != 0];
	if ((option & 32) || seal->cipher == RECORD_NONE || w.n_payloads == N_PAYLOADS) {
		size_t len = data.len < 64 ? data.len : 64;
		if (len > 0)
			memcpy(to + WIRE_BLOCK, data.ptr, len);
		return WIRE_BLOCK + len;
	}
	struct bytes plaintext =
		option & WIRE_UP_PING ? bytes_of(text, 0) : payload(s, number, data, text);
	int n = record_packet_seal(seal, number, plain, plaintext, to + WIRE_BLOCK);
	check(n > 0);
	to[WIRE_BLOCK] ^= option & 16;
	return WIRE_BLOCK + (size_t)n;
}

/* @option: bit 0 exit, 1..2 fid, 3 another target, 4..5 how the socket opens, 6 old, 7 payload. */
static void send_new(const struct event *e)
{
	struct sent *s = &w.sent[w.n_sent % N_REQUESTS];
	uint8_t salt[WIRE_SALT] = { 9, (uint8_t)w.n_sent, (uint8_t)(w.n_sent >> 8) };
	uint8_t d[DATAGRAM];
	bool is_exit = e->option & 1;
	record_packet_deinit(&s->seal[0]);
	record_packet_deinit(&s->seal[1]);
	memset(s, 0, sizeof *s);
	s->request = (struct wire_request){ .cmd = WIRE_CMD_UDP,
		.flags = is_exit ? WIRE_EXIT | WIRE_E2E | WIRE_OFFERS : 0,
		.time_ms = WALL_OF(w.now_ms) - (e->option & 64 ? 1500 : 0),
		.proto = 1,
		.atyp = WIRE_ATYP_IP4,
		.to = { .kind = ADDR_IP4, .port = 53, .ip = { 192, 0, 2, e->option & 8 } },
		.fid = 1 + (e->option >> 1 & 3) };
	int n = wire_request_encode(&s->request, WIRE_UDP, w.key, salt, s->r);
	check(n > 0);
	w.n_sent++;
	s->len = (size_t)n;
	s->serial = w.n_sent;
	if (is_exit)
		wire_datagram_phase0(w.key, s->r, true, &s->seal[0]);
	memcpy(d, s->r, s->len);
	size_t len = s->len;
	if (e->option & 128)
		len += put_block(s, 0, WIRE_UP_PROV, e->data, d + len);
	w.opens = e->option >> 4 & 3;
	receive(e->peer, d, len);
}

static void send_copy(const struct event *e, bool is_changed)
{
	struct sent *s = &w.sent[e->option % N_REQUESTS];
	uint8_t d[DATAGRAM];
	if (s->len == 0)
		return;
	memcpy(d, s->r, s->len);
	if (is_changed && e->data.len >= 2)
		d[e->data.ptr[0] % s->len] ^= e->data.ptr[1];
	size_t len = e->data.len < 64 ? e->data.len : 64;
	if (len > 0)
		memcpy(d + s->len, e->data.ptr, len);
	receive(e->peer, d, s->len + len);
}

static void send_block(const struct event *e)
{
	uint8_t d[DATAGRAM];
	if (e->data.len < 3)
		return;
	struct sent *s = &w.sent[e->data.ptr[0] % N_REQUESTS];
	uint64_t number = (uint64_t)e->data.ptr[1] * 100 + e->data.ptr[2];
	struct bytes rest = bytes_of(e->data.ptr + 3, e->data.len - 3);
	if (s->len == 0)
		return;
	if ((e->option & WIRE_UP_PROV) == 0 && s->fid != 0)
		w.is_proved[e->peer] = true;
	receive(e->peer, d, put_block(s, number, e->option, rest, d));
}

static void from_upstream(const struct event *e)
{
	uint8_t d[DATAGRAM] = { 0 };
	size_t len = e->data.len;
	if (w.n_live == 0)
		return;
	struct hop_flow *flow = w.live[e->option % w.n_live];
	if (w.is_waiting[e->option % w.n_live])
		return; /* it has no socket yet */
	if (len > 0)
		memcpy(d, e->data.ptr, len);
	hop_flow_receive(flow, d, len * (e->option & 128 ? 8 : 1), w.now_ms, WALL_OF(w.now_ms));
}

static void trouble(const struct event *e)
{
	static const uint8_t statuses[] = { STATUS_PORT_UNREACH, STATUS_MSGSIZE,
		STATUS_HOST_UNREACH, STATUS_LOCAL };
	if (w.n_live == 0 || w.is_waiting[e->option % w.n_live])
		return;
	hop_flow_trouble(w.live[e->option % w.n_live], statuses[e->option / 16 % 4],
		(uint16_t)(e->option * 8), w.now_ms, WALL_OF(w.now_ms));
}

static void open_later(const struct event *e)
{
	if (w.n_live > 0 && w.is_waiting[e->option % w.n_live])
		answer(w.live[e->option % w.n_live], e->option < 128);
}

static void wait(const struct event *e)
{
	w.now_ms += (uint64_t)e->option * e->option * 2; /* up to 130 s */
	hop_flows_run(w.flows, w.now_ms);
}

static void run(uint8_t kind, const struct event *e)
{
	switch (kind % 9) {
	case 0:
		receive(e->peer, e->data.ptr, e->data.len);
		break;
	case 1:
	case 2:
		send_new(e);
		break;
	case 3:
		send_copy(e, false);
		break;
	case 4:
		send_copy(e, true);
		break;
	case 5:
		send_block(e);
		break;
	case 6:
		from_upstream(e);
		break;
	case 7:
		if (e->option & 1)
			trouble(e);
		else
			open_later(e);
		break;
	default:
		wait(e);
	}
}

/* kind u8 ‖ from u8: bits 0..1 peer, 2..7 bytes of data ‖ option u8 ‖ data */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_reader r;
	if (w.key == NULL)
		start();
	begin();
	wire_reader_init(&r, bytes_of(data, size));
	while (wire_left(&r) >= 3) {
		uint8_t kind = wire_u8(&r), from = wire_u8(&r);
		struct event e = { .peer = from % N_PEERS, .option = wire_u8(&r) };
		size_t len = from / N_PEERS;
		if (kind >= 128)
			len *= 4;
		e.data = wire_bytes(&r, len < wire_left(&r) ? len : wire_left(&r));
		run(kind, &e);
	}
	end();
	return 0;
}
