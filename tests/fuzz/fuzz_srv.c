/* A DNS answer with SRV records, of a server that may be anybody. Byte 0: how many are taken. What
 * is taken has a port and a name that a host can have; the order keeps every record. */
#include "common/resolve_srv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static uint32_t draw(uint32_t max, void *owner)
{
	uint32_t *state = owner;
	*state = *state * 1664525u + 1013904223u;
	return max == UINT32_MAX ? *state : *state % (max + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resolve_srv records[RESOLVE_MAX_SRV];
	size_t n = 0, max = size > 0 ? data[0] % (RESOLVE_MAX_SRV + 1) : 0;
	uint32_t ttl_s = 0, state = (uint32_t)size;
	uint64_t sum = 0, sum_after = 0;
	if (size == 0)
		return 0;
	int error = resolve_srv_parse(bytes_of(data + 1, size - 1), records, max, &n, &ttl_s);
	check(n <= max && (error != 0 || n > 0));
	for (size_t i = 0; i < n; i++) {
		check(records[i].port != 0);
		check(addr_name_is_valid(bytes_of(records[i].name, strlen(records[i].name))));
		sum += records[i].port;
	}
	resolve_srv_order(records, n, draw, &state);
	for (size_t i = 0; i < n; i++) {
		check(i == 0 || records[i - 1].priority <= records[i].priority);
		sum_after += records[i].port;
	}
	check(sum == sum_after);
	return 0;
}
