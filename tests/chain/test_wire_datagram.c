#include "chain/wire_datagram.h"

#include <criterion/criterion.h>

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
}
TestSuite(wire_datagram, .init = set_up);

static struct wire_key *new_key(uint8_t mk, uint8_t uk)
{
	uint8_t credential[WIRE_CREDENTIAL] = { mk };
	struct wire_key *key = NULL;
	credential[SEAL_KEY] = uk;
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static const uint64_t words[] = { 0, 1, 0x1122334455667788, UINT64_MAX };
static const uint64_t numbers[] = { 0, 1, 0x010203040506, WIRE_NUMBER_MAX };

Test(wire_datagram, every_up_block_makes_the_round_trip)
{
	struct wire_key *key = new_key(1, 2), *other_user = new_key(1, 3);
	for (unsigned i = 0; i < 4 * 4 * 8; i++) {
		struct wire_up up = { .fid = words[i % 4],
			.flags = (uint16_t)(i / 16),
			.number = numbers[i / 4 % 4] };
		struct wire_up back;
		uint8_t block[WIRE_BLOCK], plain[WIRE_BLOCK];
		wire_up_print(&up, plain);
		wire_up_encode(key->mask, &up, block);
		cr_expect_arr_neq(block, plain, WIRE_BLOCK);
		cr_assert(wire_up_decode(other_user->mask, block, &back));
		cr_expect(back.fid == up.fid && back.flags == up.flags && back.number == up.number);
	}
	wire_key_free(key);
	wire_key_free(other_user);
}

Test(wire_datagram, every_down_block_makes_the_round_trip)
{
	struct wire_key *key = new_key(1, 2);
	for (unsigned i = 0; i < 4 * 4 * 4 * 3; i++) {
		static const uint8_t statuses[] = { 0, 0x72, 0xff };
		struct wire_down down = { .fid = words[i % 4],
			.status = statuses[i / 64],
			.flags = (uint8_t)(i / 16 % 4),
			.number = numbers[i / 4 % 4] };
		struct wire_down back;
		uint8_t block[WIRE_BLOCK];
		wire_down_encode(key, &down, block);
		cr_assert(wire_down_decode(key, block, &back));
		cr_expect(back.fid == down.fid && back.status == down.status &&
			  back.flags == down.flags && back.number == down.number);
	}
	wire_key_free(key);
}

Test(wire_datagram, fields_stand_where_the_protocol_says)
{
	static const uint8_t up[WIRE_BLOCK] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0,
		5, 1, 2, 3, 4, 5, 6 };
	static const uint8_t down[WIRE_BLOCK] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
		0x72, 3, 1, 2, 3, 4, 5, 6 };
	uint8_t to[WIRE_BLOCK];
	wire_up_print(&(struct wire_up){ .fid = 0x1122334455667788,
			      .flags = WIRE_UP_PROV | WIRE_UP_PING,
			      .number = 0x010203040506 },
		to);
	cr_expect_arr_eq(to, up, WIRE_BLOCK);
	wire_down_print(&(struct wire_down){ .fid = 0x1122334455667788,
				.status = STATUS_RESETUP,
				.flags = WIRE_DOWN_EPOCH | WIRE_DOWN_PONG,
				.number = 0x010203040506 },
		to);
	cr_expect_arr_eq(to, down, WIRE_BLOCK);
}

Test(wire_datagram, a_block_with_a_reserved_flag_is_no_block)
{
	struct wire_key *key = new_key(1, 2);
	struct wire_up up;
	struct wire_down down;
	for (unsigned bit = 0; bit < 16; bit++) {
		uint8_t plain[WIRE_BLOCK] = { 0 }, block[WIRE_BLOCK];
		plain[8 + bit / 8] = (uint8_t)(1 << bit % 8);
		seal_block_encrypt(key->mask->up_block, plain, block);
		bool is_known = bit >= 8 && bit < 11;
		cr_expect_eq(wire_up_decode(key->mask, block, &up), is_known, "bit %u", bit);
		seal_block_encrypt(key->dn_block, plain, block);
		is_known = bit < 10; /* eight of status, two flags */
		cr_expect_eq(wire_down_decode(key, block, &down), is_known, "bit %u", bit);
	}
	wire_key_free(key);
}

/* A block under another key is noise: at most a few of many pass the flags, none shows the id. */
Test(wire_datagram, blocks_of_other_keys_and_directions_show_another_id)
{
	struct wire_key *key = new_key(1, 2), *other = new_key(3, 4);
	for (uint64_t i = 0; i < 1000; i++) {
		struct wire_up up = { .fid = 77, .flags = WIRE_UP_KEYPHASE, .number = i };
		struct wire_down down;
		uint8_t block[WIRE_BLOCK];
		wire_up_encode(key->mask, &up, block);
		bool is_block = wire_up_decode(other->mask, block, &up);
		cr_expect(!is_block || up.fid != 77);
		is_block = wire_down_decode(key, block, &down);
		cr_expect(!is_block || down.fid != 77);
	}
	wire_key_free(key);
	wire_key_free(other);
}

Test(wire_datagram, phases_have_keys_of_their_own)
{
	struct wire_key *key = new_key(1, 2);
	uint8_t r[WIRE_REQUEST] = { 1 };
	struct wire_secrets secrets = { .up = { 1 }, .down = { 2 } };
	struct record_packet phase0, other, up, down;
	wire_datagram_phase0(key, r, true, &phase0);
	cr_expect_eq(phase0.cipher, RECORD_CHACHA20_POLY1305);
	cr_expect(phase0.is_sealing);
	static const uint8_t heard[] = { 0, 23, 112, 127 }, unheard[] = { 24, 111 };
	for (size_t i = 0; i < sizeof heard + sizeof unheard; i++) {
		bool is_heard = i < sizeof heard;
		uint8_t at = is_heard ? heard[i] : unheard[i - sizeof heard];
		r[at] ^= 1;
		wire_datagram_phase0(key, r, false, &other);
		cr_expect_eq(memcmp(phase0.key, other.key, 32) != 0, is_heard, "byte %u of R", at);
		r[at] ^= 1;
	}
	wire_datagram_phase1(&secrets, RECORD_AES_128_GCM, true, &up, &down);
	cr_expect(!up.is_sealing && down.is_sealing);
	cr_expect_arr_neq(up.key, down.key, 32);
	wire_datagram_phase1(&secrets, RECORD_AES_128_GCM, false, &up, &down);
	cr_expect(up.is_sealing && !down.is_sealing);
	wire_key_free(key);
}

/* The table of docs/protocol.md 2.10. */
Test(wire_datagram, overhead_and_room_are_those_of_the_table)
{
	static const struct {
		size_t s_overhead, ip4_1500, ip6_1500, ip6_1280, f_overhead, f_ip4_1500;
	} rows[] = {
		{ 32, 1440, 1420, 1200, 160, 1312 },
		{ 48, 1424, 1404, 1184, 288, 1184 },
		{ 64, 1408, 1388, 1168, 416, 1056 },
		{ 80, 1392, 1372, 1152, 544, 928 },
		{ 96, 1376, 1356, 1136, 672, 800 },
	};
	for (unsigned n = 1; n <= 5; n++) {
		cr_expect_eq(wire_datagram_overhead(WIRE_FORM_S, n, 0), rows[n - 1].s_overhead);
		cr_expect_eq(wire_datagram_overhead(WIRE_FORM_P, n, 99), rows[n - 1].s_overhead);
		cr_expect_eq(wire_datagram_overhead(WIRE_FORM_F, n, 0), rows[n - 1].f_overhead);
		cr_expect_eq(
			wire_datagram_room(WIRE_FORM_S, n, 0, 1500, false), rows[n - 1].ip4_1500);
		cr_expect_eq(
			wire_datagram_room(WIRE_FORM_P, n, 0, 1500, true), rows[n - 1].ip6_1500);
		cr_expect_eq(
			wire_datagram_room(WIRE_FORM_S, n, 0, 1280, true), rows[n - 1].ip6_1280);
		cr_expect_eq(
			wire_datagram_room(WIRE_FORM_F, n, 0, 1500, false), rows[n - 1].f_ip4_1500);
		cr_expect_eq(wire_datagram_room(WIRE_FORM_F, n, 35, 1500, false),
			rows[n - 1].f_ip4_1500 - 35);
	}
}

Test(wire_datagram, a_link_that_is_too_small_has_no_room)
{
	cr_expect_eq(wire_datagram_room(WIRE_FORM_F, 8, 1040, 1280, true), 0);
	cr_expect_eq(wire_datagram_room(WIRE_FORM_S, 1, 0, 28 + 32, false), 0);
	cr_expect_eq(wire_datagram_room(WIRE_FORM_S, 1, 0, 28 + 33, false), 1);
	cr_expect_eq(wire_datagram_room(WIRE_FORM_S, 1, 0, 0, false), 0);
}

Test(wire_datagram, what_a_hop_can_send_limits_the_payload)
{
	static const struct {
		unsigned i, n;
		uint16_t value;
		size_t limit;
	} rows[] = {
		{ 1, 1, 1400, 1400 }, /* the exit sends the payload as it is */
		{ 3, 3, 1472, 1472 },
		{ 3, 3, 1199, 1200 },
		{ 3, 3, 0, 1200 },
		{ 2, 3, 1400, 1400 - 16 - 16 }, /* one block, tag */
		{ 1, 3, 1400, 1400 - 32 - 16 },
		{ 1, 3, 100, 1200 - 32 - 16 },
		{ 1, 3, 65535, 65535 - 32 - 16 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(wire_datagram_limit(rows[i].i, rows[i].n, rows[i].value),
			rows[i].limit, "row %zu", i);
	cr_expect_eq(wire_datagram_limit(1, 200, 1200), 0);
}
