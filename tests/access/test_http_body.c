/* Where a body ends. */
#include "access/http_body.h"

#include <criterion/criterion.h>
#include <string.h>

#define N(array) (sizeof array / sizeof array[0])

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
	{ "5 \t \r\nhello\r\n0 \r\n\r\nx", 19, ENDED },
	{ "5 5\r\n", 2, BAD },
	{ "5\t,\r\n", 2, BAD },
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
