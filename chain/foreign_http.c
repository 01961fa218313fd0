#include "chain/foreign.h"
#include "chain/wire_status.h"
#include "common/seal.h"

#include <llhttp.h>
#include <stdio.h>

#define HEAD_MIN 16 /* "HTTP/1.1 200" and two ends of line */

#define BASIC_MAX  (2 * CHAIN_LOGIN_MAX + 1)
#define BASE64_MAX ((BASIC_MAX + 2) / 3 * 4 + 1)

size_t foreign_connect_print(
	const struct chain_hop *proxy, const struct addr *target, char to[FOREIGN_CONNECT_MAX])
{
	char host[ADDR_TEXT_MAX], login[BASIC_MAX + 1], basic[BASE64_MAX];
	addr_print(target, host);
	int n = snprintf(
		to, FOREIGN_CONNECT_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", host, host);
	if (proxy->user != NULL) {
		int len = snprintf(login, sizeof login, "%s:%s", proxy->user, proxy->password);
		seal_base64(bytes_of(login, (size_t)len), basic, sizeof basic);
		n += snprintf(to + n, FOREIGN_CONNECT_MAX - (size_t)n,
			"Proxy-Authorization: Basic %s\r\n", basic);
		seal_wipe(login, sizeof login);
		seal_wipe(basic, sizeof basic);
	}
	n += snprintf(to + n, FOREIGN_CONNECT_MAX - (size_t)n, "\r\n");
	return (size_t)n;
}

/* No head is shorter than HEAD_MIN, and each that has not ended lacks what is missing of its empty
 * line. */
size_t foreign_head_wants(const struct foreign_head *head)
{
	size_t n = head->n < HEAD_MIN ? HEAD_MIN - head->n : 4u - head->n_end;
	size_t left = CHAIN_FOREIGN_HEAD_MAX - head->n_all;
	return n < left ? n : left;
}

/* Return: false at a line that ends without CR. */
static bool follow_end(struct foreign_head *head, uint8_t byte)
{
	if (byte == '\n' && head->n_end % 2 == 0)
		return false;
	if (byte == '\n')
		head->n_end++;
	else if (byte == '\r')
		head->n_end = head->n_end == 2 ? 3 : 1;
	else
		head->n_end = 0;
	return true;
}

/* What llhttp saw. */
struct answer {
	bool is_complete;
	char *text;
	size_t n_text;
};

static int on_status(llhttp_t *llhttp, const char *at, size_t len)
{
	struct answer *a = llhttp->data;
	for (size_t i = 0; i < len && a->n_text < CHAIN_FOREIGN_TEXT_MAX; i++)
		a->text[a->n_text++] = at[i] >= 0x20 && at[i] < 0x7f ? at[i] : '?';
	a->text[a->n_text] = '\0';
	return 0;
}

/* Return: 2 = no body follows, whatever the head says (RFC 9110 9.3.6). */
static int on_headers_complete(llhttp_t *llhttp)
{
	struct answer *a = llhttp->data;
	a->is_complete = true;
	return 2;
}

static enum foreign_head_step parse(
	struct foreign_head *head, uint16_t *ret_status, char ret_text[CHAIN_FOREIGN_TEXT_MAX + 1])
{
	static const llhttp_settings_t settings = { .on_status = on_status,
		.on_headers_complete = on_headers_complete };
	struct answer answer = { .text = ret_text };
	llhttp_t llhttp;
	llhttp_init(&llhttp, HTTP_RESPONSE, &settings);
	llhttp.data = &answer;
	/* Of a tunnel no length means anything, nor that there are two (RFC 9110 9.3.6). */
	llhttp_set_lenient_chunked_length(&llhttp, 1);
	ret_text[0] = '\0';
	llhttp_errno_t error = llhttp_execute(&llhttp, (const char *)head->bytes, head->n);
	if ((error != HPE_OK && error != HPE_PAUSED_UPGRADE) || !answer.is_complete)
		return FOREIGN_HEAD_BROKEN;
	*ret_status = (uint16_t)llhttp_get_status_code(&llhttp);
	if (*ret_status < 100 || *ret_status > 599 || *ret_status == 101)
		return FOREIGN_HEAD_BROKEN;
	if (*ret_status >= 200)
		return FOREIGN_HEAD_DONE;
	head->n = 0;
	head->n_end = 0;
	return FOREIGN_HEAD_MORE;
}

enum foreign_head_step foreign_head_feed(struct foreign_head *head, struct bytes in,
	uint16_t *ret_status, char ret_text[CHAIN_FOREIGN_TEXT_MAX + 1])
{
	static const char start[] = { 'H', 'T', 'T', 'P', '/' };
	size_t n_before = head->n;
	memcpy(head->bytes + head->n, in.ptr, in.len);
	head->n += in.len;
	head->n_all += in.len;
	for (size_t i = n_before; i < head->n; i++) {
		bool is_wrong = i < sizeof start && head->bytes[i] != (uint8_t)start[i];
		if (is_wrong || !follow_end(head, head->bytes[i]))
			return FOREIGN_HEAD_BROKEN;
		if (head->n_end == 4 && i + 1 < HEAD_MIN)
			return FOREIGN_HEAD_BROKEN;
	}
	enum foreign_head_step step =
		head->n_end == 4 ? parse(head, ret_status, ret_text) : FOREIGN_HEAD_MORE;
	bool is_full = head->n_all == CHAIN_FOREIGN_HEAD_MAX;
	return step == FOREIGN_HEAD_MORE && is_full ? FOREIGN_HEAD_BROKEN : step;
}

uint8_t foreign_http_status(uint16_t code)
{
	switch (code) {
	case 400:
		return STATUS_BAD_REQUEST;
	case 403:
		return STATUS_DENIED_POLICY;
	case 404:
		return STATUS_RESOLVE_FAIL;
	case 405:
	case 501:
		return STATUS_UNSUPPORTED;
	case 408:
	case 504:
		return STATUS_TIMEOUT;
	case 429:
		return STATUS_RATE;
	case 502:
	case 503:
		return STATUS_HOST_UNREACH;
	default:
		return STATUS_INTERNAL;
	}
}
