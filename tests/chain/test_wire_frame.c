#include "chain/wire_frame.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(wire_frame);

/* What was collected from a stream. */
struct got {
	uint8_t bytes[2 * WIRE_FRAME_MAX];
	size_t lens[16], n, n_bytes;
	int error;
};

static void feed(struct wire_frames *frames, struct bytes in, struct got *got)
{
	struct bytes one;
	while (got->error == 0) {
		int n = wire_frames_next(frames, &in, &one);
		if (n <= 0) {
			got->error = n;
			cr_assert(n != 0 || in.len == 0);
			return;
		}
		cr_assert_lt(got->n, 16);
		cr_assert_leq(one.len, WIRE_FRAME_MAX);
		if (one.len > 0)
			memcpy(got->bytes + got->n_bytes, one.ptr, one.len);
		got->n_bytes += one.len;
		got->lens[got->n++] = one.len;
	}
}

/* Bytes in an allocation of their own: reading past them is seen, and what pointed to them is gone
 * afterwards. */
static void feed_alone(struct wire_frames *frames, const uint8_t *from, size_t len, struct got *got)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	cr_assert_not_null(copy);
	memcpy(copy, from, len);
	feed(frames, bytes_of(copy, len), got);
	free(copy);
}

static const uint8_t five[] = { 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 0, 0, 1, 'x', 0, 3, 'e',
	'n', 'd' };

static void expect_five(const struct got *got, const char *what, size_t a, size_t b)
{
	static const size_t lens[] = { 5, 0, 0, 1, 3 };
	cr_assert_eq(got->error, 0);
	cr_assert_eq(got->n, 5, "%s %zu %zu: %zu", what, a, b, got->n);
	cr_expect_arr_eq(got->lens, lens, sizeof lens);
	cr_expect_eq(got->n_bytes, 9);
	cr_expect_arr_eq(got->bytes, "helloxend", 9);
}

Test(wire_frame, any_two_cuts_give_the_same_datagrams)
{
	static struct got got;
	for (size_t a = 0; a <= sizeof five; a++) {
		for (size_t b = a; b <= sizeof five; b++) {
			struct wire_frames frames = { 0 };
			memset(&got, 0, sizeof got);
			feed_alone(&frames, five, a, &got);
			feed_alone(&frames, five + a, b - a, &got);
			feed_alone(&frames, five + b, sizeof five - b, &got);
			expect_five(&got, "cuts", a, b);
			cr_expect(!wire_frames_is_partial(&frames));
			wire_frames_deinit(&frames);
		}
	}
}

Test(wire_frame, one_byte_at_a_time_gives_the_same_datagrams)
{
	static struct got got;
	struct wire_frames frames = { 0 };
	for (size_t i = 0; i < sizeof five; i++)
		feed_alone(&frames, five + i, 1, &got);
	expect_five(&got, "bytes", 0, 0);
	wire_frames_deinit(&frames);
}

Test(wire_frame, a_stream_may_end_exactly_between_frames)
{
	static const size_t ends[] = { 0, 7, 9, 11, 14, sizeof five };
	static struct got got;
	for (size_t cut = 0, i = 0; cut <= sizeof five; cut++) {
		struct wire_frames frames = { 0 };
		memset(&got, 0, sizeof got);
		feed_alone(&frames, five, cut, &got);
		bool is_end = ends[i] == cut;
		cr_expect_eq(wire_frames_is_partial(&frames), !is_end, "after %zu bytes", cut);
		i += is_end;
		wire_frames_deinit(&frames);
		cr_expect(!wire_frames_is_partial(&frames));
	}
}

Test(wire_frame, the_longest_datagram_passes_whole_and_in_pieces)
{
	static uint8_t stream[WIRE_FRAME_HEADER + WIRE_FRAME_MAX + 3];
	static struct got got;
	static const size_t pieces[] = { sizeof stream, 1, 1000, WIRE_FRAME_MAX + 1 };
	for (size_t i = 0; i < sizeof stream; i++)
		stream[i] = (uint8_t)(i % 251);
	wire_frame_header(WIRE_FRAME_MAX, stream);
	memcpy(stream + sizeof stream - 3, "\0\1z", 3);
	for (size_t p = 0; p < 4; p++) {
		struct wire_frames frames = { 0 };
		memset(&got, 0, sizeof got);
		for (size_t at = 0; at < sizeof stream; at += pieces[p]) {
			size_t left = sizeof stream - at;
			feed_alone(&frames, stream + at, left < pieces[p] ? left : pieces[p], &got);
		}
		cr_assert(got.n == 2 && got.error == 0, "pieces of %zu", pieces[p]);
		cr_expect_eq(got.lens[0], WIRE_FRAME_MAX);
		cr_expect_eq(memcmp(got.bytes, stream + 2, WIRE_FRAME_MAX), 0);
		cr_expect_eq(got.lens[1], 1);
		wire_frames_deinit(&frames);
	}
}

Test(wire_frame, a_longer_datagram_is_refused_at_its_header)
{
	static struct got got;
	for (unsigned len = WIRE_FRAME_MAX + 1; len <= 0xffff; len++) {
		uint8_t header[] = { (uint8_t)(len >> 8), (uint8_t)len };
		struct wire_frames frames = { 0 };
		memset(&got, 0, sizeof got);
		feed_alone(&frames, header, 1, &got);
		cr_assert_eq(got.error, 0);
		feed_alone(&frames, header + 1, 1, &got);
		cr_expect_eq(got.error, ERR_BAD_RECORD);
		got.error = 0;
		feed_alone(&frames, (const uint8_t *)"more", 4, &got); /* and stays so */
		cr_expect_eq(got.error, ERR_BAD_RECORD);
		wire_frames_deinit(&frames);
	}
}

Test(wire_frame, headers_are_big_endian)
{
	uint8_t to[WIRE_FRAME_HEADER];
	wire_frame_header(0x1234, to);
	cr_expect(to[0] == 0x12 && to[1] == 0x34);
	wire_frame_header(0, to);
	cr_expect(to[0] == 0 && to[1] == 0);
}
