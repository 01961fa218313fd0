#include "common/seal.h"
#include "tests/support/hex.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
}
TestSuite(seal, .init = set_up);

Test(seal, starts_more_than_once)
{
	cr_expect_eq(seal_start(), 0);
}

/* ---- AEAD: draft-irtf-cfrg-xchacha-03 A.3.1 ---- */

static const char sealed_text[] = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
				  "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
				  "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
				  "21f9664c97637da9768812f615c68b13b52e"
				  "c0875924c1c7987947deafd8780acf49";
static const char plain_text[] =
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
	"future, sunscreen would be it.";
#define PLAIN (sizeof plain_text - 1)

struct aead {
	struct hex key, nonce, aad;
};

static struct aead vector(void)
{
	return (struct aead){
		hex_of("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
		hex_of("404142434445464748494a4b4c4d4e4f5051525354555657"),
		hex_of("50515253c0c1c2c3c4c5c6c7"),
	};
}

Test(seal, aead_gives_the_published_vector)
{
	struct aead v = vector();
	uint8_t to[PLAIN + SEAL_TAG];
	seal_aead(v.key.data, v.nonce.data, hex_bytes(&v.aad), bytes_of(plain_text, PLAIN), to);
	cr_assert(hex_is(to, sizeof to, sealed_text));
	cr_assert(seal_aead_open(
			  v.key.data, v.nonce.data, hex_bytes(&v.aad), bytes_of(to, sizeof to), to),
		"in place");
	cr_assert_arr_eq(to, plain_text, PLAIN);
}

Test(seal, aead_refuses_every_changed_bit_and_every_cut)
{
	struct aead v = vector();
	struct hex sealed = hex_of(sealed_text);
	uint8_t to[PLAIN], zeros[PLAIN] = { 0 };
	for (size_t i = 0; i < sealed.len * 8; i++) {
		sealed.data[i / 8] ^= (uint8_t)(1 << i % 8);
		memset(to, 0xee, sizeof to);
		cr_expect_not(seal_aead_open(
			v.key.data, v.nonce.data, hex_bytes(&v.aad), hex_bytes(&sealed), to));
		cr_expect_arr_eq(to, zeros, PLAIN, "nothing is shown");
		sealed.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < sealed.len; len++)
		cr_expect_not(seal_aead_open(v.key.data, v.nonce.data, hex_bytes(&v.aad),
			bytes_of(sealed.data, len), to));
	v.aad.data[0] ^= 1;
	cr_expect_not(seal_aead_open(
		v.key.data, v.nonce.data, hex_bytes(&v.aad), hex_bytes(&sealed), to));
}

Test(seal, aead_of_nothing_is_a_tag)
{
	struct aead v = vector();
	uint8_t tag[SEAL_TAG];
	seal_aead(v.key.data, v.nonce.data, bytes_of(NULL, 0), bytes_of(NULL, 0), tag);
	cr_expect(seal_aead_open(
		v.key.data, v.nonce.data, bytes_of(NULL, 0), bytes_of(tag, sizeof tag), tag));
}

/* ---- one block: FIPS 197 C.3 ---- */

static struct hex block_key(void)
{
	return hex_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
}

Test(seal, block_gives_the_published_vector)
{
	struct seal_block *block;
	struct hex key = block_key(), in = hex_of("00112233445566778899aabbccddeeff");
	uint8_t out[16];
	cr_assert_eq(seal_block_new(key.data, &block), 0);
	for (int i = 0; i < 3; i++) {
		seal_block_encrypt(block, in.data, out);
		cr_expect(hex_is(out, 16, "8ea2b7ca516745bfeafc49904b496089"));
		seal_block_decrypt(block, out, out);
		cr_expect_arr_eq(out, in.data, 16);
	}
	seal_block_free(block);
	seal_block_free(NULL);
}

#define N_THREADS 20 /* more than there are lanes */
#define N_BLOCKS  5000

static void *use_block(void *shared)
{
	struct seal_block *block = shared;
	uint8_t at[16] = { 0 }, back[16];
	size_t n_wrong = 0;
	for (int i = 0; i < N_BLOCKS; i++) {
		uint8_t last[16];
		memcpy(last, at, 16);
		seal_block_encrypt(block, at, at);
		seal_block_decrypt(block, at, back);
		n_wrong += memcmp(back, last, 16) != 0;
	}
	return (void *)(n_wrong + at[0]); /* the chain's end is the same for all */
}

Test(seal, block_serves_many_threads_at_once)
{
	struct seal_block *block;
	struct hex key = block_key();
	pthread_t threads[N_THREADS];
	cr_assert_eq(seal_block_new(key.data, &block), 0);
	void *expected = use_block(block);
	for (int i = 0; i < N_THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, use_block, block), 0);
	for (int i = 0; i < N_THREADS; i++) {
		void *result;
		cr_assert_eq(pthread_join(threads[i], &result), 0);
		cr_expect_eq(result, expected);
	}
	seal_block_free(block);
}

/* ---- hash, kdf: RFC 7693 A, the SipHash paper's appendix A ---- */

Test(seal, hash_gives_the_published_vector_however_it_is_split)
{
	static const char abc[] =
		"ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
		"7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923";
	uint8_t to[64];
	for (size_t cut = 0; cut <= 3; cut++) {
		struct bytes parts[] = { bytes_of("abc", cut), bytes_of(NULL, 0),
			bytes_of(&"abc"[cut], 3 - cut) };
		seal_hash(bytes_of(NULL, 0), parts, 3, to, 64);
		cr_expect(hex_is(to, 64, abc));
	}
}

Test(seal, hash_with_a_key_or_another_length_is_another_hash)
{
	struct bytes part = bytes_of("abc", 3);
	uint8_t a[32], b[32], c[16];
	seal_hash(bytes_of(NULL, 0), &part, 1, a, 32);
	seal_hash(bytes_of("0123456789abcdef", 16), &part, 1, b, 32);
	seal_hash(bytes_of(NULL, 0), &part, 1, c, 16);
	cr_expect_arr_neq(a, b, 32);
	cr_expect_arr_neq(a, c, 16);
}

Test(seal, kdf_depends_on_key_context_id_and_length)
{
	struct hex key = block_key();
	uint8_t a[32], b[32];
	seal_kdf(key.data, "hc1-test", 1, a, 32);
	seal_kdf(key.data, "hc1-test", 2, b, 32);
	cr_expect_arr_neq(a, b, 32);
	seal_kdf(key.data, "hc1-tesT", 1, b, 32);
	cr_expect_arr_neq(a, b, 32);
	seal_kdf(key.data, "hc1-test", 1, b, 16);
	cr_expect_arr_neq(a, b, 16, "a short output is not the head of a long one");
	key.data[31] ^= 1;
	seal_kdf(key.data, "hc1-test", 1, b, 32);
	cr_expect_arr_neq(a, b, 32);
}

Test(seal, siphash_gives_the_published_vector)
{
	uint8_t key[16], in[15], expected[8] = { 0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1 };
	for (uint8_t i = 0; i < 16; i++)
		key[i] = i;
	memcpy(in, key, sizeof in);
	uint64_t hash = seal_siphash(key, bytes_of(in, sizeof in));
	cr_expect_arr_eq(&hash, expected, 8);
}

/* ---- curve: RFC 7748 5.2 ---- */

Test(seal, curve_gives_the_published_vectors)
{
	static const char *const rows[][3] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
			"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
			"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	};
	for (size_t i = 0; i < 2; i++) {
		struct hex k = hex_of(rows[i][0]), u = hex_of(rows[i][1]);
		uint8_t to[32];
		cr_expect(seal_curve(k.data, u.data, to));
		cr_expect(hex_is(to, 32, rows[i][2]));
	}
}

Test(seal, curve_iterated_gives_the_published_vectors)
{
	uint8_t k[32] = { 9 }, u[32] = { 9 }, to[32];
	for (int i = 1; i <= 1000; i++) {
		cr_assert(seal_curve(k, u, to));
		memcpy(u, k, 32);
		memcpy(k, to, 32);
		if (i == 1)
			cr_expect(hex_is(k, 32,
				"422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae307"
				"9"));
	}
	cr_expect(
		hex_is(k, 32, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

Test(seal, curve_with_two_generated_pairs_agrees)
{
	uint8_t a[32], b[32], pa[32], pb[32], x[32], y[32];
	seal_curve_keygen(a, pa);
	seal_curve_keygen(b, pb);
	cr_expect_arr_neq(a, b, 32);
	cr_expect(seal_curve(a, pb, x));
	cr_expect(seal_curve(b, pa, y));
	cr_expect_arr_eq(x, y, 32);
}

/* The points whose product with every (clamped) secret is zero; RFC 7748 6.1. */
Test(seal, curve_says_so_when_the_peer_forces_zero)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* p - 1 */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* p */
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* p + 1 */
	};
	uint8_t secret[32], public[32], to[32], zeros[32] = { 0 };
	seal_curve_keygen(secret, public);
	for (size_t i = 0; i < 2 * sizeof points / sizeof points[0]; i++) {
		struct hex point = hex_of(points[i / 2]);
		point.data[31] |= i % 2 ? 0x80 : 0; /* the top bit does not count */
		memset(to, 0xee, 32);
		cr_expect_not(seal_curve(secret, point.data, to), "%s", points[i / 2]);
		cr_expect_arr_eq(to, zeros, 32);
	}
}

/* ---- random ---- */

Test(seal, random_does_not_repeat_across_refills)
{
	enum {
		N = 2000,
		SIZE = 24
	};
	static uint8_t all[N][SIZE];
	uint8_t zeros[SIZE] = { 0 };
	for (int i = 0; i < N; i++) {
		seal_random(all[i], SIZE);
		cr_expect_arr_neq(all[i], zeros, SIZE);
	}
	for (int i = 0; i < N; i++)
		for (int j = i + 1; j < N && j < i + 200; j++)
			cr_assert_arr_neq(all[i], all[j], SIZE);
}

Test(seal, random_of_any_length_stays_in_its_bounds)
{
	uint8_t to[2000];
	for (size_t len = 0; len < sizeof to; len += len < 300 ? 1 : 97) {
		memset(to, 0xa5, sizeof to);
		seal_random(to, len);
		for (size_t i = len; i < sizeof to; i++)
			cr_assert_eq(to[i], 0xa5);
	}
}

Test(seal, random_has_about_as_many_ones_as_zeros)
{
	unsigned n_ones = 0;
	for (int i = 0; i < 1000; i++) {
		uint8_t b[125];
		seal_random(b, sizeof b);
		for (size_t j = 0; j < sizeof b; j++)
			n_ones += (unsigned)__builtin_popcount(b[j]);
	}
	/* a million bits: the standard deviation is 500; seven of them */
	cr_expect_geq(n_ones, 496500);
	cr_expect_leq(n_ones, 503500);
}

Test(seal, random_of_a_forked_child_is_its_own)
{
	uint8_t mine[32], theirs[32];
	int ends[2];
	seal_random(mine, 8); /* the pool is filled now */
	cr_assert_eq(pipe(ends), 0);
	pid_t child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		seal_random(theirs, 32);
		_exit(write(ends[1], theirs, 32) == 32 ? 0 : 1);
	}
	seal_random(mine, 32);
	cr_assert_eq(read(ends[0], theirs, 32), 32);
	waitpid(child, NULL, 0);
	cr_expect_arr_neq(mine, theirs, 32);
	close(ends[0]);
	close(ends[1]);
}

static void *fill_random(void *to)
{
	seal_random(to, 32);
	return NULL;
}

Test(seal, random_of_each_thread_is_its_own)
{
	uint8_t a[32], b[32];
	pthread_t x, y;
	cr_assert_eq(pthread_create(&x, NULL, fill_random, a), 0);
	cr_assert_eq(pthread_create(&y, NULL, fill_random, b), 0);
	pthread_join(x, NULL);
	pthread_join(y, NULL);
	cr_expect_arr_neq(a, b, 32);
}

/* ---- base64, compare, wipe ---- */

Test(seal, base64_of_every_length_comes_back)
{
	for (size_t len = 0; len <= 64; len++) {
		uint8_t data[64], back[64];
		char text[89];
		seal_random(data, len);
		seal_base64(bytes_of(data, len), text, sizeof text);
		cr_expect_eq(strlen(text), (len + 2) / 3 * 4);
		cr_expect_eq(seal_from_base64(text, strlen(text), back, sizeof back), (int)len);
		cr_expect_arr_eq(back, data, len);
		if (len > 0)
			cr_expect_eq(
				seal_from_base64(text, strlen(text), back, len - 1), -1, "no room");
	}
}

Test(seal, base64_that_is_not_exact_is_refused)
{
	static const char *const texts[] = { "A", "AA", "AAA",
		"AA=", "A===", "AB==", "AAB=", "AA==A", "AA== ", " AA==", "A A==", "AA==\n", "AA-_",
		"AAAA====", "=", "AA=A", "\xc3\xa4" };
	uint8_t to[16];
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		cr_expect_eq(seal_from_base64(texts[i], strlen(texts[i]), to, sizeof to), -1, "%s",
			texts[i]);
	cr_expect_eq(seal_from_base64("AA==", 4, to, sizeof to), 1);
	for (unsigned c = 0; c < 256; c++) {
		char text[] = { (char)c, 'A', 'A', 'A' };
		bool is_good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			       (c >= '0' && c <= '9') || c == '+' || c == '/';
		cr_expect_eq(seal_from_base64(text, 4, to, sizeof to), is_good ? 3 : -1,
			"character %02x", c);
	}
	cr_expect_eq(seal_from_base64("AA\0=", 4, to, sizeof to), -1);
}

Test(seal, compares_and_wipes)
{
	uint8_t a[33] = { 0 }, b[33] = { 0 };
	cr_expect(seal_is_equal(a, b, 33));
	cr_expect(seal_is_zero(a, 33));
	for (size_t i = 0; i < 33; i++) {
		a[i] = 0x80;
		cr_expect_not(seal_is_equal(a, b, 33));
		cr_expect_not(seal_is_zero(a, 33));
		seal_wipe(a, 33);
		cr_expect(seal_is_zero(a, 33));
	}
	cr_expect(seal_is_equal("", "", 0));
}
