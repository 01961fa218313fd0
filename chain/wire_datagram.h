#ifndef CHAIN_WIRE_DATAGRAM_H
#define CHAIN_WIRE_DATAGRAM_H
/*
 * Does: the UP and DOWN blocks of datagrams, their key phases, and the arithmetic of forms
 * (docs/protocol.md 2.10). Knows: layouts, keys. Never knows: flows, epochs, sockets.
 */
#include "chain/wire_request.h"
#include "chain/wire_secret.h"
#include "common/record_packet.h"

#define WIRE_BLOCK            16
#define WIRE_DATAGRAM_MAX     65507 /* of UDP over IP4 */
#define WIRE_DATAGRAM_CONTEXT "hc1-udp_"
#define WIRE_NUMBER_MAX       ((UINT64_C(1) << 48) - 1) /* highest packet number */
#define WIRE_SEALED_MIN       RECORD_PACKET_TAG

enum { /* wire_up.flags */
	WIRE_UP_PROV = 0x0001,
	WIRE_UP_KEYPHASE = 0x0002,
	WIRE_UP_PING = 0x0004,
};
struct wire_up {
	uint64_t fid;
	uint16_t flags;
	uint64_t number; /* 48 bits */
};
/** wire_up_print() - the 16 plaintext bytes: also the AAD of what follows B_n. */
void wire_up_print(const struct wire_up *up, uint8_t to[WIRE_BLOCK]);
void wire_up_encode(const struct wire_mask *mask, const struct wire_up *up, uint8_t to[WIRE_BLOCK]);
/** wire_up_decode() - Return: false if reserved flag bits are set (then it is no block). */
NODISCARD bool wire_up_decode(
	const struct wire_mask *mask, const uint8_t from[WIRE_BLOCK], struct wire_up *ret);

enum { /* wire_down.flags */
	WIRE_DOWN_EPOCH = 0x01,
	WIRE_DOWN_PONG = 0x02,
};
struct wire_down {
	uint64_t fid; /* fid_c of the flow at that hop */
	uint8_t status, flags;
	uint64_t number; /* 48 bits; with a status: count u32 ‖ value u16 */
};
void wire_down_print(const struct wire_down *down, uint8_t to[WIRE_BLOCK]);
void wire_down_encode(
	const struct wire_key *key, const struct wire_down *down, uint8_t to[WIRE_BLOCK]);
NODISCARD bool wire_down_decode(
	const struct wire_key *key, const uint8_t from[WIRE_BLOCK], struct wire_down *ret);

/** wire_datagram_phase0() - the key of phase 0, client → exit: CHACHA20-POLY1305 from K_u0 and R_n.
 */
void wire_datagram_phase0(const struct wire_key *key, const uint8_t r[WIRE_REQUEST],
	bool is_sealing, struct record_packet *ret);
/** wire_datagram_phase1() - both directions of phase 1 from @secrets; @is_exit says which seals. */
void wire_datagram_phase1(const struct wire_secrets *secrets, enum record_cipher cipher,
	bool is_exit, struct record_packet *ret_up, struct record_packet *ret_down);

enum wire_form {
	WIRE_FORM_F, /* requests, and B_n ‖ sealed when there is payload */
	WIRE_FORM_P, /* provisional blocks */
	WIRE_FORM_S, /* steady state */
};
/** wire_datagram_overhead() - bytes a datagram of @form with payload adds to it on the first link.
 * @n_ext_bytes: sealed bytes of all extensions (form F only). */
size_t wire_datagram_overhead(enum wire_form form, unsigned n_hops, size_t n_ext_bytes);
/** wire_datagram_room() - largest payload of @form over a first link whose IP packets may have
 * @link_mtu bytes. 0 if there is none. */
size_t wire_datagram_room(
	enum wire_form form, unsigned n_hops, size_t n_ext_bytes, size_t link_mtu, bool is_ip6);
/** wire_datagram_limit() - payload limit after MSGSIZE with @value from hop @i of @n_hops. */
size_t wire_datagram_limit(unsigned i, unsigned n_hops, uint16_t value);

#endif
