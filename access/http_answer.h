#ifndef ACCESS_HTTP_ANSWER_H
#define ACCESS_HTTP_ANSWER_H
/*
 * Does: what a proxy itself answers in HTTP: status, Proxy-Status (RFC 9209), one sentence. Knows:
 * which status a failed chain is. Never knows: requests.
 */
#include "chain/error.h"

#define HTTP_ANSWER_TEXT_MAX 768 /* bytes of a sentence, with its NUL */
#define HTTP_ANSWER_MAX      3072

struct http_answer {
	unsigned status;
	const char *word;   /* error of Proxy-Status, or NULL */
	const char *text;   /* the sentence: details of Proxy-Status, and the body */
	const char *fields; /* more header lines, each with its CR LF, or "" */
	bool has_body;      /* false for HEAD */
	bool keeps;         /* the connection goes on behind it */
};

/** http_answer_print() - ends with "Connection: close" unless it keeps. @text is cut to what fits.
 * Return: its length. */
size_t http_answer_print(const struct http_answer *answer, char to[HTTP_ANSWER_MAX]);

/** http_answer_of() - status, word and sentence (written to @text) of a chain that failed. */
void http_answer_of(
	const struct chain_error *error, char text[HTTP_ANSWER_TEXT_MAX], struct http_answer *ret);

#endif
