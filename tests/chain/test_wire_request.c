#include "chain/wire_request.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct wire_key *key;

static void set_up(void)
{
	uint8_t credential[WIRE_CREDENTIAL] = { 1, 2, 3 };
	credential[SEAL_KEY] = 9;
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
}
static void tear_down(void)
{
	wire_key_free(key);
}
TestSuite(wire_request, .init = set_up, .fini = tear_down);

static const uint8_t salt[WIRE_SALT] = "0123456789abcde";

/* ---- T1 of docs/protocol.md 2.2, in words of its own ---- */

struct shape {
	uint8_t cmd;
	enum wire_transport transport;
	uint16_t flags;
	uint8_t atyp, proto;
	uint16_t port;
};

static bool only(uint16_t flags, unsigned allowed)
{
	return (flags & ~allowed) == 0;
}

/* EXIT and E2E and an offer, and of the rest only what is @allowed. */
static bool is_sealed(uint16_t flags, unsigned allowed)
{
	return (flags & 3) == 3 && (flags & 0x700) != 0 && only(flags, 0x703 | allowed);
}

static bool are_flags_right(const struct shape *s)
{
	uint16_t f = s->flags;
	switch (s->cmd) {
	case 1:
		return only(f, 0x50) || only(f, 0x51) || is_sealed(f, 0x74);
	case 2:
		if (!(f & 1))
			return s->transport == WIRE_UDP && only(f, 0x50);
		return is_sealed(f, 0xd4);
	case 3:
		return only(f, 0x50);
	case 4:
		return only(f, 0x08);
	case 5:
	case 6:
		return is_sealed(f, 0x14);
	case 7:
		return is_sealed(f, 0x34) && (f & 0x30) == 0x30;
	case 32:
		return is_sealed(f, 0x54) || (only(f, 0x51) && (f & 1));
	default:
		return false;
	}
}

static bool is_target_right(const struct shape *s)
{
	bool is_address = s->atyp == 1 || s->atyp == 3 || s->atyp == 4;
	if ((s->port != 0) != is_address)
		return false;
	switch (s->cmd) {
	case 1:
		return (is_address || s->atyp == 5) && (s->proto == 0 || s->proto == 2);
	case 2:
		return s->proto == 1 && (s->flags & 0x80 ? s->atyp == 0 : is_address);
	case 5:
	case 6:
		return s->atyp == 5 && s->proto == 0;
	default:
		return s->atyp == 0 && s->proto == 0;
	}
}

static enum wire_status expected_of(const struct shape *s)
{
	if ((s->flags & 0xf800) != 0)
		return STATUS_BAD_REQUEST;
	bool is_udp = s->transport == WIRE_UDP;
	if (s->cmd == 0 || (s->cmd > 7 && s->cmd != 32) || (is_udp && s->cmd != 2 && s->cmd != 3))
		return STATUS_UNSUPPORTED;
	if (!is_udp && s->cmd == 2 && (s->flags & 1) == 0)
		return STATUS_UNSUPPORTED;
	return are_flags_right(s) && is_target_right(s) ? STATUS_OK : STATUS_BAD_REQUEST;
}

/* A plaintext of @s that is right in everything else. */
static void fill(const struct shape *s, struct wire_request_plain *plain)
{
	struct wire_writer w;
	wire_writer_init(&w, plain->bytes, sizeof plain->bytes);
	wire_put_u8(&w, 1);
	wire_put_u8(&w, s->cmd);
	wire_put_u16(&w, s->flags);
	wire_put_u64(&w, 1760000000000);
	wire_put_u16(&w, s->flags & WIRE_EXT ? 3 : 0);
	wire_put_u16(&w, 0);
	wire_put_u8(&w, s->atyp);
	wire_put_u8(&w, s->proto);
	wire_put_u16(&w, s->port);
	wire_put_bytes(&w,
		s->atyp == 3 || s->atyp == 5 ? "\4name"
		: s->atyp                    ? "\xc0\0\2\1"
					     : "\0\0\0\0",
		s->atyp == 3 || s->atyp == 5 ? 5 : 4);
	wire_put_zeros(&w, 36 - wire_written(&w));
	wire_put_u64(&w, 77);
	wire_put_u32(&w, 0);
	memset(w.pos, s->flags & WIRE_FS ? 0x55 : 0, 32);
	w.pos += 32;
	wire_put_u64(&w, 0);
	cr_assert_eq(wire_written(&w), 88);
}

static enum wire_status check(const struct shape *s, uint8_t *detail)
{
	struct wire_request_plain plain;
	struct wire_request r;
	uint16_t ext_len;
	fill(s, &plain);
	return wire_request_check(&plain, s->transport, &r, &ext_len, detail);
}

Test(wire_request, every_combination_is_judged_as_t1_says)
{
	size_t n_ok = 0;
	for (uint32_t i = 0; i < 11u * 2 * 4096 * 7 * 4 * 2; i++) {
		uint32_t rest = i;
		struct shape s = { .flags = (uint16_t)(rest %
						       4096) }; /* one reserved bit among them */
		rest /= 4096;
		s.atyp = (uint8_t)(rest % 7);
		rest /= 7;
		s.proto = (uint8_t)(rest % 4);
		rest /= 4;
		s.port = (uint16_t)(rest % 2);
		rest /= 2;
		s.transport = (enum wire_transport)(1 + rest % 2);
		s.cmd = (uint8_t)(rest / 2 < 10 ? rest / 2 : 32);
		uint8_t detail;
		enum wire_status status = check(&s, &detail);
		if (status != expected_of(&s))
			cr_assert_fail("cmd %u transport %d flags %04x atyp %u proto %u port %u: "
				       "%02x, detail %u",
				s.cmd, s.transport, s.flags, s.atyp, s.proto, s.port, status,
				detail);
		n_ok += status == STATUS_OK;
	}
	cr_expect_gt(n_ok, 1000);
}

Test(wire_request, the_detail_is_the_offset_of_the_first_wrong_field)
{
	static const struct {
		struct shape shape;
		size_t at; /* byte to change, 0 = none */
		uint8_t value;
		enum wire_status status;
		uint8_t detail;
	} rows[] = {
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 0, 0, STATUS_OK, 0 },
		{ { 9, WIRE_TCP, 0, 1, 0, 80 }, 0, 0, STATUS_UNSUPPORTED, 1 },
		{ { 1, WIRE_TCP, 0x0800, 1, 0, 80 }, 0, 0, STATUS_BAD_REQUEST, 2 },
		{ { 1, WIRE_TCP, 0x0008, 9, 9, 0 }, 0, 0, STATUS_BAD_REQUEST, 2 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 13, 1, STATUS_BAD_REQUEST, 12 },
		{ { 1, WIRE_TCP, 0x10, 1, 0, 80 }, 13, 0, STATUS_BAD_REQUEST, 12 },
		{ { 1, WIRE_TCP, 0x10, 1, 0, 80 }, 12, 4, STATUS_BAD_REQUEST, 12 },
		{ { 1, WIRE_TCP, 0, 2, 9, 80 }, 0, 0, STATUS_BAD_REQUEST, 16 },
		{ { 1, WIRE_TCP, 0, 200, 9, 80 }, 0, 0, STATUS_BAD_REQUEST, 16 },
		{ { 1, WIRE_TCP, 0, 1, 200, 0 }, 0, 0, STATUS_BAD_REQUEST, 17 },
		{ { 1, WIRE_TCP, 0, 1, 0, 0 }, 35, 1, STATUS_BAD_REQUEST, 18 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 35, 1, STATUS_BAD_REQUEST, 20 },
		{ { 1, WIRE_TCP, 0, 3, 0, 80 }, 25, 1, STATUS_BAD_REQUEST, 20 },
		{ { 1, WIRE_TCP, 0, 3, 0, 80 }, 20, 16, STATUS_BAD_REQUEST, 20 },
		{ { 1, WIRE_TCP, 0, 3, 0, 80 }, 20, 255, STATUS_BAD_REQUEST, 20 },
		{ { 3, WIRE_TCP, 0, 0, 0, 0 }, 20, 1, STATUS_BAD_REQUEST, 20 },
		{ { 3, WIRE_UDP, 0, 0, 0, 0 }, 43, 0, STATUS_BAD_REQUEST, 36 },
		{ { 3, WIRE_TCP, 0, 0, 0, 0 }, 43, 0, STATUS_OK, 0 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 44, 1, STATUS_BAD_REQUEST, 44 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 47, 1, STATUS_BAD_REQUEST, 44 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 48, 1, STATUS_BAD_REQUEST, 48 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 79, 1, STATUS_BAD_REQUEST, 48 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 80, 1, STATUS_BAD_REQUEST, 80 },
		{ { 1, WIRE_TCP, 0, 1, 0, 80 }, 87, 1, STATUS_BAD_REQUEST, 80 },
		{ { 9, WIRE_TCP, 0x8000, 9, 9, 0 }, 0, 2, STATUS_BAD_REQUEST, 2 },
		{ { WIRE_MEASURE, WIRE_TCP, 0x51, 0, 0, 0 }, 0, 0, STATUS_OK, 0 },
		{ { WIRE_MEASURE, WIRE_TCP, 0x757, 0, 0, 0 }, 0, 0, STATUS_OK, 0 },
		{ { WIRE_MEASURE, WIRE_UDP, 0x703, 0, 0, 0 }, 0, 0, STATUS_UNSUPPORTED, 1 },
		{ { WIRE_MEASURE, WIRE_TCP, 0, 0, 0, 0 }, 0, 0, STATUS_BAD_REQUEST, 2 },
		{ { WIRE_MEASURE, WIRE_TCP, 0x03, 0, 0, 0 }, 0, 0, STATUS_BAD_REQUEST, 2 },
		{ { WIRE_MEASURE, WIRE_TCP, 0x723, 0, 0, 0 }, 0, 0, STATUS_BAD_REQUEST, 2 },
		{ { WIRE_MEASURE, WIRE_TCP, 1, 1, 0, 80 }, 0, 0, STATUS_BAD_REQUEST, 16 },
		{ { WIRE_MEASURE, WIRE_TCP, 1, 0, 1, 0 }, 0, 0, STATUS_BAD_REQUEST, 17 },
		{ { WIRE_MEASURE, WIRE_TCP, 1, 0, 0, 80 }, 0, 0, STATUS_BAD_REQUEST, 18 },
		{ { WIRE_MEASURE, WIRE_TCP, 1, 0, 0, 0 }, 20, 1, STATUS_BAD_REQUEST, 20 },
		{ { WIRE_MEASURE, WIRE_TCP, 1, 0, 0, 0 }, 48, 1, STATUS_BAD_REQUEST, 48 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wire_request_plain plain;
		struct wire_request r;
		uint16_t ext_len;
		uint8_t detail = 0xee;
		fill(&rows[i].shape, &plain);
		if (rows[i].at != 0)
			plain.bytes[rows[i].at] = rows[i].value;
		enum wire_status status =
			wire_request_check(&plain, rows[i].shape.transport, &r, &ext_len, &detail);
		cr_expect_eq(status, rows[i].status, "row %zu: %02x", i, status);
		cr_expect_eq(detail, rows[i].detail, "row %zu: detail %u", i, detail);
		plain.bytes[0] ^= 3; /* another version: nothing else is looked at */
		status = wire_request_check(&plain, rows[i].shape.transport, &r, &ext_len, &detail);
		cr_expect_eq(status, STATUS_VERSION);
		cr_expect_eq(detail, 0);
	}
}

/* ---- round trips ---- */

static struct wire_request connect_name(const char *name)
{
	struct wire_request r = { .cmd = WIRE_CONNECT,
		.flags = WIRE_EXIT | WIRE_E2E | WIRE_FS | WIRE_OFFERS | WIRE_TRACE,
		.time_ms = 1760000000000,
		.timeout = 50,
		.atyp = WIRE_ATYP_NAME,
		.fid = 42 };
	r.to.kind = ADDR_NAME;
	r.to.port = 443;
	strcpy(r.to.name, name);
	memset(r.eph, 0x77, sizeof r.eph);
	return r;
}

/* Opens what encode made. Return: the status of lines 7 to 12. */
static enum wire_status open_all(
	const uint8_t *r, int len, enum wire_transport transport, struct wire_request *ret)
{
	struct wire_request_plain plain;
	uint8_t detail, ext[WIRE_EXT_MAX], kid[WIRE_KID];
	uint16_t ext_len;
	wire_request_kid(r, key->mask, kid);
	cr_assert_arr_eq(kid, key->kid, WIRE_KID);
	cr_assert(wire_request_open(r, transport, key, &plain));
	enum wire_status status = wire_request_check(&plain, transport, ret, &ext_len, &detail);
	if (status != STATUS_OK)
		return status;
	cr_assert_eq(wire_request_time(&plain), ret->time_ms);
	cr_assert_eq(len, ext_len == 0 ? WIRE_REQUEST : WIRE_REQUEST + WIRE_EXT_SEALED(ext_len));
	if (ext_len > 0)
		cr_assert(wire_request_open_ext(
			r, key, bytes_of(r + WIRE_REQUEST, WIRE_EXT_SEALED(ext_len)), ext));
	return wire_request_check_ext(bytes_of(ext, ext_len), ret, &detail);
}

static void expect_same(const struct wire_request *a, const struct wire_request *b)
{
	cr_expect_eq(a->cmd, b->cmd);
	cr_expect_eq(a->flags & ~WIRE_EXT, b->flags & ~WIRE_EXT);
	cr_expect_eq(a->time_ms, b->time_ms);
	cr_expect_eq(a->timeout, b->timeout);
	cr_expect_eq(a->proto, b->proto);
	cr_expect_eq(a->atyp, b->atyp);
	cr_expect_eq(a->to.kind, b->to.kind);
	cr_expect_eq(a->to.port, b->to.port);
	cr_expect_arr_eq(a->to.ip, b->to.ip, 16);
	cr_expect_str_eq(a->to.name, b->to.name);
	cr_expect_eq(a->fid, b->fid);
	cr_expect_arr_eq(a->eph, b->eph, 32);
	cr_expect_eq(a->has_client, b->has_client);
	if (a->has_client)
		cr_expect(addr_sock_is_equal(&a->client, &b->client));
	cr_expect_eq(a->has_padding, b->has_padding);
	cr_expect_eq(a->n_padding, b->n_padding);
	cr_expect_eq(a->has_resume, b->has_resume);
	cr_expect_arr_eq(a->resume.mac, b->resume.mac, 16);
	cr_expect_eq(a->resume.rx, b->resume.rx);
}

static int encode(const struct wire_request *r, enum wire_transport transport, uint8_t *to)
{
	return wire_request_encode(r, transport, key, salt, to);
}

static int round_trip(const struct wire_request *r, enum wire_transport transport)
{
	uint8_t sealed[WIRE_REQUEST_MAX];
	struct wire_request back;
	int n = encode(r, transport, sealed);
	cr_assert_geq(n, WIRE_REQUEST);
	cr_assert_eq(open_all(sealed, n, transport, &back), STATUS_OK);
	expect_same(r, &back);
	return n;
}

Test(wire_request, names_of_every_length_take_one_of_two_places)
{
	for (size_t len = 1; len <= ADDR_NAME_MAX; len++) {
		char name[ADDR_NAME_MAX + 1] = "";
		for (size_t i = 0; i < len; i++)
			name[i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
		struct wire_request r = connect_name(name);
		int n = round_trip(&r, WIRE_TCP);
		cr_expect_eq(n, len <= 15 ? 128 : 128 + 3 + (int)len + 16);
	}
}

Test(wire_request, all_entries_come_back)
{
	struct wire_request r = connect_name("a-name-longer-than-fifteen.example");
	r.has_client = true;
	r.client.ip6.sin6_family = AF_INET6;
	r.client.ip6.sin6_addr.s6_addr[15] = 1;
	addr_sock_set_port(&r.client, 4711);
	r.has_padding = true;
	for (uint16_t n = 0; n < 900; n = (uint16_t)(n + 100)) {
		r.n_padding = n;
		round_trip(&r, WIRE_TCP);
	}
	memset(&r.client, 0, sizeof r.client);
	r.client.ip4.sin_family = AF_INET;
	r.client.ip4.sin_addr.s_addr = 0x01020304;
	addr_sock_set_port(&r.client, 80);
	round_trip(&r, WIRE_TCP);
}

Test(wire_request, every_command_comes_back)
{
	struct wire_request udp = connect_name("example.org");
	udp.cmd = WIRE_CMD_UDP;
	udp.proto = 1;
	round_trip(&udp, WIRE_UDP);
	round_trip(&udp, WIRE_TCP);
	struct wire_request reverse = connect_name("home-nas");
	reverse.cmd = WIRE_REV_REGISTER;
	reverse.atyp = WIRE_ATYP_REVERSE;
	reverse.to.port = 0;
	reverse.flags = (uint16_t)(reverse.flags & ~WIRE_TRACE);
	round_trip(&reverse, WIRE_TCP);
	struct wire_request resume = { .cmd = WIRE_RESUME,
		.flags = WIRE_EXIT | WIRE_E2E | WIRE_RESUMABLE | WIRE_OFFERS,
		.has_resume = true,
		.resume = { .id = { 1 }, .epoch = 2, .rx = 3, .flags = 1, .mac = { 4 } } };
	round_trip(&resume, WIRE_TCP);
	struct wire_request echo = {
		.cmd = WIRE_ECHO, .flags = WIRE_TRACE, .fid = 3, .has_padding = true
	};
	round_trip(&echo, WIRE_TCP);
	round_trip(&echo, WIRE_UDP);
	struct wire_request noop = { .cmd = WIRE_NOOP, .flags = WIRE_KEEP };
	round_trip(&noop, WIRE_TCP);
	struct wire_request measure = {
		.cmd = WIRE_MEASURE, .flags = WIRE_EXIT | WIRE_TRACE, .has_padding = true
	};
	round_trip(&measure, WIRE_TCP);
	measure.flags |= WIRE_E2E | WIRE_FS | WIRE_OFFERS;
	memset(measure.eph, 0x77, sizeof measure.eph);
	round_trip(&measure, WIRE_TCP);
}

Test(wire_request, what_is_not_legal_is_not_encoded)
{
	uint8_t to[WIRE_REQUEST_MAX];
	struct wire_request good = connect_name("example.org"), r;
	cr_assert_gt(encode(&good, WIRE_TCP, to), 0);
	cr_expect_eq(encode(&good, WIRE_UDP, to), ERR_INVAL, "CONNECT on udp");
	r = good, r.cmd = 9;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r = good, r.flags |= WIRE_KEEP;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r = good, r.flags |= 0x0800;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r = good, r.to.port = 0;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r = good, r.to.kind = ADDR_IP4;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL, "kind and atyp differ");
	r = good, memset(r.eph, 0, 32);
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r = good, r.has_resume = true;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r = good, r.has_client = true;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL, "no family");
	r = good, r.has_padding = true, r.n_padding = 1021;
	cr_expect_gt(encode(&r, WIRE_TCP, to), 0);
	r.n_padding = 1022;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	r.n_padding = 0xffff;
	cr_expect_eq(encode(&r, WIRE_TCP, to), ERR_INVAL);
	struct wire_request noop = { .cmd = WIRE_NOOP, .has_padding = true };
	cr_expect_eq(encode(&noop, WIRE_TCP, to), ERR_INVAL, "NOOP has no extension");
	struct wire_request echo = { .cmd = WIRE_ECHO };
	cr_expect_gt(encode(&echo, WIRE_TCP, to), 0);
	cr_expect_eq(encode(&echo, WIRE_UDP, to), ERR_INVAL, "no fid");
}

/* ---- names (2.4) ---- */

Test(wire_request, names_are_judged_the_same_inline_and_in_the_extension)
{
	static const struct {
		const char *name;
		bool is_good;
	} rows[] = { { "localhost", true }, { "a_b-.c", true }, { "1.a", true }, { "a.0xg", true },
		{ "-", true }, { "xn--bcher-kva.ch", true },
		{ "this-name-has-more-than-fifteen.example", true },
		{ "this-name-has-more-than-fifteen.127", false },
		{ "this-name-has-more-than-fifteen.0x7F", false },
		{ "this-name-has-more-than-fifteen.", false },
		{ "this-name..has-more-than-fifteen", false },
		{ "this name has more than fifteen", false },
		{ ".this-name-has-more-than-fifteen", false }, { "127.1", false },
		{ "1.2.3.4", false }, { "0x", false }, { "a.0X", false }, { "a.", false },
		{ ".", false }, { "a b", false }, { "", false }, { "2130706433", false },
		{ "\xc3\xa4.de", false }, { "a/b", false }, { "[::1]", false } };
	uint8_t to[WIRE_REQUEST_MAX];
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wire_request r = connect_name(rows[i].name);
		cr_expect_eq(encode(&r, WIRE_TCP, to) > 0, rows[i].is_good, "\"%s\"", rows[i].name);
	}
}

/* A name with a NUL inside must not become the shorter name before it. */
Test(wire_request, a_nul_does_not_end_a_name)
{
	struct wire_request_plain plain;
	struct wire_request r;
	uint16_t ext_len;
	uint8_t detail;
	struct shape s = { 1, WIRE_TCP, 0, 3, 0, 80 };
	fill(&s, &plain);
	memcpy(plain.bytes + 20, "\7abc\0def", 8);
	cr_expect_eq(wire_request_check(&plain, WIRE_TCP, &r, &ext_len, &detail), STATUS_OK,
		"line 12 judges names");
	cr_expect_str_eq(r.to.name, "");
	cr_expect_eq(wire_request_check_ext(bytes_of(NULL, 0), &r, &detail), STATUS_BAD_REQUEST);
	cr_expect_eq(detail, 20);
	uint8_t entry[] = "\1\0\x10long\0name.sixteen";
	s.flags = WIRE_EXT;
	fill(&s, &plain);
	memset(plain.bytes + 20, 0, 16);
	cr_expect_eq(wire_request_check(&plain, WIRE_TCP, &r, &ext_len, &detail), STATUS_OK);
	cr_expect_eq(wire_request_check_ext(bytes_of(entry, 19), &r, &detail), STATUS_BAD_REQUEST);
	cr_expect_eq(detail, 88);
}

/* An inline name that is none stays a fault when the extension brings a good one. */
Test(wire_request, a_bad_inline_name_is_not_replaced)
{
	struct wire_request_plain plain;
	struct wire_request r;
	uint16_t ext_len;
	uint8_t detail;
	struct shape s = { 1, WIRE_TCP, WIRE_EXT, 3, 0, 80 };
	fill(&s, &plain);
	memcpy(plain.bytes + 20, "\4a..b", 5);
	cr_expect_eq(wire_request_check(&plain, WIRE_TCP, &r, &ext_len, &detail), STATUS_OK);
	uint8_t entry[] = "\1\0\x10long-name.sixtee";
	cr_expect_eq(wire_request_check_ext(bytes_of(entry, 19), &r, &detail), STATUS_BAD_REQUEST);
}

/* ---- cut and changed ---- */

Test(wire_request, every_changed_bit_and_the_other_transport_are_refused)
{
	struct wire_request r = connect_name("this-name-has-more-than-fifteen.example");
	struct wire_request_plain plain;
	uint8_t sealed[WIRE_REQUEST_MAX], ext[WIRE_EXT_MAX], kid[WIRE_KID];
	int n = encode(&r, WIRE_TCP, sealed);
	cr_assert_gt(n, WIRE_REQUEST);
	struct bytes rest = bytes_of(sealed + WIRE_REQUEST, (size_t)n - WIRE_REQUEST);
	cr_expect_not(wire_request_open(sealed, WIRE_UDP, key, &plain));
	for (int i = 0; i < n * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
		bool opens = wire_request_open(sealed, WIRE_TCP, key, &plain);
		cr_expect_eq(opens, i >= WIRE_REQUEST * 8, "bit %d", i);
		if (i >= (WIRE_REQUEST - SEAL_TAG) * 8 || i < 24 * 8)
			cr_expect_not(wire_request_open_ext(sealed, key, rest, ext),
				"bit %d: bound to R", i);
		wire_request_kid(sealed, key->mask, kid);
		cr_expect_eq(memcmp(kid, key->kid, WIRE_KID) == 0, i >= 24 * 8);
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < rest.len; len++)
		cr_expect_not(wire_request_open_ext(sealed, key, bytes_of(rest.ptr, len), ext));
	cr_expect(wire_request_open_ext(sealed, key, rest, ext));
}

/* Opens the extension that encode made for @r. */
static size_t ext_of(const struct wire_request *r, uint8_t ext[WIRE_EXT_MAX])
{
	uint8_t sealed[WIRE_REQUEST_MAX];
	int n = encode(r, WIRE_TCP, sealed);
	cr_assert_gt(n, WIRE_REQUEST);
	size_t len = (size_t)n - WIRE_REQUEST;
	cr_assert(wire_request_open_ext(sealed, key, bytes_of(sealed + WIRE_REQUEST, len), ext));
	return len - SEAL_TAG;
}

Test(wire_request, an_extension_cut_at_any_byte_is_refused_unless_an_entry_ends_there)
{
	uint8_t ext[WIRE_EXT_MAX], detail;
	struct wire_request r = connect_name("this-name-has-more-than-fifteen.example");
	r.has_padding = true;
	r.n_padding = 5;
	r.has_client = true;
	r.client.any.sa_family = AF_INET;
	size_t name = 3 + strlen(r.to.name), len = ext_of(&r, ext);
	cr_assert_eq(len, name + 8 + 10);
	for (size_t cut = 0; cut <= len; cut++) {
		struct wire_request fresh = r;
		uint8_t *copy = malloc(cut > 0 ? cut : 1);
		fresh.to.kind = ADDR_NONE;
		fresh.to.name[0] = '\0';
		memcpy(copy, ext, cut);
		bool is_end = cut == name || cut == name + 8 || cut == len;
		enum wire_status status =
			wire_request_check_ext(bytes_of(copy, cut), &fresh, &detail);
		cr_expect_eq(status, is_end ? STATUS_OK : STATUS_BAD_REQUEST, "cut at %zu", cut);
		free(copy);
	}
}

/* Each type with each length up to 300, all bytes zero: few are legal. */
Test(wire_request, entries_of_every_type_and_length)
{
	uint8_t ext[3 + 300] = { 0 }, detail;
	for (unsigned type = 0; type < 256; type++) {
		for (size_t len = 0; len <= 300; len++) {
			struct wire_request r = { .cmd = WIRE_ECHO };
			ext[0] = (uint8_t)type;
			ext[1] = (uint8_t)(len >> 8);
			ext[2] = (uint8_t)len;
			enum wire_status status =
				wire_request_check_ext(bytes_of(ext, 3 + len), &r, &detail);
			cr_expect_eq(status,
				type == 2 || type >= 0x80 ? STATUS_OK : STATUS_BAD_REQUEST,
				"type %u, %zu bytes", type, len);
			r = (struct wire_request){ .cmd = WIRE_RESUME };
			status = wire_request_check_ext(bytes_of(ext, 3 + len), &r, &detail);
			cr_expect_eq(status,
				type == 3 && len == 45 ? STATUS_OK : STATUS_BAD_REQUEST,
				"type %u, %zu bytes", type, len);
		}
	}
}

Test(wire_request, a_client_entry_has_one_of_two_sizes_and_belongs_to_what_dials)
{
	uint8_t ext[3 + 30] = { WIRE_TLV_CLIENT }, detail;
	for (uint8_t cmd = 1; cmd <= WIRE_MEASURE; cmd++) {
		if (cmd == WIRE_RESUME)
			continue; /* needs an entry of its own */
		for (uint8_t atyp = 0; atyp < 8; atyp++) {
			for (uint8_t len = 0; len <= 30; len++) {
				struct wire_request r = { .cmd = cmd };
				ext[2] = len;
				ext[3] = atyp;
				enum wire_status status = wire_request_check_ext(
					bytes_of(ext, 3u + len), &r, &detail);
				bool is_good = cmd <= 2 && ((atyp == 1 && len == 7) ||
								   (atyp == 4 && len == 19));
				cr_expect_eq(status == STATUS_OK, is_good, "cmd %u atyp %u len %u",
					cmd, atyp, len);
			}
		}
	}
}
