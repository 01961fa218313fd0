#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H
/*
 * Does: reads and writes big-endian fields with a sticky error. Knows: bytes. Never knows: any
 * message.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed view; passed by value, never owns. */
struct bytes {
	const uint8_t *ptr;
	size_t len;
};

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
	return (struct bytes){ .ptr = ptr, .len = len };
}

/* Reads network-order fields from borrowed memory. The first short read sets @failed; every later
 * read returns zero, so a decoder checks once, at its end. */
struct wire_reader {
	const uint8_t *pos, *end;
	bool failed;
};

void wire_reader_init(struct wire_reader *r, struct bytes from);
size_t wire_left(const struct wire_reader *r);
uint8_t wire_u8(struct wire_reader *r);
uint16_t wire_u16(struct wire_reader *r);
uint32_t wire_u32(struct wire_reader *r);
uint64_t wire_u64(struct wire_reader *r);
/** wire_bytes() - the next @len bytes as a view into the input; {NULL, 0} and failed if there are
 * fewer. */
struct bytes wire_bytes(struct wire_reader *r, size_t len);
/** wire_copy() - copies the next @len bytes to @to; zeros and failed if there are fewer. */
void wire_copy(struct wire_reader *r, void *to, size_t len);

/* Writes network-order fields to borrowed memory. The first write that does not fit sets @failed
 * and nothing more is written. */
struct wire_writer {
	uint8_t *start, *pos, *end;
	bool failed;
};

void wire_writer_init(struct wire_writer *w, void *to, size_t size);
size_t wire_written(const struct wire_writer *w);
void wire_put_u8(struct wire_writer *w, uint8_t v);
void wire_put_u16(struct wire_writer *w, uint16_t v);
void wire_put_u32(struct wire_writer *w, uint32_t v);
void wire_put_u64(struct wire_writer *w, uint64_t v);
void wire_put_bytes(struct wire_writer *w, const void *from, size_t len);
void wire_put_zeros(struct wire_writer *w, size_t len);

#endif
