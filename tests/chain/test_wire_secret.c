#include "chain/wire_secret.h"

#include <criterion/criterion.h>

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
}
TestSuite(wire_secret, .init = set_up);

#define WINDOW_MS 60000

static struct wire_ephemeral *new_window(uint32_t window_ms)
{
	struct wire_ephemeral *e;
	cr_assert_eq(wire_ephemeral_new(window_ms, &e), 0);
	return e;
}

Test(wire_secret, a_pair_serves_until_its_window_is_over)
{
	struct wire_ephemeral *e = new_window(WINDOW_MS);
	uint64_t start = 1000000;
	struct wire_pair *first = wire_pair_acquire(e, start);
	static const struct {
		uint64_t after;
		bool is_same;
	} rows[] = { { 0, true }, { 1, true }, { WINDOW_MS - 1, true }, { WINDOW_MS, false },
		{ WINDOW_MS + 1, false } };
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wire_pair *p = wire_pair_acquire(e, start + rows[i].after);
		cr_expect_eq(
			p == first, rows[i].is_same, "after %lu ms", (unsigned long)rows[i].after);
		wire_pair_release(p);
	}
	wire_pair_release(first);
	wire_ephemeral_free(e);
	wire_ephemeral_free(NULL);
	wire_pair_release(NULL);
}

Test(wire_secret, a_connection_keeps_its_pair_beyond_the_window)
{
	struct wire_ephemeral *mine = new_window(WINDOW_MS), *theirs = new_window(WINDOW_MS);
	struct wire_pair *a = wire_pair_acquire(mine, 0), *b = wire_pair_acquire(theirs, 0);
	struct wire_pair *later = wire_pair_acquire(mine, 2 * WINDOW_MS);
	uint8_t x[32], y[32];
	cr_expect_neq(a, later);
	cr_expect(wire_pair_agree(a, wire_pair_public(b), x));
	cr_expect(wire_pair_agree(b, wire_pair_public(a), y));
	cr_expect_arr_eq(x, y, 32);
	cr_expect(wire_pair_agree(later, wire_pair_public(b), y));
	cr_expect_arr_neq(x, y, 32);
	wire_pair_release(a);
	wire_pair_release(b);
	wire_pair_release(later);
	wire_ephemeral_free(mine);
	wire_ephemeral_free(theirs);
}

Test(wire_secret, without_a_window_each_connection_has_its_pair)
{
	enum {
		N = 50
	};
	struct wire_ephemeral *e = new_window(0);
	struct wire_pair *pairs[N], *peer = wire_pair_acquire(e, 0);
	uint8_t x[32], y[32];
	for (int i = 0; i < N; i++)
		pairs[i] = wire_pair_acquire(e, 5);
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < i; j++)
			cr_expect_arr_neq(
				wire_pair_public(pairs[i]), wire_pair_public(pairs[j]), 32);
		cr_expect(wire_pair_agree(pairs[i], wire_pair_public(peer), x));
		cr_expect(wire_pair_agree(peer, wire_pair_public(pairs[i]), y));
		cr_expect_arr_eq(x, y, 32);
	}
	cr_expect_eq(wire_ephemeral_expire(e, 5), UINT64_MAX, "nothing is kept");
	for (int i = 0; i < N; i++)
		wire_pair_release(pairs[i]);
	wire_pair_release(peer);
	wire_ephemeral_free(e);
}

Test(wire_secret, a_quiet_owner_is_told_when_to_forget)
{
	struct wire_ephemeral *e = new_window(WINDOW_MS);
	cr_expect_eq(wire_ephemeral_expire(e, 0), UINT64_MAX, "no pair yet");
	struct wire_pair *p = wire_pair_acquire(e, 100);
	uint8_t public[32];
	memcpy(public, wire_pair_public(p), 32);
	wire_pair_release(p);
	cr_expect_eq(wire_ephemeral_expire(e, 100), WINDOW_MS);
	cr_expect_eq(wire_ephemeral_expire(e, 100 + WINDOW_MS - 1), 1);
	cr_expect_eq(wire_ephemeral_expire(e, 100 + WINDOW_MS), UINT64_MAX, "forgotten now");
	cr_expect_eq(wire_ephemeral_expire(e, 100 + WINDOW_MS), UINT64_MAX);
	p = wire_pair_acquire(e, 100);
	cr_expect_arr_neq(wire_pair_public(p), public, 32);
	wire_pair_release(p);
	wire_ephemeral_free(e);
}

Test(wire_secret, results_are_the_same_whether_kept_or_computed)
{
	enum {
		N = 200
	}; /* more than are kept */
	struct wire_ephemeral *e = new_window(WINDOW_MS);
	struct wire_pair *p = wire_pair_acquire(e, 0);
	static uint8_t secrets[N][32], publics[N][32];
	for (int i = 0; i < N; i++)
		seal_curve_keygen(secrets[i], publics[i]);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			uint8_t expected[32], ss[32], again[32];
			cr_assert(seal_curve(secrets[i], wire_pair_public(p), expected));
			cr_assert(wire_pair_agree(p, publics[i], ss));
			cr_assert(wire_pair_agree(p, publics[i], again));
			cr_assert_arr_eq(ss, expected, 32);
			cr_assert_arr_eq(again, expected, 32);
		}
	}
	wire_pair_release(p);
	wire_ephemeral_free(e);
}

Test(wire_secret, a_peer_that_forces_zero_is_refused_each_time)
{
	static const uint8_t zero[32], one[32] = { 1 };
	for (uint32_t window_ms = 0; window_ms <= WINDOW_MS; window_ms += WINDOW_MS) {
		struct wire_ephemeral *e = new_window(window_ms);
		struct wire_pair *p = wire_pair_acquire(e, 0);
		uint8_t ss[32];
		for (int i = 0; i < 2; i++) {
			cr_expect_not(wire_pair_agree(p, zero, ss));
			cr_expect_not(wire_pair_agree(p, one, ss));
		}
		wire_pair_release(p);
		wire_ephemeral_free(e);
	}
}

Test(wire_secret, secrets_depend_on_every_input)
{
	uint8_t credential[64], ss[32] = { 0 }, r[160], s[120];
	struct wire_key *key, *other;
	struct wire_secrets first, x;
	seal_random(credential, sizeof credential);
	seal_random(r, sizeof r);
	seal_random(s, sizeof s);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	credential[63] ^= 1;
	cr_assert_eq(wire_key_new(credential, &other), WIRE_KEY_OK);
	wire_secrets_derive(key, ss, bytes_of(r, 160), bytes_of(s, 120), &first);
	cr_expect_arr_neq(first.up, first.down, 32);
	cr_expect_arr_neq(first.up, first.rms, 32);
	for (int i = 0; i < 6; i++) {
		ss[31] ^= i == 1;
		r[159] ^= i == 2;
		s[0] ^= i == 3;
		wire_secrets_derive(i == 4 ? other : key, ss, bytes_of(r, i == 5 ? 128 : 160),
			bytes_of(s, 120), &x);
		cr_expect_eq(memcmp(x.up, first.up, 32) == 0, i == 0, "input %d", i);
		cr_expect_eq(memcmp(x.down, first.down, 32) == 0, i == 0);
		cr_expect_eq(memcmp(x.rms, first.rms, 32) == 0, i == 0);
		ss[31] ^= i == 1;
		r[159] ^= i == 2;
		s[0] ^= i == 3;
	}
	wire_key_free(key);
	wire_key_free(other);
}
