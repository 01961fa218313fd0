/* What a load balancer says before a connection, read as proxy_reader.c does: what is wanted grows
 * and fits its room, it ends, and its client is IP or nobody. What we write names the same client.
 */
#include "common/proxy_header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* In a buffer of its own, so that a byte too many is found. */
static enum proxy_header_result read_exactly(
	const uint8_t *data, size_t len, size_t *ret_len, union addr_sock *ret)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	check(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	enum proxy_header_result result = proxy_header_read(bytes_of(copy, len), ret_len, ret);
	free(copy);
	return result;
}

static void write_and_read(const union addr_sock *client)
{
	uint8_t to[PROXY_HEADER_WRITE];
	size_t len = proxy_header_write(client, client, to), n;
	union addr_sock again;
	check(proxy_header_read(bytes_of(to, len), &n, &again) == PROXY_HEADER_WHOLE && n == len);
	check(addr_sock_is_equal(&again, client));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t used = 0, wanted = 0;
	union addr_sock client;
	enum proxy_header_result result;
	while ((result = read_exactly(data, used, &wanted, &client)) == PROXY_HEADER_MORE) {
		check(wanted > used && wanted <= PROXY_HEADER_MAX);
		if (wanted > size)
			return 0;
		used = wanted;
	}
	if (result == PROXY_HEADER_BAD)
		return 0;
	check(wanted == used);
	if (client.any.sa_family == AF_UNSPEC)
		return 0;
	check(client.any.sa_family == AF_INET || client.any.sa_family == AF_INET6);
	write_and_read(&client);
	return 0;
}
