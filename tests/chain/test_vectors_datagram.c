/* The golden vectors of docs/protocol.md 2.15 that belong to 2.10: keys of datagrams, blocks, whole
 * datagrams of two hops. All are recomputed, parsed as hops and client parse them, and refused with
 * any bit changed. */
#include "chain/wire_datagram.h"
#include "chain/wire_frame.h"
#include "chain/wire_response.h"
#include "tests/support/hex.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

#define N_HOPS    2
#define I_EXIT    1
#define SHORT_MIN (WIRE_BLOCK + WIRE_SEALED_MIN)

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
}
TestSuite(vectors_datagram, .init = set_up);

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

static const cJSON *case_named(const cJSON *root, const char *name)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, vectors_get(root, "cases"))
	{
		if (strcmp(vectors_text(one, "name"), name) == 0)
			return one;
	}
	cr_assert_fail("no case '%s'", name);
	return NULL;
}

/* A flow over two hops, its two ends and what is between them. */
struct flow {
	struct wire_key *keys[N_HOPS];
	struct hex r[N_HOPS], s[N_HOPS];
	struct wire_request requests[N_HOPS];
	uint64_t fid_c[N_HOPS], fid[N_HOPS];
	struct record_packet seal[2], open[2]; /* up, by phase */
	struct record_packet seal_down, open_down;
};

/* Bytes of the request, with its extension, that @d begins with; 0 = refused. */
static size_t open_request(const struct flow *f, int i, struct bytes d, struct wire_request *ret)
{
	struct wire_request_plain plain;
	uint16_t ext_len;
	uint8_t detail, kid[WIRE_KID], ext[WIRE_EXT_MAX];
	if (d.len < WIRE_REQUEST)
		return 0;
	wire_request_kid(d.ptr, f->keys[i]->mask, kid);
	if (memcmp(kid, f->keys[i]->kid, WIRE_KID) != 0 ||
		!wire_request_open(d.ptr, WIRE_UDP, f->keys[i], &plain) ||
		wire_request_check(&plain, WIRE_UDP, ret, &ext_len, &detail) != STATUS_OK)
		return 0;
	size_t sealed_len = ext_len == 0 ? 0 : WIRE_EXT_SEALED(ext_len);
	struct bytes sealed = bytes_of(d.ptr + WIRE_REQUEST, sealed_len);
	if (d.len < WIRE_REQUEST + sealed_len ||
		(ext_len > 0 && !wire_request_open_ext(d.ptr, f->keys[i], sealed, ext)) ||
		wire_request_check_ext(bytes_of(ext, ext_len), ret, &detail) != STATUS_OK)
		return 0;
	return WIRE_REQUEST + sealed_len;
}

/* The same of a response. */
static size_t open_response(const struct flow *f, int i, struct bytes d, struct wire_response *ret)
{
	const struct wire_request *request = &f->requests[i];
	uint16_t ext_len = 0;
	if (d.len < WIRE_RESPONSE || wire_response_open(d.ptr, f->r[i].data, request, f->keys[i],
					     ret, &ext_len) != WIRE_RESPONSE_OK)
		return 0;
	size_t sealed_len = ext_len == 0 ? 0 : WIRE_EXT_SEALED(ext_len);
	struct bytes sealed = bytes_of(sealed_len == 0 ? NULL : d.ptr + WIRE_RESPONSE, sealed_len);
	if (d.len < WIRE_RESPONSE + sealed_len ||
		wire_response_open_ext(d.ptr, sealed, request, f->keys[i], ret) != WIRE_RESPONSE_OK)
		return 0;
	return WIRE_RESPONSE + sealed_len;
}

static void expect_direction(const cJSON *expected, const struct record_packet *packet)
{
	cr_expect(hex_is(packet->key, 32, vectors_text(expected, "key")));
	cr_expect(hex_is(packet->iv, 12, vectors_text(expected, "iv")));
}

static void make_keys(const cJSON *one, struct flow *f)
{
	const cJSON *inputs = vectors_get(one, "inputs"), *expected = vectors_get(one, "expected");
	enum record_cipher cipher = (enum record_cipher)vectors_number(inputs, "cipher", 0);
	static const uint8_t base[32] = { 9 };
	struct hex own = vectors_hex(inputs, "client_ephemeral_secret"),
		   peer = vectors_hex(inputs, "exit_ephemeral_secret");
	struct wire_secrets secrets;
	uint8_t public[32], ss[32];
	cr_assert(seal_curve(peer.data, base, public));
	cr_assert(seal_curve(own.data, public, ss));
	wire_secrets_derive(
		f->keys[I_EXIT], ss, hex_bytes(&f->r[I_EXIT]), hex_bytes(&f->s[I_EXIT]), &secrets);
	cr_expect(hex_is(
		secrets.up, 32, vectors_text(vectors_get(expected, "phase_1_up"), "secret")));
	cr_expect(hex_is(
		secrets.down, 32, vectors_text(vectors_get(expected, "phase_1_down"), "secret")));
	wire_datagram_phase0(f->keys[I_EXIT], f->r[I_EXIT].data, true, &f->seal[0]);
	wire_datagram_phase0(f->keys[I_EXIT], f->r[I_EXIT].data, false, &f->open[0]);
	wire_datagram_phase1(&secrets, cipher, false, &f->seal[1], &f->open_down);
	wire_datagram_phase1(&secrets, cipher, true, &f->open[1], &f->seal_down);
	expect_direction(vectors_get(expected, "phase_0"), &f->seal[0]);
	expect_direction(vectors_get(expected, "phase_1_up"), &f->seal[1]);
	expect_direction(vectors_get(expected, "phase_1_down"), &f->open_down);
}

static void load(const cJSON *one, struct flow *f)
{
	static const char *const names[N_HOPS][3] = { { "credential_1", "R_1", "S_1" },
		{ "credential_2", "R_2", "S_2" } };
	const cJSON *expected = vectors_get(one, "expected");
	memset(f, 0, sizeof *f);
	for (int i = 0; i < N_HOPS; i++) {
		struct wire_response response;
		f->keys[i] = key_of(vectors_get(vectors_get(one, "inputs"), names[i][0]));
		f->r[i] = vectors_hex(expected, names[i][1]);
		f->s[i] = vectors_hex(expected, names[i][2]);
		cr_assert_eq(open_request(f, i, hex_bytes(&f->r[i]), &f->requests[i]), f->r[i].len);
		cr_assert_eq(open_response(f, i, hex_bytes(&f->s[i]), &response), f->s[i].len);
		f->fid_c[i] = f->requests[i].fid;
		f->fid[i] = response.val;
	}
	make_keys(one, f);
}

static void unload(struct flow *f)
{
	for (int i = 0; i < N_HOPS; i++) {
		wire_key_free(f->keys[i]);
		record_packet_deinit(&f->seal[i]);
		record_packet_deinit(&f->open[i]);
	}
	record_packet_deinit(&f->seal_down);
	record_packet_deinit(&f->open_down);
}

static void for_each_flow(void (*run)(struct flow *f, const cJSON *datagram))
{
	static const char *const names[] = { "UDP over two hops, AES-128-GCM",
		"UDP over two hops, AES-256-GCM", "UDP over two hops, CHACHA20-POLY1305" };
	static struct flow f;
	cJSON *root = vectors_load();
	for (int i = 0; i < 3; i++) {
		const cJSON *one = case_named(root, names[i]), *item;
		int n = 0;
		load(one, &f);
		cJSON_ArrayForEach(item, vectors_get(vectors_get(one, "expected"), "datagrams"))
		{
			run(&f, item);
			n++;
		}
		cr_assert_eq(n, 16);
		unload(&f);
	}
	cJSON_Delete(root);
}

/* ---- making them ---- */

struct datagram {
	uint8_t bytes[HEX_MAX];
	size_t len;
};

static void put(struct datagram *d, const void *bytes, size_t len)
{
	cr_assert_leq(d->len + len, sizeof d->bytes);
	memcpy(d->bytes + d->len, bytes, len);
	d->len += len;
}

static bool has_data(const cJSON *item)
{
	return !cJSON_IsNull(vectors_get(item, "data"));
}

static bool is_true(const cJSON *item, const char *name)
{
	return cJSON_IsTrue(vectors_get(item, name));
}

/* The block of item @kind for hop @i; its plaintext is the AAD if it is the exit's. */
static void put_up(
	struct flow *f, struct datagram *d, const cJSON *item, int i, char kind, uint8_t *aad)
{
	struct wire_up up = { .number = vectors_number(item, "pn", 0) };
	uint8_t block[WIRE_BLOCK];
	up.fid = kind == 'P' ? f->fid_c[i] : f->fid[i];
	up.flags = kind == 'P' ? WIRE_UP_PROV : 0;
	if (vectors_number(item, "phase", 0) == 1)
		up.flags |= WIRE_UP_KEYPHASE;
	if (i == I_EXIT && is_true(item, "ping"))
		up.flags |= WIRE_UP_PING;
	wire_up_print(&up, aad);
	wire_up_encode(f->keys[i]->mask, &up, block);
	put(d, block, sizeof block);
}

static const char *block_text(const cJSON *item, int i)
{
	const cJSON *text = cJSON_GetArrayItem(vectors_get(item, "block_plaintexts"), i);
	cr_assert(cJSON_IsString(text));
	return text->valuestring;
}

static void make_up(struct flow *f, struct datagram *d, const cJSON *item)
{
	const char *items = vectors_text(item, "items");
	uint8_t aad[WIRE_BLOCK], sealed[HEX_MAX];
	int n_blocks = 0;
	for (int i = 0; i < N_HOPS; i++) {
		if (items[i] != 'R') {
			put_up(f, d, item, i, items[i], aad);
			cr_expect(hex_is(aad, sizeof aad, block_text(item, n_blocks++)));
			continue;
		}
		put(d, f->r[i].data, f->r[i].len);
		if (i == I_EXIT && has_data(item)) {
			put_up(f, d, item, i, 'P', aad);
			cr_expect(hex_is(aad, sizeof aad, block_text(item, n_blocks++)));
		}
	}
	if (!has_data(item))
		return;
	struct hex data = vectors_hex(item, "data");
	int n = record_packet_seal(&f->seal[vectors_number(item, "phase", 0)],
		vectors_number(item, "pn", 0), aad, hex_bytes(&data), sealed);
	cr_assert_gt(n, 0);
	put(d, sealed, (size_t)n);
}

static void put_down(struct flow *f, struct datagram *d, const cJSON *item, int i,
	struct wire_down *down, uint8_t *aad)
{
	struct hex plain = hex_of(block_text(item, i));
	struct wire_reader r;
	uint8_t block[WIRE_BLOCK];
	wire_reader_init(&r, hex_bytes(&plain));
	down->fid = wire_u64(&r);
	down->status = wire_u8(&r);
	down->flags = wire_u8(&r);
	down->number = (uint64_t)wire_u16(&r) << 32;
	down->number |= wire_u32(&r);
	cr_assert(!r.failed && down->fid == f->fid_c[i]);
	wire_down_print(down, aad);
	cr_expect_arr_eq(aad, plain.data, WIRE_BLOCK);
	wire_down_encode(f->keys[i], down, block);
	put(d, block, sizeof block);
}

static void make_down(struct flow *f, struct datagram *d, const cJSON *item)
{
	const char *items = vectors_text(item, "items");
	int n_items = (int)strlen(items);
	struct wire_down down = { 0 };
	uint8_t aad[WIRE_BLOCK], sealed[HEX_MAX];
	for (int i = 0; i < n_items; i++) {
		if (items[i] == 'S')
			put(d, f->s[i].data, f->s[i].len);
		if (items[i] == 'D' || (i == I_EXIT && has_data(item)))
			put_down(f, d, item, i, &down, aad);
	}
	if (!has_data(item))
		return;
	struct hex data = vectors_hex(item, "data");
	int n = record_packet_seal(&f->seal_down, down.number, aad, hex_bytes(&data), sealed);
	cr_assert_gt(n, 0);
	put(d, sealed, (size_t)n);
}

static bool is_up(const cJSON *item)
{
	return strcmp(vectors_text(item, "direction"), "up") == 0;
}

static void remake(struct flow *f, const cJSON *item)
{
	static struct datagram d;
	memset(&d, 0, sizeof d);
	if (is_up(item))
		make_up(f, &d, item);
	else
		make_down(f, &d, item);
	cr_expect(hex_is(d.bytes, d.len, vectors_text(item, "datagram")), "%s",
		vectors_text(item, "what"));
}

Test(vectors_datagram, every_datagram_is_recomputed)
{
	for_each_flow(remake);
}

/* ---- reading them ---- */

struct read {
	char items[N_HOPS + 1];
	bool has_data, is_ping;
	uint8_t data[HEX_MAX];
	size_t len;
};

static bool open_sealed(struct record_packet *packet, uint64_t number, const uint8_t *aad,
	struct bytes sealed, struct read *ret)
{
	int n = record_packet_open(packet, number, aad, sealed, ret->data);
	if (n < 0)
		return false;
	ret->has_data = true;
	ret->len = (size_t)n;
	return true;
}

static bool read_tail(struct flow *f, const struct wire_up *up, struct bytes rest, struct read *ret)
{
	bool is_provisional = up->flags & WIRE_UP_PROV, is_phase1 = up->flags & WIRE_UP_KEYPHASE;
	uint8_t aad[WIRE_BLOCK];
	if (is_provisional == is_phase1)
		return false;
	ret->is_ping = up->flags & WIRE_UP_PING;
	wire_up_print(up, aad);
	return open_sealed(&f->open[is_phase1], up->number, aad, rest, ret);
}

static bool read_block(const struct flow *f, int i, struct bytes d, struct wire_up *ret)
{
	return d.len >= SHORT_MIN && wire_up_decode(f->keys[i]->mask, d.ptr, ret) &&
	       ret->fid == (ret->flags & WIRE_UP_PROV ? f->fid_c[i] : f->fid[i]);
}

/* What hop 1, and then the exit, make of a datagram. */
static bool read_up(struct flow *f, struct bytes d, struct read *ret)
{
	memset(ret, 0, sizeof *ret);
	for (int i = 0; i < N_HOPS; i++) {
		struct wire_up up = { 0 };
		struct wire_request request;
		if (read_block(f, i, d, &up)) {
			ret->items[i] = up.flags & WIRE_UP_PROV ? 'P' : 'S';
			d = bytes_of(d.ptr + WIRE_BLOCK, d.len - WIRE_BLOCK);
			if (i == I_EXIT)
				return read_tail(f, &up, d, ret);
			continue;
		}
		size_t len = open_request(f, i, d, &request);
		if (len == 0)
			return false;
		ret->items[i] = 'R';
		d = bytes_of(d.ptr + len, d.len - len);
	}
	struct wire_up up;
	if (d.len == 0)
		return true;
	return read_block(f, I_EXIT, d, &up) && up.flags == WIRE_UP_PROV &&
	       read_tail(f, &up, bytes_of(d.ptr + WIRE_BLOCK, d.len - WIRE_BLOCK), ret);
}

static bool read_payload(
	struct flow *f, const struct wire_down *down, struct bytes rest, struct read *ret)
{
	uint8_t aad[WIRE_BLOCK];
	if ((down->flags & WIRE_DOWN_EPOCH) != (f->fid[I_EXIT] & 1))
		return false;
	ret->is_ping = down->flags & WIRE_DOWN_PONG;
	wire_down_print(down, aad);
	return open_sealed(&f->open_down, down->number, aad, rest, ret);
}

/* What the client makes of a datagram. */
static bool read_down(struct flow *f, struct bytes d, struct read *ret)
{
	memset(ret, 0, sizeof *ret);
	for (int i = 0; i < N_HOPS && d.len > 0; i++) {
		struct wire_down down;
		struct wire_response response;
		bool is_block = d.len >= WIRE_BLOCK && wire_down_decode(f->keys[i], d.ptr, &down) &&
				down.fid == f->fid_c[i];
		size_t len = is_block ? WIRE_BLOCK : open_response(f, i, d, &response);
		if (len == 0)
			return false;
		ret->items[i] = is_block ? 'D' : 'S';
		d = bytes_of(d.ptr + len, d.len - len);
		if (is_block && down.status != STATUS_OK)
			return d.len == 0;
		if (is_block && i == I_EXIT)
			return read_payload(f, &down, d, ret);
	}
	struct wire_down down;
	if (d.len == 0)
		return true;
	return d.len >= SHORT_MIN && wire_down_decode(f->keys[I_EXIT], d.ptr, &down) &&
	       down.fid == f->fid_c[I_EXIT] &&
	       read_payload(f, &down, bytes_of(d.ptr + WIRE_BLOCK, d.len - WIRE_BLOCK), ret);
}

static void read_back(struct flow *f, const cJSON *item)
{
	static struct read got;
	struct hex d = vectors_hex(item, "datagram");
	const char *what = vectors_text(item, "what");
	bool is_read =
		is_up(item) ? read_up(f, hex_bytes(&d), &got) : read_down(f, hex_bytes(&d), &got);
	cr_assert(is_read, "%s", what);
	cr_expect_str_eq(got.items, vectors_text(item, "items"), "%s", what);
	cr_expect_eq(got.has_data, has_data(item), "%s", what);
	if (has_data(item))
		cr_expect(hex_is(got.data, got.len, vectors_text(item, "data")), "%s", what);
	bool is_ping = is_up(item) ? is_true(item, "ping") : strcmp(what, "PONG") == 0;
	cr_expect_eq(got.is_ping, is_ping, "%s", what);
}

Test(vectors_datagram, every_datagram_is_read_back)
{
	for_each_flow(read_back);
}

static void flip(struct flow *f, const cJSON *item)
{
	static struct read got;
	struct hex d = vectors_hex(item, "datagram");
	for (size_t i = 0; i < d.len * 8; i++) {
		d.data[i / 8] ^= (uint8_t)(1 << i % 8);
		bool is_read = is_up(item) ? read_up(f, hex_bytes(&d), &got)
					   : read_down(f, hex_bytes(&d), &got);
		cr_expect(!is_read, "%s: bit %zu", vectors_text(item, "what"), i);
		d.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

Test(vectors_datagram, every_changed_bit_of_a_datagram_is_refused)
{
	for_each_flow(flip);
}

/* A field of a block that somebody changed who knows the block's key: the tag covers it. */
static void change_block(struct flow *f, const cJSON *item)
{
	struct hex data = hex_of(""), d = vectors_hex(item, "datagram");
	if (!has_data(item) || d.len < SHORT_MIN)
		return;
	data = vectors_hex(item, "data");
	size_t sealed_len = data.len + WIRE_SEALED_MIN, at = d.len - sealed_len - WIRE_BLOCK;
	struct bytes sealed = bytes_of(d.data + d.len - sealed_len, sealed_len);
	struct record_packet *open = &f->open_down;
	struct seal_block *block = f->keys[I_EXIT]->dn_block;
	uint8_t plain[WIRE_BLOCK], to[HEX_MAX];
	if (is_up(item)) {
		open = &f->open[vectors_number(item, "phase", 0)];
		block = f->keys[I_EXIT]->mask->up_block;
	}
	seal_block_decrypt(block, d.data + at, plain);
	for (size_t i = 0; i <= WIRE_BLOCK * 8; i++) { /* the last time unchanged */
		uint64_t number = 0;
		if (i < WIRE_BLOCK * 8)
			plain[i / 8] ^= (uint8_t)(1 << i % 8);
		for (int j = 10; j < WIRE_BLOCK; j++)
			number = number << 8 | plain[j];
		int n = record_packet_open(open, number, plain, sealed, to);
		cr_expect_eq(n, i < WIRE_BLOCK * 8 ? ERR_BAD_RECORD : (int)data.len, "%s: bit %zu",
			vectors_text(item, "what"), i);
		if (i < WIRE_BLOCK * 8)
			plain[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

Test(vectors_datagram, every_changed_field_of_the_exits_block_is_refused)
{
	for_each_flow(change_block);
}

/* ---- the rest ---- */

/* A case of one exchange: its request and response, opened. */
static void open_exchange(const cJSON *one, struct flow *f, struct wire_response *response)
{
	memset(f, 0, sizeof *f);
	f->keys[0] = key_of(vectors_get(vectors_get(one, "inputs"), "credential"));
	f->r[0] = vectors_hex(vectors_get(one, "expected"), "R");
	f->s[0] = vectors_hex(vectors_get(one, "expected"), "S");
	cr_assert_eq(open_request(f, 0, hex_bytes(&f->r[0]), &f->requests[0]), f->r[0].len);
	cr_assert_eq(open_response(f, 0, hex_bytes(&f->s[0]), response), f->s[0].len);
}

Test(vectors_datagram, echo)
{
	cJSON *root = vectors_load();
	const cJSON *one = case_named(root, "ECHO udp"), *expected = vectors_get(one, "expected");
	struct hex payload = vectors_hex(vectors_get(one, "inputs"), "payload");
	struct wire_response response;
	static struct flow f;
	static struct datagram up, down;
	open_exchange(one, &f, &response);
	cr_expect_eq(f.requests[0].cmd, WIRE_ECHO);
	cr_expect_eq(response.status, STATUS_OK);
	put(&up, f.r[0].data, f.r[0].len);
	put(&up, payload.data, payload.len);
	put(&down, f.s[0].data, f.s[0].len);
	put(&down, up.bytes + WIRE_REQUEST, up.len - WIRE_REQUEST);
	cr_expect(hex_is(up.bytes, up.len, vectors_text(expected, "datagram_up")));
	cr_expect(hex_is(down.bytes, down.len, vectors_text(expected, "datagram_down")));
	unload(&f);
	cJSON_Delete(root);
}

Test(vectors_datagram, block_of_the_base_set)
{
	cJSON *root = vectors_load();
	struct wire_key *key = key_of(vectors_get(root, "inputs"));
	struct wire_up up = { .fid = 0x1122334455667788, .flags = WIRE_UP_PROV, .number = 7 }, back;
	uint8_t block[WIRE_BLOCK];
	wire_up_encode(key->mask, &up, block);
	cr_expect(hex_is(block, sizeof block,
		vectors_text(vectors_get(root, "expected"),
			"udp_up_block_fid_1122334455667788_flags_0001_pn_7")));
	for (size_t i = 0; i < sizeof block * 8; i++) {
		block[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_expect(!wire_up_decode(key->mask, block, &back) || back.fid != up.fid, "bit %zu",
			i);
		block[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	cr_assert(wire_up_decode(key->mask, block, &back));
	cr_expect(back.fid == up.fid && back.flags == up.flags && back.number == up.number);
	wire_key_free(key);
	cJSON_Delete(root);
}

Test(vectors_datagram, answers_that_open_no_chain)
{
	static struct flow f;
	struct wire_response response;
	cJSON *root = vectors_load();
	open_exchange(case_named(root, "UDP error S, val 0"), &f, &response);
	cr_expect_eq(f.requests[0].cmd, WIRE_CMD_UDP);
	cr_expect_eq(response.status, STATUS_DENIED_PRIVATE);
	cr_expect_eq(response.val, 0);
	unload(&f);
	open_exchange(case_named(root, "UDP exit, OPEN_UDP"), &f, &response);
	cr_expect(f.requests[0].flags & WIRE_OPEN_UDP);
	cr_expect_eq(f.requests[0].to.kind, ADDR_NONE);
	cr_expect_eq(response.val, 0x1112131415161719);
	unload(&f);
	cJSON_Delete(root);
}

Test(vectors_datagram, frames_in_a_stream)
{
	cJSON *root = vectors_load();
	const cJSON *one =
		case_named(root, "UDP over tcp: three datagrams, frames across two records");
	const cJSON *inputs = vectors_get(one, "inputs"), *item;
	struct hex stream = vectors_hex(vectors_get(one, "expected"), "stream");
	size_t split = (size_t)vectors_number(inputs, "split", 0);
	struct wire_frames frames = { 0 };
	struct datagram made = { .len = 0 };
	struct bytes in = bytes_of(stream.data, split), got;
	cJSON_ArrayForEach(item, vectors_get(inputs, "datagrams"))
	{
		struct hex data = hex_of(item->valuestring);
		uint8_t header[WIRE_FRAME_HEADER];
		wire_frame_header(data.len, header);
		put(&made, header, sizeof header);
		put(&made, data.data, data.len);
		int n = wire_frames_next(&frames, &in, &got);
		if (n == 0) { /* the first record is used up */
			in = bytes_of(stream.data + split, stream.len - split);
			n = wire_frames_next(&frames, &in, &got);
		}
		cr_assert_eq(n, 1);
		cr_expect(hex_is(got.ptr, got.len, item->valuestring));
	}
	cr_expect_eq(in.len, 0);
	cr_expect(!wire_frames_is_partial(&frames));
	cr_expect(
		hex_is(made.bytes, made.len, vectors_text(vectors_get(one, "expected"), "stream")));
	wire_frames_deinit(&frames);
	cJSON_Delete(root);
}
