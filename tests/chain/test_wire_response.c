#include "chain/wire_response.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct wire_key *key;
static uint8_t r_block[WIRE_REQUEST];

static void set_up(void)
{
	uint8_t credential[WIRE_CREDENTIAL] = { 1, 2, 3 };
	credential[SEAL_KEY] = 9;
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	for (size_t i = 0; i < sizeof r_block; i++)
		r_block[i] = (uint8_t)i;
}
static void tear_down(void)
{
	wire_key_free(key);
}
TestSuite(wire_response, .init = set_up, .fini = tear_down);

static const uint8_t nonce[SEAL_NONCE] = "0123456789abcdefghijklm";

static struct wire_request sealed_connect(void)
{
	return (struct wire_request){ .cmd = WIRE_CONNECT,
		.flags = WIRE_EXIT | WIRE_E2E | WIRE_FS | WIRE_TRACE | WIRE_OFFER_AES_128_GCM |
			 WIRE_OFFER_AES_256_GCM };
}

static struct wire_response ok_response(void)
{
	struct wire_response s = { .flags = WIRE_S_E2E | WIRE_S_FS,
		.cipher = 2,
		.tries = 3,
		.resolve_us = 1000,
		.connect_us = 0xffffffff,
		.val = 1760000000000,
		.detail = 9 };
	memset(s.eph, 0x42, sizeof s.eph);
	return s;
}

static int encode(const struct wire_response *s, uint8_t *to)
{
	return wire_response_encode(s, r_block, key, nonce, to);
}

static enum wire_response_verdict open_all(const uint8_t *sealed, size_t len,
	const struct wire_request *request, struct wire_response *ret)
{
	uint16_t ext_len = 0;
	enum wire_response_verdict v =
		wire_response_open(sealed, r_block, request, key, ret, &ext_len);
	if (v != WIRE_RESPONSE_OK)
		return v;
	if (ext_len == 0)
		return wire_response_open_ext(sealed, bytes_of(NULL, 0), request, key, ret);
	cr_assert_eq(len, WIRE_RESPONSE + WIRE_EXT_SEALED(ext_len));
	return wire_response_open_ext(sealed,
		bytes_of(sealed + WIRE_RESPONSE, WIRE_EXT_SEALED(ext_len)), request, key, ret);
}

/* Seals @plain as it is, also what encode refuses. Return: bytes. */
static size_t seal_raw(const uint8_t plain[56], struct bytes ext, uint8_t *to)
{
	uint8_t aad[40];
	memcpy(aad, r_block, 24);
	memcpy(aad + 24, r_block + 112, 16);
	memcpy(to, nonce, 24);
	seal_aead(key->rs, to, bytes_of(aad, 40), bytes_of(plain, 56), to + 24);
	if (ext.len == 0)
		return 96;
	seal_aead(key->rt, to, bytes_of(to + 80, 16), ext, to + 96);
	return 96 + ext.len + 16;
}

/* ---- round trips ---- */

static void round_trip(const struct wire_response *s, const struct wire_request *request)
{
	uint8_t sealed[WIRE_RESPONSE_MAX], again[WIRE_RESPONSE_MAX];
	struct wire_response back;
	int n = encode(s, sealed);
	cr_assert_geq(n, WIRE_RESPONSE);
	cr_assert_eq(open_all(sealed, (size_t)n, request, &back), WIRE_RESPONSE_OK);
	cr_expect_eq(back.status, s->status);
	cr_expect_eq(back.detail, s->detail);
	cr_expect_eq(back.tries, s->tries);
	cr_expect_eq(back.resolve_us, s->resolve_us);
	cr_expect_eq(back.connect_us, s->connect_us);
	cr_expect_eq(back.val, s->val);
	cr_expect_str_eq(back.text, s->text);
	cr_expect_str_eq(back.software, s->software);
	cr_expect_eq(encode(&back, again), n);
	cr_expect_arr_eq(again, sealed, (size_t)n, "nothing is lost");
}

Test(wire_response, answers_come_back)
{
	struct wire_request request = sealed_connect(),
			    noop = { .cmd = WIRE_NOOP, .flags = WIRE_KEEP };
	struct wire_response s = ok_response(), kept = { .flags = WIRE_S_KEEP, .val = 5 };
	round_trip(&s, &request);
	s.cipher = 1;
	s.has_address = true;
	s.address.ip6.sin6_family = AF_INET6;
	addr_sock_set_port(&s.address, 443);
	s.has_padding = true;
	s.n_padding = 500;
	round_trip(&s, &request);
	round_trip(&kept, &noop);
	struct wire_response failed = {
		.status = STATUS_DENIED_LOOPBACK, .detail = 1, .val = 7, .has_address = true
	};
	failed.address.ip4.sin_family = AF_INET;
	strcpy(failed.text, "rule 3");
	round_trip(&failed, &request);
	memset(failed.text, 'x', WIRE_TEXT_MAX);
	round_trip(&failed, &request);
	strcpy(failed.software, "hopchain 0.1.0");
	round_trip(&failed, &request);
	strcpy(s.software, " ~");
	round_trip(&s, &request);
	memset(s.software, 'x', WIRE_SOFTWARE_MAX);
	round_trip(&s, &request);
}

Test(wire_response, resumable_answers_come_back)
{
	struct wire_request open = sealed_connect(), resume = sealed_connect();
	struct wire_response s = ok_response();
	open.flags |= WIRE_RESUMABLE;
	resume.flags |= WIRE_RESUMABLE | WIRE_EXT;
	resume.cmd = WIRE_RESUME;
	s.flags |= WIRE_S_RESUMABLE;
	s.has_resume_grant = true;
	s.resume_id[15] = 7;
	s.resume_ring = 1 << 20;
	s.resume_detach_s = 30;
	round_trip(&s, &open);
	s.has_resume_grant = false;
	s.has_resume_state = true;
	s.resume_rx = 1;
	s.resume_flags = 1;
	s.resume_id[15] = 0;
	round_trip(&s, &resume);
}

Test(wire_response, what_breaks_the_rules_is_not_encoded)
{
	uint8_t to[WIRE_RESPONSE_MAX];
	struct wire_response good = ok_response(), s;
	cr_assert_gt(encode(&good, to), 0);
	s = good, s.status = STATUS_REFUSED;
	cr_expect_eq(encode(&s, to), ERR_INVAL, "an error has no cipher");
	s = good, s.cipher = 0;
	cr_expect_eq(encode(&s, to), ERR_INVAL);
	s = good, s.cipher = 4;
	cr_expect_eq(encode(&s, to), ERR_INVAL);
	s = good, s.flags |= 0x40;
	cr_expect_eq(encode(&s, to), ERR_INVAL);
	s = good, memset(s.eph, 0, 32);
	cr_expect_eq(encode(&s, to), ERR_INVAL);
	s = good, s.flags = WIRE_S_E2E;
	cr_expect_eq(encode(&s, to), ERR_INVAL, "a key without FS");
	s = good, s.flags |= WIRE_S_RESUMABLE;
	cr_expect_eq(encode(&s, to), ERR_INVAL, "nothing granted");
	s = good, s.has_resume_grant = true;
	cr_expect_eq(encode(&s, to), ERR_INVAL);
	s = good, s.has_address = true;
	cr_expect_eq(encode(&s, to), ERR_INVAL, "no family");
	s = good, memset(s.text, 'x', sizeof s.text);
	cr_expect_eq(encode(&s, to), ERR_INVAL, "text without end");
	s = good, memset(s.software, 'x', sizeof s.software);
	cr_expect_eq(encode(&s, to), ERR_INVAL, "a name without end");
	s = good, strcpy(s.software, "a\nb");
	cr_expect_eq(encode(&s, to), ERR_INVAL, "not printable");
	s = good, strcpy(s.software, "\x7f");
	cr_expect_eq(encode(&s, to), ERR_INVAL);
	s = good, s.has_padding = true, s.n_padding = 1022;
	cr_expect_eq(encode(&s, to), ERR_INVAL);
}

/* ---- rules of 2.5 ---- */

Test(wire_response, each_rule_breaks_the_chain)
{
	static const struct {
		size_t at; /* byte of S's plaintext */
		uint8_t value;
		uint16_t request_flags; /* taken from the request */
		enum wire_response_verdict verdict;
		const char *why;
	} rows[] = {
		{ 0, 1, 0, WIRE_RESPONSE_OK, "as it was" },
		{ 0, 2, 0, WIRE_RESPONSE_BROKEN, "ver" },
		{ 0, 0, 0, WIRE_RESPONSE_BROKEN, "ver" },
		{ 1, 0x20, 0, WIRE_RESPONSE_BROKEN, "an error with flags" },
		{ 3, 0x46, 0, WIRE_RESPONSE_BROKEN, "reserved flag" },
		{ 3, 0x16, 0, WIRE_RESPONSE_BROKEN, "reserved flag" },
		{ 3, 0x86, 0, WIRE_RESPONSE_BROKEN, "reserved flag" },
		{ 3, 0x07, 0, WIRE_RESPONSE_BROKEN, "EXT without ext_len" },
		{ 5, 0x01, 0, WIRE_RESPONSE_BROKEN, "ext_len without EXT" },
		{ 3, 0x02, 0, WIRE_RESPONSE_BROKEN, "no FS" },
		{ 3, 0x04, 0, WIRE_RESPONSE_BROKEN, "no E2E" },
		{ 3, 0x0e, 0, WIRE_RESPONSE_BROKEN, "KEEP not asked" },
		{ 3, 0x26, 0, WIRE_RESPONSE_BROKEN, "RESUMABLE not asked" },
		{ 6, 0, 0, WIRE_RESPONSE_BROKEN, "no cipher" },
		{ 6, 1, 0, WIRE_RESPONSE_OK, "the other one offered" },
		{ 6, 3, 0, WIRE_RESPONSE_BROKEN, "not offered" },
		{ 6, 4, 0, WIRE_RESPONSE_BROKEN, "unknown cipher" },
		{ 6, 255, 0, WIRE_RESPONSE_BROKEN, "unknown cipher" },
		{ 0, 1, WIRE_FS, WIRE_RESPONSE_BROKEN, "FS not asked" },
		{ 0, 1, WIRE_E2E, WIRE_RESPONSE_BROKEN, "E2E not asked" },
		{ 0, 1, WIRE_OFFER_AES_256_GCM, WIRE_RESPONSE_BROKEN, "not offered" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t sealed[WIRE_RESPONSE_MAX], plain[56] = { 1, 0, 0, 6, 0, 0, 2, 1 };
		struct wire_request request = sealed_connect();
		struct wire_response s;
		memset(plain + 24, 0x42, 32);
		plain[rows[i].at] = rows[i].value;
		request.flags = (uint16_t)(request.flags & ~rows[i].request_flags);
		size_t n = seal_raw(plain, bytes_of(NULL, 0), sealed);
		cr_expect_eq(open_all(sealed, n, &request, &s), rows[i].verdict, "row %zu: %s", i,
			rows[i].why);
	}
}

Test(wire_response, an_error_of_any_code_is_an_answer)
{
	for (unsigned status = 1; status < 256; status++) {
		uint8_t sealed[WIRE_RESPONSE_MAX], plain[56] = { 1, (uint8_t)status };
		struct wire_request request = sealed_connect();
		struct wire_response s;
		request.flags |= WIRE_RESUMABLE;
		size_t n = seal_raw(plain, bytes_of(NULL, 0), sealed);
		cr_expect_eq(open_all(sealed, n, &request, &s), WIRE_RESPONSE_OK);
		cr_expect_eq(s.status, status);
		for (size_t at = 24; at < 56; at++) {
			plain[at] = 1;
			n = seal_raw(plain, bytes_of(NULL, 0), sealed);
			cr_expect_eq(open_all(sealed, n, &request, &s), WIRE_RESPONSE_BROKEN,
				"an error with a key");
			plain[at] = 0;
		}
	}
}

Test(wire_response, resumable_needs_its_entry_and_an_answer_to_resume_needs_both)
{
	uint8_t sealed[WIRE_RESPONSE_MAX], plain[56] = { 1, 0, 0, 0x26, 0, 0, 2, 1 };
	struct wire_request request = sealed_connect();
	struct wire_response s;
	memset(plain + 24, 0x42, 32);
	request.flags |= WIRE_RESUMABLE;
	size_t n = seal_raw(plain, bytes_of(NULL, 0), sealed);
	cr_expect_eq(open_all(sealed, n, &request, &s), WIRE_RESPONSE_BROKEN, "no entry");
	plain[3] = 0x06;
	n = seal_raw(plain, bytes_of(NULL, 0), sealed);
	cr_expect_eq(open_all(sealed, n, &request, &s), WIRE_RESPONSE_OK, "not granted");
	request.cmd = WIRE_RESUME;
	cr_expect_eq(open_all(sealed, n, &request, &s), WIRE_RESPONSE_BROKEN);
}

/* ---- extension ---- */

/* The verdict on an answer with extension @ext to a CONNECT with TRACE. */
static enum wire_response_verdict judge(
	struct bytes ext, uint16_t request_flags, struct wire_response *ret)
{
	uint8_t sealed[WIRE_RESPONSE_MAX],
		plain[56] = { 1, 0x20, 0, 1, (uint8_t)(ext.len >> 8), (uint8_t)ext.len };
	struct wire_request request = { .cmd = WIRE_CONNECT, .flags = request_flags };
	size_t n = seal_raw(plain, ext, sealed);
	return open_all(sealed, n, &request, ret);
}

Test(wire_response, entries_of_every_type_and_length)
{
	for (unsigned type = 0; type < 256; type++) {
		for (size_t len = 0; len < 200; len++) {
			uint8_t ext[203] = { (uint8_t)type, 0, (uint8_t)len };
			struct wire_response s;
			bool is_good =
				type >= 0x80 || type == 2 || (type == 1 && len >= 1 && len <= 120);
			enum wire_response_verdict v =
				judge(bytes_of(ext, 3 + len), WIRE_TRACE, &s);
			cr_expect_eq(v, is_good ? WIRE_RESPONSE_OK : WIRE_RESPONSE_BROKEN,
				"type %u, %zu bytes", type, len);
		}
	}
}

Test(wire_response, an_address_is_told_only_when_asked)
{
	uint8_t ip4[] = { 6, 0, 7, 1, 192, 0, 2, 1, 0, 80 }, ip6[22] = { 6, 0, 19, 4 };
	struct wire_response s;
	cr_expect_eq(judge(bytes_of(ip4, 10), WIRE_TRACE, &s), WIRE_RESPONSE_OK);
	cr_expect_eq(addr_sock_port(&s.address), 80);
	cr_expect_eq(judge(bytes_of(ip6, 22), WIRE_TRACE, &s), WIRE_RESPONSE_OK);
	cr_expect_eq(judge(bytes_of(ip4, 10), 0, &s), WIRE_RESPONSE_BROKEN);
	ip4[3] = 4;
	cr_expect_eq(judge(bytes_of(ip4, 10), WIRE_TRACE, &s), WIRE_RESPONSE_BROKEN);
	ip4[3] = 3;
	cr_expect_eq(judge(bytes_of(ip4, 10), WIRE_TRACE, &s), WIRE_RESPONSE_BROKEN);
}

Test(wire_response, an_extension_cut_at_any_byte_is_refused_unless_an_entry_ends_there)
{
	static const uint8_t ext[] = { 1, 0, 2, 'h', 'i', 2, 0, 3, 0, 0, 0, 0x90, 0, 1, 7, 6, 0, 7,
		1, 1, 2, 3, 4, 0, 80 };
	for (size_t cut = 1; cut <= sizeof ext; cut++) {
		struct wire_response s;
		bool is_end = cut == 5 || cut == 11 || cut == 15 || cut == sizeof ext;
		cr_expect_eq(judge(bytes_of(ext, cut), WIRE_TRACE, &s),
			is_end ? WIRE_RESPONSE_OK : WIRE_RESPONSE_BROKEN);
	}
	static const uint8_t twice[] = { 1, 0, 1, 'a', 1, 0, 1, 'a' }, pad[] = { 2, 0, 2, 0, 1 };
	struct wire_response s;
	cr_expect_eq(judge(bytes_of(twice, 8), 0, &s), WIRE_RESPONSE_BROKEN);
	cr_expect_eq(judge(bytes_of(pad, 5), 0, &s), WIRE_RESPONSE_BROKEN);
}

Test(wire_response, text_is_safe_to_show)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "plain words", "plain words" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
			"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\x1b[2J\a\r\n\t\x7f", "?[2J?????" },
		{ "\xc2\x9b"
		  "31m",
			"?31m" }, /* the C1 form of ESC [ */
		{ "a\xe2\x80\xae"
		  "b\xe2\x81\xa6\xef\xbb\xbf",
			"a?b??" }, /* text that turns around, or is not seen */
		{ "\xff\xc3"
		  "a\xe2\x82",
			"??a??" }, /* no UTF-8 */
		{ "\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80",
			"????????????" }, /* overlong, surrogate, too high */
		{ "\xf8\x88\x80\x80\x80", "?????" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t ext[3 + WIRE_TEXT_MAX] = { 1, 0, (uint8_t)strlen(rows[i].from) };
		struct wire_response s;
		memcpy(ext + 3, rows[i].from, ext[2]);
		cr_assert_eq(judge(bytes_of(ext, 3u + ext[2]), 0, &s), WIRE_RESPONSE_OK);
		cr_expect_str_eq(s.text, rows[i].to, "row %zu", i);
	}
	uint8_t nul[] = { 1, 0, 3, 'a', 0, 'b' };
	struct wire_response s;
	cr_assert_eq(judge(bytes_of(nul, 6), 0, &s), WIRE_RESPONSE_OK);
	cr_expect_str_eq(s.text, "a?b");
}

/* What the name of the software may be wrong in never ends a chain. */
Test(wire_response, software_is_told_only_when_asked_and_is_safe_to_show)
{
	uint8_t ext[3 + 300] = { 0x80 };
	struct wire_response s;
	memset(ext + 3, 'x', 300);
	for (size_t len = 0; len <= 300; len++) {
		ext[1] = (uint8_t)(len >> 8);
		ext[2] = (uint8_t)len;
		cr_assert_eq(judge(bytes_of(ext, 3 + len), WIRE_TRACE, &s), WIRE_RESPONSE_OK);
		cr_expect_eq(strlen(s.software), len <= 48 ? len : 0, "%zu bytes", len);
		cr_assert_eq(judge(bytes_of(ext, 3 + len), 0, &s), WIRE_RESPONSE_OK);
		cr_expect_str_eq(s.software, "", "not asked");
	}
	for (unsigned c = 0; c < 256; c++) {
		uint8_t one[] = { 0x80, 0, 3, 'a', (uint8_t)c, 'b' };
		char shown[] = { 'a', c >= 0x20 && c < 0x7f ? (char)c : '?', 'b', '\0' };
		cr_assert_eq(judge(bytes_of(one, 6), WIRE_TRACE, &s), WIRE_RESPONSE_OK);
		cr_expect_str_eq(s.software, shown);
	}
}

Test(wire_response, software_among_others_split_anywhere)
{
	static const uint8_t ext[] = { 0x81, 0, 1, 'x', 0x80, 0, 3, 'a', ' ', '1', 1, 0, 2, 'h',
		'i', 0xff, 0, 0 };
	for (size_t cut = 1; cut <= sizeof ext; cut++) {
		struct wire_response s;
		bool is_end = cut == 4 || cut == 10 || cut == 15 || cut == sizeof ext;
		cr_expect_eq(judge(bytes_of(ext, cut), WIRE_TRACE, &s),
			is_end ? WIRE_RESPONSE_OK : WIRE_RESPONSE_BROKEN, "cut at %zu", cut);
		if (is_end)
			cr_expect_str_eq(s.software, cut >= 10 ? "a 1" : "");
	}
	static const uint8_t twice[] = { 0x80, 0, 1, 'a', 0x80, 0, 1, 'a' };
	struct wire_response s;
	cr_expect_eq(judge(bytes_of(twice, 8), WIRE_TRACE, &s), WIRE_RESPONSE_BROKEN);
}

/* ---- cut and changed ---- */

Test(wire_response, every_changed_bit_is_refused_and_it_answers_one_request_only)
{
	uint8_t sealed[WIRE_RESPONSE_MAX];
	struct wire_request request = sealed_connect();
	struct wire_response s = ok_response(), back;
	uint16_t ext_len;
	strcpy(s.text, "words");
	int n = encode(&s, sealed);
	cr_assert_gt(n, WIRE_RESPONSE);
	for (int i = 0; i < n * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_expect_eq(open_all(sealed, (size_t)n, &request, &back), WIRE_RESPONSE_FORGED,
			"bit %d", i);
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < WIRE_REQUEST;
		i++) { /* R[0:24] and R.tag bind it; the rest is under the tag */
		r_block[i] ^= 1;
		enum wire_response_verdict v =
			wire_response_open(sealed, r_block, &request, key, &back, &ext_len);
		cr_expect_eq(v, i < 24 || i >= 112 ? WIRE_RESPONSE_FORGED : WIRE_RESPONSE_OK);
		r_block[i] ^= 1;
	}
	cr_assert_eq(wire_response_open(sealed, r_block, &request, key, &back, &ext_len),
		WIRE_RESPONSE_OK);
	for (size_t len = 1; len < (size_t)n - WIRE_RESPONSE; len++) {
		uint8_t *copy = malloc(len);
		memcpy(copy, sealed + WIRE_RESPONSE, len);
		cr_expect_eq(
			wire_response_open_ext(sealed, bytes_of(copy, len), &request, key, &back),
			WIRE_RESPONSE_FORGED);
		free(copy);
	}
}
