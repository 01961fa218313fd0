#ifndef CHAIN_WIRE_REQUEST_H
#define CHAIN_WIRE_REQUEST_H
/*
 * Does: the request block R and its extension: encode, and decode in the order of
 * docs/protocol.md 2.2. Knows: the layout. Never knows: sockets, replay tables, policy.
 */
#include "chain/wire_key.h"
#include "chain/wire_status.h"
#include "common/addr.h"

#define WIRE_REQUEST       128
#define WIRE_EXT_MAX       1024
#define WIRE_EXT_SEALED(n) ((n) + SEAL_TAG)
#define WIRE_REQUEST_MAX   (WIRE_REQUEST + WIRE_EXT_MAX + SEAL_TAG)
#define WIRE_SALT          16

enum wire_transport {
	WIRE_TCP = 1,
	WIRE_UDP = 2,
};
enum wire_cmd {
	WIRE_CONNECT = 1,
	WIRE_CMD_UDP = 2,
	WIRE_ECHO = 3,
	WIRE_NOOP = 4,
	WIRE_REV_REGISTER = 5,
	WIRE_REV_ACCEPT = 6,
	WIRE_RESUME = 7,
	WIRE_MEASURE = 0x20,
};
enum wire_atyp {
	WIRE_ATYP_NONE = 0,
	WIRE_ATYP_IP4 = 1,
	WIRE_ATYP_NAME = 3,
	WIRE_ATYP_IP6 = 4,
	WIRE_ATYP_REVERSE = 5,
};
enum {
	WIRE_EXIT = 0x0001,
	WIRE_E2E = 0x0002,
	WIRE_FS = 0x0004,
	WIRE_KEEP = 0x0008,
	WIRE_EXT = 0x0010,
	WIRE_RESUMABLE = 0x0020,
	WIRE_TRACE = 0x0040,
	WIRE_OPEN_UDP = 0x0080,
	WIRE_OFFER_AES_128_GCM = 0x0100,
	WIRE_OFFER_AES_256_GCM = 0x0200,
	WIRE_OFFER_CHACHA20_POLY1305 = 0x0400,
	WIRE_OFFERS = 0x0700,
};

struct wire_resume { /* TLV 3 */
	uint8_t id[16];
	uint32_t epoch;
	uint64_t rx;
	uint8_t flags;
	uint8_t mac[16];
};

/* A decoded request; also what is given to encode (EXT and ext_len are set by encode). */
struct wire_request {
	uint8_t cmd;
	uint16_t flags;
	uint64_t time_ms;
	uint16_t timeout; /* units of 100 ms, 0 = hop's default */
	uint8_t proto;    /* 0 tcp, 1 udp, 2 mptcp */
	uint8_t atyp;
	struct addr to; /* kind NONE for atyp 0; reverse names in to.name */
	uint64_t fid;
	uint8_t eph[SEAL_CURVE];
	bool has_client;
	union addr_sock client; /* TLV 5 */
	bool has_resume;
	struct wire_resume resume;
	uint16_t n_padding; /* PAD value bytes; with has_padding */
	bool has_padding;
};

/* Entries of an extension, type u8 ‖ length u16 ‖ value; R and S share their form and these types.
 */
enum {
	WIRE_TLV_NAME = 1, /* R */
	WIRE_TLV_TEXT = 1, /* S */
	WIRE_TLV_PAD = 2,
	WIRE_TLV_RESUME = 3,
	WIRE_TLV_CLIENT = 5,      /* R */
	WIRE_TLV_ADDR = 6,        /* S */
	WIRE_TLV_SOFTWARE = 0x80, /* S */
	WIRE_TLV_IGNORED = 0x80,  /* and above: by whoever does not know them */
};
struct wire_tlvs {
	struct wire_reader from;
	uint64_t seen[4]; /* bit set of types */
	bool is_broken;
};
void wire_tlvs_init(struct wire_tlvs *tlvs, struct bytes ext);
/** wire_tlvs_next() - the next entry; those from WIRE_TLV_IGNORED on may be unknown and may be
 * empty. Return: false at the end, or, with is_broken, at an entry that overruns, repeats a type,
 * is empty but may not be, or is padding other than zeros. */
bool wire_tlvs_next(struct wire_tlvs *tlvs, uint8_t *ret_type, struct bytes *ret_value);
void wire_tlv_put(struct wire_writer *w, uint8_t type, struct bytes value);
void wire_tlv_put_padding(struct wire_writer *w, size_t len);
/* The value of CLIENT and ADDR: atyp u8 (1, 4) ‖ address ‖ port u16. Put fails @w for another
 * family. */
void wire_tlv_put_sock(struct wire_writer *w, uint8_t type, const union addr_sock *sock);
NODISCARD bool wire_tlv_read_sock(struct bytes value, union addr_sock *ret);

/**
 * wire_request_encode() - seals @request under @key with @salt.
 * Writes R, and its extension when the name is longer than 15 bytes or a TLV is asked for.
 * Return: bytes written (128..WIRE_REQUEST_MAX), or ERR_INVAL if the request is not one of T1.
 */
NODISCARD int wire_request_encode(const struct wire_request *request, enum wire_transport transport,
	const struct wire_key *key, const uint8_t salt[WIRE_SALT], uint8_t to[WIRE_REQUEST_MAX]);

/* Decoding, in the steps of 2.2's table so that the caller can put the replay table between. */

/** wire_request_is_last() - whether the hop that got @request is the last one addressed. A middle
 * hop has the next header in hand; behind all others nothing may come before the answer. */
bool wire_request_is_last(const struct wire_request *request);

/** wire_request_kid() - line 1: the key id in R under @mask. */
void wire_request_kid(
	const uint8_t r[WIRE_REQUEST], const struct wire_mask *mask, uint8_t kid[WIRE_KID]);

struct wire_request_plain {
	uint8_t bytes[88];
};
/** wire_request_open() - line 3. Return: false if R does not open. */
NODISCARD bool wire_request_open(const uint8_t r[WIRE_REQUEST], enum wire_transport transport,
	const struct wire_key *key, struct wire_request_plain *ret);
/** wire_request_time() - line 4's stamp, unix ms. */
uint64_t wire_request_time(const struct wire_request_plain *plain);

/**
 * wire_request_check() - lines 7 to 10: version, reserved, T1, canonical address. Fills @ret but
 * for what the extension carries; an inline name that is no name is left empty, for line 12 to
 * refuse. Return: STATUS_OK, VERSION, BAD_REQUEST or UNSUPPORTED, with *ret_detail. *ret_ext_len:
 * plaintext bytes of the extension that follows (0 = none); valid only with STATUS_OK.
 */
enum wire_status wire_request_check(const struct wire_request_plain *plain,
	enum wire_transport transport, struct wire_request *ret, uint16_t *ret_ext_len,
	uint8_t *ret_detail);

/** wire_request_open_ext() - line 11: opens @sealed (ext_len + SEAL_TAG bytes) into @ext (ext_len
 * bytes). */
NODISCARD bool wire_request_open_ext(const uint8_t r[WIRE_REQUEST], const struct wire_key *key,
	struct bytes sealed, uint8_t *ext);
/** wire_request_check_ext() - line 12: TLVs and name into @request. Call it with {NULL, 0} where
 * there is no extension: a name may be missing. Return: STATUS_OK or BAD_REQUEST with *ret_detail.
 */
enum wire_status wire_request_check_ext(
	struct bytes ext, struct wire_request *request, uint8_t *ret_detail);

#endif
