#include "chain/wire_datagram.h"

#include <assert.h>

/* docs/protocol.md 2.10. */
#define UP_FLAGS    (WIRE_UP_PROV | WIRE_UP_KEYPHASE | WIRE_UP_PING)
#define DOWN_FLAGS  (WIRE_DOWN_EPOCH | WIRE_DOWN_PONG)
#define IP4_UDP     (20 + 8) /* headers */
#define IP6_UDP     (40 + 8)
#define MSGSIZE_MIN 1200 /* less is not believed */

static_assert(WIRE_BLOCK == RECORD_PACKET_AAD, "a block's plaintext is the AAD");

/* A block is two words: fid, and 16 bits above the 48 of the number. Every datagram makes several,
 * so these do without reader and writer. */
static void put_word(uint8_t *to, uint64_t word)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(word >> (56 - 8 * i));
}

static uint64_t word_at(const uint8_t *from)
{
	uint64_t word = 0;
	for (int i = 0; i < 8; i++)
		word = word << 8 | from[i];
	return word;
}

void wire_up_print(const struct wire_up *up, uint8_t to[WIRE_BLOCK])
{
	assert(up->number <= WIRE_NUMBER_MAX);
	put_word(to, up->fid);
	put_word(to + 8, (uint64_t)up->flags << 48 | up->number);
}

void wire_up_encode(const struct wire_mask *mask, const struct wire_up *up, uint8_t to[WIRE_BLOCK])
{
	uint8_t plain[WIRE_BLOCK];
	wire_up_print(up, plain);
	seal_block_encrypt(mask->up_block, plain, to);
}

bool wire_up_decode(
	const struct wire_mask *mask, const uint8_t from[WIRE_BLOCK], struct wire_up *ret)
{
	uint8_t plain[WIRE_BLOCK];
	seal_block_decrypt(mask->up_block, from, plain);
	uint64_t word = word_at(plain + 8);
	uint16_t flags = (uint16_t)(word >> 48);
	if ((flags & ~UP_FLAGS) != 0)
		return false;
	*ret = (struct wire_up){
		.fid = word_at(plain), .flags = flags, .number = word & WIRE_NUMBER_MAX
	};
	return true;
}

void wire_down_print(const struct wire_down *down, uint8_t to[WIRE_BLOCK])
{
	assert(down->number <= WIRE_NUMBER_MAX);
	put_word(to, down->fid);
	put_word(to + 8, (uint64_t)down->status << 56 | (uint64_t)down->flags << 48 | down->number);
}

void wire_down_encode(
	const struct wire_key *key, const struct wire_down *down, uint8_t to[WIRE_BLOCK])
{
	uint8_t plain[WIRE_BLOCK];
	wire_down_print(down, plain);
	seal_block_encrypt(key->dn_block, plain, to);
}

bool wire_down_decode(
	const struct wire_key *key, const uint8_t from[WIRE_BLOCK], struct wire_down *ret)
{
	uint8_t plain[WIRE_BLOCK];
	seal_block_decrypt(key->dn_block, from, plain);
	if ((plain[9] & ~DOWN_FLAGS) != 0)
		return false;
	*ret = (struct wire_down){ .fid = word_at(plain),
		.status = plain[8],
		.flags = plain[9],
		.number = word_at(plain + 8) & WIRE_NUMBER_MAX };
	return true;
}

void wire_datagram_phase0(const struct wire_key *key, const uint8_t r[WIRE_REQUEST],
	bool is_sealing, struct record_packet *ret)
{
	uint8_t z0[SEAL_KEY], secret[SEAL_KEY];
	struct bytes parts[] = { bytes_of("hc1-u0", 6), bytes_of(r, 24),
		bytes_of(r + WIRE_REQUEST - SEAL_TAG, SEAL_TAG) };
	seal_hash(bytes_of(key->u0, sizeof key->u0), parts, 3, z0, sizeof z0);
	seal_kdf(z0, "hc1-dir_", 1, secret, sizeof secret);
	record_packet_init(
		ret, RECORD_CHACHA20_POLY1305, secret, WIRE_DATAGRAM_CONTEXT, is_sealing);
	seal_wipe(z0, sizeof z0);
	seal_wipe(secret, sizeof secret);
}

void wire_datagram_phase1(const struct wire_secrets *secrets, enum record_cipher cipher,
	bool is_exit, struct record_packet *ret_up, struct record_packet *ret_down)
{
	record_packet_init(ret_up, cipher, secrets->up, WIRE_DATAGRAM_CONTEXT, !is_exit);
	record_packet_init(ret_down, cipher, secrets->down, WIRE_DATAGRAM_CONTEXT, is_exit);
}

size_t wire_datagram_overhead(enum wire_form form, unsigned n_hops, size_t n_ext_bytes)
{
	if (form == WIRE_FORM_F)
		return (size_t)WIRE_REQUEST * n_hops + n_ext_bytes + WIRE_BLOCK + WIRE_SEALED_MIN;
	return (size_t)WIRE_BLOCK * n_hops + WIRE_SEALED_MIN;
}

size_t wire_datagram_room(
	enum wire_form form, unsigned n_hops, size_t n_ext_bytes, size_t link_mtu, bool is_ip6)
{
	size_t used =
		wire_datagram_overhead(form, n_hops, n_ext_bytes) + (is_ip6 ? IP6_UDP : IP4_UDP);
	return link_mtu > used ? link_mtu - used : 0;
}

size_t wire_datagram_limit(unsigned i, unsigned n_hops, uint16_t value)
{
	size_t limit = value < MSGSIZE_MIN ? MSGSIZE_MIN : value;
	if (i >= n_hops)
		return limit;
	size_t used = (size_t)WIRE_BLOCK * (n_hops - i) + WIRE_SEALED_MIN;
	return limit > used ? limit - used : 0;
}
