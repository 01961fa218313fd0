#include "common/wire.h"

void wire_reader_init(struct wire_reader *r, struct bytes from)
{
	/* An empty view may have no pointer, and nothing may be added to that. */
	*r = (struct wire_reader){ .pos = from.ptr,
		.end = from.len > 0 ? from.ptr + from.len : from.ptr };
}

size_t wire_left(const struct wire_reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->pos);
}

struct bytes wire_bytes(struct wire_reader *r, size_t len)
{
	if (r->failed || (size_t)(r->end - r->pos) < len) {
		r->failed = true;
		return bytes_of(NULL, 0);
	}
	struct bytes out = bytes_of(r->pos, len);
	r->pos = len > 0 ? r->pos + len : r->pos;
	return out;
}

static uint64_t read_number(struct wire_reader *r, size_t size)
{
	uint64_t v = 0;
	struct bytes b = wire_bytes(r, size);
	for (size_t i = 0; i < b.len; i++)
		v = v << 8 | b.ptr[i];
	return v;
}

uint8_t wire_u8(struct wire_reader *r)
{
	return (uint8_t)read_number(r, 1);
}

uint16_t wire_u16(struct wire_reader *r)
{
	return (uint16_t)read_number(r, 2);
}

uint32_t wire_u32(struct wire_reader *r)
{
	return (uint32_t)read_number(r, 4);
}

uint64_t wire_u64(struct wire_reader *r)
{
	return read_number(r, 8);
}

void wire_copy(struct wire_reader *r, void *to, size_t len)
{
	struct bytes b = wire_bytes(r, len);
	if (b.len > 0)
		memcpy(to, b.ptr, len);
	else if (len > 0)
		memset(to, 0, len);
}

void wire_writer_init(struct wire_writer *w, void *to, size_t size)
{
	uint8_t *start = to;
	*w = (struct wire_writer){
		.start = start, .pos = start, .end = size > 0 ? start + size : start
	};
}

size_t wire_written(const struct wire_writer *w)
{
	return (size_t)(w->pos - w->start);
}

/* Room for @len bytes, or NULL and failed. */
static uint8_t *take(struct wire_writer *w, size_t len)
{
	if (w->failed || (size_t)(w->end - w->pos) < len) {
		w->failed = true;
		return NULL;
	}
	uint8_t *at = w->pos;
	w->pos = len > 0 ? at + len : at;
	return at;
}

static void write_number(struct wire_writer *w, uint64_t v, size_t size)
{
	uint8_t *at = take(w, size);
	for (size_t i = 0; at != NULL && i < size; i++)
		at[i] = (uint8_t)(v >> 8 * (size - 1 - i));
}

void wire_put_u8(struct wire_writer *w, uint8_t v)
{
	write_number(w, v, 1);
}

void wire_put_u16(struct wire_writer *w, uint16_t v)
{
	write_number(w, v, 2);
}

void wire_put_u32(struct wire_writer *w, uint32_t v)
{
	write_number(w, v, 4);
}

void wire_put_u64(struct wire_writer *w, uint64_t v)
{
	write_number(w, v, 8);
}

void wire_put_bytes(struct wire_writer *w, const void *from, size_t len)
{
	uint8_t *at = take(w, len);
	if (at != NULL && len > 0)
		memcpy(at, from, len);
}

void wire_put_zeros(struct wire_writer *w, size_t len)
{
	uint8_t *at = take(w, len);
	if (at != NULL && len > 0)
		memset(at, 0, len);
}
