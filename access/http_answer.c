#include "access/http_answer.h"

#include "chain/wire_status.h"

#include <stdio.h>
#include <string.h>

static const char *phrase_of(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 407:
		return "Proxy Authentication Required";
	case 408:
		return "Request Timeout";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return "Error";
	}
}

/* RFC 8941 3.3.3: printable ASCII, with '"' and '\' escaped. @to has room for twice @text. */
static void quote(const char *text, char *to)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			*to++ = '\\';
		*to++ = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	*to = '\0';
}

size_t http_answer_print(const struct http_answer *answer, char to[HTTP_ANSWER_MAX])
{
	char text[HTTP_ANSWER_TEXT_MAX], details[2 * HTTP_ANSWER_TEXT_MAX];
	snprintf(text, sizeof text, "%s", answer->text);
	quote(text, details);
	bool has_word = answer->word != NULL;
	int n = snprintf(to, HTTP_ANSWER_MAX,
		"HTTP/1.1 %u %s\r\n"
		"Proxy-Status: hopchain%s%s; details=\"%s\"\r\n"
		"%s"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\n"
		"%s\r\n",
		answer->status, phrase_of(answer->status), has_word ? "; error=" : "",
		has_word ? answer->word : "", details, answer->fields, strlen(text) + 1,
		answer->keeps ? "" : "Connection: close\r\n");
	if (answer->has_body)
		n += snprintf(to + n, HTTP_ANSWER_MAX - (size_t)n, "%s\n", text);
	return (size_t)n;
}

static unsigned http_status_of(uint8_t status)
{
	switch (status) {
	case STATUS_LIMIT:
	case STATUS_RATE:
	case STATUS_LOCAL:
		return 503;
	case STATUS_RESOLVE_TIMEOUT:
	case STATUS_TIMEOUT:
		return 504;
	case STATUS_DENIED_POLICY:
	case STATUS_DENIED_LOOPBACK:
	case STATUS_DENIED_PRIVATE:
	case STATUS_DENIED_PORT:
	case STATUS_DENIED_CMD:
		return 403;
	default:
		return 502;
	}
}

void http_answer_of(
	const struct chain_error *error, char text[HTTP_ANSWER_TEXT_MAX], struct http_answer *ret)
{
	uint8_t status = chain_error_status(error);
	*ret = (struct http_answer){ .fields = "", .has_body = true };
	ret->text = chain_error_print(error, text, HTTP_ANSWER_TEXT_MAX);
	if (error->stage != CHAIN_ANSWER) {
		ret->status = http_status_of(status);
		ret->word = wire_status_find(status)->rfc9209;
		if (status == STATUS_DENIED_POLICY && error->hop == 0) /* a rule of our own */
			ret->word = "http_request_denied";
	} else if (error->code == ERR_TIMEOUT) {
		ret->status = 504;
		ret->word = "connection_read_timeout";
	} else {
		ret->status = 502;
		ret->word = "connection_terminated";
	}
}
