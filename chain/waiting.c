#include "chain/waiting.h"

#include <stdlib.h>

bool waiting_add(struct waiting *waiting, struct bytes data)
{
	if (waiting->n == WAITING_MAX || data.len > WAITING_BYTES - waiting->n_bytes)
		return false;
	if (waiting->bytes == NULL)
		waiting->bytes = malloc(WAITING_BYTES);
	if (waiting->bytes == NULL)
		return false;
	if (data.len > 0)
		memcpy(waiting->bytes + waiting->n_bytes, data.ptr, data.len);
	waiting->n_bytes += data.len;
	waiting->len[waiting->n++] = (uint16_t)data.len;
	return true;
}

void waiting_flush(struct waiting *waiting, waiting_fn *fn, void *owner)
{
	struct waiting all = *waiting;
	const uint8_t *at = all.bytes;
	*waiting = (struct waiting){ 0 };
	for (unsigned i = 0; i < all.n; i++) {
		fn(bytes_of(at, all.len[i]), owner);
		at += all.len[i];
	}
	free(all.bytes);
}

void waiting_deinit(struct waiting *waiting)
{
	free(waiting->bytes);
	*waiting = (struct waiting){ 0 };
}
