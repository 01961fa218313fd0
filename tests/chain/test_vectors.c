/* The golden vectors of docs/protocol.md 2.15 but for datagrams, which are in
 * test_vectors_datagram.c: recomputed, opened, and refused with any bit changed. */
#include "chain/wire_response.h"
#include "chain/wire_secret.h"
#include "common/record.h"
#include "tests/support/hex.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

/* Members of "expected" that test_vectors_datagram.c looks at. */
static const char *const of_datagrams[] = { "datagram_up", "datagram_down", "z0", "phase_0",
	"phase_1_up", "phase_1_down", "datagrams",
	"udp_up_block_fid_1122334455667788_flags_0001_pn_7" };
/* Members that the tests below look at. */
static const char *const covered[] = { "kid", "K_rq", "K_rx", "K_rs", "K_rt", "K_e2e", "K_u0",
	"K_dn", "M_kid", "M_up", "text", "refused", "R_plaintext", "R", "S_plaintext", "S",
	"verdicts", "ss", "th", "prk", "client_to_exit", "exit_to_client", "client_to_exit_next",
	"records", "R_1", "R_2", "S_1", "S_2", "stream", "R_open", "S_open", "rms",
	"record_0_client", "ack_0_exit", "mac", "R_resume_ext", "R_resume", "S_resume", "prk2",
	"record_0_after_client", "record_0_after_exit", "x25519_shared",
	"record_0_client_hello_aes256gcm" };

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
}
TestSuite(vectors, .init = set_up);

static struct wire_key *key_of(const cJSON *credential)
{
	struct hex mk = vectors_hex(credential, "mask_key"),
		   uk = vectors_hex(credential, "user_key");
	uint8_t both[WIRE_CREDENTIAL];
	struct wire_key *key = NULL;
	memcpy(both, mk.data, SEAL_KEY);
	memcpy(both + SEAL_KEY, uk.data, SEAL_KEY);
	cr_assert_eq(wire_key_new(both, &key), WIRE_KEY_OK);
	return key;
}

static const cJSON *case_at(const cJSON *root, int i)
{
	return cJSON_GetArrayItem(vectors_get(root, "cases"), i);
}

static int n_cases(const cJSON *root)
{
	return cJSON_GetArraySize(vectors_get(root, "cases"));
}

static bool is_listed(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

static void check_members(const cJSON *expected)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, expected)
	{
		bool is_known =
			is_listed(item->string, covered, sizeof covered / sizeof covered[0]) ||
			is_listed(item->string, of_datagrams,
				sizeof of_datagrams / sizeof of_datagrams[0]);
		cr_expect(is_known, "nothing tests %s", item->string);
	}
}

Test(vectors, every_member_is_tested)
{
	cJSON *root = vectors_load();
	check_members(vectors_get(root, "expected"));
	for (int i = 0; i < n_cases(root); i++)
		check_members(vectors_get(case_at(root, i), "expected"));
	cJSON_Delete(root);
}

/* ---- keys ---- */

static void expect_key(const cJSON *expected, const char *name, const uint8_t *key, size_t len)
{
	if (vectors_has(expected, name))
		cr_expect(hex_is(key, len, vectors_text(expected, name)), "%s", name);
}

static void expect_keys(const cJSON *expected, const struct wire_key *k)
{
	expect_key(expected, "kid", k->kid, WIRE_KID);
	expect_key(expected, "K_rq", k->rq, SEAL_KEY);
	expect_key(expected, "K_rx", k->rx, SEAL_KEY);
	expect_key(expected, "K_rs", k->rs, SEAL_KEY);
	expect_key(expected, "K_rt", k->rt, SEAL_KEY);
	expect_key(expected, "K_e2e", k->e2e, SEAL_KEY);
	expect_key(expected, "K_u0", k->u0, SEAL_KEY);
	expect_key(expected, "K_dn", k->dn, SEAL_KEY);
	expect_key(expected, "M_kid", k->mask->kid_key, SEAL_KEY);
	expect_key(expected, "M_up", k->mask->up_key, SEAL_KEY);
}

Test(vectors, keys_follow_from_credentials_and_their_text)
{
	cJSON *root = vectors_load();
	struct wire_key *base = key_of(vectors_get(root, "inputs"));
	expect_keys(vectors_get(root, "expected"), base);
	wire_key_free(base);
	for (int i = 0; i < 2; i++) {
		const cJSON *expected = vectors_get(case_at(root, i), "expected");
		const char *text = vectors_text(expected, "text");
		struct wire_key *key =
			key_of(vectors_get(vectors_get(case_at(root, i), "inputs"), "credential"));
		expect_keys(expected, key);
		wire_key_free(key);
		cr_assert_eq(wire_key_parse(bytes_of(text, strlen(text)), &key), WIRE_KEY_OK);
		expect_keys(expected, key);
		wire_key_free(key);
	}
	cJSON_Delete(root);
}

Test(vectors, every_bad_credential_text_is_refused)
{
	cJSON *root = vectors_load();
	const cJSON *item;
	int n = 0;
	cJSON_ArrayForEach(item, vectors_get(vectors_get(case_at(root, 2), "expected"), "refused"))
	{
		struct wire_key *key = NULL;
		struct bytes text = bytes_of(item->valuestring, strlen(item->valuestring));
		cr_expect_neq(wire_key_parse(text, &key), WIRE_KEY_OK, "%s", item->valuestring);
		cr_expect_null(key);
		n++;
	}
	cr_assert_eq(n, 13);
	cJSON_Delete(root);
}

/* ---- R and S ---- */

struct exchange { /* one R and its S, with what they were made of */
	const cJSON *request, *response;
	struct wire_key *key;
	enum wire_transport transport;
	struct hex r, s, r_ext, s_ext;
	struct wire_request decoded;
	const char *name;
};

/* Names of the members of "inputs" and "expected" that make an exchange. */
static const struct names {
	const char *request, *response, *credential, *r, *s, *r_ext;
} names[] = {
	{ "request", "response", "credential", "R", "S", NULL },
	{ "request_1", "response_1", "credential_1", "R_1", "S_1", NULL },
	{ "request_2", "response_2", "credential_2", "R_2", "S_2", NULL },
	{ "open_request", "open_response", "credential", "R_open", "S_open", NULL },
	{ "resume_request", "resume_response", "credential", "R_resume", "S_resume",
		"R_resume_ext" },
};
#define N_NAMES (sizeof names / sizeof names[0])

static bool load(const cJSON *one, const struct names *n, struct exchange *x)
{
	const cJSON *inputs = vectors_get(one, "inputs"), *expected = vectors_get(one, "expected");
	if (!vectors_has(inputs, n->request))
		return false;
	x->name = vectors_text(one, "name");
	x->request = vectors_get(inputs, n->request);
	x->response = vectors_get(inputs, n->response);
	x->key = key_of(vectors_get(inputs, n->credential));
	x->transport = (enum wire_transport)vectors_number(x->request, "transport", 0);
	x->r = vectors_hex(expected, n->r);
	x->s = vectors_hex(expected, n->s);
	x->r_ext = hex_of("");
	x->s_ext = hex_of("");
	if (n->r_ext != NULL)
		x->r_ext = vectors_hex(expected, n->r_ext);
	else if (vectors_has(x->request, "ext"))
		x->r_ext = vectors_hex(x->request, "ext");
	if (vectors_has(x->response, "ext"))
		x->s_ext = vectors_hex(x->response, "ext");
	return true;
}

static void put_hex(struct wire_writer *w, const cJSON *object, const char *name, size_t len)
{
	struct hex h = hex_of("");
	if (vectors_has(object, name))
		h = vectors_hex(object, name);
	cr_assert(h.len == 0 || h.len == len);
	wire_put_bytes(w, h.data, h.len);
	wire_put_zeros(w, len - h.len);
}

/* R by hand from its fields, as section 2.2 has them: also what the encoder would not make. */
static size_t seal_request(
	const struct exchange *x, uint8_t to[WIRE_REQUEST_MAX], uint8_t plain[88])
{
	const cJSON *q = x->request;
	struct wire_writer w;
	struct hex salt = vectors_hex(q, "salt");
	uint8_t aad[] = { 'h', 'c', '1', ' ', 'r', 'q', 0, (uint8_t)x->transport };
	wire_writer_init(&w, plain, 88);
	wire_put_u8(&w, 1);
	wire_put_u8(&w, (uint8_t)vectors_number(q, "cmd", 0));
	wire_put_u16(&w, (uint16_t)vectors_number(q, "flags", 0));
	wire_put_u64(&w, vectors_number(q, "time", 0));
	wire_put_u16(&w, (uint16_t)vectors_number(q, "ext_len", 0));
	wire_put_u16(&w, (uint16_t)vectors_number(q, "timeout", 0));
	wire_put_u8(&w, (uint8_t)vectors_number(q, "atyp", 0));
	wire_put_u8(&w, (uint8_t)vectors_number(q, "proto", 0));
	wire_put_u16(&w, (uint16_t)vectors_number(q, "port", 0));
	put_hex(&w, q, "addr", 16);
	wire_put_u64(&w, vectors_number(q, "fid", 0));
	wire_put_u32(&w, 0);
	put_hex(&w, q, "eph", 32);
	wire_put_u64(&w, 0);
	cr_assert(!w.failed && wire_written(&w) == 88);
	memcpy(to, salt.data, WIRE_SALT);
	wire_mask_kid(x->key->mask, to, x->key->kid, to + 16);
	seal_aead(x->key->rq, to, bytes_of(aad, 8), bytes_of(plain, 88), to + 24);
	if (x->r_ext.len == 0)
		return 128;
	seal_aead(x->key->rx, to, bytes_of(to + 112, 16), hex_bytes(&x->r_ext), to + 128);
	return 128 + x->r_ext.len + 16;
}

static size_t seal_response(
	const struct exchange *x, uint8_t to[WIRE_RESPONSE_MAX], uint8_t plain[56])
{
	const cJSON *p = x->response;
	struct wire_writer w;
	struct hex nonce = vectors_hex(p, "nonce");
	uint8_t aad[40];
	wire_writer_init(&w, plain, 56);
	wire_put_u8(&w, 1);
	wire_put_u8(&w, (uint8_t)vectors_number(p, "status", 0));
	wire_put_u8(&w, (uint8_t)vectors_number(p, "detail", 0));
	wire_put_u8(&w, (uint8_t)vectors_number(p, "flags", 0));
	wire_put_u16(&w, (uint16_t)vectors_number(p, "ext_len", 0));
	wire_put_u8(&w, (uint8_t)vectors_number(p, "cipher", 0));
	wire_put_u8(&w, (uint8_t)vectors_number(p, "tries", 0));
	wire_put_u32(&w, (uint32_t)vectors_number(p, "resolve_us", 0));
	wire_put_u32(&w, (uint32_t)vectors_number(p, "connect_us", 0));
	wire_put_u64(&w, vectors_number(p, "val", 0));
	put_hex(&w, p, "eph", 32);
	cr_assert(!w.failed && wire_written(&w) == 56);
	memcpy(aad, x->r.data, 24);
	memcpy(aad + 24, x->r.data + 112, 16);
	memcpy(to, nonce.data, 24);
	seal_aead(x->key->rs, to, bytes_of(aad, 40), bytes_of(plain, 56), to + 24);
	if (x->s_ext.len == 0)
		return 96;
	seal_aead(x->key->rt, to, bytes_of(to + 80, 16), hex_bytes(&x->s_ext), to + 96);
	return 96 + x->s_ext.len + 16;
}

/* Lines 1, 3 and 7 to 12. Return: whether R opens; then *status and *detail. */
static bool open_request(const struct exchange *x, const uint8_t *r, size_t len,
	struct wire_request *ret, enum wire_status *status, uint8_t *detail)
{
	uint8_t kid[WIRE_KID], ext[WIRE_EXT_MAX];
	struct wire_request_plain plain;
	uint16_t ext_len = 0;
	wire_request_kid(r, x->key->mask, kid);
	if (memcmp(kid, x->key->kid, WIRE_KID) != 0 ||
		!wire_request_open(r, x->transport, x->key, &plain))
		return false;
	*status = wire_request_check(&plain, x->transport, ret, &ext_len, detail);
	if (*status != STATUS_OK)
		return true;
	cr_assert_eq(len, ext_len == 0 ? 128 : 128 + ext_len + 16u);
	if (ext_len == 0) {
		*status = wire_request_check_ext(bytes_of(NULL, 0), ret, detail);
		return true;
	}
	if (!wire_request_open_ext(r, x->key, bytes_of(r + 128, ext_len + 16u), ext))
		return false;
	*status = wire_request_check_ext(bytes_of(ext, ext_len), ret, detail);
	return true;
}

static enum wire_response_verdict open_response(
	const struct exchange *x, const uint8_t *s, size_t len, struct wire_response *ret)
{
	uint16_t ext_len = 0;
	enum wire_response_verdict v =
		wire_response_open(s, x->r.data, &x->decoded, x->key, ret, &ext_len);
	if (v != WIRE_RESPONSE_OK)
		return v;
	cr_assert_eq(len, ext_len == 0 ? 96 : 96 + ext_len + 16u);
	struct bytes sealed = ext_len == 0 ? bytes_of(NULL, 0) : bytes_of(s + 96, len - 96);
	return wire_response_open_ext(s, sealed, &x->decoded, x->key, ret);
}

static void check_request(struct exchange *x, const char *r_text)
{
	uint8_t r[WIRE_REQUEST_MAX], plain[88], detail = 0;
	enum wire_status status = STATUS_OK;
	size_t len = seal_request(x, r, plain);
	cr_expect(hex_is(r, len, r_text), "%s: R", x->name);
	cr_assert(open_request(x, x->r.data, x->r.len, &x->decoded, &status, &detail),
		"%s: R opens", x->name);
	if (strncmp(x->name, "S error BAD_REQUEST", 19) == 0) {
		cr_expect_eq(status, vectors_number(x->response, "status", 0));
		cr_expect_eq(detail, vectors_number(x->response, "detail", 0));
		return;
	}
	cr_assert_eq(status, STATUS_OK, "%s: status %02x detail %u", x->name, status, detail);
	if (strstr(x->name, "ignorable") != NULL)
		return; /* what is ignored is not kept */
	int n = wire_request_encode(&x->decoded, x->transport, x->key, x->r.data, r);
	cr_expect(n > 0 && hex_is(r, (size_t)n, r_text), "%s: R from what was decoded", x->name);
}

static void check_response(struct exchange *x, const char *s_text)
{
	uint8_t s[WIRE_RESPONSE_MAX], plain[56];
	struct wire_response decoded;
	size_t len = seal_response(x, s, plain);
	cr_expect(hex_is(s, len, s_text), "%s: S", x->name);
	cr_assert_eq(open_response(x, x->s.data, x->s.len, &decoded), WIRE_RESPONSE_OK,
		"%s: S opens", x->name);
	cr_expect_eq(decoded.status, vectors_number(x->response, "status", 0));
	cr_expect_eq(decoded.val, vectors_number(x->response, "val", 0));
	int n = wire_response_encode(&decoded, x->r.data, x->key, x->s.data, s);
	cr_expect(n > 0 && hex_is(s, (size_t)n, s_text), "%s: S from what was decoded", x->name);
}

static void check_plaintexts(const struct exchange *x, const cJSON *expected)
{
	uint8_t sealed[WIRE_REQUEST_MAX], plain[88];
	if (!vectors_has(expected, "R_plaintext"))
		return;
	seal_request(x, sealed, plain);
	cr_expect(hex_is(plain, 88, vectors_text(expected, "R_plaintext")), "%s", x->name);
	seal_response(x, sealed, plain);
	cr_expect(hex_is(plain, 56, vectors_text(expected, "S_plaintext")), "%s", x->name);
}

/* Calls @run for every R and S of the file. */
static void for_each_exchange(
	void (*run)(struct exchange *x, const cJSON *expected, const struct names *n), int least)
{
	static struct exchange x;
	cJSON *root = vectors_load();
	int n = 0;
	for (int i = 0; i < n_cases(root); i++) {
		for (size_t j = 0; j < N_NAMES; j++) {
			if (!load(case_at(root, i), &names[j], &x))
				continue;
			run(&x, vectors_get(case_at(root, i), "expected"), &names[j]);
			wire_key_free(x.key);
			n++;
		}
	}
	cr_assert_geq(n, least);
	cJSON_Delete(root);
}

static void check_exchange(struct exchange *x, const cJSON *expected, const struct names *n)
{
	check_plaintexts(x, expected);
	check_request(x, vectors_text(expected, n->r));
	check_response(x, vectors_text(expected, n->s));
}

Test(vectors, every_request_and_response_is_recomputed_and_read)
{
	for_each_exchange(check_exchange, 32);
}

static void flip_exchange(struct exchange *x, const cJSON *expected, const struct names *n)
{
	uint8_t detail;
	enum wire_status status = STATUS_OK;
	struct wire_request request;
	struct wire_response response;
	(void)expected;
	(void)n;
	cr_assert(open_request(x, x->r.data, x->r.len, &x->decoded, &status, &detail));
	bool is_read = status == STATUS_OK; /* else the extension is not looked at */
	for (size_t i = 0; i < x->r.len * 8 && (is_read || i < 128 * 8); i++) {
		x->r.data[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_expect(!open_request(x, x->r.data, x->r.len, &request, &status, &detail),
			"%s: bit %zu of R", x->name, i);
		x->r.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < x->s.len * 8; i++) {
		x->s.data[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_expect_eq(open_response(x, x->s.data, x->s.len, &response), WIRE_RESPONSE_FORGED,
			"%s: bit %zu of S", x->name, i);
		x->s.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

Test(vectors, every_changed_bit_of_a_request_or_response_is_refused)
{
	for_each_exchange(flip_exchange, 32);
}

Test(vectors, verdicts_on_authentic_requests)
{
	cJSON *root = vectors_load();
	const cJSON *v;
	int n = 0;
	cJSON_ArrayForEach(v, vectors_get(vectors_get(case_at(root, 17), "expected"), "verdicts"))
	{
		struct hex plain = vectors_hex(v, "plaintext"), ext = vectors_hex(v, "ext");
		struct wire_request_plain p;
		struct wire_request r;
		uint16_t ext_len = 0;
		uint8_t detail = 0;
		memcpy(p.bytes, plain.data, sizeof p.bytes);
		enum wire_transport transport =
			(enum wire_transport)vectors_number(v, "transport", 0);
		enum wire_status status = wire_request_check(&p, transport, &r, &ext_len, &detail);
		if (status == STATUS_OK) {
			cr_expect_eq(ext_len, ext.len);
			status = wire_request_check_ext(hex_bytes(&ext), &r, &detail);
		}
		cr_expect_eq(status, vectors_number(v, "status", 0xff), "%s: %02x, detail %u",
			vectors_text(v, "why"), status, detail);
		n++;
	}
	cr_assert_geq(n, 74);
	cJSON_Delete(root);
}

/* ---- key schedule and records ---- */

static void derive_ss(const cJSON *inputs, uint8_t ss[32])
{
	struct hex own = vectors_hex(inputs, "client_ephemeral_secret"),
		   peer = vectors_hex(inputs, "exit_ephemeral_secret");
	uint8_t client[32], exit[32], other[32];
	memset(ss, 0, 32);
	if (own.len == 0)
		return;
	/* X25519 with the base point 9 gives the public keys. */
	static const uint8_t base[32] = { 9 };
	cr_assert(seal_curve(own.data, base, client));
	cr_assert(seal_curve(peer.data, base, exit));
	cr_assert(seal_curve(own.data, exit, ss));
	cr_assert(seal_curve(peer.data, client, other));
	cr_assert_arr_eq(ss, other, 32);
}

static void expect_direction(const cJSON *expected, const uint8_t secret[32])
{
	uint8_t key[32], iv[16];
	if (vectors_has(expected, "secret"))
		cr_expect(hex_is(secret, 32, vectors_text(expected, "secret")));
	seal_kdf(secret, WIRE_RECORD_CONTEXT, 1, key, 32);
	seal_kdf(secret, WIRE_RECORD_CONTEXT, 2, iv, 16);
	cr_expect(hex_is(key, 32, vectors_text(expected, "key")));
	cr_expect(hex_is(iv, 12, vectors_text(expected, "iv")));
}

static void expect_refused(struct record_key *opener, struct hex record)
{
	uint8_t to[HEX_MAX], type;
	for (size_t i = 0; i < record.len * 8; i++) {
		record.data[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_expect_lt(record_open(opener, hex_bytes(&record), to, &type), 0, "bit %zu", i);
		record.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

/* Both ends of one direction. */
struct direction {
	struct record_key *seal, *open;
};

static void start_direction(
	struct direction *d, enum record_cipher cipher, const uint8_t secret[32])
{
	cr_assert_eq(record_key_new(cipher, secret, WIRE_RECORD_CONTEXT, true, &d->seal), 0);
	cr_assert_eq(record_key_new(cipher, secret, WIRE_RECORD_CONTEXT, false, &d->open), 0);
}

static void stop_direction(struct direction *d)
{
	record_key_free(d->seal);
	record_key_free(d->open);
}

/* @record is the next one of @d: refuse it changed, open it, seal it again. Return: its type. */
static uint8_t check_record(struct direction *d, const char *record_text, const char *content_text)
{
	uint8_t content[HEX_MAX], sealed[HEX_MAX], type = 0;
	struct hex record = hex_of(record_text);
	expect_refused(d->open, record);
	int len = record_open(d->open, hex_bytes(&record), content, &type);
	cr_assert_geq(len, 0, "%s", record_text);
	if (content_text != NULL)
		cr_expect(hex_is(content, (size_t)len, content_text));
	int n = record_seal(d->seal, type, bytes_of(content, (size_t)len), sealed);
	cr_expect(n > 0 && hex_is(sealed, (size_t)n, record_text));
	return type;
}

static void check_records(const cJSON *records, struct direction *up, struct direction *down)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, records)
	{
		bool is_up = strcmp(vectors_text(item, "direction"), "client_to_exit") == 0;
		struct direction *d = is_up ? up : down;
		bool is_frame = vectors_has(item, "frame");
		if (!is_frame)
			cr_expect_eq(record_seq(d->open), vectors_number(item, "seq", 99));
		uint8_t type = check_record(d, vectors_text(item, "record"),
			vectors_text(item, is_frame ? "frame" : "content"));
		cr_expect_eq(type, vectors_number(item, "type", RECORD_DATA));
		if (type == RECORD_HANDSHAKE) {
			cr_assert_eq(record_update(d->seal), 0);
			cr_assert_eq(record_update(d->open), 0);
		}
	}
}

static void check_schedule(const cJSON *one, struct exchange *x)
{
	const cJSON *inputs = vectors_get(one, "inputs"), *expected = vectors_get(one, "expected");
	struct bytes parts[] = { bytes_of("hc1-th", 6), hex_bytes(&x->r), hex_bytes(&x->s) };
	struct hex prk = vectors_hex(expected, "prk");
	struct wire_secrets secrets;
	struct direction up, down;
	uint8_t ss[32], th[32], next[32];
	enum record_cipher cipher = (enum record_cipher)vectors_number(inputs, "cipher", 0);
	derive_ss(inputs, ss);
	cr_expect(hex_is(ss, 32, vectors_text(expected, "ss")));
	seal_hash(bytes_of(NULL, 0), parts, 3, th, 32);
	cr_expect(hex_is(th, 32, vectors_text(expected, "th")));
	wire_secrets_derive(x->key, ss, hex_bytes(&x->r), hex_bytes(&x->s), &secrets);
	cr_expect_arr_eq(secrets.rms, prk.data + 32, 32);
	expect_direction(vectors_get(expected, "client_to_exit"), secrets.up);
	expect_direction(vectors_get(expected, "exit_to_client"), secrets.down);
	seal_kdf(secrets.up, WIRE_RECORD_CONTEXT, 3, next, 32);
	if (vectors_has(expected, "client_to_exit_next"))
		expect_direction(vectors_get(expected, "client_to_exit_next"), next);
	start_direction(&up, cipher, secrets.up);
	start_direction(&down, cipher, secrets.down);
	check_records(vectors_get(expected, "records"), &up, &down);
	stop_direction(&up);
	stop_direction(&down);
}

Test(vectors, key_schedules_and_records_of_every_cipher)
{
	static struct exchange x;
	cJSON *root = vectors_load();
	for (int i = 18; i <= 21; i++) {
		cr_assert(load(case_at(root, i), &names[0], &x));
		check_schedule(case_at(root, i), &x);
		wire_key_free(x.key);
	}
	cJSON_Delete(root);
}

Test(vectors, key_schedules_of_datagrams_are_those_of_streams)
{
	static struct exchange x;
	cJSON *root = vectors_load();
	for (int i = 22; i <= 24; i++) {
		const cJSON *one = case_at(root, i);
		struct hex prk = vectors_hex(vectors_get(one, "expected"), "prk");
		struct wire_secrets secrets;
		uint8_t ss[32];
		cr_assert(load(one, &names[2], &x));
		derive_ss(vectors_get(one, "inputs"), ss);
		wire_secrets_derive(x.key, ss, hex_bytes(&x.r), hex_bytes(&x.s), &secrets);
		cr_expect_arr_eq(secrets.rms, prk.data + 32, 32, "case %d", i);
		wire_key_free(x.key);
	}
	cJSON_Delete(root);
}

/* Cases without keys in the file: derived from R and S, without FS. */
static void start_without_fs(
	const cJSON *one, struct exchange *x, struct direction *up, struct direction *down)
{
	static const uint8_t ss[32];
	struct wire_secrets secrets;
	cr_assert(load(one, &names[0], x));
	enum record_cipher cipher = (enum record_cipher)vectors_number(x->response, "cipher", 0);
	wire_secrets_derive(x->key, ss, hex_bytes(&x->r), hex_bytes(&x->s), &secrets);
	start_direction(up, cipher, secrets.up);
	start_direction(down, cipher, secrets.down);
}

Test(vectors, records_of_datagrams_over_tcp_carry_their_frames)
{
	static struct exchange x;
	cJSON *root = vectors_load();
	const cJSON *one = case_at(root, 27), *expected = vectors_get(one, "expected"), *item;
	const char *stream = vectors_text(expected, "stream");
	size_t split = (size_t)vectors_number(vectors_get(one, "inputs"), "split", 0);
	struct direction up, down;
	char head[64];
	int i = 0;
	start_without_fs(one, &x, &up, &down);
	memcpy(head, stream, split * 2);
	head[split * 2] = '\0';
	cJSON_ArrayForEach(item, vectors_get(expected, "records"))
		check_record(&up, item->valuestring, i++ == 0 ? head : stream + split * 2);
	cr_assert_eq(i, 2);
	stop_direction(&up);
	stop_direction(&down);
	wire_key_free(x.key);
	cJSON_Delete(root);
}

Test(vectors, records_of_reverse_connections_carry_their_frames)
{
	static struct exchange x;
	cJSON *root = vectors_load();
	const cJSON *one = case_at(root, 28);
	struct direction up, down;
	start_without_fs(one, &x, &up, &down);
	check_records(vectors_get(vectors_get(one, "expected"), "records"), &up, &down);
	stop_direction(&up);
	stop_direction(&down);
	wire_key_free(x.key);
	cJSON_Delete(root);
}

/* ---- resume: what can be said of it before there is code for it (docs/protocol.md 2.8, vectors of
 * resume) ---- */

static void check_opening(const cJSON *one, const struct exchange *x, struct wire_secrets *secrets)
{
	const cJSON *inputs = vectors_get(one, "inputs"), *expected = vectors_get(one, "expected");
	enum record_cipher cipher = (enum record_cipher)vectors_number(inputs, "cipher", 0);
	struct direction up, down;
	uint8_t ss[32];
	derive_ss(inputs, ss);
	wire_secrets_derive(x->key, ss, hex_bytes(&x->r), hex_bytes(&x->s), secrets);
	cr_expect(hex_is(secrets->rms, 32, vectors_text(expected, "rms")));
	start_direction(&up, cipher, secrets->up);
	start_direction(&down, cipher, secrets->down);
	cr_expect_eq(
		check_record(&up, vectors_text(expected, "record_0_client"), NULL), RECORD_DATA);
	cr_expect_eq(check_record(&down, vectors_text(expected, "ack_0_exit"), NULL), RECORD_ACK);
	stop_direction(&up);
	stop_direction(&down);
}

static void check_mac(const cJSON *expected, const struct exchange *x, const uint8_t rms[32])
{
	const struct wire_resume *resume = &x->decoded.resume;
	uint8_t numbers[4 + 8 + 1], mac[16];
	struct wire_writer w;
	wire_writer_init(&w, numbers, sizeof numbers);
	wire_put_u32(&w, resume->epoch);
	wire_put_u64(&w, resume->rx);
	wire_put_u8(&w, resume->flags);
	struct bytes parts[] = { bytes_of("hc1-res", 7), bytes_of(x->r.data, 24),
		bytes_of(resume->id, 16), bytes_of(numbers, sizeof numbers),
		bytes_of(x->decoded.eph, 32) };
	seal_hash(bytes_of(rms, 32), parts, 5, mac, 16);
	cr_expect(hex_is(mac, 16, vectors_text(expected, "mac")));
	cr_expect_arr_eq(mac, resume->mac, 16);
}

static void check_resumed(const cJSON *expected, const struct exchange *x,
	enum record_cipher cipher, const uint8_t rms[32])
{
	struct hex ss = vectors_hex(expected, "ss");
	uint8_t th[32], prk[64], secret[2][32];
	struct direction up, down;
	struct bytes transcript[] = { bytes_of("hc1-th", 6), hex_bytes(&x->r), hex_bytes(&x->s) };
	seal_hash(bytes_of(NULL, 0), transcript, 3, th, 32);
	cr_expect(hex_is(th, 32, vectors_text(expected, "th")));
	struct bytes input[] = { bytes_of("hc1-e2e", 7), hex_bytes(&ss), bytes_of(th, 32),
		bytes_of(rms, 32) };
	seal_hash(bytes_of(x->key->e2e, 32), input, 4, prk, 64);
	cr_expect(hex_is(prk, 64, vectors_text(expected, "prk2")));
	seal_kdf(prk, "hc1-dir_", 1, secret[0], 32);
	seal_kdf(prk, "hc1-dir_", 2, secret[1], 32);
	expect_direction(vectors_get(expected, "client_to_exit"), secret[0]);
	expect_direction(vectors_get(expected, "exit_to_client"), secret[1]);
	start_direction(&up, cipher, secret[0]);
	start_direction(&down, cipher, secret[1]);
	check_record(&up, vectors_text(expected, "record_0_after_client"), NULL);
	check_record(&down, vectors_text(expected, "record_0_after_exit"), NULL);
	stop_direction(&up);
	stop_direction(&down);
}

Test(vectors, resumed_sessions_continue_from_the_first_secret)
{
	static struct exchange open, resume;
	cJSON *root = vectors_load();
	for (int i = 29; i <= 30; i++) {
		const cJSON *one = case_at(root, i), *expected = vectors_get(one, "expected");
		enum record_cipher cipher =
			(enum record_cipher)vectors_number(vectors_get(one, "inputs"), "cipher", 0);
		enum wire_status status;
		struct wire_secrets secrets;
		uint8_t detail;
		cr_assert(load(one, &names[3], &open));
		cr_assert(load(one, &names[4], &resume));
		check_opening(one, &open, &secrets);
		cr_assert(open_request(
			&resume, resume.r.data, resume.r.len, &resume.decoded, &status, &detail));
		cr_assert_eq(status, STATUS_OK);
		check_mac(expected, &resume, secrets.rms);
		check_resumed(expected, &resume, cipher, secrets.rms);
		wire_key_free(open.key);
		wire_key_free(resume.key);
	}
	cJSON_Delete(root);
}

/* ---- the base set ---- */

static void base_request(const cJSON *inputs, struct wire_request *r, struct wire_response *s)
{
	const cJSON *q = vectors_get(inputs, "request"), *p = vectors_get(inputs, "response");
	static const uint8_t base[32] = { 9 }, address[4] = { 192, 0, 2, 1 };
	struct hex own = vectors_hex(inputs, "client_ephemeral_secret"),
		   peer = vectors_hex(inputs, "exit_ephemeral_secret");
	memset(r, 0, sizeof *r);
	memset(s, 0, sizeof *s);
	r->cmd = WIRE_CONNECT;
	r->flags = (uint16_t)vectors_number(q, "flags", 0);
	r->time_ms = vectors_number(q, "time", 0);
	r->timeout = (uint16_t)vectors_number(q, "timeout", 0);
	r->atyp = WIRE_ATYP_IP4;
	r->to.kind = ADDR_IP4;
	r->to.port = (uint16_t)vectors_number(q, "port", 0);
	memcpy(r->to.ip, address, 4);
	cr_assert(seal_curve(own.data, base, r->eph));
	s->flags = (uint8_t)vectors_number(p, "flags", 0);
	s->cipher = (uint8_t)vectors_number(p, "cipher", 0);
	s->tries = (uint8_t)vectors_number(p, "tries", 0);
	s->connect_us = (uint32_t)vectors_number(p, "connect_us", 0);
	s->val = vectors_number(p, "val", 0);
	cr_assert(seal_curve(peer.data, base, s->eph));
}

Test(vectors, base_set)
{
	cJSON *root = vectors_load();
	const cJSON *inputs = vectors_get(root, "inputs"),
		    *expected = vectors_get(root, "expected");
	struct hex salt = vectors_hex(inputs, "salt"),
		   nonce = vectors_hex(inputs, "response_nonce");
	struct wire_key *key = key_of(inputs);
	struct wire_request request;
	struct wire_response response;
	struct wire_secrets secrets;
	struct direction up;
	uint8_t r[WIRE_REQUEST_MAX], s[WIRE_RESPONSE_MAX], ss[32];
	base_request(inputs, &request, &response);
	int n = wire_request_encode(&request, WIRE_TCP, key, salt.data, r);
	cr_assert(n == WIRE_REQUEST && hex_is(r, WIRE_REQUEST, vectors_text(expected, "R")));
	n = wire_response_encode(&response, r, key, nonce.data, s);
	cr_assert(n == WIRE_RESPONSE && hex_is(s, WIRE_RESPONSE, vectors_text(expected, "S")));
	derive_ss(inputs, ss);
	cr_expect(hex_is(ss, 32, vectors_text(expected, "x25519_shared")));
	wire_secrets_derive(
		key, ss, bytes_of(r, WIRE_REQUEST), bytes_of(s, WIRE_RESPONSE), &secrets);
	expect_direction(vectors_get(expected, "client_to_exit"), secrets.up);
	expect_direction(vectors_get(expected, "exit_to_client"), secrets.down);
	cr_expect(hex_is(secrets.rms, 32, vectors_text(expected, "rms")));
	start_direction(&up, RECORD_AES_256_GCM, secrets.up);
	check_record(&up, vectors_text(expected, "record_0_client_hello_aes256gcm"), "68656c6c6f");
	stop_direction(&up);
	wire_key_free(key);
	cJSON_Delete(root);
}
