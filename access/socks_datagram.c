#include "access/socks_datagram.h"

#include "access/socks_name.h"

#include <assert.h>

enum {
	ATYP_IP4 = 1,
	ATYP_NAME = 3,
	ATYP_IP6 = 4,
};

static void decode_ip(struct wire_reader *r, enum addr_kind kind, struct addr *to)
{
	to->kind = kind;
	wire_copy(r, to->ip, kind == ADDR_IP4 ? 4 : 16);
	to->port = wire_u16(r);
}

/* By the one parser of names and literals there is. */
static bool decode_name(struct wire_reader *r, struct addr *to)
{
	struct bytes name = wire_bytes(r, wire_u8(r));
	uint16_t port = wire_u16(r);
	return !r->failed && port != 0 && socks_name_read(name, port, to);
}

static bool decode_target(struct wire_reader *r, struct addr *to)
{
	switch (wire_u8(r)) {
	case ATYP_IP4:
		decode_ip(r, ADDR_IP4, to);
		break;
	case ATYP_IP6:
		decode_ip(r, ADDR_IP6, to);
		break;
	case ATYP_NAME:
		return decode_name(r, to);
	default:
		return false;
	}
	return !r->failed && to->port != 0;
}

enum socks_datagram_verdict socks_datagram_decode(
	struct bytes in, struct addr *ret_target, struct bytes *ret_data)
{
	struct wire_reader r;
	struct addr target = { 0 };
	wire_reader_init(&r, in);
	uint16_t reserved = wire_u16(&r);
	uint8_t fragment = wire_u8(&r);
	if (r.failed || reserved != 0)
		return SOCKS_DATAGRAM_BAD;
	if (fragment != 0)
		return SOCKS_DATAGRAM_FRAGMENT;
	if (!decode_target(&r, &target))
		return SOCKS_DATAGRAM_BAD;
	*ret_target = target;
	*ret_data = bytes_of(r.pos, wire_left(&r));
	return SOCKS_DATAGRAM_OK;
}

size_t socks_datagram_encode(const struct addr *target, uint8_t to[SOCKS_DATAGRAM_HEADER_MAX])
{
	struct wire_writer w;
	size_t len = strlen(target->name);
	assert(target->kind != ADDR_NONE);
	wire_writer_init(&w, to, SOCKS_DATAGRAM_HEADER_MAX);
	wire_put_zeros(&w, 3);
	if (target->kind == ADDR_NAME) {
		wire_put_u8(&w, ATYP_NAME);
		wire_put_u8(&w, (uint8_t)len);
		wire_put_bytes(&w, target->name, len);
	} else {
		wire_put_u8(&w, target->kind == ADDR_IP4 ? ATYP_IP4 : ATYP_IP6);
		wire_put_bytes(&w, target->ip, target->kind == ADDR_IP4 ? 4 : 16);
	}
	wire_put_u16(&w, target->port);
	assert(!w.failed);
	return wire_written(&w);
}
