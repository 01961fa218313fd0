#include "access/greeting.h"

#include "access/http_greeting.h"
#include "access/socks.h"

#include <assert.h>
#include <stdlib.h>

/* To a client that speaks HTTP where only SOCKS is served; without the body for a HEAD. */
#define NOT_HTTP_BODY                                                                              \
	"This port is a SOCKS proxy (SOCKS5 or SOCKS4a); it does not take HTTP.\n"                 \
	"Use it as socks5h://HOST:PORT, or allow HTTP on this listener.\n"
static const char not_http[] =
	"HTTP/1.1 403 Forbidden\r\n"
	"Proxy-Status: hopchain; error=http_request_denied; details=\"only SOCKS here\"\r\n"
	"Content-Type: text/plain\r\n"
	"Content-Length: 134\r\n"
	"Connection: close\r\n\r\n" NOT_HTTP_BODY;
static_assert(sizeof NOT_HTTP_BODY - 1 == 134, "Content-Length");

/* One of both, or none before the first byte. */
struct greeting {
	struct greeting_options options;
	struct socks *socks;
	struct http_greeting *http;
	struct bytes refusal; /* in the words of a protocol that is not served; static */
};

int greeting_new(const struct greeting_options *options, struct greeting **ret)
{
	struct greeting *greeting = calloc(1, sizeof *greeting);
	if (greeting == NULL)
		return ERR_NOMEM;
	greeting->options = *options;
	*ret = greeting;
	return 0;
}

void greeting_free(struct greeting *greeting)
{
	if (greeting == NULL)
		return;
	if (greeting->socks != NULL)
		socks_deinit(greeting->socks);
	free(greeting->socks);
	http_greeting_free(greeting->http);
	free(greeting);
}

size_t greeting_wants(const struct greeting *greeting)
{
	if (greeting->socks != NULL)
		return socks_wants(greeting->socks);
	if (greeting->http != NULL)
		return http_greeting_wants(greeting->http);
	return SOCKS_FIRST_READ; /* heads of HTTP are longer */
}

static bool serves(const struct greeting *greeting, unsigned protocol)
{
	return (greeting->options.protocols & protocol) != 0;
}

/* A client that may not speak SOCKS here is heard out: refused methods would tell it that it needs
 * a password, a refused request says what is so. */
static enum greeting_step begin_socks(struct greeting *g)
{
	g->socks = malloc(sizeof *g->socks);
	if (g->socks == NULL)
		return GREETING_SILENT;
	socks_init(g->socks, g->options.needs_user && serves(g, GREETING_SOCKS));
	return GREETING_MORE;
}

static enum greeting_step begin_http(struct greeting *g, bool is_head)
{
	if (!serves(g, GREETING_HTTP)) {
		size_t n_cut = is_head ? sizeof NOT_HTTP_BODY - 1 : 0;
		g->refusal = bytes_of(not_http, sizeof not_http - 1 - n_cut);
		return GREETING_REFUSED;
	}
	if (http_greeting_new(g->options.needs_user, &g->http) != 0)
		return GREETING_SILENT;
	return GREETING_MORE;
}

/* Without memory for a protocol there are no words of it either. */
static enum greeting_step begin(struct greeting *g, uint8_t first)
{
	if (first == 4 || first == 5)
		return begin_socks(g);
	if (first >= 'A' && first <= 'Z')
		return begin_http(g, first == 'H');
	return GREETING_SILENT;
}

enum greeting_step greeting_feed(struct greeting *greeting, struct bytes in)
{
	bool is_first = greeting->socks == NULL && greeting->http == NULL;
	enum greeting_step step = GREETING_MORE;
	if (in.len == 0)
		return GREETING_MORE;
	if (is_first)
		step = begin(greeting, in.ptr[0]);
	if (step != GREETING_MORE)
		return step;
	if (greeting->http != NULL)
		return http_greeting_feed(greeting->http, in);
	step = socks_feed(greeting->socks, in);
	if (step == GREETING_READY && !serves(greeting, GREETING_SOCKS))
		return socks_refuse(greeting->socks);
	return step;
}

struct bytes greeting_output(struct greeting *greeting)
{
	struct bytes out = greeting->refusal;
	if (greeting->socks != NULL)
		return socks_output(greeting->socks);
	if (greeting->http != NULL)
		return http_greeting_output(greeting->http);
	greeting->refusal = bytes_of(NULL, 0);
	return out;
}

void greeting_password(
	const struct greeting *greeting, const char **ret_name, const char **ret_password)
{
	if (greeting->http != NULL) {
		http_greeting_password(greeting->http, ret_name, ret_password);
		return;
	}
	*ret_name = greeting->socks->name;
	*ret_password = greeting->socks->password;
}

enum greeting_step greeting_verdict(struct greeting *greeting, bool is_right)
{
	return greeting->http != NULL ? http_greeting_verdict(greeting->http, is_right)
				      : socks_verdict(greeting->socks, is_right);
}

const struct greeting_request *greeting_request(const struct greeting *greeting)
{
	return greeting->http != NULL ? http_greeting_request(greeting->http)
				      : &greeting->socks->request;
}

struct bytes greeting_answer(
	struct greeting *greeting, const struct chain_error *error, const union addr_sock *bound)
{
	return greeting->http != NULL ? http_greeting_answer(greeting->http, error)
				      : socks_answer(greeting->socks, error, bound);
}
