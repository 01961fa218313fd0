/* One measurement in a datagram, without I/O: every hop's side is made here from the wire. */
#include "chain/echo.h"
#include "chain/wire_datagram.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define N_HOPS  3
#define WALL_MS UINT64_C(1760000000000)

struct world {
	struct chain_spec spec;
	struct chain_hop hops[N_HOPS];
	struct addr target;
	struct chain_echo *echo;
	uint8_t r[N_HOPS][WIRE_REQUEST]; /* as each hop got it */
	struct wire_request requests[N_HOPS];
	size_t n;
};

static struct wire_key *new_key(uint8_t seed)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key;
	memset(credential, 2 * seed, 32);
	memset(credential + 32, 2 * seed + 1, 32);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

/* What each hop reads of the datagram; @n of them. No request here needs an extension. */
static void read_requests(struct world *w, size_t n)
{
	struct bytes f = chain_echo_request(w->echo);
	w->n = n;
	cr_assert_eq(f.len, n * WIRE_REQUEST, "%zu", f.len);
	for (size_t i = 0; i < n; i++) {
		struct wire_request_plain plain;
		uint16_t n_ext = 0;
		uint8_t detail = 0;
		memcpy(w->r[i], f.ptr + i * WIRE_REQUEST, WIRE_REQUEST);
		cr_assert(wire_request_open(w->r[i], WIRE_UDP, w->hops[i].key, &plain));
		cr_assert_eq(wire_request_check(&plain, WIRE_UDP, &w->requests[i], &n_ext, &detail),
			STATUS_OK, "hop %zu detail %u", i + 1, detail);
	}
}

static void set_up(struct world *w, size_t n, bool has_target)
{
	*w = (struct world){ .n = n };
	cr_assert_eq(seal_start(), 0);
	w->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	w->spec.hops = w->hops;
	w->spec.n_hops = N_HOPS;
	for (size_t i = 0; i < N_HOPS; i++) {
		w->hops[i].key = new_key((uint8_t)(i + 1));
		w->hops[i].addr = (struct addr){
			.kind = ADDR_IP4, .ip = { 192, 0, 2, (uint8_t)(i + 1) }, .port = 9000
		};
	}
	cr_assert_eq(addr_parse_dial("target.test:53", &w->target), ADDR_OK);
	struct chain_echo_options options = {
		.spec = &w->spec, .n_hops = n, .target = has_target ? &w->target : NULL
	};
	cr_assert_eq(chain_echo_new(&options, WALL_MS, &w->echo), 0);
	read_requests(w, n);
}

static void tear_down(struct world *w)
{
	chain_echo_free(w->echo);
	for (size_t i = 0; i < N_HOPS; i++)
		wire_key_free(w->hops[i].key);
}

/* ---- what hops say ---- */

struct datagram {
	size_t len;
	uint8_t bytes[4096];
};

static struct wire_response ok_of(const struct world *w, size_t i)
{
	struct wire_response s = { .status = STATUS_OK, .val = 1000 + i, .tries = 1 };
	s.connect_us = (uint32_t)(i + 1) * 100;
	if (w->requests[i].flags & WIRE_E2E) {
		s.flags = WIRE_S_E2E;
		s.cipher = 3;
	}
	memcpy(s.software, "test 1", 7);
	return s;
}

static void put_s(const struct world *w, size_t i, const struct wire_response *s, uint8_t salt,
	struct datagram *d)
{
	uint8_t nonce[SEAL_NONCE];
	memset(nonce, salt, sizeof nonce);
	int n = wire_response_encode(s, w->r[i], w->hops[i].key, nonce, d->bytes + d->len);
	cr_assert_gt(n, 0);
	d->len += (size_t)n;
}

static void put_ok(const struct world *w, size_t i, struct datagram *d)
{
	struct wire_response s = ok_of(w, i);
	put_s(w, i, &s, (uint8_t)i, d);
}

static void put_d(const struct world *w, size_t i, uint8_t status, struct datagram *d)
{
	struct wire_down down = { .fid = w->requests[i].fid, .status = status, .number = 7 };
	wire_down_encode(w->hops[i].key, &down, d->bytes + d->len);
	d->len += WIRE_BLOCK;
}

static enum chain_echo_step feed(struct world *w, const struct datagram *d)
{
	return chain_echo_feed(w->echo, bytes_of(d->bytes, d->len));
}

static void answer_all(const struct world *w, struct datagram *d)
{
	*d = (struct datagram){ .len = 0 };
	for (size_t i = 0; i < w->n; i++)
		put_ok(w, i, d);
}

/* ---- tests ---- */

Test(echo, asks_each_hop_before_for_udp_and_the_last_for_echo)
{
	for (size_t n = 1; n <= N_HOPS; n++) {
		struct world w;
		set_up(&w, n, false);
		for (size_t i = 0; i < n; i++) {
			const struct wire_request *r = &w.requests[i];
			bool is_last = i + 1 == n;
			cr_expect_eq(r->cmd, is_last ? WIRE_ECHO : WIRE_CMD_UDP);
			cr_expect_eq(r->flags, WIRE_TRACE);
			cr_expect_neq(r->fid, 0);
			cr_expect_eq(r->proto, is_last ? 0 : 1);
			cr_expect_eq(r->to.kind, is_last ? ADDR_NONE : ADDR_IP4);
			cr_expect(is_last || r->to.ip[3] == i + 2);
			cr_expect(r->time_ms >= WALL_MS - 500 && r->time_ms <= WALL_MS + 500);
			cr_expect_eq(chain_echo_has_clock(w.echo, (unsigned)i + 1), is_last);
		}
		tear_down(&w);
	}
}

Test(echo, a_target_is_asked_for_at_the_exit_and_sealed)
{
	struct world w;
	set_up(&w, N_HOPS, true);
	const struct wire_request *r = &w.requests[N_HOPS - 1];
	cr_expect_eq(r->cmd, WIRE_CMD_UDP);
	cr_expect_eq(r->flags & (WIRE_EXIT | WIRE_E2E | WIRE_FS | WIRE_TRACE),
		WIRE_EXIT | WIRE_E2E | WIRE_TRACE);
	cr_expect_neq(r->flags & WIRE_OFFERS, 0);
	cr_expect_str_eq(r->to.name, "target.test");
	cr_expect(!chain_echo_has_clock(w.echo, N_HOPS));
	struct datagram d;
	answer_all(&w, &d);
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_DONE);
	cr_expect_eq(chain_echo_response(w.echo, N_HOPS)->cipher, 3);
	tear_down(&w);
}

Test(echo, a_target_that_no_request_can_name_is_refused)
{
	struct world w;
	struct chain_echo *echo;
	struct addr none = { .kind = ADDR_NONE };
	set_up(&w, 1, false);
	struct chain_echo_options options = { .spec = &w.spec, .n_hops = N_HOPS, .target = &none };
	cr_expect_eq(chain_echo_new(&options, WALL_MS, &echo), ERR_INVAL);
	tear_down(&w);
}

Test(echo, all_answers_in_one_datagram)
{
	for (size_t n = 1; n <= N_HOPS; n++) {
		struct world w;
		struct datagram d;
		set_up(&w, n, false);
		answer_all(&w, &d);
		cr_expect_eq(feed(&w, &d), CHAIN_ECHO_DONE);
		for (unsigned i = 1; i <= n; i++) {
			const struct wire_response *s = chain_echo_response(w.echo, i);
			cr_assert_not_null(s);
			cr_expect_eq(s->connect_us, i * 100);
			cr_expect_str_eq(s->software, "test 1");
		}
		cr_expect_eq(chain_echo_n_junk(w.echo), 0);
		tear_down(&w);
	}
}

/* Too long for one: S_1 alone, and D_1 in its place before the rest; in either order. */
Test(echo, an_answer_may_come_ahead_and_a_block_in_its_place)
{
	for (int order = 0; order < 2; order++) {
		struct world w;
		struct datagram alone = { .len = 0 }, rest = { .len = 0 };
		set_up(&w, N_HOPS, false);
		put_ok(&w, 0, &alone);
		put_d(&w, 0, STATUS_OK, &rest);
		put_ok(&w, 1, &rest);
		put_ok(&w, 2, &rest);
		if (order == 0)
			cr_expect_eq(feed(&w, &alone), CHAIN_ECHO_MORE);
		cr_expect_eq(feed(&w, &rest), CHAIN_ECHO_DONE);
		cr_expect_eq(chain_echo_response(w.echo, 1) != NULL, order == 0);
		cr_expect_eq(chain_echo_response(w.echo, 3)->val, 1002);
		cr_expect_eq(chain_echo_n_junk(w.echo), 0);
		tear_down(&w);
	}
}

Test(echo, cut_anywhere_it_is_never_complete)
{
	struct world w;
	struct datagram d;
	set_up(&w, N_HOPS, false);
	answer_all(&w, &d);
	size_t whole = d.len, one = whole / N_HOPS;
	for (size_t len = 0; len < whole; len++) {
		/* On the heap and no longer: what reads behind it is seen. */
		uint8_t *cut = malloc(len > 0 ? len : 1);
		memcpy(cut, d.bytes, len);
		uint64_t n_junk = chain_echo_n_junk(w.echo);
		cr_expect_eq(chain_echo_feed(w.echo, bytes_of(cut, len)), CHAIN_ECHO_MORE);
		bool is_clean = len > 0 && len % one == 0;
		cr_expect_eq(chain_echo_n_junk(w.echo) - n_junk, is_clean ? 0 : 1, "%zu", len);
		free(cut);
	}
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_DONE, "nothing of it did harm");
	tear_down(&w);
}

Test(echo, damaged_in_any_bit_it_is_dropped)
{
	struct world w;
	struct datagram d;
	set_up(&w, 2, false);
	answer_all(&w, &d);
	for (size_t i = 0; i < d.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			d.bytes[i] ^= (uint8_t)(1 << bit);
			cr_expect_eq(feed(&w, &d), CHAIN_ECHO_MORE, "byte %zu", i);
			d.bytes[i] ^= (uint8_t)(1 << bit);
		}
	}
	cr_expect_null(chain_echo_response(w.echo, 2));
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_DONE);
	tear_down(&w);
}

Test(echo, what_answers_another_request_is_dropped)
{
	struct world mine, other;
	struct datagram d;
	set_up(&mine, 2, false);
	set_up(&other, 2, false);
	answer_all(&other, &d);
	cr_expect_eq(feed(&mine, &d), CHAIN_ECHO_MORE);
	cr_expect_null(chain_echo_response(mine.echo, 1));
	d.len = 0;
	put_d(&other, 0, STATUS_PORT_UNREACH, &d);
	cr_expect_eq(feed(&mine, &d), CHAIN_ECHO_MORE, "another flow's word");
	tear_down(&mine);
	tear_down(&other);
}

/* One S_i per R_i: a second one that differs is nobody's. */
Test(echo, a_second_answer_counts_only_if_it_is_the_first)
{
	struct world w;
	struct datagram first = { .len = 0 }, d = { .len = 0 };
	struct wire_response s;
	set_up(&w, 2, false);
	s = ok_of(&w, 0);
	put_ok(&w, 0, &first);
	cr_expect_eq(feed(&w, &first), CHAIN_ECHO_MORE);
	cr_expect_eq(feed(&w, &first), CHAIN_ECHO_MORE, "a copy");
	cr_expect_eq(chain_echo_n_junk(w.echo), 0);
	s.connect_us = 77;
	put_s(&w, 0, &s, 99, &d);
	put_ok(&w, 1, &d);
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_MORE);
	cr_expect_eq(chain_echo_n_junk(w.echo), 1);
	cr_expect_eq(chain_echo_response(w.echo, 1)->connect_us, 100);
	d = first;
	put_ok(&w, 1, &d);
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_DONE);
	tear_down(&w);
}

Test(echo, a_refusal_of_any_hop_names_it)
{
	for (size_t at = 0; at < N_HOPS; at++) {
		struct world w;
		struct datagram d = { .len = 0 };
		struct wire_response s = {
			.status = STATUS_DENIED_PRIVATE, .detail = DETAIL_DENIED_OWN, .val = 5
		};
		set_up(&w, N_HOPS, at == N_HOPS - 1);
		memcpy(s.text, "go away", 8);
		for (size_t i = 0; i < at; i++)
			put_ok(&w, i, &d);
		put_s(&w, at, &s, 50, &d);
		cr_expect_eq(feed(&w, &d), CHAIN_ECHO_FAILED);
		const struct chain_error *e = chain_echo_error(w.echo);
		cr_expect_eq(e->stage, CHAIN_STATUS);
		cr_expect_eq(e->hop, at + 1);
		cr_expect_eq(e->n_hops, N_HOPS);
		cr_expect_eq(e->status, STATUS_DENIED_PRIVATE);
		cr_expect_eq(e->detail, DETAIL_DENIED_OWN);
		cr_expect_str_eq(e->text, "go away");
		cr_expect_eq(e->hop_address.ip[3], at + 1);
		cr_expect_eq(e->address.port, at < N_HOPS - 1 ? 9000 : 53);
		cr_expect_eq(chain_error_exit_code(e), at < N_HOPS - 1 ? 6 : 8);
		cr_expect_eq(chain_echo_response(w.echo, (unsigned)at + 1)->status,
			STATUS_DENIED_PRIVATE);
		tear_down(&w);
	}
}

/* Its socket to the next hop was refused: D_i ends the datagram, or it is none. */
Test(echo, a_hops_word_about_the_next_one_ends_it)
{
	struct world w;
	struct datagram d = { .len = 0 };
	set_up(&w, N_HOPS, false);
	put_ok(&w, 0, &d);
	put_d(&w, 1, STATUS_PORT_UNREACH, &d);
	d.bytes[d.len++] = 0;
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_MORE, "nothing follows a status");
	cr_expect_eq(chain_echo_n_junk(w.echo), 1);
	d.len--;
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_FAILED);
	const struct chain_error *e = chain_echo_error(w.echo);
	cr_expect_eq(e->stage, CHAIN_STATUS);
	cr_expect_eq(e->status, STATUS_PORT_UNREACH);
	cr_expect_eq(e->hop, 2);
	cr_expect_eq(e->address.ip[3], 3, "about hop 3");
	tear_down(&w);
}

Test(echo, an_answer_against_the_rules_ends_it)
{
	struct world w;
	struct datagram d = { .len = 0 };
	set_up(&w, 2, false);
	struct wire_response s = ok_of(&w, 0);
	s.val = 0; /* a flow without a name */
	put_s(&w, 0, &s, 1, &d);
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_FAILED);
	const struct chain_error *e = chain_echo_error(w.echo);
	cr_expect_eq(e->stage, CHAIN_ANSWER);
	cr_expect_eq(e->code, ERR_BAD_RECORD);
	cr_expect_eq(e->hop, 1);
	tear_down(&w);
}

Test(echo, silence_is_laid_to_the_first_hop_not_heard_of)
{
	struct world w;
	struct chain_error e;
	struct datagram d = { .len = 0 };
	set_up(&w, N_HOPS, false);
	chain_echo_fail(w.echo, ERR_TIMEOUT, &e);
	cr_expect_eq(e.hop, 1);
	put_ok(&w, 0, &d);
	cr_expect_eq(feed(&w, &d), CHAIN_ECHO_MORE);
	chain_echo_fail(w.echo, ERR_TIMEOUT, &e);
	cr_expect_eq(e.stage, CHAIN_ANSWER);
	cr_expect_eq(e.code, ERR_TIMEOUT);
	cr_expect_eq(e.hop, 2);
	cr_expect_eq(e.n_hops, N_HOPS);
	cr_expect_eq(e.connect_us, 100);
	tear_down(&w);
}
