#include "chain/wire_status.h"

#include <errno.h>
#include <stddef.h>

#define SOCKS_FAILURE 1
#define SOCKS_CMD     7
#define SOCKS_ATYP    8

/* docs/protocol.md 2.6, in its order. The last row stands for every code not listed. */
static const struct wire_status_row rows[] = {
	{ STATUS_OK, "ok", "connected", NULL, 0 },
	{ STATUS_LIMIT, "limit", "too many connections of this user", "connection_limit_reached",
		1 },
	{ STATUS_RATE, "rate", "too many new connections a second", "connection_limit_reached", 1 },
	{ STATUS_RESOLVE_FAIL, "resolve-fail", "no such name, or a name without address",
		"dns_error", 4 },
	{ STATUS_RESOLVE_TIMEOUT, "resolve-timeout", "no answer from its DNS servers",
		"dns_timeout", 4 },
	{ STATUS_RESOLVE_TEMP, "resolve-temp", "its DNS servers failed for now", "dns_error", 4 },
	{ STATUS_REFUSED, "refused", "nothing listens there", "connection_refused", 5 },
	{ STATUS_NET_UNREACH, "net-unreach", "no route to that network",
		"destination_ip_unroutable", 3 },
	{ STATUS_HOST_UNREACH, "host-unreach", "that host cannot be reached",
		"destination_unavailable", 4 },
	{ STATUS_TIMEOUT, "timeout", "no answer in time", "connection_timeout", 4 },
	{ STATUS_RESET, "reset", "reset while connecting", "connection_terminated", 1 },
	{ STATUS_LOCAL, "local", "the hop itself is short of something", "proxy_internal_error",
		1 },
	{ STATUS_NO_FAMILY, "no-family", "no IPv4 or IPv6 there as the address needs",
		"destination_ip_unroutable", 8 },
	{ STATUS_DENIED_POLICY, "denied-policy", "a rule of that hop's operator",
		"destination_ip_prohibited", 2 },
	{ STATUS_DENIED_LOOPBACK, "denied-loopback", "an address of the hop itself",
		"proxy_loop_detected", 2 },
	{ STATUS_DENIED_PRIVATE, "denied-private", "an address that is not public",
		"destination_ip_prohibited", 2 },
	{ STATUS_DENIED_PORT, "denied-port", "a port that is not allowed",
		"destination_ip_prohibited", 2 },
	{ STATUS_DENIED_CMD, "denied-cmd", "a command this user may not use", NULL, 7 },
	{ STATUS_BAD_REQUEST, "bad-request", "our header is malformed", "proxy_internal_error", 1 },
	{ STATUS_VERSION, "version", "the hop speaks another version", NULL, 1 },
	{ STATUS_UNSUPPORTED, "unsupported", "the hop does not do this", NULL, SOCKS_FAILURE },
	{ STATUS_CLOCK_SKEW, "clock-skew", "the clocks differ too much", NULL, 1 },
	{ STATUS_REV_UNKNOWN, "rev-unknown", "no reverse hop of that name is registered",
		"destination_not_found", 4 },
	{ STATUS_REV_NO_IDLE, "rev-no-idle", "the reverse hop had no connection to lend",
		"destination_unavailable", 4 },
	{ STATUS_REV_GONE, "rev-gone", "the reverse hop did not take the connection",
		"destination_unavailable", 4 },
	{ STATUS_RESUME_UNKNOWN, "resume-unknown", "no such session to resume", NULL, 1 },
	{ STATUS_RESUME_STALE, "resume-stale", "a newer attempt to resume came first", NULL, 1 },
	{ STATUS_RESUME_GAP, "resume-gap", "bytes of the session are lost", NULL, 1 },
	{ STATUS_MSGSIZE, "msgsize", "a datagram too large for the path", NULL, 1 },
	{ STATUS_PORT_UNREACH, "port-unreach", "no program takes datagrams there", NULL, 1 },
	{ STATUS_RESETUP, "resetup", "the flow must be set up again", NULL, 1 },
	{ STATUS_INTERNAL, "internal", "an error inside the hop", "proxy_internal_error", 1 },
};
#define N_ROWS (sizeof rows / sizeof rows[0])

const struct wire_status_row *wire_status_find(uint8_t code)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].code == code)
			return &rows[i];
	}
	return &rows[N_ROWS - 1];
}

bool wire_status_is_known(uint8_t code)
{
	return wire_status_find(code)->code == code;
}

uint8_t wire_status_socks_reply(uint8_t code, uint8_t detail)
{
	if (code == STATUS_UNSUPPORTED && detail == DETAIL_CMD)
		return SOCKS_CMD;
	if (code == STATUS_UNSUPPORTED && detail == DETAIL_ATYP)
		return SOCKS_ATYP;
	return wire_status_find(code)->socks_reply;
}

uint8_t wire_status_of_datagram(int error)
{
	switch (error) {
	case -ECONNREFUSED:
		return STATUS_PORT_UNREACH;
	case -EMSGSIZE:
		return STATUS_MSGSIZE;
	case -ENETUNREACH:
	case -ENETDOWN:
		return STATUS_NET_UNREACH;
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
		return STATUS_HOST_UNREACH;
	default:
		return STATUS_LOCAL;
	}
}

static const char *resolve_text(uint8_t detail)
{
	switch (detail) {
	case DETAIL_RESOLVE_NO_NAME:
		return "no such name";
	case DETAIL_RESOLVE_NO_ADDRESS:
		return "the name has no address";
	case DETAIL_RESOLVE_AGAIN:
		return "try again";
	case DETAIL_RESOLVE_SERVER:
		return "server failure";
	case DETAIL_RESOLVE_TIMEOUT:
		return "timeout";
	default:
		return NULL;
	}
}

static const char *local_text(uint8_t detail)
{
	switch (detail) {
	case DETAIL_LOCAL_DESCRIPTORS:
		return "out of file descriptors";
	case DETAIL_LOCAL_ADDRESSES:
		return "out of local ports";
	case DETAIL_LOCAL_MEMORY:
		return "out of memory";
	case DETAIL_LOCAL_PERMISSION:
		return "the hop's system does not permit it";
	default:
		return NULL;
	}
}

static const char *denied_text(uint8_t detail)
{
	static const char *const texts[] = { NULL, "loopback", "unspecified address", "own address",
		"private", "link-local", "metadata service", "multicast or broadcast", "reserved",
		"embedded IPv4 address", "operator's rule" };
	return detail < sizeof texts / sizeof texts[0] ? texts[detail] : NULL;
}

const char *wire_detail_text(uint8_t code, uint8_t detail)
{
	switch (code & 0xf0) {
	case 0x10:
		return resolve_text(detail);
	case 0x20:
		return local_text(detail);
	case 0x30:
		return code <= STATUS_DENIED_PORT ? denied_text(detail) : NULL;
	default:
		return NULL;
	}
}
