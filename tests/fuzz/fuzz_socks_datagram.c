/* What is a datagram of SOCKS5 has a target that can be written, and read again; nothing of its
 * data is lost; an address is written as it came. */
#include "access/socks_datagram.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	struct addr target, again;
	struct bytes rest, none;
	if (socks_datagram_decode(bytes_of(data, size), &target, &rest) != SOCKS_DATAGRAM_OK)
		return 0;
	check(rest.ptr + rest.len == data + size && rest.ptr > data);
	check(target.port != 0 && target.scope == 0);
	check((target.kind == ADDR_NAME) ==
		addr_name_is_valid(bytes_of(target.name, strlen(target.name))));
	size_t n = socks_datagram_encode(&target, header);
	check(n <= sizeof header);
	check(socks_datagram_decode(bytes_of(header, n), &again, &none) == SOCKS_DATAGRAM_OK);
	check(none.len == 0 && addr_is_equal(&target, &again));
	if (data[3] != 3)
		check(n == size - rest.len && memcmp(header, data, n) == 0);
	return 0;
}
