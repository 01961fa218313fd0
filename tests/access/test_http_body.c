/* Where the body of a request ends, and that nothing behind it goes further. */
#include "access/http_body.h"
#include "access/http_upload.h"
#include "common/loop.h"
#include "tests/support/pair.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define N(array) (sizeof array / sizeof array[0])
#define WAIT_MS  5000

static struct http_body chunked(void)
{
	struct http_body body;
	struct http_head head = { .framing = HTTP_CHUNKED };
	http_body_init(&body, &head);
	return body;
}

static struct http_body of_length(uint64_t len)
{
	struct http_body body;
	struct http_head head = { .framing = HTTP_LENGTH, .body_len = len };
	http_body_init(&body, &head);
	return body;
}

static const struct {
	const char *text;
	size_t n; /* bytes that belong to the body */
	enum {
		MORE,
		ENDED,
		BAD
	} how;
} rows[] = {
	{ "", 0, MORE },
	{ "0\r\n\r\n", 5, ENDED },
	{ "0\r\n\r\nGET ", 5, ENDED },
	{ "5\r\nhello\r\n0\r\n\r\nx", 15, ENDED },
	{ "00005\r\nhello\r\n000\r\n\r\nx", 21, ENDED },
	{ "A;x\r\n0123456789\r\n0\r\n\r\nx", 22, ENDED },
	{ "a \t;x=\"\xff\"\r\n0123456789\r\n0;y\r\n\r\nx", 30, ENDED },
	{ "0\r\nA: b\r\nC: d\r\n\r\nx", 17, ENDED },
	{ "5\r\nhel", 6, MORE },
	{ "5\r\nhello", 8, MORE },
	{ "fffffffffffffff\r\nx", 18, MORE },
	{ "1000000000000000\r\n", 15, BAD },
	{ "\r\n", 0, BAD },
	{ ";\r\n", 0, BAD },
	{ "g\r\n", 0, BAD },
	{ "-1\r\n", 0, BAD },
	{ "0x1\r\n", 1, BAD },
	{ " 1\r\n", 0, BAD },
	{ "1\nx\r\n", 1, BAD },
	{ "1;a\nx\r\n", 3, BAD },
	{ "1;a\x01\r\n", 3, BAD },
	{ "1\rx", 2, BAD },
	{ "1\r\nxy", 4, BAD },
	{ "1\r\nx\ry", 5, BAD },
	{ "1\r\nx\n", 4, BAD },
	{ "0\r\n\rx", 4, BAD },
	{ "0\r\n\n", 3, BAD },
	{ "0\r\nA: b\n", 7, BAD },
	{ "0\r\nA\r\r\n", 5, BAD },
};

Test(http_body, chunks_end_where_they_say_however_they_are_cut)
{
	for (size_t i = 0; i < N(rows); i++) {
		size_t len = strlen(rows[i].text);
		for (size_t n_piece = 1; n_piece <= len + 1; n_piece++) {
			struct http_body body = chunked();
			size_t at = 0, n, taken = 0;
			for (; at < len; at += n) {
				n = n_piece < len - at ? n_piece : len - at;
				taken += http_body_take(&body, bytes_of(rows[i].text + at, n));
			}
			cr_expect_eq(taken, rows[i].n, "%zu %s", taken, rows[i].text);
			cr_expect_eq(http_body_has_ended(&body), rows[i].how == ENDED, "%s",
				rows[i].text);
			cr_expect_eq(
				http_body_is_bad(&body), rows[i].how == BAD, "%s", rows[i].text);
		}
	}
}

Test(http_body, lines_between_chunks_are_short)
{
	static char text[8000];
	memset(text, 'a', sizeof text);
	memcpy(text, "1;", 2);
	struct http_body body = chunked();
	cr_expect_lt(http_body_take(&body, bytes_of(text, sizeof text)), 4200);
	cr_expect(http_body_is_bad(&body));
	memcpy(text, "0\r\n", 3);
	for (size_t i = 3; i + 6 < sizeof text; i += 6)
		memcpy(text + i, "A: b\r\n", 6);
	body = chunked();
	cr_expect_lt(http_body_take(&body, bytes_of(text, sizeof text)), sizeof text);
	cr_expect(http_body_is_bad(&body), "all lines of a trailer count");
}

Test(http_body, a_length_is_a_length)
{
	struct http_body body = of_length(5);
	cr_expect_eq(http_body_take(&body, bytes_of("123", 3)), 3);
	cr_expect_not(http_body_has_ended(&body));
	cr_expect_eq(http_body_take(&body, bytes_of("45+", 3)), 2);
	cr_expect(http_body_has_ended(&body));
	cr_expect_eq(http_body_take(&body, bytes_of("+", 1)), 0);
	body = of_length(0);
	cr_expect(http_body_has_ended(&body));
	struct http_head head = { .framing = HTTP_NO_BODY };
	http_body_init(&body, &head);
	cr_expect(http_body_has_ended(&body));
}

struct world {
	struct loop *loop;
	struct sink client, upload;
};

static void turns(struct world *w)
{
	static const bool never = false;
	loop_run_until(w->loop, &never, 20);
}

static void set_up(struct world *w, struct http_body body)
{
	struct stream *a, *b, *upload;
	*w = (struct world){ .loop = NULL };
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(pair_new(w->loop, 65536, &a, &b), 0);
	cr_assert_eq(http_upload_new(b, &body, &upload), 0);
	sink_take(&w->client, a);
	sink_take(&w->upload, upload);
	stream_read_start(upload);
	stream_read_start(a);
}

static void tear_down(struct world *w)
{
	if (w->client.stream != NULL)
		stream_close(w->client.stream);
	if (w->upload.stream != NULL)
		stream_close(w->upload.stream);
	loop_run_until(w->loop, &w->client.is_closed, WAIT_MS);
	loop_run_until(w->loop, &w->upload.is_closed, WAIT_MS);
	cr_expect(w->client.is_closed && w->upload.is_closed);
	cr_expect_eq(w->upload.n_events_after_end, 0);
	sink_free(&w->client);
	sink_free(&w->upload);
	loop_free(w->loop);
}

static void say(struct world *w, const char *text)
{
	stream_write(w->client.stream, bytes_of(text, strlen(text)));
	turns(w);
}

static void expect_upload(struct world *w, const char *text, bool has_ended)
{
	cr_expect_eq(w->upload.n, strlen(text));
	cr_expect(w->upload.n == strlen(text) &&
		  (w->upload.n == 0 || memcmp(w->upload.data, text, w->upload.n) == 0));
	cr_expect_eq(w->upload.has_ended, has_ended);
}

Test(http_upload, the_body_goes_on_and_the_next_request_ends_it)
{
	struct world w;
	set_up(&w, of_length(5));
	say(&w, "123");
	expect_upload(&w, "123", false);
	say(&w, "45");
	say(&w, "\r\n");
	expect_upload(&w, "12345", false);
	say(&w, "GET http://other/ HTTP/1.1\r\nProxy-Authorization: Basic YTpi\r\n\r\n");
	expect_upload(&w, "12345", true);
	say(&w, "more");
	expect_upload(&w, "12345", true);
	stream_write(w.upload.stream, bytes_of("answer", 6));
	turns(&w);
	cr_expect_eq(w.client.n, 6, "the other direction lives on");
	stream_shutdown(w.client.stream);
	turns(&w);
	cr_expect_not(w.upload.has_failed);
	tear_down(&w);
}

Test(http_upload, what_is_cut_off_may_come_with_the_body)
{
	struct world w;
	set_up(&w, chunked());
	say(&w, "1\r\na\r\n0\r\n\r\nGET http://other/");
	expect_upload(&w, "1\r\na\r\n0\r\n\r\n", true);
	tear_down(&w);
}

Test(http_upload, without_a_body_nothing_goes_on)
{
	struct world w;
	set_up(&w, of_length(0));
	say(&w, "GET http://other/");
	expect_upload(&w, "", true);
	tear_down(&w);
}

Test(http_upload, the_client_may_end_its_direction)
{
	struct world w;
	set_up(&w, of_length(0));
	stream_shutdown(w.client.stream);
	turns(&w);
	expect_upload(&w, "", true);
	tear_down(&w);
}

Test(http_upload, chunks_that_are_none_fail_the_stream)
{
	struct world w;
	set_up(&w, chunked());
	say(&w, "1\r\nab");
	cr_expect(w.upload.has_failed);
	cr_expect_eq(w.upload.error, -EPROTO);
	expect_upload(&w, "1\r\na", false);
	tear_down(&w);
}

Test(http_upload, the_owner_may_stop_and_close_in_the_middle)
{
	struct world w;
	set_up(&w, of_length(1));
	w.upload.stops_after_data = true;
	say(&w, "aGET");
	expect_upload(&w, "a", false);
	stream_read_start(w.upload.stream);
	say(&w, "GET");
	expect_upload(&w, "a", true);
	tear_down(&w);
	set_up(&w, of_length(1));
	w.upload.closes_on_data = true;
	say(&w, "aGET");
	cr_expect(w.upload.is_closed);
	cr_expect_not(w.upload.has_ended);
	tear_down(&w);
}

Test(http_upload, a_client_that_breaks_is_told_of)
{
	struct world w;
	set_up(&w, of_length(1));
	stream_abort(w.client.stream);
	turns(&w);
	cr_expect(w.upload.has_failed);
	cr_expect_lt(w.upload.error, 0);
	tear_down(&w);
}
