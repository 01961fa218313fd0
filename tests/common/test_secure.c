/* The record stream: splits, flips, ends, key updates. The stream contract itself is in
 * tests/conformance. */
#include "common/secure.h"
#include "tests/support/pair.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 5000
static const bool never = false;

/* left: sealed stream. wire: the raw end its records come out of. */
struct world {
	struct loop *loop;
	struct sink left, wire;
};

static struct secure_options options_of(bool is_left, enum record_cipher cipher)
{
	struct secure_options o = { .cipher = cipher };
	memset(is_left ? o.secret_out : o.secret_in, 0x11, 32);
	memset(is_left ? o.secret_in : o.secret_out, 0x22, 32);
	return o;
}

static void set_up(struct world *w, enum record_cipher cipher, uint64_t update_after)
{
	struct stream *a, *b;
	struct secure_options o = options_of(true, cipher);
	o.key_update_records = update_after;
	*w = (struct world){ .loop = NULL };
	cr_assert_eq(record_start(), 0);
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(pair_new(w->loop, 1 << 20, &a, &b), 0);
	cr_assert_eq(secure_open(a, &o, &a), 0);
	sink_take(&w->left, a);
	sink_take(&w->wire, b);
	stream_read_start(a);
	stream_read_start(b);
}

static void tear_down(struct world *w)
{
	if (w->left.stream != NULL)
		stream_close(w->left.stream);
	if (w->wire.stream != NULL)
		stream_close(w->wire.stream);
	cr_assert(loop_run_until(w->loop, &w->left.is_closed, WAIT_MS));
	cr_assert(loop_run_until(w->loop, &w->wire.is_closed, WAIT_MS));
	cr_expect_eq(w->left.n_events_after_end, 0);
	sink_free(&w->left);
	sink_free(&w->wire);
	loop_free(w->loop);
}

/* The records of "hello", "world" and close_notify, as the peer of left seals them. */
static size_t records(enum record_cipher cipher, uint8_t *to)
{
	struct secure_options o = options_of(false, cipher);
	struct record_key *key;
	size_t n = 0;
	cr_assert_eq(record_key_new(cipher, o.secret_out, "hc1-rec_", true, &key), 0);
	n += (size_t)record_seal(key, RECORD_DATA, bytes_of("hello", 5), to + n);
	n += (size_t)record_seal(key, RECORD_DATA, bytes_of("world", 5), to + n);
	n += (size_t)record_seal(key, RECORD_ALERT, bytes_of("\1\0", 2), to + n);
	record_key_free(key);
	return n;
}

static void turns(struct world *w)
{
	loop_run_until(w->loop, &never, 2);
}

Test(secure, records_split_at_every_byte, .timeout = 60)
{
	uint8_t all[256];
	cr_assert_eq(record_start(), 0);
	size_t n = records(RECORD_AES_128_GCM, all);
	for (size_t at = 1; at < n; at++) {
		struct world w;
		set_up(&w, RECORD_AES_128_GCM, 0);
		stream_write(w.wire.stream, bytes_of(all, at));
		turns(&w);
		stream_write(w.wire.stream, bytes_of(all + at, n - at));
		cr_assert(loop_run_until(w.loop, &w.left.has_ended, WAIT_MS), "split at %zu", at);
		cr_expect_eq(w.left.n, 10);
		cr_expect_arr_eq(w.left.data, "helloworld", 10);
		tear_down(&w);
	}
}

Test(secure, records_one_byte_at_a_time, .timeout = 60)
{
	uint8_t all[256];
	struct world w;
	cr_assert_eq(record_start(), 0);
	size_t n = records(RECORD_CHACHA20_POLY1305, all);
	set_up(&w, RECORD_CHACHA20_POLY1305, 0);
	for (size_t i = 0; i < n; i++) {
		stream_write(w.wire.stream, bytes_of(all + i, 1));
		turns(&w);
	}
	cr_assert(loop_run_until(w.loop, &w.left.has_ended, WAIT_MS));
	cr_expect_arr_eq(w.left.data, "helloworld", 10);
	tear_down(&w);
}

Test(secure, truncation_at_every_byte_is_never_a_clean_end, .timeout = 60)
{
	uint8_t all[256];
	cr_assert_eq(record_start(), 0);
	size_t n = records(RECORD_AES_256_GCM, all);
	for (size_t at = 0; at < n; at++) {
		struct world w;
		set_up(&w, RECORD_AES_256_GCM, 0);
		stream_write(w.wire.stream, bytes_of(all, at));
		stream_shutdown(w.wire.stream);
		cr_assert(loop_run_until(w.loop, &w.left.has_failed, WAIT_MS), "cut at %zu", at);
		cr_expect_eq(w.left.error, ERR_TRUNCATED);
		cr_expect(!w.left.has_ended);
		tear_down(&w);
	}
}

Test(secure, every_flipped_bit_is_a_bad_record, .timeout = 120)
{
	uint8_t all[256];
	cr_assert_eq(record_start(), 0);
	size_t n = records(RECORD_AES_128_GCM, all);
	for (size_t bit = 0; bit < n * 8; bit++) {
		struct world w;
		uint8_t copy[256];
		memcpy(copy, all, n);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		set_up(&w, RECORD_AES_128_GCM, 0);
		stream_write(w.wire.stream, bytes_of(copy, n));
		stream_shutdown(w.wire.stream);
		cr_assert(loop_run_until(w.loop, &w.left.has_failed, WAIT_MS), "bit %zu", bit);
		cr_expect(!w.left.has_ended, "bit %zu", bit);
		tear_down(&w);
	}
}

Test(secure, data_after_close_notify_is_a_bad_record)
{
	uint8_t all[256];
	struct world w;
	struct record_key *key;
	struct secure_options o = options_of(false, RECORD_AES_128_GCM);
	set_up(&w, RECORD_AES_128_GCM, 0);
	cr_assert_eq(record_key_new(RECORD_AES_128_GCM, o.secret_out, "hc1-rec_", true, &key), 0);
	size_t n = (size_t)record_seal(key, RECORD_ALERT, bytes_of("\1\0", 2), all);
	n += (size_t)record_seal(key, RECORD_DATA, bytes_of("x", 1), all + n);
	record_key_free(key);
	stream_write(w.wire.stream, bytes_of(all, n));
	cr_assert(loop_run_until(w.loop, &w.left.has_failed, WAIT_MS));
	cr_expect_eq(w.left.error, ERR_BAD_RECORD);
	cr_expect_eq(w.left.n, 0);
	tear_down(&w);
}

Test(secure, more_than_32_empty_records_are_bad)
{
	static uint8_t all[64 * 32];
	for (int extra = 0; extra < 2; extra++) {
		struct world w;
		struct record_key *key;
		struct secure_options o = options_of(false, RECORD_AES_128_GCM);
		size_t n = 0;
		set_up(&w, RECORD_AES_128_GCM, 0);
		cr_assert_eq(
			record_key_new(RECORD_AES_128_GCM, o.secret_out, "hc1-rec_", true, &key),
			0);
		for (int i = 0; i < RECORD_MAX_EMPTY + extra; i++)
			n += (size_t)record_seal(key, RECORD_DATA, bytes_of("", 0), all + n);
		record_key_free(key);
		stream_write(w.wire.stream, bytes_of(all, n));
		turns(&w);
		cr_expect_eq(w.left.has_failed, extra == 1);
		tear_down(&w);
	}
}

Test(secure, user_canceled_is_told)
{
	uint8_t all[64];
	struct world w;
	struct record_key *key;
	struct secure_options o = options_of(false, RECORD_AES_128_GCM);
	set_up(&w, RECORD_AES_128_GCM, 0);
	cr_assert_eq(record_key_new(RECORD_AES_128_GCM, o.secret_out, "hc1-rec_", true, &key), 0);
	size_t n = (size_t)record_seal(key, RECORD_ALERT, bytes_of("\1\132", 2), all);
	record_key_free(key);
	stream_write(w.wire.stream, bytes_of(all, n));
	cr_assert(loop_run_until(w.loop, &w.left.has_failed, WAIT_MS));
	cr_expect_eq(w.left.error, ERR_CANCELED);
	tear_down(&w);
}

/* A sender that updates its key every few records, read by a receiver that follows. */
static void with_updates(enum record_cipher cipher)
{
	struct loop *loop;
	struct stream *a, *b;
	struct sink left = { 0 }, right = { 0 };
	struct secure_options oa = options_of(true, cipher), ob = options_of(false, cipher);
	uint8_t *data = malloc(1 << 20);
	for (size_t i = 0; i < 1 << 20; i++)
		data[i] = streams_pattern(i);
	oa.key_update_records = 3;
	cr_assert_eq(record_start(), 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(pair_new(loop, 4 << 20, &a, &b), 0);
	cr_assert_eq(secure_open(a, &oa, &a), 0);
	cr_assert_eq(secure_open(b, &ob, &b), 0);
	sink_take(&left, a);
	sink_take(&right, b);
	stream_read_start(b);
	stream_write(a, bytes_of(data, 1 << 20));
	stream_shutdown(a);
	cr_assert(loop_run_until(loop, &right.has_ended, WAIT_MS));
	cr_assert_eq(right.n, 1 << 20);
	cr_expect_arr_eq(right.data, data, 1 << 20);
	stream_close(a);
	stream_close(b);
	cr_assert(loop_run_until(loop, &left.is_closed, WAIT_MS));
	cr_assert(loop_run_until(loop, &right.is_closed, WAIT_MS));
	sink_free(&left);
	sink_free(&right);
	free(data);
	loop_free(loop);
}

Test(secure, key_updates_are_followed_aes_128, .timeout = 30)
{
	with_updates(RECORD_AES_128_GCM);
}

Test(secure, key_updates_are_followed_aes_256, .timeout = 30)
{
	with_updates(RECORD_AES_256_GCM);
}

Test(secure, chacha_never_updates, .timeout = 30)
{
	with_updates(RECORD_CHACHA20_POLY1305);
}

Test(secure, abort_sends_user_canceled_then_the_end)
{
	struct world w;
	set_up(&w, RECORD_AES_128_GCM, 0);
	stream_abort(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.wire.has_ended, WAIT_MS));
	cr_expect_eq(w.wire.n, RECORD_OVERHEAD + 2);
	tear_down(&w);
}

Test(secure, shutdown_sends_close_notify_then_the_end)
{
	struct world w;
	set_up(&w, RECORD_AES_128_GCM, 0);
	stream_write(w.left.stream, bytes_of("x", 1));
	stream_shutdown(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.wire.has_ended, WAIT_MS));
	cr_expect_eq(w.wire.n, 2 * RECORD_OVERHEAD + 1 + 2);
	tear_down(&w);
}
