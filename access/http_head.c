#include "access/http_head.h"

#include <llhttp.h>

#define METHOD_MAX        32
#define LENGTH_DIGITS_MAX 18 /* fits 64 bits with room to add */

static const struct {
	unsigned status;
	const char *text;
} results[] = {
	[HTTP_HEAD_OK] = { 200, "nothing is wrong with it" },
	[HTTP_HEAD_MORE] = { 400, "it is not whole" },
	[HTTP_HEAD_BAD_LINE_END] = { 400, "a line does not end in CR LF" },
	[HTTP_HEAD_BAD_REQUEST_LINE] = { 400,
		"the request line is not METHOD TARGET HTTP/1.1 with one space between them" },
	[HTTP_HEAD_BAD_STATUS_LINE] = { 400,
		"the status line is not HTTP/1.1 STATUS REASON with one space between them" },
	[HTTP_HEAD_BAD_VERSION] = { 400, "the version is neither HTTP/1.1 nor HTTP/1.0" },
	[HTTP_HEAD_FOLDED] = { 400, "a header line begins with white space" },
	[HTTP_HEAD_BAD_NAME] = { 400, "a header line does not begin with a name and a colon" },
	[HTTP_HEAD_BAD_VALUE] = { 400, "a header value has a control character in it" },
	[HTTP_HEAD_MANY_FIELDS] = { 431, "more than 100 header lines" },
	[HTTP_HEAD_BAD_METHOD] = { 501, "the method is unknown" },
	[HTTP_HEAD_BAD_HOST] = { 400, "there must be exactly one valid Host" },
	[HTTP_HEAD_BAD_LENGTH] = { 400,
		"there must be at most one Content-Length, a plain number" },
	[HTTP_HEAD_BAD_CODING] = { 400,
		"Transfer-Encoding must be one line of HTTP/1.1 that ends in chunked, without "
		"Content-Length" },
	[HTTP_HEAD_UNKNOWN_CODING] = { 501, "Transfer-Encoding has an unknown coding" },
	[HTTP_HEAD_MALFORMED] = { 400, "it is malformed" },
};

const char *http_head_text(enum http_head_result result)
{
	return results[result].text;
}

unsigned http_head_status(enum http_head_result result)
{
	return results[result].status;
}

/* The next part of @line up to a space, which is taken too; empty if there is no space. */
static struct bytes cut_word(struct bytes *line)
{
	const uint8_t *space = line->len > 0 ? memchr(line->ptr, ' ', line->len) : NULL;
	if (space == NULL)
		return bytes_of(NULL, 0);
	struct bytes word = bytes_of(line->ptr, (size_t)(space - line->ptr));
	*line = bytes_of(space + 1, line->len - word.len - 1);
	return word;
}

static bool is_printable(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
			return false;
	}
	return text.len > 0;
}

static bool is_equal(struct bytes text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static bool is_version(struct bytes text)
{
	return is_equal(text, "HTTP/1.1") || is_equal(text, "HTTP/1.0");
}

static enum http_head_result check_request_line(struct bytes line)
{
	struct bytes method = cut_word(&line), target = cut_word(&line);
	if (!http_is_token(method) || method.len > METHOD_MAX || !is_printable(target) ||
		!is_printable(line))
		return HTTP_HEAD_BAD_REQUEST_LINE;
	return is_version(line) ? HTTP_HEAD_OK : HTTP_HEAD_BAD_VERSION;
}

/* "HTTP/1.1 200 OK"; some servers leave out the space behind the status with the reason. */
static enum http_head_result check_status_line(struct bytes line)
{
	struct bytes version = cut_word(&line);
	if (version.len == 0 || line.len < 3)
		return HTTP_HEAD_BAD_STATUS_LINE;
	for (size_t i = 0; i < 3; i++) {
		if (line.ptr[i] < (i == 0 ? '1' : '0') || line.ptr[i] > '9')
			return HTTP_HEAD_BAD_STATUS_LINE;
	}
	for (size_t i = 3; i < line.len; i++) {
		if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
			return HTTP_HEAD_BAD_STATUS_LINE;
	}
	if (line.len > 3 && line.ptr[3] != ' ')
		return HTTP_HEAD_BAD_STATUS_LINE;
	return is_version(version) ? HTTP_HEAD_OK : HTTP_HEAD_BAD_VERSION;
}

static enum http_head_result check_field_line(struct bytes line)
{
	if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
		return HTTP_HEAD_FOLDED;
	const uint8_t *colon = memchr(line.ptr, ':', line.len);
	if (colon == NULL || !http_is_token(bytes_of(line.ptr, (size_t)(colon - line.ptr))))
		return HTTP_HEAD_BAD_NAME;
	for (const uint8_t *at = colon; at < line.ptr + line.len; at++) {
		if ((*at < 0x20 && *at != '\t') || *at == 0x7f)
			return HTTP_HEAD_BAD_VALUE;
	}
	return HTTP_HEAD_OK;
}

/* @line: up to its LF, which is not in it. */
static enum http_head_result check_line(struct bytes line, const struct http_scan *scan)
{
	if (line.len == 0 || line.ptr[line.len - 1] != '\r')
		return HTTP_HEAD_BAD_LINE_END;
	line.len--;
	if (line.len > 0 && memchr(line.ptr, '\r', line.len) != NULL)
		return HTTP_HEAD_BAD_LINE_END;
	if (scan->n_lines == 0)
		return scan->is_response ? check_status_line(line) : check_request_line(line);
	if (scan->n_lines > HTTP_FIELDS_MAX)
		return HTTP_HEAD_MANY_FIELDS;
	return check_field_line(line);
}

enum http_head_result http_head_scan(struct http_scan *scan, struct bytes in, size_t *ret_len)
{
	while (scan->i_next < in.len) {
		const uint8_t *end = memchr(in.ptr + scan->i_next, '\n', in.len - scan->i_next);
		if (end == NULL) {
			scan->i_next = in.len;
			break;
		}
		struct bytes line =
			bytes_of(in.ptr + scan->i_line, (size_t)(end - in.ptr) - scan->i_line);
		scan->i_line = scan->i_next = (size_t)(end - in.ptr) + 1;
		if (is_equal(line, "\r") && scan->n_lines > 0) {
			*ret_len = scan->i_line;
			return HTTP_HEAD_OK;
		}
		enum http_head_result result = check_line(line, scan);
		if (result != HTTP_HEAD_OK)
			return result;
		scan->n_lines++;
	}
	return HTTP_HEAD_MORE;
}

/* What llhttp saw. */
struct parse {
	struct http_head *head;
	size_t n_values;
	bool is_complete;
};

/* A span may come in pieces; they are neighbours, since all comes from one buffer. */
static int extend(struct bytes *span, const char *at, size_t len)
{
	if (span->len > 0 && (const uint8_t *)at != span->ptr + span->len)
		return -1;
	*span = bytes_of(span->len > 0 ? span->ptr : (const uint8_t *)at, span->len + len);
	return 0;
}

static int on_method(llhttp_t *llhttp, const char *at, size_t len)
{
	struct parse *p = llhttp->data;
	return extend(&p->head->method, at, len);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t len)
{
	struct parse *p = llhttp->data;
	return extend(&p->head->target, at, len);
}

static int on_reason(llhttp_t *llhttp, const char *at, size_t len)
{
	struct parse *p = llhttp->data;
	return extend(&p->head->reason, at, len);
}

static int on_field(llhttp_t *llhttp, const char *at, size_t len)
{
	struct parse *p = llhttp->data;
	struct http_head *head = p->head;
	if (head->n_fields == p->n_values) {
		if (head->n_fields == HTTP_FIELDS_MAX)
			return -1;
		head->fields[head->n_fields++] = (struct http_field){ 0 };
	}
	return extend(&head->fields[head->n_fields - 1].name, at, len);
}

static int on_value(llhttp_t *llhttp, const char *at, size_t len)
{
	struct parse *p = llhttp->data;
	if (p->n_values == p->head->n_fields)
		return -1;
	return extend(&p->head->fields[p->n_values].value, at, len);
}

static int on_value_complete(llhttp_t *llhttp)
{
	struct parse *p = llhttp->data;
	if (p->n_values == p->head->n_fields)
		return -1;
	struct bytes *value = &p->head->fields[p->n_values++].value;
	*value = value->ptr != NULL ? http_trim(*value) : bytes_of("", 0);
	return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct parse *p = llhttp->data;
	p->is_complete = true;
	return 0;
}

/* As many fields as there are lines that we checked. */
static bool has_every_line(const struct http_head *head, struct bytes raw)
{
	size_t n_lines = 0;
	for (size_t i = 0; i < raw.len; i++)
		n_lines += raw.ptr[i] == '\n';
	return head->n_fields + 2 == n_lines;
}

static enum http_head_result run_llhttp(
	struct bytes raw, llhttp_type_t type, struct http_head *head)
{
	static const llhttp_settings_t settings = {
		.on_method = on_method,
		.on_url = on_url,
		.on_status = on_reason,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers_complete,
	};
	struct parse p = { .head = head };
	llhttp_t llhttp;
	*head = (struct http_head){ .reason = bytes_of("", 0) };
	llhttp_init(&llhttp, type, &settings);
	llhttp.data = &p;
	llhttp_errno_t error = llhttp_execute(&llhttp, (const char *)raw.ptr, raw.len);
	if (error == HPE_INVALID_METHOD)
		return HTTP_HEAD_BAD_METHOD;
	if (error == HPE_UNEXPECTED_CONTENT_LENGTH || error == HPE_INVALID_CONTENT_LENGTH)
		return HTTP_HEAD_BAD_LENGTH;
	if (error == HPE_INVALID_TRANSFER_ENCODING)
		return HTTP_HEAD_BAD_CODING;
	/* CONNECT and Upgrade end with a pause behind the head: nothing else may pause. */
	if (error != HPE_OK && error != HPE_PAUSED_UPGRADE)
		return HTTP_HEAD_MALFORMED;
	if (!p.is_complete || p.n_values != head->n_fields || !has_every_line(head, raw))
		return HTTP_HEAD_MALFORMED;
	head->minor = llhttp_get_http_minor(&llhttp);
	head->status = type == HTTP_RESPONSE ? (unsigned)llhttp_get_status_code(&llhttp) : 0;
	return HTTP_HEAD_OK;
}

const struct http_field *http_head_find(const struct http_head *head, const char *name, size_t i)
{
	for (; i < head->n_fields; i++) {
		if (http_is_word(head->fields[i].name, name))
			return &head->fields[i];
	}
	return NULL;
}

bool http_head_lists(const struct http_head *head, const char *name, const char *word)
{
	const struct http_field *field = http_head_find(head, name, 0);
	while (field != NULL) {
		struct bytes list = field->value, element;
		while (http_list_next(&list, &element)) {
			if (http_is_word(element, word))
				return true;
		}
		field = http_head_find(head, name, (size_t)(field - head->fields) + 1);
	}
	return false;
}

/* The only field @name, or NULL; @ret_is_one is false if there are several. */
static const struct http_field *find_one(
	const struct http_head *head, const char *name, bool *ret_is_one)
{
	const struct http_field *field = http_head_find(head, name, 0);
	*ret_is_one = field == NULL ||
		      http_head_find(head, name, (size_t)(field - head->fields) + 1) == NULL;
	return field;
}

static bool parse_length(struct bytes text, uint64_t *ret)
{
	uint64_t length = 0;
	if (text.len == 0 || text.len > LENGTH_DIGITS_MAX || (text.ptr[0] == '0' && text.len > 1))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		length = length * 10 + (text.ptr[i] - '0');
	}
	*ret = length;
	return true;
}

static bool is_known_coding(struct bytes coding)
{
	static const char *const names[] = { "chunked", "gzip", "x-gzip", "compress", "x-compress",
		"deflate" };
	return http_is_one_of(coding, names, sizeof names / sizeof names[0]);
}

/* RFC 9112 6.1: chunked exactly once, and last. */
static enum http_head_result check_codings(struct bytes list)
{
	struct bytes coding;
	bool is_chunked = false;
	while (http_list_next(&list, &coding)) {
		if (is_chunked || coding.len == 0)
			return HTTP_HEAD_BAD_CODING;
		if (!is_known_coding(coding))
			return HTTP_HEAD_UNKNOWN_CODING;
		is_chunked = http_is_word(coding, "chunked");
	}
	return is_chunked ? HTTP_HEAD_OK : HTTP_HEAD_BAD_CODING;
}

static enum http_head_result check_framing(struct http_head *head)
{
	bool is_one;
	const struct http_field *length = find_one(head, "Content-Length", &is_one);
	if (!is_one || (length != NULL && !parse_length(length->value, &head->body_len)))
		return HTTP_HEAD_BAD_LENGTH;
	const struct http_field *coding = find_one(head, "Transfer-Encoding", &is_one);
	if (!is_one || (coding != NULL && (length != NULL || head->minor == 0)))
		return HTTP_HEAD_BAD_CODING;
	head->framing = coding != NULL      ? HTTP_CHUNKED
			: length != NULL    ? HTTP_LENGTH
			: head->status != 0 ? HTTP_TO_END
					    : HTTP_NO_BODY;
	return coding != NULL ? check_codings(coding->value) : HTTP_HEAD_OK;
}

enum http_head_result http_head_parse(struct bytes raw, struct http_head *ret)
{
	bool is_one;
	enum http_head_result result = run_llhttp(raw, HTTP_REQUEST, ret);
	if (result != HTTP_HEAD_OK)
		return result;
	const struct http_field *host = find_one(ret, "Host", &is_one);
	if (!is_one || (host == NULL && ret->minor == 1))
		return HTTP_HEAD_BAD_HOST;
	return check_framing(ret);
}

enum http_head_result http_head_parse_response(struct bytes raw, struct http_head *ret)
{
	enum http_head_result result = run_llhttp(raw, HTTP_RESPONSE, ret);
	return result == HTTP_HEAD_OK ? check_framing(ret) : result;
}
