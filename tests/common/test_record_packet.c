#include "common/record_packet.h"
#include "common/seal.h"

#include <criterion/criterion.h>

#define CONTEXT "hc1-udp_"
#define LEN_MAX 1500
#define FILLER  0x5a

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
}
TestSuite(record_packet, .init = set_up);

static const enum record_cipher ciphers[] = { RECORD_AES_128_GCM, RECORD_AES_256_GCM,
	RECORD_CHACHA20_POLY1305 };
#define N_CIPHERS 3

static const uint8_t aad[RECORD_PACKET_AAD] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	16 };

struct ends {
	struct record_packet seal, open;
};

static void start(struct ends *e, enum record_cipher cipher, uint8_t first)
{
	uint8_t secret[32] = { first, (uint8_t)cipher };
	record_packet_init(&e->seal, cipher, secret, CONTEXT, true);
	record_packet_init(&e->open, cipher, secret, CONTEXT, false);
}

static void stop(struct ends *e)
{
	record_packet_deinit(&e->seal);
	record_packet_deinit(&e->open);
	record_packet_deinit(&e->seal); /* idempotent */
}

static void fill(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(i * 7 + 1);
}

/* Refused, and nothing of it is shown. */
static void expect_refused(struct record_packet *packet, uint64_t number, const uint8_t *with,
	struct bytes sealed, const char *what)
{
	uint8_t to[LEN_MAX + 1];
	size_t len = sealed.len < RECORD_PACKET_TAG ? 0 : sealed.len - RECORD_PACKET_TAG;
	memset(to, FILLER, sizeof to);
	cr_expect_eq(
		record_packet_open(packet, number, with, sealed, to), ERR_BAD_RECORD, "%s", what);
	cr_expect(seal_is_zero(to, len), "%s: the output", what);
	cr_expect_eq(to[len], FILLER, "%s: behind the output", what);
}

static void round_trip(struct ends *e, size_t len, uint64_t number)
{
	uint8_t plain[LEN_MAX], sealed[LEN_MAX + RECORD_PACKET_TAG + 1], opened[LEN_MAX + 1];
	fill(plain, len);
	memset(sealed, FILLER, sizeof sealed);
	memset(opened, FILLER, sizeof opened);
	int n = record_packet_seal(&e->seal, number, aad, bytes_of(plain, len), sealed);
	cr_assert_eq(n, (int)(len + RECORD_PACKET_TAG), "length %zu", len);
	cr_expect_eq(sealed[n], FILLER);
	cr_expect(len < 16 || memcmp(sealed, plain, len) != 0);
	n = record_packet_open(&e->open, number, aad, bytes_of(sealed, (size_t)n), opened);
	cr_assert_eq(n, (int)len, "length %zu", len);
	cr_expect_eq(opened[n], FILLER);
	cr_expect(len == 0 || memcmp(opened, plain, len) == 0);
}

Test(record_packet, every_length_and_order_of_numbers_makes_the_round_trip)
{
	static const uint64_t numbers[] = { 0, 1, (UINT64_C(1) << 48) - 1, 2, UINT64_C(1) << 32,
		1 };
	struct ends e;
	for (size_t i = 0; i < N_CIPHERS; i++) {
		start(&e, ciphers[i], 1);
		for (size_t len = 0; len <= LEN_MAX; len++)
			round_trip(&e, len, numbers[len % 6]);
		stop(&e);
	}
}

Test(record_packet, what_differs_in_number_or_aad_or_key_is_refused)
{
	uint8_t plain[100], sealed[sizeof plain + RECORD_PACKET_TAG], other[RECORD_PACKET_AAD];
	struct ends e, foreign;
	fill(plain, sizeof plain);
	for (size_t i = 0; i < N_CIPHERS; i++) {
		start(&e, ciphers[i], 1);
		start(&foreign, ciphers[i], 2);
		int n = record_packet_seal(&e.seal, 7, aad, bytes_of(plain, sizeof plain), sealed);
		struct bytes all = bytes_of(sealed, (size_t)n);
		for (unsigned bit = 0; bit < 48; bit++)
			expect_refused(&e.open, 7 ^ UINT64_C(1) << bit, aad, all, "number");
		for (size_t bit = 0; bit < RECORD_PACKET_AAD * 8; bit++) {
			memcpy(other, aad, sizeof other);
			other[bit / 8] ^= (uint8_t)(1 << bit % 8);
			expect_refused(&e.open, 7, other, all, "aad");
		}
		expect_refused(&foreign.open, 7, aad, all, "key");
		cr_expect_eq(record_packet_open(&e.open, 7, aad, all, plain), (int)sizeof plain);
		stop(&e);
		stop(&foreign);
	}
}

Test(record_packet, every_changed_bit_and_every_cut_is_refused)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 80 };
	uint8_t plain[80], sealed[sizeof plain + RECORD_PACKET_TAG];
	struct ends e;
	fill(plain, sizeof plain);
	for (size_t i = 0; i < N_CIPHERS * 6; i++) {
		start(&e, ciphers[i % N_CIPHERS], 1);
		size_t len = lengths[i / N_CIPHERS], all = len + RECORD_PACKET_TAG;
		cr_assert_eq(record_packet_seal(&e.seal, 9, aad, bytes_of(plain, len), sealed),
			(int)all);
		for (size_t bit = 0; bit < all * 8; bit++) {
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			expect_refused(&e.open, 9, aad, bytes_of(sealed, all), "bit");
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t cut = 0; cut < all; cut++)
			expect_refused(&e.open, 9, aad, bytes_of(sealed, cut), "cut");
		stop(&e);
	}
}

Test(record_packet, a_key_that_rested_goes_on)
{
	struct ends e;
	for (size_t i = 0; i < N_CIPHERS; i++) {
		start(&e, ciphers[i], 1);
		record_packet_rest(&e.seal); /* before the first one too */
		for (uint64_t number = 0; number < 4; number++) {
			round_trip(&e, 200, number);
			cr_expect_not_null(e.seal.context);
			record_packet_rest(&e.seal);
			record_packet_rest(&e.open);
			record_packet_rest(&e.open);
			cr_expect_null(e.seal.context);
		}
		stop(&e);
	}
}

Test(record_packet, a_key_that_is_gone_or_never_was_neither_seals_nor_opens)
{
	uint8_t bytes[RECORD_PACKET_TAG + 4] = { 0 }, to[RECORD_PACKET_TAG + 4];
	struct ends e = { .seal = { .is_sealing = true } };
	cr_expect_eq(record_packet_seal(&e.seal, 0, aad, bytes_of(bytes, 4), to), ERR_CRYPTO);
	cr_expect_eq(
		record_packet_open(&e.open, 0, aad, bytes_of(bytes, sizeof bytes), to), ERR_CRYPTO);
	start(&e, RECORD_AES_128_GCM, 1);
	stop(&e);
	cr_expect(seal_is_zero(e.seal.key, sizeof e.seal.key));
	cr_expect(seal_is_zero(e.open.iv, sizeof e.open.iv));
	cr_expect_eq(
		record_packet_open(&e.open, 0, aad, bytes_of(bytes, sizeof bytes), to), ERR_CRYPTO);
}
