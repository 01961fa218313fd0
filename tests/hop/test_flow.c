/* The flow rules of a hop, datagram by datagram: the client's side is written by hand with the wire
 * functions, sockets are an array. */
#include "common/record.h"
#include "hop/flow.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WALL_MS  UINT64_C(1800000000000)
#define SENT_MAX 64

struct sent {
	struct hop_path to;
	uint8_t bytes[4096];
	size_t len;
};

struct world {
	struct hop_options options;
	struct hop_users *users;
	struct replay *replay;
	struct wire_ephemeral *ephemeral;
	struct wire_key *key;     /* the client's */
	struct wire_key *another; /* another one's */
	struct hop_flows *flows;
	uint64_t now_ms;
	struct sent down[SENT_MAX], up[SENT_MAX];
	size_t n_down, n_up;
	struct hop_flow *opening; /* the flow opened last */
	bool opens_at_once;
	unsigned n_opened, n_admitted, n_closed;
	enum wire_status admits;
};

static void send_down(const struct hop_path *to, struct bytes head, struct bytes body, void *owner)
{
	struct world *w = owner;
	cr_assert_lt(w->n_down, SENT_MAX);
	struct sent *s = &w->down[w->n_down++];
	s->to = *to;
	if (head.len > 0)
		memcpy(s->bytes, head.ptr, head.len);
	if (body.len > 0)
		memcpy(s->bytes + head.len, body.ptr, body.len);
	s->len = head.len + body.len;
}

static void send_up(struct hop_flow *flow, struct bytes datagram, void *owner)
{
	struct world *w = owner;
	(void)flow;
	cr_assert_lt(w->n_up, SENT_MAX);
	struct sent *s = &w->up[w->n_up++];
	if (datagram.len > 0)
		memcpy(s->bytes, datagram.ptr, datagram.len);
	s->len = datagram.len;
}

static void opened(struct world *w, struct hop_flow *flow, uint8_t status)
{
	struct hop_flow_outcome outcome = { .status = status, .tries = 1 };
	hop_flow_opened(flow, &outcome, w->now_ms, WALL_MS + w->now_ms);
}

static void open_upstream(struct hop_flow *flow, const struct wire_request *request, void *owner)
{
	struct world *w = owner;
	(void)request;
	w->n_opened++;
	w->opening = flow;
	if (w->opens_at_once)
		opened(w, flow, STATUS_OK);
}

static void close_upstream(struct hop_flow *flow, const char *why, void *owner)
{
	struct world *w = owner;
	(void)flow;
	(void)why;
	w->n_closed++;
}

static enum wire_status admit(struct hop_flow *flow, const struct hop_entry *entry, void *owner)
{
	(void)flow;
	(void)entry;
	struct world *w = owner;
	if (w->admits == STATUS_OK)
		w->n_admitted++;
	return w->admits;
}

static const struct hop_flows_ops ops = {
	.send_down = send_down,
	.send_up = send_up,
	.open = open_upstream,
	.close = close_upstream,
	.admit = admit,
};

static struct wire_key *new_key(uint8_t user)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key;
	memset(credential, 1, 32);
	memset(credential + 32, user, 32);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static void set_up(struct world *w, uint32_t max_flows)
{
	struct replay_options memory = { .path = NULL };
	*w = (struct world){
		.options = HOP_OPTIONS_DEFAULT, .opens_at_once = true, .now_ms = 5000
	};
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
	w->options.users = calloc(1, sizeof *w->options.users);
	w->options.n_users = 1;
	w->options.users[0].name = strdup("me");
	w->options.users[0].keys = calloc(2, sizeof *w->options.users[0].keys);
	w->options.users[0].n_keys = 2;
	w->options.users[0].keys[0] =
		(struct hop_user_key){ .key = new_key(2), .not_after_ms = UINT64_MAX };
	w->options.users[0].keys[1] =
		(struct hop_user_key){ .key = new_key(3), .not_after_ms = UINT64_MAX };
	w->key = new_key(2);
	w->another = new_key(3);
	cr_assert_eq(hop_users_new(&w->options, &w->users), 0);
	cr_assert_eq(replay_open(&memory, WALL_MS - 60000, 1000, &w->replay), 0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->ephemeral), 0);
	struct hop_flows_options options = {
		.users = w->users,
		.replay = w->replay,
		.ephemeral = w->ephemeral,
		.max_flows = max_flows,
		.ops = &ops,
		.owner = w,
	};
	cr_assert_eq(hop_flows_new(&options, w->now_ms, &w->flows), 0);
}

static void tear_down(struct world *w)
{
	hop_flows_free(w->flows);
	cr_expect_eq(w->n_admitted, w->n_closed, "each flow that was admitted is closed once");
	wire_ephemeral_free(w->ephemeral);
	replay_close(w->replay);
	hop_users_free(w->users);
	wire_key_free(w->key);
	wire_key_free(w->another);
	wire_key_free(w->options.users[0].keys[0].key);
	wire_key_free(w->options.users[0].keys[1].key);
	free(w->options.users[0].keys);
	free(w->options.users[0].name);
	free(w->options.users);
}

static struct hop_path path_of(const char *text)
{
	struct addr addr;
	struct hop_path path = { .via = 0 };
	cr_assert_eq(addr_parse_dial(text, &addr), ADDR_OK);
	cr_assert_eq(addr_to_sock(&addr, &path.peer), 0);
	return path;
}

static void arrive(struct world *w, const char *from, const void *bytes, size_t len)
{
	uint8_t copy[4096];
	struct hop_path path = path_of(from);
	memcpy(copy, bytes, len);
	hop_flows_receive(w->flows, &path, copy, len, w->now_ms, WALL_MS + w->now_ms);
}

/* One epoch as its client sees it. */
struct client {
	uint8_t r[WIRE_REQUEST_MAX], s[WIRE_RESPONSE_MAX];
	size_t n_r, n_s;
	struct wire_request request;
	struct wire_response response;
	struct wire_pair *pair;
	struct record_packet phase0, up, down;
	uint64_t number;
};

static struct wire_request request_to(uint64_t fid, uint16_t flags, uint64_t time_ms)
{
	struct wire_request r = {
		.cmd = WIRE_CMD_UDP,
		.flags = flags,
		.time_ms = time_ms,
		.proto = 1,
		.atyp = WIRE_ATYP_IP4,
		.fid = fid,
	};
	cr_assert_eq(addr_parse_dial("192.0.2.9:4000", &r.to), ADDR_OK);
	return r;
}

static void seal(struct world *w, struct client *c, struct wire_request request)
{
	uint8_t salt[WIRE_SALT];
	*c = (struct client){ .request = request };
	if (request.flags & WIRE_FS) {
		c->pair = wire_pair_acquire(w->ephemeral, w->now_ms);
		memcpy(c->request.eph, wire_pair_public(c->pair), SEAL_CURVE);
	}
	seal_random(salt, sizeof salt);
	int n = wire_request_encode(&c->request, WIRE_UDP, w->key, salt, c->r);
	cr_assert_gt(n, 0);
	c->n_r = (size_t)n;
	wire_datagram_phase0(w->key, c->r, true, &c->phase0);
}

#define EXIT_FLAGS (WIRE_EXIT | WIRE_E2E | WIRE_OFFERS | WIRE_FS)

static void seal_exit(struct world *w, struct client *c, uint64_t fid)
{
	seal(w, c, request_to(fid, EXIT_FLAGS, WALL_MS + w->now_ms));
}

static void forget(struct client *c)
{
	wire_pair_release(c->pair);
	record_packet_deinit(&c->phase0);
	record_packet_deinit(&c->up);
	record_packet_deinit(&c->down);
}

/* S at the start of what hop sent last; derives phase 1. */
static void take_response(struct world *w, struct client *c, const struct sent *sent)
{
	struct wire_secrets secrets;
	uint8_t ss[SEAL_CURVE] = { 0 };
	uint16_t n_ext = 0;
	cr_assert_geq(sent->len, WIRE_RESPONSE);
	memcpy(c->s, sent->bytes, WIRE_RESPONSE);
	c->n_s = WIRE_RESPONSE;
	cr_assert_eq(wire_response_open(c->s, c->r, &c->request, w->key, &c->response, &n_ext),
		WIRE_RESPONSE_OK);
	cr_assert_eq(n_ext, 0);
	if (c->response.status != STATUS_OK || (c->request.flags & WIRE_E2E) == 0)
		return;
	if (c->pair != NULL)
		cr_assert(wire_pair_agree(c->pair, c->response.eph, ss));
	wire_secrets_derive(w->key, ss, bytes_of(c->r, c->n_r), bytes_of(c->s, c->n_s), &secrets);
	wire_datagram_phase1(
		&secrets, (enum record_cipher)c->response.cipher, false, &c->up, &c->down);
}

static size_t put_block(struct world *w, uint8_t *to, uint64_t fid, uint16_t flags, uint64_t number)
{
	struct wire_up up = { .fid = fid, .flags = flags, .number = number };
	wire_up_encode(w->key->mask, &up, to);
	return WIRE_BLOCK;
}

/* B ‖ sealed of @text, in phase 0 or 1. */
static size_t put_payload(
	struct world *w, struct client *c, uint8_t *to, uint16_t flags, const char *text)
{
	uint8_t plain[WIRE_BLOCK];
	struct wire_up up = {
		.fid = flags & WIRE_UP_PROV ? c->request.fid : c->response.val,
		.flags = flags,
		.number = c->number++,
	};
	wire_up_print(&up, plain);
	wire_up_encode(w->key->mask, &up, to);
	int n = record_packet_seal(flags & WIRE_UP_PROV ? &c->phase0 : &c->up, up.number, plain,
		bytes_of(text, strlen(text)), to + WIRE_BLOCK);
	cr_assert_gt(n, 0);
	return WIRE_BLOCK + (size_t)n;
}

static size_t put_first(struct world *w, struct client *c, uint8_t *to, const char *text)
{
	memcpy(to, c->r, c->n_r);
	return c->n_r + (text != NULL ? put_payload(w, c, to + c->n_r, WIRE_UP_PROV, text) : 0);
}

static bool is_up(const struct world *w, size_t i, const char *text)
{
	return i < w->n_up && w->up[i].len == strlen(text) &&
	       memcmp(w->up[i].bytes, text, strlen(text)) == 0;
}

/* D_n ‖ sealed at @at of a datagram. Return: the plaintext's length. */
static int open_down(struct world *w, struct client *c, const struct sent *sent, size_t at,
	struct wire_down *down, uint8_t *to)
{
	uint8_t plain[WIRE_BLOCK];
	cr_assert(wire_down_decode(w->key, sent->bytes + at, down));
	cr_expect_eq(down->fid, c->request.fid);
	wire_down_print(down, plain);
	return record_packet_open(&c->down, down->number, plain,
		bytes_of(sent->bytes + at + WIRE_BLOCK, sent->len - at - WIRE_BLOCK), to);
}

/* An exit's flow from F to its proof by a PING. */
static void establish(struct world *w, struct client *c, const char *from, uint64_t fid)
{
	uint8_t bytes[512];
	seal_exit(w, c, fid);
	arrive(w, from, bytes, put_first(w, c, bytes, NULL));
	cr_assert_gt(w->n_down, 0);
	take_response(w, c, &w->down[w->n_down - 1]);
	cr_assert_eq(c->response.status, STATUS_OK);
	size_t n = put_payload(w, c, bytes, WIRE_UP_KEYPHASE | WIRE_UP_PING, "");
	arrive(w, from, bytes, n);
}

static void answer(struct world *w, const char *text)
{
	uint8_t bytes[2048];
	memcpy(bytes, text, strlen(text));
	hop_flow_receive(w->opening, bytes, strlen(text), w->now_ms, WALL_MS + w->now_ms);
}

static void pass(struct world *w, uint64_t ms)
{
	for (uint64_t end_ms = w->now_ms + ms; w->now_ms < end_ms; w->now_ms += 100)
		hop_flows_run(w->flows, w->now_ms);
}

#define HOME  "198.51.100.1:5000"
#define MOVED "198.51.100.1:6000"

Test(flow, payload_of_the_first_datagram_reaches_the_target_and_the_answer_comes_sealed)
{
	struct world w;
	struct client c;
	struct wire_down down;
	uint8_t bytes[512], text[512];
	set_up(&w, 10);
	seal_exit(&w, &c, 77);
	arrive(&w, HOME, bytes, put_first(&w, &c, bytes, "hello"));
	cr_assert(is_up(&w, 0, "hello"));
	cr_assert_eq(w.n_down, 1, "S alone, at once");
	cr_assert_eq(w.down[0].len, WIRE_RESPONSE);
	take_response(&w, &c, &w.down[0]);
	answer(&w, "world");
	cr_assert_eq(w.n_down, 2);
	cr_expect(memcmp(w.down[1].bytes, w.down[0].bytes, WIRE_RESPONSE) == 0,
		"S leads until the client has proved itself");
	cr_assert_eq(open_down(&w, &c, &w.down[1], WIRE_RESPONSE, &down, text), 5);
	cr_expect(memcmp(text, "world", 5) == 0);
	size_t n = put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE, "again");
	arrive(&w, HOME, bytes, n);
	cr_assert(is_up(&w, 1, "again"));
	arrive(&w, HOME, bytes, n);
	cr_expect_eq(w.n_up, 2, "no datagram twice");
	answer(&w, "world2");
	cr_assert_eq(open_down(&w, &c, &w.down[2], 0, &down, text), 6);
	cr_expect_eq(down.flags, c.response.val & 1 ? WIRE_DOWN_EPOCH : 0);
	cr_expect_eq(hop_flows_counters(w.flows)->n_window, 1);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_ping_is_answered_and_not_delivered)
{
	struct world w;
	struct client c;
	struct wire_down down;
	uint8_t text[64];
	set_up(&w, 10);
	establish(&w, &c, HOME, 5);
	cr_expect_eq(w.n_up, 0);
	cr_assert_eq(w.n_down, 2);
	cr_expect_eq(open_down(&w, &c, &w.down[1], 0, &down, text), 0);
	cr_expect(down.flags & WIRE_DOWN_PONG);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_copy_is_answered_with_the_same_response_and_delivers_nothing_twice)
{
	struct world w;
	struct client c;
	uint8_t bytes[512];
	set_up(&w, 10);
	seal_exit(&w, &c, 5);
	size_t n = put_first(&w, &c, bytes, "once");
	arrive(&w, HOME, bytes, n);
	arrive(&w, HOME, bytes, n);
	cr_assert_eq(w.n_down, 2);
	cr_expect(w.down[1].len == w.down[0].len &&
		  memcmp(w.down[1].bytes, w.down[0].bytes, w.down[0].len) == 0);
	cr_expect_eq(w.n_up, 1);
	bytes[n - 1] ^= 1;
	arrive(&w, MOVED, bytes, n);
	cr_expect_eq(w.n_up, 1, "another address' tail is not looked at");
	bytes[20] ^= 1;
	arrive(&w, HOME, bytes, n);
	cr_expect_eq(w.n_down, 3, "an R with a known salt that is no copy gets silence");
	cr_expect_eq(w.n_opened, 1);
	forget(&c);
	tear_down(&w);
}

Test(flow, an_unproved_address_gets_at_most_three_times_what_it_sent_and_the_rest_once_proved)
{
	struct world w;
	struct client c;
	struct wire_down down;
	uint8_t bytes[512], text[2048];
	char large[1201];
	size_t n_in, n_out = 0;
	memset(large, 'x', 1200);
	large[1200] = 0;
	set_up(&w, 10);
	seal_exit(&w, &c, 5);
	n_in = put_first(&w, &c, bytes, "q");
	arrive(&w, HOME, bytes, n_in);
	take_response(&w, &c, &w.down[0]);
	for (int i = 0; i < 3; i++)
		answer(&w, large);
	for (size_t i = 0; i < w.n_down; i++)
		n_out += w.down[i].len;
	cr_expect_leq(n_out, 3 * n_in);
	cr_expect_eq(hop_flows_counters(w.flows)->n_amplification, 3);
	size_t n_before = w.n_down;
	arrive(&w, HOME, bytes, put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE | WIRE_UP_PING, ""));
	cr_assert_eq(w.n_down, n_before + 4, "what waited, and the PONG");
	cr_expect_eq(open_down(&w, &c, &w.down[n_before], 0, &down, text), 1200);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_moved_client_is_told_and_is_obeyed_once_it_has_set_up_again)
{
	struct world w;
	struct client c, d;
	struct wire_down down;
	uint8_t bytes[512], text[64];
	set_up(&w, 10);
	establish(&w, &c, HOME, 5);
	size_t n = put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE, "moved");
	size_t n_before = w.n_down;
	arrive(&w, MOVED, bytes, n);
	cr_expect_eq(w.n_up, 0);
	cr_assert_eq(w.n_down, n_before + 1);
	cr_expect_eq(addr_sock_port(&w.down[n_before].to.peer), 6000);
	cr_assert(wire_down_decode(w.key, w.down[n_before].bytes, &down));
	cr_expect_eq(down.status, STATUS_RESETUP);
	arrive(&w, MOVED, bytes, n);
	cr_expect_eq(w.n_down, n_before + 1, "once a second");
	seal_exit(&w, &d, 5);
	arrive(&w, MOVED, bytes, put_first(&w, &d, bytes, "new"));
	cr_expect(is_up(&w, 0, "new"));
	take_response(&w, &d, &w.down[w.n_down - 1]);
	cr_expect_neq(d.response.val & 1, c.response.val & 1, "epochs alternate");
	n_before = w.n_down;
	answer(&w, "both");
	cr_assert_eq(w.n_down, n_before + 2, "to the bound address and to the new one");
	size_t i_home = addr_sock_port(&w.down[n_before].to.peer) == 5000 ? n_before : n_before + 1;
	cr_expect_eq(open_down(&w, &c, &w.down[i_home], 0, &down, text), 4);
	arrive(&w, MOVED, bytes, put_payload(&w, &d, bytes, WIRE_UP_KEYPHASE, "proof"));
	n_before = w.n_down;
	answer(&w, "moved");
	cr_assert_eq(w.n_down, n_before + 1);
	cr_expect_eq(addr_sock_port(&w.down[n_before].to.peer), 6000);
	cr_expect_eq(w.n_opened, 1, "the upstream socket stays");
	arrive(&w, HOME, bytes, put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE, "old"));
	cr_expect(is_up(&w, 2, "old"), "the old epoch is obeyed for 10 s more");
	pass(&w, 11000);
	arrive(&w, HOME, bytes, put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE, "older"));
	cr_expect_eq(w.n_up, 3);
	forget(&c);
	forget(&d);
	tear_down(&w);
}

Test(flow, a_middle_hop_forwards_what_follows_its_item)
{
	struct world w;
	struct client c;
	uint8_t bytes[512];
	set_up(&w, 10);
	w.opens_at_once = false;
	seal(&w, &c, request_to(9, 0, WALL_MS + w.now_ms));
	memcpy(bytes, c.r, c.n_r);
	memcpy(bytes + c.n_r, "rest", 4);
	arrive(&w, HOME, bytes, c.n_r + 4);
	cr_expect_eq(w.n_up, 0, "held until the socket is there");
	opened(&w, w.opening, STATUS_OK);
	cr_assert(is_up(&w, 0, "rest"));
	cr_expect_eq(w.n_down, 0, "S of a middle hop rides with what comes back");
	answer(&w, "back");
	cr_assert_eq(w.n_down, 1);
	cr_assert_eq(w.down[0].len, WIRE_RESPONSE + 4);
	take_response(&w, &c, &w.down[0]);
	cr_expect(memcmp(w.down[0].bytes + WIRE_RESPONSE, "back", 4) == 0);
	put_block(&w, bytes, c.response.val, WIRE_UP_KEYPHASE, 3);
	memcpy(bytes + WIRE_BLOCK, "more and more bytes", 19);
	arrive(&w, HOME, bytes, WIRE_BLOCK + 19);
	cr_expect(is_up(&w, 1, "more and more bytes"));
	answer(&w, "steady");
	struct wire_down down;
	cr_assert_eq(w.down[1].len, WIRE_BLOCK + 6);
	cr_assert(wire_down_decode(w.key, w.down[1].bytes, &down));
	cr_expect(down.fid == 9 && down.status == 0);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_middle_hop_says_its_response_alone_from_the_third_arrival_on)
{
	struct world w;
	struct client c;
	set_up(&w, 10);
	seal(&w, &c, request_to(9, 0, WALL_MS + w.now_ms));
	arrive(&w, HOME, c.r, c.n_r);
	arrive(&w, HOME, c.r, c.n_r);
	cr_expect_eq(w.n_down, 0);
	arrive(&w, HOME, c.r, c.n_r);
	cr_expect_eq(w.n_down, 1);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_refused_target_is_told_at_once_and_on_every_copy_and_nothing_is_forwarded)
{
	struct world w;
	struct client c;
	uint8_t bytes[512];
	set_up(&w, 10);
	w.opens_at_once = false;
	seal_exit(&w, &c, 5);
	size_t n = put_first(&w, &c, bytes, "x");
	arrive(&w, HOME, bytes, n);
	opened(&w, w.opening, STATUS_DENIED_PRIVATE);
	cr_assert_eq(w.n_down, 1);
	take_response(&w, &c, &w.down[0]);
	cr_expect_eq(c.response.status, STATUS_DENIED_PRIVATE);
	cr_expect_eq(c.response.val, 0);
	cr_expect_eq(w.n_closed, 1);
	arrive(&w, HOME, bytes, n);
	cr_expect_eq(w.n_down, 2);
	cr_expect_eq(w.n_up, 0);
	pass(&w, 31000);
	cr_expect_eq(hop_flows_count(w.flows), 0);
	forget(&c);
	tear_down(&w);
}

Test(flow, what_is_not_legal_or_not_admitted_is_told)
{
	struct world w;
	struct client c;
	set_up(&w, 10);
	struct wire_request r = request_to(5, EXIT_FLAGS | WIRE_OPEN_UDP, WALL_MS + w.now_ms);
	r.atyp = WIRE_ATYP_NONE;
	r.to = (struct addr){ .kind = ADDR_NONE };
	seal(&w, &c, r);
	arrive(&w, HOME, c.r, c.n_r);
	take_response(&w, &c, &w.down[0]);
	cr_expect_eq(c.response.status, STATUS_UNSUPPORTED);
	cr_expect_eq(c.response.detail, DETAIL_FLAGS);
	w.admits = STATUS_RATE;
	struct client d;
	seal_exit(&w, &d, 6);
	arrive(&w, HOME, d.r, d.n_r);
	take_response(&w, &d, &w.down[w.n_down - 1]);
	cr_expect_eq(d.response.status, STATUS_RATE);
	cr_expect_eq(w.n_opened, 0);
	forget(&c);
	forget(&d);
	tear_down(&w);
}

Test(flow, an_echo_returns_its_payload_and_makes_no_flow)
{
	struct world w;
	struct client c;
	uint8_t bytes[512];
	struct wire_request r = { .cmd = WIRE_ECHO, .fid = 3, .time_ms = WALL_MS + 5000 };
	set_up(&w, 10);
	seal(&w, &c, r);
	memcpy(bytes, c.r, c.n_r);
	memcpy(bytes + c.n_r, "ping", 4);
	arrive(&w, "198.51.100.1:53", bytes, c.n_r + 4);
	cr_expect_eq(w.n_down, 0, "a service's port gets no echo");
	seal(&w, &c, r);
	memcpy(bytes, c.r, c.n_r);
	arrive(&w, HOME, bytes, c.n_r + 4);
	arrive(&w, HOME, bytes, c.n_r + 4);
	cr_assert_eq(w.n_down, 2);
	cr_assert_eq(w.down[0].len, WIRE_RESPONSE + 4);
	cr_expect(memcmp(w.down[0].bytes, w.down[1].bytes, w.down[0].len) == 0);
	cr_expect(memcmp(w.down[0].bytes + WIRE_RESPONSE, "ping", 4) == 0);
	cr_expect_eq(w.n_opened, 0);
	forget(&c);
	tear_down(&w);
}

/* The S that begins @sent, opened with its extension. */
static struct wire_response whole_response(
	struct world *w, struct client *c, const struct sent *sent)
{
	struct wire_response response;
	struct bytes ext = { NULL, 0 };
	uint16_t n_ext = 0;
	cr_assert_eq(wire_response_open(sent->bytes, c->r, &c->request, w->key, &response, &n_ext),
		WIRE_RESPONSE_OK);
	if (n_ext > 0)
		ext = bytes_of(sent->bytes + WIRE_RESPONSE, WIRE_EXT_SEALED((size_t)n_ext));
	cr_assert_leq(WIRE_RESPONSE + ext.len, sent->len);
	cr_assert_eq(wire_response_open_ext(sent->bytes, ext, &c->request, w->key, &response),
		WIRE_RESPONSE_OK);
	return response;
}

#define SOFTWARE "hopchain " HOPCHAIN_VERSION

Test(flow, the_software_is_named_to_those_who_ask_and_within_the_limits)
{
	static const enum wire_status statuses[] = { STATUS_OK, STATUS_DENIED_PRIVATE };
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct client c;
		struct wire_response s;
		set_up(&w, 10);
		w.opens_at_once = false;
		seal(&w, &c, request_to(5, EXIT_FLAGS | WIRE_TRACE, WALL_MS + w.now_ms));
		arrive(&w, HOME, c.r, c.n_r);
		opened(&w, w.opening, statuses[i]);
		cr_assert_eq(w.n_down, 1);
		cr_expect_leq(w.down[0].len, 3 * c.n_r);
		s = whole_response(&w, &c, &w.down[0]);
		cr_expect_eq(s.status, statuses[i]);
		cr_expect_str_eq(s.software, SOFTWARE);
		for (size_t n_in = c.n_r, n_out = 0, seen = 1; n_in < 5 * c.n_r; n_in += c.n_r) {
			arrive(&w, MOVED, c.r, c.n_r);
			for (; seen < w.n_down; seen++)
				n_out += w.down[seen].len;
			cr_expect_leq(n_out, n_in, "another source gets no more than it sent");
		}
		cr_expect_gt(w.n_down, 1, "but it gets S");
		forget(&c);
		tear_down(&w);
	}
}

Test(flow, an_echo_and_a_refusal_name_the_software_only_under_trace)
{
	for (int has_room = 0; has_room < 2; has_room++) {
		struct world w;
		struct client c, d, e;
		struct wire_request r = { .cmd = WIRE_ECHO, .fid = 3, .time_ms = WALL_MS + 5000 };
		set_up(&w, 1);
		if (!has_room)
			establish(&w, &c, HOME, 5); /* then answers are not kept for copies */
		w.n_down = 0;
		r.flags = WIRE_TRACE;
		seal(&w, &d, r);
		arrive(&w, HOME, d.r, d.n_r);
		r.flags = 0;
		seal(&w, &e, r);
		arrive(&w, HOME, e.r, e.n_r);
		cr_assert_eq(w.n_down, 2);
		cr_expect_str_eq(whole_response(&w, &d, &w.down[0]).software, SOFTWARE);
		cr_expect_eq(w.down[1].len, WIRE_RESPONSE);
		if (!has_room)
			forget(&c);
		tear_down(&w);
	}
}

Test(flow, strangers_get_silence)
{
	struct world w;
	struct client c;
	uint8_t bytes[1500];
	set_up(&w, 10);
	seal_exit(&w, &c, 5);
	for (size_t len = 0; len <= sizeof bytes; len++) {
		seal_random(bytes, len < 200 ? len : 200);
		arrive(&w, HOME, bytes, len);
	}
	for (size_t bit = 0; bit < 8 * c.n_r; bit += 3) {
		memcpy(bytes, c.r, c.n_r);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		arrive(&w, HOME, bytes, c.n_r);
	}
	for (size_t len = 0; len < c.n_r; len++)
		arrive(&w, HOME, c.r, len);
	cr_expect_eq(w.n_down, 0);
	cr_expect_eq(hop_flows_count(w.flows), 0);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_used_request_is_silent_after_its_flow_is_gone)
{
	struct world w;
	struct client c;
	set_up(&w, 10);
	seal_exit(&w, &c, 5);
	arrive(&w, HOME, c.r, c.n_r);
	pass(&w, 31000);
	cr_expect_eq(hop_flows_count(w.flows), 0, "nobody proved it");
	size_t n_before = w.n_down;
	arrive(&w, HOME, c.r, c.n_r);
	cr_expect_eq(w.n_down, n_before);
	forget(&c);
	tear_down(&w);
}

Test(flow, trouble_upstream_is_told_once_a_second)
{
	struct world w;
	struct client c;
	struct wire_down down;
	set_up(&w, 10);
	establish(&w, &c, HOME, 5);
	size_t n_before = w.n_down;
	hop_flow_trouble(w.opening, STATUS_PORT_UNREACH, 0, w.now_ms, WALL_MS);
	hop_flow_trouble(w.opening, STATUS_PORT_UNREACH, 0, w.now_ms, WALL_MS);
	hop_flow_trouble(w.opening, STATUS_MSGSIZE, 1400, w.now_ms, WALL_MS);
	cr_assert_eq(w.n_down, n_before + 2);
	cr_assert(wire_down_decode(w.key, w.down[n_before + 1].bytes, &down));
	cr_expect(down.status == STATUS_MSGSIZE && (down.number & 0xffff) == 1400);
	uint64_t first = down.number >> 16;
	w.now_ms += 1000;
	hop_flow_trouble(w.opening, STATUS_MSGSIZE, 1400, w.now_ms, WALL_MS);
	cr_assert(wire_down_decode(w.key, w.down[n_before + 2].bytes, &down));
	cr_expect_gt(down.number >> 16, first);
	forget(&c);
	tear_down(&w);
}

Test(flow, flows_end_when_idle_and_unproved_ones_make_room)
{
	struct world w;
	struct client c[4];
	set_up(&w, 3);
	establish(&w, &c[0], HOME, 1);
	answer(&w, "a");
	for (int i = 1; i < 4; i++) {
		seal_exit(&w, &c[i], (uint64_t)i + 1);
		arrive(&w, HOME, c[i].r, c[i].n_r);
	}
	cr_expect_eq(hop_flows_count(w.flows), 3);
	cr_expect_eq(w.n_closed, 1, "the oldest unproved one went");
	pass(&w, 119000);
	cr_expect_eq(hop_flows_count(w.flows), 1);
	pass(&w, 2000);
	cr_expect_eq(hop_flows_count(w.flows), 0);
	for (int i = 0; i < 4; i++)
		forget(&c[i]);
	tear_down(&w);
}

Test(flow, a_flow_that_slept_goes_on_and_takes_nothing_twice)
{
	struct world w;
	struct client c;
	struct wire_down down;
	uint8_t first[512], bytes[512], text[64];
	set_up(&w, 10);
	establish(&w, &c, HOME, 5);
	size_t n = put_payload(&w, &c, first, WIRE_UP_KEYPHASE, "before");
	arrive(&w, HOME, first, n);
	answer(&w, "a");
	cr_assert_eq(open_down(&w, &c, &w.down[w.n_down - 1], 0, &down, text), 1);
	uint64_t number = down.number;
	pass(&w, 20000);
	arrive(&w, HOME, first, n);
	cr_expect_eq(w.n_up, 1, "seen before it slept");
	arrive(&w, HOME, bytes, put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE, "after"));
	cr_expect(is_up(&w, 1, "after"));
	answer(&w, "b");
	cr_assert_eq(open_down(&w, &c, &w.down[w.n_down - 1], 0, &down, text), 1);
	cr_expect_eq(down.number, number + 1);
	forget(&c);
	tear_down(&w);
}

static void swap_keys(struct world *w)
{
	struct wire_key *key = w->key;
	w->key = w->another;
	w->another = key;
}

/* Whoever got S at his own address can prove the epoch in the name of another one. */
Test(flow, a_proof_in_the_name_of_another_address_does_not_lift_its_limit)
{
	struct world w;
	struct client c;
	struct wire_down down;
	uint8_t bytes[512];
	char large[1201];
	size_t n_in = 0, n_out = 0;
	memset(large, 'x', 1200);
	large[1200] = 0;
	set_up(&w, 10);
	seal_exit(&w, &c, 5);
	arrive(&w, HOME, c.r, c.n_r);
	take_response(&w, &c, &w.down[0]);
	arrive(&w, MOVED, c.r, c.n_r);
	size_t n = put_payload(&w, &c, bytes, WIRE_UP_KEYPHASE | WIRE_UP_PING, "");
	arrive(&w, MOVED, bytes, n);
	n_in = c.n_r + n;
	for (int i = 0; i < 20; i++)
		answer(&w, large);
	bool is_told = false;
	for (size_t i = 0; i < w.n_down; i++) {
		if (addr_sock_port(&w.down[i].to.peer) != 6000)
			continue;
		n_out += w.down[i].len;
		is_told |= wire_down_decode(w.key, w.down[i].bytes, &down) &&
			   down.status == STATUS_RESETUP;
	}
	cr_expect_leq(n_out, 3 * n_in + WIRE_BLOCK);
	cr_expect(is_told, "an honest client makes an R that only it presents");
	forget(&c);
	tear_down(&w);
}

Test(flow, a_copy_does_not_take_over_another_users_provisional_id)
{
	struct world w;
	struct client c, d;
	uint8_t bytes[512];
	set_up(&w, 10);
	seal_exit(&w, &c, 77);
	arrive(&w, HOME, c.r, c.n_r);
	swap_keys(&w);
	seal_exit(&w, &d, 77);
	arrive(&w, MOVED, d.r, d.n_r);
	arrive(&w, HOME, d.r, d.n_r);
	swap_keys(&w);
	arrive(&w, HOME, bytes, put_payload(&w, &c, bytes, WIRE_UP_PROV, "mine"));
	cr_expect(is_up(&w, 0, "mine"));
	forget(&c);
	forget(&d);
	tear_down(&w);
}

Test(flow, answers_of_an_epoch_that_was_replaced_do_not_stand_in_the_way)
{
	struct world w;
	struct client c, d;
	struct wire_down down;
	uint8_t bytes[512], text[2048];
	char large[601];
	memset(large, 'x', 600);
	large[600] = 0;
	set_up(&w, 10);
	seal_exit(&w, &c, 5);
	arrive(&w, HOME, c.r, c.n_r);
	for (int i = 0; i < 4; i++)
		answer(&w, large);
	w.now_ms += 4000;
	seal_exit(&w, &d, 5);
	arrive(&w, HOME, d.r, d.n_r);
	take_response(&w, &d, &w.down[w.n_down - 1]);
	answer(&w, large);
	answer(&w, large);
	size_t n_before = w.n_down;
	arrive(&w, HOME, bytes, put_payload(&w, &d, bytes, WIRE_UP_KEYPHASE | WIRE_UP_PING, ""));
	cr_assert_eq(w.n_down, n_before + 3, "both, and the PONG");
	cr_expect_eq(open_down(&w, &d, &w.down[n_before], 0, &down, text), 600);
	cr_expect_eq(open_down(&w, &d, &w.down[n_before + 1], 0, &down, text), 600);
	forget(&c);
	forget(&d);
	tear_down(&w);
}

Test(flow, what_is_refused_pushes_nobody_out)
{
	struct world w;
	struct client c, d;
	set_up(&w, 4);
	w.opens_at_once = false;
	seal_exit(&w, &c, 77);
	arrive(&w, HOME, c.r, c.n_r);
	w.admits = STATUS_RATE;
	for (uint64_t i = 0; i < 8; i++) {
		size_t n_before = w.n_down;
		seal_exit(&w, &d, 100 + i);
		arrive(&w, MOVED, d.r, d.n_r);
		cr_expect_eq(w.n_down, n_before + 1, "and each is told");
		forget(&d);
	}
	cr_expect_eq(w.n_closed, 0);
	forget(&c);
	tear_down(&w);
}

Test(flow, a_full_hop_says_so)
{
	struct world w;
	struct client c;
	set_up(&w, 2);
	for (uint64_t fid = 1; fid <= 2; fid++) {
		establish(&w, &c, HOME, fid);
		forget(&c);
	}
	size_t n_before = w.n_down;
	seal_exit(&w, &c, 3);
	arrive(&w, MOVED, c.r, c.n_r);
	cr_assert_eq(w.n_down, n_before + 1);
	take_response(&w, &c, &w.down[n_before]);
	cr_expect_eq(c.response.status, STATUS_LIMIT);
	forget(&c);
	tear_down(&w);
}
