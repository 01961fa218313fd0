/* Entries of an extension: byte 0 is the command, byte 1 the kind of address, the rest the
 * extension of R. */
#include "chain/wire_request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* Walks the entries: they lie one behind the other, each type once, and fill the input unless it is
 * broken. */
static void walk(struct bytes ext)
{
	struct wire_tlvs tlvs;
	struct bytes value;
	uint8_t type;
	const uint8_t *end = ext.ptr;
	bool seen[256] = { false };
	wire_tlvs_init(&tlvs, ext);
	while (wire_tlvs_next(&tlvs, &type, &value)) {
		check(!seen[type]);
		check(value.ptr >= end + 3 && value.ptr + value.len <= ext.ptr + ext.len);
		check(value.len > 0 || type == WIRE_TLV_PAD || type >= WIRE_TLV_IGNORED);
		end = value.ptr + value.len;
		seen[type] = true;
	}
	check(tlvs.is_broken || wire_left(&tlvs.from) == 0);
	check(!wire_tlvs_next(&tlvs, &type, &value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_request r = { .cmd = 0 };
	uint8_t detail = 0xff;
	if (size < 2 || size - 2 > WIRE_EXT_MAX)
		return 0;
	struct bytes ext = bytes_of(data + 2, size - 2);
	walk(ext);
	r.cmd = data[0] % 9;
	r.atyp = data[1] % 6;
	if (wire_request_check_ext(ext, &r, &detail) != STATUS_OK) {
		check(detail == 88 || detail == 20);
		return 0;
	}
	check(detail == 0);
	check(r.has_resume == (r.cmd == WIRE_RESUME));
	check(!r.has_client || r.client.any.sa_family == AF_INET ||
		r.client.any.sa_family == AF_INET6);
	check(r.n_padding <= WIRE_EXT_MAX - 3);
	check(r.to.kind != ADDR_NAME || strlen(r.to.name) > 15);
	return 0;
}
