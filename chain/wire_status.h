#ifndef CHAIN_WIRE_STATUS_H
#define CHAIN_WIRE_STATUS_H
/*
 * Does: every status a hop may answer, one row each: code, names, words (docs/protocol.md 2.6).
 * Knows: the table. Never knows: who shows it.
 */
#include <stdbool.h>
#include <stdint.h>

enum wire_status {
	STATUS_OK = 0x00,
	STATUS_LIMIT = 0x01,
	STATUS_RATE = 0x02,
	STATUS_RESOLVE_FAIL = 0x10,
	STATUS_RESOLVE_TIMEOUT = 0x11,
	STATUS_RESOLVE_TEMP = 0x12,
	STATUS_REFUSED = 0x20,
	STATUS_NET_UNREACH = 0x21,
	STATUS_HOST_UNREACH = 0x22,
	STATUS_TIMEOUT = 0x23,
	STATUS_RESET = 0x24,
	STATUS_LOCAL = 0x25,
	STATUS_NO_FAMILY = 0x26,
	STATUS_DENIED_POLICY = 0x30,
	STATUS_DENIED_LOOPBACK = 0x31,
	STATUS_DENIED_PRIVATE = 0x32,
	STATUS_DENIED_PORT = 0x33,
	STATUS_DENIED_CMD = 0x34,
	STATUS_BAD_REQUEST = 0x40,
	STATUS_VERSION = 0x41,
	STATUS_UNSUPPORTED = 0x42,
	STATUS_CLOCK_SKEW = 0x43,
	STATUS_REV_UNKNOWN = 0x50,
	STATUS_REV_NO_IDLE = 0x51,
	STATUS_REV_GONE = 0x52,
	STATUS_RESUME_UNKNOWN = 0x60,
	STATUS_RESUME_STALE = 0x61,
	STATUS_RESUME_GAP = 0x62,
	STATUS_MSGSIZE = 0x70,
	STATUS_PORT_UNREACH = 0x71,
	STATUS_RESETUP = 0x72,
	STATUS_INTERNAL = 0x7f,
};

/* detail values (docs/protocol.md 2.5) */
enum wire_detail {
	DETAIL_NONE = 0,
	DETAIL_RESOLVE_NO_NAME = 1,
	DETAIL_RESOLVE_NO_ADDRESS = 2,
	DETAIL_RESOLVE_AGAIN = 3,
	DETAIL_RESOLVE_SERVER = 4,
	DETAIL_RESOLVE_TIMEOUT = 5,
	DETAIL_LOCAL_OTHER = 1,
	DETAIL_LOCAL_DESCRIPTORS = 2,
	DETAIL_LOCAL_ADDRESSES = 3,
	DETAIL_LOCAL_MEMORY = 4,
	DETAIL_LOCAL_PERMISSION = 5,
	DETAIL_DENIED_LOOPBACK = 1,
	DETAIL_DENIED_UNSPECIFIED = 2,
	DETAIL_DENIED_OWN = 3,
	DETAIL_DENIED_PRIVATE = 4,
	DETAIL_DENIED_LINK_LOCAL = 5,
	DETAIL_DENIED_METADATA = 6,
	DETAIL_DENIED_MULTICAST = 7,
	DETAIL_DENIED_RESERVED = 8,
	DETAIL_DENIED_EMBEDDED = 9,
	DETAIL_DENIED_RULE = 10,
	DETAIL_CMD = 1, /* BAD_REQUEST, UNSUPPORTED: offset of the field in R's plaintext */
	DETAIL_FLAGS = 2,
	DETAIL_ATYP = 16,
	DETAIL_PROTO = 17,
	DETAIL_EXTENSION = 88,
};

struct wire_status_row {
	uint8_t code;
	const char *slug;    /* "denied-loopback" */
	const char *text;    /* lower case, no full stop: "nothing listens there" */
	const char *rfc9209; /* Proxy-Status error word, or NULL */
	uint8_t socks_reply; /* without the detail; use wire_status_socks_reply() */
};
/** wire_status_find() - the row of @code; an unknown code gives INTERNAL's. Never NULL. */
const struct wire_status_row *wire_status_find(uint8_t code);
bool wire_status_is_known(uint8_t code);
/** wire_status_socks_reply() - REP of SOCKS5 (RFC 1928) for @code with @detail: UNSUPPORTED tells a
 * command from an address type. */
uint8_t wire_status_socks_reply(uint8_t code, uint8_t detail);
/** wire_status_of_datagram() - what @error, of a UDP socket, says of what was sent over it
 * (docs/protocol.md 2.10). */
uint8_t wire_status_of_datagram(int error);
/** wire_detail_text() - words for @detail under @code, or NULL when there is nothing to add. */
const char *wire_detail_text(uint8_t code, uint8_t detail);

#endif
