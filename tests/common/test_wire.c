#include "common/wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* One field of each kind, in both directions. */
#define SIZE (1 + 2 + 4 + 8 + 3 + 2 + 5)

static void put_all(struct wire_writer *w)
{
	wire_put_u8(w, 0x01);
	wire_put_u16(w, 0x0203);
	wire_put_u32(w, 0x04050607);
	wire_put_u64(w, 0x08090a0b0c0d0e0f);
	wire_put_bytes(w, "abc", 3);
	wire_put_zeros(w, 2);
	wire_put_bytes(w, "defgh", 5);
}

static const uint8_t all[SIZE] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 'a', 'b', 'c',
	0, 0, 'd', 'e', 'f', 'g', 'h' };

/* Where the fields begin, and the end. */
static const size_t begins[] = { 0, 1, 3, 7, 15, 18, 20, SIZE };

/* Last begin of a field that is at or before @at. */
static size_t whole_fields(size_t at)
{
	size_t n = 0;
	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
		n = begins[i] <= at ? begins[i] : n;
	return n;
}

Test(wire, writes_network_order)
{
	uint8_t to[SIZE];
	struct wire_writer w;
	wire_writer_init(&w, to, sizeof to);
	put_all(&w);
	cr_assert_not(w.failed);
	cr_assert_eq(wire_written(&w), SIZE);
	cr_assert_arr_eq(to, all, SIZE);
}

Test(wire, reads_what_was_written)
{
	struct wire_reader r;
	uint8_t copy[5];
	wire_reader_init(&r, bytes_of(all, SIZE));
	cr_expect_eq(wire_left(&r), SIZE);
	cr_expect_eq(wire_u8(&r), 0x01);
	cr_expect_eq(wire_u16(&r), 0x0203);
	cr_expect_eq(wire_u32(&r), 0x04050607);
	cr_expect_eq(wire_u64(&r), 0x08090a0b0c0d0e0f);
	struct bytes view = wire_bytes(&r, 3);
	cr_expect_eq(view.len, 3);
	cr_expect_eq(view.ptr, all + 15, "a view, no copy");
	cr_expect_eq(wire_u16(&r), 0);
	wire_copy(&r, copy, 5);
	cr_expect_arr_eq(copy, "defgh", 5);
	cr_expect_not(r.failed);
	cr_expect_eq(wire_left(&r), 0);
}

Test(wire, a_writer_of_any_size_writes_whole_fields_and_stops)
{
	for (size_t size = 0; size <= SIZE; size++) {
		uint8_t *to = malloc(
			size > 0 ? size
				 : 1); /* of its own size: a sanitizer sees one byte too many */
		struct wire_writer w;
		wire_writer_init(&w, to, size);
		put_all(&w);
		cr_expect_eq(w.failed, size < SIZE);
		cr_expect_eq(wire_written(&w), whole_fields(size));
		cr_expect_arr_eq(to, all, whole_fields(size));
		wire_put_zeros(&w, 0);
		wire_put_u8(&w, 0);
		cr_expect_eq(wire_written(&w), whole_fields(size),
			"nothing after a failure or at the end");
		free(to);
	}
}

static void read_all(struct wire_reader *r, uint64_t sums[7])
{
	uint8_t copy[5];
	sums[0] = wire_u8(r);
	sums[1] = wire_u16(r);
	sums[2] = wire_u32(r);
	sums[3] = wire_u64(r);
	sums[4] = wire_bytes(r, 3).len;
	sums[5] = wire_u16(r);
	memset(copy, 0xee, sizeof copy);
	wire_copy(r, copy, 5);
	sums[6] = copy[0];
}

Test(wire, a_reader_cut_at_any_byte_fails_and_gives_zeros)
{
	static const uint64_t full[7] = { 0x01, 0x0203, 0x04050607, 0x08090a0b0c0d0e0f, 3, 0, 'd' };
	for (size_t size = 0; size < SIZE; size++) {
		uint8_t *from = malloc(size > 0 ? size : 1);
		struct wire_reader r;
		uint64_t sums[7];
		memcpy(from, all, size);
		wire_reader_init(&r, bytes_of(from, size));
		read_all(&r, sums);
		cr_expect(r.failed);
		cr_expect_eq(wire_left(&r), 0, "a failed reader has nothing left");
		for (size_t i = 0; i < 7; i++)
			cr_expect_eq(sums[i], begins[i + 1] <= size ? full[i] : 0,
				"cut at %zu, field %zu", size, i);
		free(from);
	}
}

Test(wire, a_failure_stays)
{
	struct wire_reader r;
	wire_reader_init(&r, bytes_of(all, 3));
	cr_expect_eq(wire_u32(&r), 0);
	cr_expect(r.failed);
	cr_expect_eq(wire_u8(&r), 0, "although a byte is there");
	cr_expect_null(wire_bytes(&r, 0).ptr);
}

Test(wire, empty_input_may_have_no_address)
{
	struct wire_reader r;
	struct wire_writer w;
	wire_reader_init(&r, bytes_of(NULL, 0));
	cr_expect_eq(wire_left(&r), 0);
	cr_expect_eq(wire_bytes(&r, 0).len, 0);
	cr_expect_not(r.failed);
	cr_expect_eq(wire_u8(&r), 0);
	cr_expect(r.failed);
	wire_writer_init(&w, NULL, 0);
	wire_put_bytes(&w, NULL, 0);
	cr_expect_not(w.failed);
	wire_put_u8(&w, 1);
	cr_expect(w.failed);
	cr_expect_eq(wire_written(&w), 0);
}

Test(wire, lengths_near_the_top_of_size_t_do_not_wrap)
{
	struct wire_reader r;
	struct wire_writer w;
	uint8_t to[4];
	wire_reader_init(&r, bytes_of(all, SIZE));
	wire_u8(&r);
	cr_expect_eq(wire_bytes(&r, SIZE_MAX).len, 0);
	cr_expect(r.failed);
	wire_writer_init(&w, to, sizeof to);
	wire_put_u8(&w, 1);
	wire_put_zeros(&w, SIZE_MAX);
	cr_expect(w.failed);
	cr_expect_eq(wire_written(&w), 1);
}
