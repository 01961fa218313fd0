#include "access/http_greeting.h"

#include "access/http_answer.h"
#include "access/http_body.h"
#include "access/http_head.h"
#include "access/http_request.h"
#include "access/http_rewrite.h"
#include "access/http_uri.h"
#include "common/seal.h"

#include <assert.h>
#include <stdlib.h>

#define LOGIN_MAX (GREETING_NAME_MAX + 1 + GREETING_NAME_MAX) /* "NAME:PASSWORD" */

struct http_greeting {
	enum greeting_step step;
	bool needs_user, is_connect;
	struct http_scan scan;
	struct http_head head;
	struct http_uri uri;
	struct http_request http;
	struct greeting_request request;
	unsigned n_asked; /* answers with 407 behind which the client may ask anew */
	uint8_t *first;   /* the rewritten request */
	size_t head_len, n_in, n_out, first_size;
	char name[GREETING_NAME_MAX + 1], password[GREETING_NAME_MAX + 1];
	char out[HTTP_ANSWER_MAX];
	uint8_t in[GREETING_HEAD_MAX];
};

int http_greeting_new(bool needs_user, struct http_greeting **ret)
{
	struct http_greeting *http = malloc(sizeof *http);
	if (http == NULL)
		return ERR_NOMEM;
	/* Pages of the input are touched when there is some. */
	memset(http, 0, offsetof(struct http_greeting, in));
	http->step = GREETING_MORE;
	http->needs_user = needs_user;
	http->request.user = http->name;
	*ret = http;
	return 0;
}

void http_greeting_free(struct http_greeting *http)
{
	if (http == NULL)
		return;
	if (http->first != NULL)
		seal_wipe(http->first, http->first_size);
	free(http->first);
	seal_wipe(http->in, http->n_in);
	seal_wipe(http, offsetof(struct http_greeting, in));
	free(http);
}

size_t http_greeting_wants(const struct http_greeting *http)
{
	return http->step == GREETING_MORE ? sizeof http->in - http->n_in : 0;
}

struct bytes http_greeting_output(struct http_greeting *http)
{
	struct bytes out = bytes_of(http->out, http->n_out);
	http->n_out = 0;
	return out;
}

const struct greeting_request *http_greeting_request(const struct http_greeting *http)
{
	assert(http->step == GREETING_READY);
	return &http->request;
}

static enum greeting_step refuse_with(struct http_greeting *http, const struct http_answer *answer)
{
	seal_wipe(http->name, sizeof http->name);
	seal_wipe(http->password, sizeof http->password);
	http->n_out = http_answer_print(answer, http->out);
	return http->step = GREETING_REFUSED;
}

static enum greeting_step refuse(struct http_greeting *http, unsigned status, const char *text)
{
	struct http_answer answer = {
		.status = status,
		.word = status < 500 ? "http_request_error" : NULL,
		.text = text,
		.fields = "",
		.has_body = !http->http.is_head,
	};
	return refuse_with(http, &answer);
}

/* Whether what the client says next can be nothing but another request. */
static bool may_ask_again(const struct http_greeting *http)
{
	return http_body_has_ended(&http->http.body) && http->n_in == http->head_len &&
	       !http_rewrite_closes(&http->head) && http->n_asked < HTTP_ASKED_MAX;
}

static enum greeting_step refuse_user(struct http_greeting *http, const char *text)
{
	struct http_answer answer = {
		.status = 407,
		.word = "http_request_denied",
		.text = text,
		.fields = "Proxy-Authenticate: Basic realm=\"hopchain\"\r\n",
		.has_body = !http->http.is_head,
		.keeps = may_ask_again(http),
	};
	refuse_with(http, &answer);
	if (!answer.keeps)
		return http->step;
	seal_wipe(http->in, http->n_in);
	http->n_in = 0;
	http->scan = (struct http_scan){ 0 };
	http->n_asked++;
	return http->step = GREETING_MORE;
}

/* The request as its server gets it, with what has come of its body. */
static bool rewrite(struct http_greeting *http)
{
	struct bytes rest = bytes_of(http->in + http->head_len, http->n_in - http->head_len);
	struct wire_writer to;
	size_t n_body = http_body_take(&http->http.body, rest);
	http->first_size = http_rewrite_size(http->head_len) + rest.len;
	http->first = malloc(http->first_size);
	if (http->first == NULL)
		return false;
	wire_writer_init(&to, http->first, http->first_size);
	http_rewrite(&http->head, &http->uri, &to);
	wire_put_bytes(&to, rest.ptr, rest.len);
	assert(!to.failed);
	size_t n_first = wire_written(&to) - (rest.len - n_body);
	http->http.first = bytes_of(http->first, n_first);
	http->http.rest = bytes_of(http->first + n_first, rest.len - n_body);
	return true;
}

static enum greeting_step let_in(struct http_greeting *http)
{
	if (http->is_connect && http->n_in > http->head_len)
		return refuse(http, 400, "bytes behind CONNECT before its answer");
	if (!http->is_connect && !rewrite(http))
		return refuse(http, 503, "out of memory");
	if (http_body_is_bad(&http->http.body))
		return refuse(http, 400, "the chunks of the body are malformed");
	seal_wipe(http->in, http->n_in); /* credentials are in it; "first" has what is needed */
	seal_wipe(http->password, sizeof http->password);
	return http->step = GREETING_READY;
}

/* RFC 7617 2: no control characters; the first colon ends the name. */
static bool split_login(struct http_greeting *http, struct bytes login)
{
	const uint8_t *colon = login.len > 0 ? memchr(login.ptr, ':', login.len) : NULL;
	if (colon == NULL)
		return false;
	size_t n_name = (size_t)(colon - login.ptr), n_password = login.len - n_name - 1;
	if (n_name == 0 || n_name > GREETING_NAME_MAX || n_password > GREETING_NAME_MAX)
		return false;
	for (size_t i = 0; i < login.len; i++) {
		if (login.ptr[i] < 0x20 || login.ptr[i] == 0x7f)
			return false;
	}
	memcpy(http->name, login.ptr, n_name);
	memcpy(http->password, colon + 1, n_password);
	return true;
}

static bool read_login(struct http_greeting *http, struct bytes value)
{
	static const char scheme[] = "Basic ";
	uint8_t login[LOGIN_MAX];
	size_t n = strlen(scheme);
	if (value.len < n || !http_is_word(bytes_of(value.ptr, n), scheme))
		return false;
	while (n < value.len && value.ptr[n] == ' ')
		n++;
	int len = seal_from_base64((const char *)value.ptr + n, value.len - n, login, sizeof login);
	bool is_login = len > 0 && split_login(http, bytes_of(login, (size_t)len));
	seal_wipe(login, sizeof login);
	return is_login;
}

static enum greeting_step check_user(struct http_greeting *http)
{
	static const char name[] = "Proxy-Authorization";
	const struct http_field *field = http_head_find(&http->head, name, 0);
	if (!http->needs_user)
		return let_in(http);
	if (field == NULL)
		return refuse_user(http, "this proxy needs a name and a password");
	if (http_head_find(&http->head, name, (size_t)(field - http->head.fields) + 1) != NULL)
		return refuse(http, 400, "more than one Proxy-Authorization");
	if (!read_login(http, field->value))
		return refuse_user(http, "Proxy-Authorization is not Basic with NAME:PASSWORD");
	return http->step = GREETING_PASSWORD;
}

/* RFC 9110 9.3.6. A length of zero says what is so anyway; WinHTTP sends it. */
static enum greeting_step check_connect(struct http_greeting *http)
{
	struct http_head *head = &http->head;
	if (!http_authority_parse(head->target, 0, &http->request.target))
		return refuse(http, 400, http_uri_text(HTTP_URI_BAD_AUTHORITY));
	if (head->framing == HTTP_CHUNKED || head->body_len > 0)
		return refuse(http, 400, "CONNECT with a body");
	http->request.http = NULL; /* what was asked before, and refused with 407, may have been */
	http->request.protocol = "http-connect";
	return check_user(http);
}

/* RFC 9110 9.2.2. */
static bool is_idempotent(struct bytes method)
{
	static const char *const names[] = { "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE" };
	return http_is_one_of(method, names, sizeof names / sizeof names[0]);
}

static enum greeting_step check_request(struct http_greeting *http)
{
	struct http_head *head = &http->head;
	struct addr host;
	http->http.is_head = http_is_word(head->method, "HEAD");
	http->is_connect = http_is_word(head->method, "CONNECT");
	const struct http_field *field = http_head_find(head, "Host", 0);
	/* RFC 9112 3.2: a Host that is none is refused although the target decides. */
	if (field != NULL && !http_authority_parse(field->value, 80, &host))
		return refuse(http, 400, http_head_text(HTTP_HEAD_BAD_HOST));
	http_body_init(&http->http.body, head);
	if (http->is_connect)
		return check_connect(http);
	enum http_uri_result result = http_uri_parse(head->target, &http->uri);
	if (result != HTTP_URI_OK)
		return refuse(http, 400, http_uri_text(result));
	if (!http_rewrite_check(head))
		return refuse(http, 400,
			"Connection names what the request needs, no field, or too many");
	http->request.target = http->uri.target;
	http->http.is_upgrade = http_rewrite_is_upgrade(head);
	http->http.is_old = head->minor == 0;
	http->http.closes = http_rewrite_closes(head);
	http->http.is_repeatable =
		http_body_has_ended(&http->http.body) && is_idempotent(head->method);
	http->request.http = &http->http;
	http->request.protocol = "http";
	return check_user(http);
}

enum greeting_step http_greeting_feed(struct http_greeting *http, struct bytes in)
{
	assert(http->step == GREETING_MORE && in.len <= http_greeting_wants(http));
	if (in.len == 0)
		return GREETING_MORE;
	memcpy(http->in + http->n_in, in.ptr, in.len);
	http->n_in += in.len;
	struct bytes all = bytes_of(http->in, http->n_in);
	enum http_head_result result = http_head_scan(&http->scan, all, &http->head_len);
	if (result == HTTP_HEAD_MORE && http->n_in < sizeof http->in)
		return GREETING_MORE;
	if (result == HTTP_HEAD_MORE)
		return refuse(http, 431, "the head of the request is longer than 16384 bytes");
	if (result == HTTP_HEAD_OK)
		result = http_head_parse(bytes_of(http->in, http->head_len), &http->head);
	if (result != HTTP_HEAD_OK)
		return refuse(http, http_head_status(result), http_head_text(result));
	return check_request(http);
}

void http_greeting_password(
	const struct http_greeting *http, const char **ret_name, const char **ret_password)
{
	assert(http->step == GREETING_PASSWORD);
	*ret_name = http->name;
	*ret_password = http->password;
}

enum greeting_step http_greeting_verdict(struct http_greeting *http, bool is_right)
{
	assert(http->step == GREETING_PASSWORD);
	if (!is_right)
		return refuse_user(http, "wrong name or password");
	return let_in(http);
}

struct bytes http_greeting_answer(struct http_greeting *http, const struct chain_error *error)
{
	assert(http->step == GREETING_READY);
	static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	struct http_answer answer;
	char text[HTTP_ANSWER_TEXT_MAX];
	if (error == NULL)
		return http->is_connect ? bytes_of(established, strlen(established))
					: bytes_of(NULL, 0);
	http_answer_of(error, text, &answer);
	answer.has_body = !http->http.is_head;
	return bytes_of(http->out, http_answer_print(&answer, http->out));
}
