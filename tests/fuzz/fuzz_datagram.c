/* Datagrams without flows: byte 0 chooses what the rest is. As it came: for a hop and for a client,
 * where nothing may open; as the plaintext of blocks and what is sealed behind them; as a stream of
 * frames that arrives in pieces. */
#include "chain/wire_datagram.h"
#include "chain/wire_frame.h"
#include "chain/wire_response.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wire_key *key;
static const uint8_t r[WIRE_REQUEST] = { 7 };

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static void start(void)
{
	uint8_t credential[WIRE_CREDENTIAL] = { 1 };
	credential[SEAL_KEY] = 2;
	check(seal_start() == 0 && record_start() == 0);
	check(wire_key_new(credential, &key) == WIRE_KEY_OK);
}

static void read_raw(struct bytes d)
{
	static uint8_t to[WIRE_FRAME_MAX];
	static const struct wire_request request = { .cmd = WIRE_CMD_UDP };
	struct wire_up up;
	struct wire_down down;
	struct wire_request_plain plain;
	struct wire_response response;
	struct record_packet packet;
	uint16_t ext_len;
	if (d.len >= WIRE_BLOCK && wire_up_decode(key->mask, d.ptr, &up))
		check(up.flags < 8 && up.number <= WIRE_NUMBER_MAX);
	if (d.len >= WIRE_BLOCK && wire_down_decode(key, d.ptr, &down))
		check(down.flags < 4 && down.number <= WIRE_NUMBER_MAX);
	if (d.len >= WIRE_REQUEST)
		check(!wire_request_open(d.ptr, WIRE_UDP, key, &plain));
	if (d.len >= WIRE_RESPONSE)
		check(wire_response_open(d.ptr, r, &request, key, &response, &ext_len) ==
			WIRE_RESPONSE_FORGED);
	wire_datagram_phase0(key, r, false, &packet);
	if (d.len >= WIRE_BLOCK && d.len <= sizeof to)
		check(record_packet_open(&packet, 0, d.ptr,
			      bytes_of(d.ptr + WIRE_BLOCK, d.len - WIRE_BLOCK),
			      to) == ERR_BAD_RECORD);
	record_packet_deinit(&packet);
}

/* @plain as the hop's key would show it: it is a block or not, and nothing of it is lost. */
static bool check_up(const uint8_t plain[WIRE_BLOCK], struct wire_up *ret)
{
	uint8_t block[WIRE_BLOCK], again[WIRE_BLOCK];
	seal_block_encrypt(key->mask->up_block, plain, block);
	bool is_block = wire_up_decode(key->mask, block, ret);
	check(is_block == (plain[8] == 0 && plain[9] < 8));
	if (!is_block)
		return false;
	wire_up_encode(key->mask, ret, again);
	check(memcmp(again, block, WIRE_BLOCK) == 0);
	return true;
}

static void check_down(const uint8_t plain[WIRE_BLOCK])
{
	struct wire_down down;
	uint8_t block[WIRE_BLOCK], again[WIRE_BLOCK];
	seal_block_encrypt(key->dn_block, plain, block);
	bool is_block = wire_down_decode(key, block, &down);
	check(is_block == (plain[9] < 4));
	if (!is_block)
		return;
	wire_down_encode(key, &down, again);
	check(memcmp(again, block, WIRE_BLOCK) == 0);
}

static void check_sealed(const struct wire_up *up, struct bytes data)
{
	static uint8_t sealed[WIRE_FRAME_MAX], to[WIRE_FRAME_MAX];
	struct record_packet seal, open;
	uint8_t aad[WIRE_BLOCK];
	if (data.len > sizeof sealed - RECORD_PACKET_TAG)
		return;
	wire_up_print(up, aad);
	wire_datagram_phase0(key, r, true, &seal);
	wire_datagram_phase0(key, r, false, &open);
	int n = record_packet_seal(&seal, up->number, aad, data, sealed);
	check(n == (int)data.len + RECORD_PACKET_TAG);
	struct bytes all = bytes_of(sealed, (size_t)n);
	sealed[up->number % (unsigned)n] ^= 0x10;
	check(record_packet_open(&open, up->number, aad, all, to) == ERR_BAD_RECORD);
	sealed[up->number % (unsigned)n] ^= 0x10;
	check(record_packet_open(&open, up->number, aad, all, to) == (int)data.len);
	check(data.len == 0 || memcmp(to, data.ptr, data.len) == 0);
	record_packet_deinit(&seal);
	record_packet_deinit(&open);
}

/* @in in pieces of @step: the same datagrams as in one piece. */
static size_t read_frames(struct bytes in, size_t step, uint8_t digest[16])
{
	struct wire_frames frames = { 0 };
	size_t n = 0;
	int error = 0;
	memset(digest, 0, 16);
	for (size_t at = 0; at < in.len && error == 0; at += step) {
		struct bytes piece = bytes_of(in.ptr + at, in.len - at < step ? in.len - at : step);
		struct bytes one;
		while ((error = wire_frames_next(&frames, &piece, &one)) == 1) {
			struct bytes parts[] = { bytes_of(digest, 16), one };
			check(one.len <= WIRE_FRAME_MAX);
			seal_hash(bytes_of(NULL, 0), parts, 2, digest, 16);
			n++;
		}
		check(error == ERR_BAD_RECORD || (error == 0 && piece.len == 0));
	}
	n = n * 4 + (error != 0 ? 2 : 0) + wire_frames_is_partial(&frames);
	wire_frames_deinit(&frames);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (key == NULL)
		start();
	if (size < 1)
		return 0;
	struct bytes rest = bytes_of(data + 1, size - 1);
	uint8_t whole[16], pieces[16];
	struct wire_up up;
	switch (data[0] % 3) {
	case 0:
		read_raw(rest);
		break;
	case 1:
		if (rest.len < WIRE_BLOCK)
			break;
		check_down(rest.ptr);
		if (check_up(rest.ptr, &up))
			check_sealed(&up, bytes_of(rest.ptr + WIRE_BLOCK, rest.len - WIRE_BLOCK));
		break;
	default:
		check(read_frames(rest, rest.len + 1, whole) ==
			read_frames(rest, 1u + data[0] / 3, pieces));
		check(memcmp(whole, pieces, 16) == 0);
	}
	return 0;
}
