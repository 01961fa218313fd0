#include "common/record.h"
#include "common/seal.h"
#include "tests/support/hex.h"

#include <criterion/criterion.h>
#include <sodium.h>

#define CONTEXT "hc1-rec_"

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
}
TestSuite(record, .init = set_up);

static const enum record_cipher ciphers[] = { RECORD_AES_128_GCM, RECORD_AES_256_GCM,
	RECORD_CHACHA20_POLY1305 };
#define N_CIPHERS 3

struct ends {
	struct record_key *seal, *open;
};

static struct ends new_ends(enum record_cipher cipher)
{
	uint8_t secret[32] = { 7, (uint8_t)cipher };
	struct ends e;
	cr_assert_eq(record_key_new(cipher, secret, CONTEXT, true, &e.seal), 0);
	cr_assert_eq(record_key_new(cipher, secret, CONTEXT, false, &e.open), 0);
	return e;
}

static void free_ends(struct ends *e)
{
	record_key_free(e->seal);
	record_key_free(e->open);
}

/* ---- RFC 8448 3, "Simple 1-RTT Handshake": application traffic ---- */

static void check_rfc8448(const char *key_text, const char *iv_text, unsigned first_seq,
	const char *data_record, const char *close_record)
{
	struct hex key = hex_of(key_text), iv = hex_of(iv_text), record = hex_of(data_record);
	struct ends e;
	uint8_t payload[50], to[128], type = 0;
	for (uint8_t i = 0; i < sizeof payload; i++)
		payload[i] = i;
	cr_assert_eq(record_key_new_raw(RECORD_AES_128_GCM, key.data, iv.data, true, &e.seal), 0);
	cr_assert_eq(record_key_new_raw(RECORD_AES_128_GCM, key.data, iv.data, false, &e.open), 0);
	while (record_seq(e.seal) < first_seq) { /* records of the handshake come before */
		int n = record_seal(e.seal, RECORD_HANDSHAKE, bytes_of(payload, 1), to);
		cr_assert_eq(record_open(e.open, bytes_of(to, (size_t)n), to + 64, &type), 1);
	}
	int n = record_seal(e.seal, RECORD_DATA, bytes_of(payload, sizeof payload), to);
	cr_expect(n > 0 && hex_is(to, (size_t)n, data_record));
	cr_expect_eq(record_open(e.open, hex_bytes(&record), to, &type), (int)sizeof payload);
	cr_expect_eq(type, RECORD_DATA);
	cr_expect_arr_eq(to, payload, sizeof payload);
	n = record_seal(e.seal, RECORD_ALERT, bytes_of("\1\0", 2), to);
	cr_expect(n > 0 && hex_is(to, (size_t)n, close_record));
	cr_expect_eq(record_update(e.seal), ERR_CRYPTO, "a raw key has no next secret");
	free_ends(&e);
}

Test(record, gives_the_client_records_of_rfc_8448)
{
	check_rfc8448("17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9", 0,
		"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395b"
		"d54a9a20441e2b62974e"
		"1f5a6292a2977014bd1e3deae63aeebb21694915e4",
		"1703030013c9872760655666b74d7ff1153efd6db6d0b0e3");
}

Test(record, gives_the_server_records_of_rfc_8448)
{
	check_rfc8448("9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984", 1,
		"17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc"
		"602dcb501a59a8fcc49c"
		"4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
		"1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9");
}

/* ---- the other library ---- */

#define KEY "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
#define IV  "070000004041424344454647"

static struct record_key *raw_chacha(bool is_sealing)
{
	struct hex key = hex_of(KEY), iv = hex_of(IV);
	struct record_key *k;
	cr_assert_eq(
		record_key_new_raw(RECORD_CHACHA20_POLY1305, key.data, iv.data, is_sealing, &k), 0);
	return k;
}

/* A record by libsodium's ChaCha20-Poly1305-IETF; @inner is content, type and padding. Return: its
 * length. */
static size_t sodium_record(uint64_t seq, struct bytes inner, uint8_t *to)
{
	struct hex key = hex_of(KEY), nonce = hex_of(IV);
	size_t body = inner.len + 16;
	uint8_t header[5] = { 0x17, 3, 3, (uint8_t)(body >> 8), (uint8_t)body };
	for (int i = 0; i < 8; i++)
		nonce.data[11 - i] ^= (uint8_t)(seq >> 8 * i);
	memcpy(to, header, 5);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		to + 5, NULL, inner.ptr, inner.len, header, 5, NULL, nonce.data, key.data);
	return 5 + body;
}

Test(record, libsodium_and_openssl_agree_on_chacha20_poly1305)
{
	struct record_key *sealing = raw_chacha(true), *opening = raw_chacha(false);
	for (size_t len = 0; len < 300; len++) {
		uint8_t inner[301], ours[400], theirs[400], to[400], type = 0;
		seal_random(inner, len);
		inner[len] = RECORD_DATA;
		size_t n = sodium_record(len, bytes_of(inner, len + 1), theirs);
		cr_assert_eq(record_seal(sealing, RECORD_DATA, bytes_of(inner, len), ours), (int)n);
		cr_assert_arr_eq(ours, theirs, n);
		cr_assert_eq(record_open(opening, bytes_of(theirs, n), to, &type), (int)len);
		cr_assert_arr_eq(to, inner, len);
	}
	record_key_free(sealing);
	record_key_free(opening);
}

Test(record, padding_is_stripped)
{
	uint8_t inner[64] = { 'h', 'i', 0, 0, RECORD_DATA }, record[128], to[128], type;
	for (size_t n_zeros = 0; n_zeros < 50; n_zeros++) {
		struct record_key *k = raw_chacha(false);
		size_t n = sodium_record(0, bytes_of(inner, 5 + n_zeros), record);
		cr_expect_eq(record_open(k, bytes_of(record, n), to, &type), 4,
			"zeros of the content stay");
		cr_expect_eq(type, RECORD_DATA);
		cr_expect_arr_eq(to, "hi\0\0", 4);
		record_key_free(k);
	}
}

Test(record, nothing_but_padding_is_a_bad_record)
{
	static uint8_t zeros[RECORD_CONTENT_MAX + 1], record[RECORD_MAX], to[RECORD_MAX];
	static const size_t lengths[] = { 1, 2, 17, RECORD_CONTENT_MAX + 1 };
	uint8_t type;
	for (size_t i = 0; i < 4; i++) {
		struct record_key *k = raw_chacha(false);
		size_t n = sodium_record(0, bytes_of(zeros, lengths[i]), record);
		cr_expect_eq(record_open(k, bytes_of(record, n), to, &type), ERR_BAD_RECORD);
		record_key_free(k);
	}
}

/* ---- both ends ---- */

Test(record, contents_of_every_size_come_back)
{
	static uint8_t content[RECORD_CONTENT_MAX], record[RECORD_MAX + 1],
		to[RECORD_CONTENT_MAX + 1];
	seal_random(content, sizeof content);
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct ends e = new_ends(ciphers[c]);
		for (size_t len = 0; len <= sizeof content; len += len < 100     ? 1
								   : len < 16300 ? 1301
										 : 1) {
			uint8_t type = 0;
			record[len + RECORD_OVERHEAD] = 0xee;
			int n = record_seal(e.seal, RECORD_ACK, bytes_of(content, len), record);
			cr_assert_eq(n, (int)(len + RECORD_OVERHEAD));
			cr_assert_eq(record[n], 0xee, "not a byte more");
			cr_assert_eq(record_length(record), n);
			cr_assert_eq(record_open(e.open, bytes_of(record, (size_t)n), to, &type),
				(int)len);
			cr_assert_eq(type, RECORD_ACK);
			cr_assert_arr_eq(to, content, len);
		}
		free_ends(&e);
	}
}

Test(record, every_changed_bit_and_every_cut_is_refused_and_shows_nothing)
{
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct ends e = new_ends(ciphers[c]);
		uint8_t record[100], to[100], zeros[100] = { 0 }, type = 0xee;
		int n = record_seal(e.seal, RECORD_DATA, bytes_of("attack at dawn", 14), record);
		for (int i = 0; i < n * 8; i++) {
			record[i / 8] ^= (uint8_t)(1 << i % 8);
			memset(to, 0, sizeof to);
			cr_expect_eq(record_open(e.open, bytes_of(record, (size_t)n), to, &type),
				ERR_BAD_RECORD);
			cr_expect_arr_eq(to, zeros, sizeof to);
			record[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		for (int len = 0; len < n; len++)
			cr_expect_eq(record_open(e.open, bytes_of(record, (size_t)len), to, &type),
				ERR_BAD_RECORD);
		cr_expect_eq(type, 0xee, "written only on success");
		cr_expect_eq(record_open(e.open, bytes_of(record, (size_t)n), to, &type), 14,
			"and the key still works");
		free_ends(&e);
	}
}

Test(record, a_record_has_one_place_in_its_direction)
{
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct ends e = new_ends(ciphers[c]);
		uint8_t first[64], second[64], to[64], type;
		int n = record_seal(e.seal, RECORD_DATA, bytes_of("1", 1), first);
		cr_assert_eq(record_seal(e.seal, RECORD_DATA, bytes_of("1", 1), second), n);
		cr_expect_arr_neq(first, second, (size_t)n);
		cr_expect_eq(record_open(e.open, bytes_of(second, (size_t)n), to, &type),
			ERR_BAD_RECORD, "too early");
		cr_expect_eq(record_open(e.open, bytes_of(first, (size_t)n), to, &type), 1);
		cr_expect_eq(record_open(e.open, bytes_of(first, (size_t)n), to, &type),
			ERR_BAD_RECORD, "again");
		cr_expect_eq(record_open(e.open, bytes_of(second, (size_t)n), to, &type), 1);
		cr_expect_eq(record_seq(e.open), 2);
		free_ends(&e);
	}
}

Test(record, lengths_outside_the_range_and_other_headers_are_bad)
{
	uint8_t header[5] = { 0x17, 3, 3, 0, 0 };
	for (unsigned len = 0; len <= 0xffff; len++) {
		header[3] = (uint8_t)(len >> 8);
		header[4] = (uint8_t)len;
		cr_assert_eq(record_length(header),
			len >= 17 && len <= 16401 ? (int)len + 5 : ERR_BAD_RECORD);
	}
	header[3] = 0;
	header[4] = 17;
	for (int at = 0; at < 3; at++) {
		for (int v = 0; v < 256; v++) {
			uint8_t right = header[at];
			header[at] = (uint8_t)v;
			cr_expect_eq(record_length(header), v == right ? 22 : ERR_BAD_RECORD);
			header[at] = right;
		}
	}
}

Test(record, after_an_update_both_ends_use_the_next_secret)
{
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct ends e = new_ends(ciphers[c]);
		uint8_t before[64], record[64], to[64], type,
			secret[32] = { 7, (uint8_t)ciphers[c] };
		int n = record_seal(e.seal, RECORD_DATA, bytes_of("x", 1), before);
		cr_expect_eq(record_open(e.open, bytes_of(before, (size_t)n), to, &type), 1);
		for (int i = 0; i < 3; i++) {
			struct record_key *fresh;
			cr_assert_eq(record_update(e.seal), 0);
			cr_expect_eq(record_seq(e.seal), 0);
			cr_assert_eq(record_seal(e.seal, RECORD_DATA, bytes_of("x", 1), record), n);
			cr_expect_arr_neq(record, before, (size_t)n);
			cr_expect_eq(record_open(e.open, bytes_of(record, (size_t)n), to, &type),
				ERR_BAD_RECORD);
			cr_assert_eq(record_update(e.open), 0);
			cr_expect_eq(
				record_open(e.open, bytes_of(record, (size_t)n), to, &type), 1);
			/* the next secret is kdf(secret, 3) */
			seal_kdf(secret, CONTEXT, 3, to, 32);
			memcpy(secret, to, 32);
			cr_assert_eq(record_key_new(ciphers[c], secret, CONTEXT, true, &fresh), 0);
			cr_assert_eq(record_seal(fresh, RECORD_DATA, bytes_of("x", 1), to), n);
			cr_expect_arr_eq(to, record, (size_t)n);
			record_key_free(fresh);
		}
		free_ends(&e);
	}
}

Test(record, other_ciphers_and_secrets_do_not_open)
{
	uint8_t record[64], to[64], type, secret[32] = { 7 };
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct ends e = new_ends(ciphers[c]),
			    other = new_ends(ciphers[(c + 1) % N_CIPHERS]);
		struct record_key *wrong;
		int n = record_seal(e.seal, RECORD_DATA, bytes_of("x", 1), record);
		cr_expect_eq(record_open(other.open, bytes_of(record, (size_t)n), to, &type),
			ERR_BAD_RECORD);
		cr_assert_eq(record_key_new(ciphers[c], secret, CONTEXT, false, &wrong), 0);
		cr_expect_eq(
			record_open(wrong, bytes_of(record, (size_t)n), to, &type), ERR_BAD_RECORD);
		record_key_free(wrong);
		free_ends(&e);
		free_ends(&other);
	}
}

Test(record, unknown_ciphers_are_refused_and_known_ones_have_names)
{
	uint8_t secret[32] = { 1 };
	struct record_key *k = NULL;
	cr_expect_eq(record_key_new(RECORD_NONE, secret, CONTEXT, true, &k), ERR_INVAL);
	cr_expect_eq(record_key_new((enum record_cipher)4, secret, CONTEXT, true, &k), ERR_INVAL);
	cr_expect_eq(
		record_key_new_raw((enum record_cipher)9, secret, secret, true, &k), ERR_INVAL);
	cr_expect_null(k);
	record_key_free(NULL);
	cr_expect_str_eq(record_cipher_name(RECORD_NONE), "none");
	cr_expect_str_eq(record_cipher_name(RECORD_AES_128_GCM), "aes-128-gcm");
	cr_expect_str_eq(record_cipher_name(RECORD_AES_256_GCM), "aes-256-gcm");
	cr_expect_str_eq(record_cipher_name(RECORD_CHACHA20_POLY1305), "chacha20-poly1305");
	cr_expect_str_eq(record_cipher_name((enum record_cipher)77), "?");
	cr_expect_eq(record_start(), 0, "again");
	(void)record_has_aes();
}
