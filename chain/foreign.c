#include "chain/foreign.h"

#include "chain/wire_status.h"
#include "common/seal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* 407 is the proxy's; some say 401 to a wrong password. */
#define HTTP_LOGIN_WANTED 407
#define HTTP_UNAUTHORIZED 401

enum {
	SOCKS_VERSION = 5,
	LOGIN_VERSION = 1,
	METHOD_NONE = 0,
	METHOD_LOGIN = 2,
	SOCKS_CONNECT = 1,
	ATYP_IP4 = 1,
	ATYP_NAME = 3,
	ATYP_IP6 = 4,
	REPLY_HEAD = 4, /* version, reply, 0, atyp */
};

enum state {
	STATE_METHOD, /* of SOCKS, up to REPLY */
	STATE_LOGIN,
	STATE_REPLY,
	STATE_HEAD, /* HTTP */
	STATE_OVER,
};

struct chain_foreign {
	struct chain_hop proxy; /* of it: step; with user and password of our own */
	bool has_target;
	struct addr target;
	enum state state;
	uint8_t in[REPLY_HEAD + 1 + 255 + 2];
	size_t n_in, n_wanted;
	struct foreign_head head;
	char out[FOREIGN_CONNECT_MAX];
	size_t n_out;
	uint16_t code;
	uint8_t status;
	char text[CHAIN_FOREIGN_TEXT_MAX + 1];
};

static const struct {
	uint8_t status;
	const char *text;
} replies[] = { { STATUS_OK, "succeeded" }, { STATUS_INTERNAL, "general failure" },
	{ STATUS_DENIED_POLICY, "not allowed by its rules" },
	{ STATUS_NET_UNREACH, "network unreachable" }, { STATUS_HOST_UNREACH, "host unreachable" },
	{ STATUS_REFUSED, "connection refused" }, { STATUS_TIMEOUT, "TTL expired" },
	{ STATUS_UNSUPPORTED, "command not supported" },
	{ STATUS_NO_FAMILY, "address type not supported" } };

/* ---- what is said ---- */

static void start_answer(struct chain_foreign *f, enum state state, size_t n_wanted)
{
	f->state = state;
	f->n_in = 0;
	f->n_wanted = n_wanted;
}

static void put(struct wire_writer *w, const char *text)
{
	size_t len = strlen(text);
	wire_put_u8(w, (uint8_t)len);
	wire_put_bytes(w, text, len);
}

static void say(struct chain_foreign *f, struct wire_writer *w)
{
	assert(!w->failed);
	f->n_out = wire_written(w);
}

static void say_methods(struct chain_foreign *f)
{
	struct wire_writer w;
	wire_writer_init(&w, f->out, sizeof f->out);
	wire_put_u8(&w, SOCKS_VERSION);
	wire_put_u8(&w, f->proxy.user != NULL ? 2 : 1);
	wire_put_u8(&w, METHOD_NONE);
	if (f->proxy.user != NULL)
		wire_put_u8(&w, METHOD_LOGIN);
	say(f, &w);
	start_answer(f, STATE_METHOD, 2);
}

static void say_login(struct chain_foreign *f)
{
	struct wire_writer w;
	wire_writer_init(&w, f->out, sizeof f->out);
	wire_put_u8(&w, LOGIN_VERSION);
	put(&w, f->proxy.user);
	put(&w, f->proxy.password != NULL ? f->proxy.password : "");
	say(f, &w);
	start_answer(f, STATE_LOGIN, 2);
}

static void put_target(struct wire_writer *w, const struct addr *target)
{
	if (target->kind == ADDR_IP4) {
		wire_put_u8(w, ATYP_IP4);
		wire_put_bytes(w, target->ip, 4);
	} else if (target->kind == ADDR_IP6) {
		wire_put_u8(w, ATYP_IP6);
		wire_put_bytes(w, target->ip, 16);
	} else {
		wire_put_u8(w, ATYP_NAME);
		put(w, target->name);
	}
	wire_put_u16(w, target->port);
}

/* Past the login. Return: DONE if that was all that was asked for. */
static enum chain_foreign_step say_request(struct chain_foreign *f)
{
	struct wire_writer w;
	if (!f->has_target) {
		start_answer(f, STATE_OVER, 0);
		return CHAIN_FOREIGN_DONE;
	}
	wire_writer_init(&w, f->out, sizeof f->out);
	wire_put_u8(&w, SOCKS_VERSION);
	wire_put_u8(&w, SOCKS_CONNECT);
	wire_put_u8(&w, 0);
	put_target(&w, &f->target);
	say(f, &w);
	start_answer(f, STATE_REPLY, REPLY_HEAD);
	return CHAIN_FOREIGN_MORE;
}

struct bytes chain_foreign_output(struct chain_foreign *foreign)
{
	struct bytes out = bytes_of(foreign->out, foreign->n_out);
	foreign->n_out = 0;
	return out;
}

/* ---- what is heard ---- */

static enum chain_foreign_step end(struct chain_foreign *f, enum chain_foreign_step step)
{
	f->state = STATE_OVER;
	return step;
}

static enum chain_foreign_step on_method(struct chain_foreign *f)
{
	if (f->in[0] != SOCKS_VERSION)
		return end(f, CHAIN_FOREIGN_BROKEN);
	if (f->n_in < f->n_wanted)
		return CHAIN_FOREIGN_MORE;
	if (f->in[1] == METHOD_NONE)
		return say_request(f);
	if (f->in[1] == 0xff)
		return end(f, CHAIN_FOREIGN_NO_LOGIN);
	if (f->in[1] != METHOD_LOGIN || f->proxy.user == NULL)
		return end(f, CHAIN_FOREIGN_BROKEN);
	say_login(f);
	return CHAIN_FOREIGN_MORE;
}

static enum chain_foreign_step on_login(struct chain_foreign *f)
{
	if (f->in[0] != LOGIN_VERSION)
		return end(f, CHAIN_FOREIGN_BROKEN);
	if (f->n_in < f->n_wanted)
		return CHAIN_FOREIGN_MORE;
	return f->in[1] == 0 ? say_request(f) : end(f, CHAIN_FOREIGN_NO_LOGIN);
}

static enum chain_foreign_step refuse(struct chain_foreign *f, uint8_t reply)
{
	bool is_known = reply < sizeof replies / sizeof replies[0];
	f->code = reply;
	f->status = is_known ? replies[reply].status : STATUS_INTERNAL;
	snprintf(f->text, sizeof f->text, "%s", is_known ? replies[reply].text : "unknown reply");
	return end(f, CHAIN_FOREIGN_REFUSED);
}

/* The bound address, which nobody needs: as long as its type says. Return: false if there is none
 * such. */
static bool find_reply_end(struct chain_foreign *f)
{
	switch (f->in[REPLY_HEAD - 1]) {
	case ATYP_IP4:
		f->n_wanted = REPLY_HEAD + 4 + 2;
		return true;
	case ATYP_IP6:
		f->n_wanted = REPLY_HEAD + 16 + 2;
		return true;
	case ATYP_NAME:
		f->n_wanted = REPLY_HEAD + 1;
		if (f->n_in > REPLY_HEAD)
			f->n_wanted += f->in[REPLY_HEAD] + 2u;
		return true;
	default:
		return false;
	}
}

/* A refusal counts as soon as it is clear: some proxies close right behind it. */
static enum chain_foreign_step on_reply(struct chain_foreign *f)
{
	if (f->in[0] != SOCKS_VERSION)
		return end(f, CHAIN_FOREIGN_BROKEN);
	if (f->n_in >= 2 && f->in[1] != 0)
		return refuse(f, f->in[1]);
	if (f->n_in < f->n_wanted)
		return CHAIN_FOREIGN_MORE;
	if (!find_reply_end(f))
		return end(f, CHAIN_FOREIGN_BROKEN);
	return f->n_in < f->n_wanted ? CHAIN_FOREIGN_MORE : end(f, CHAIN_FOREIGN_DONE);
}

static enum chain_foreign_step on_head(struct chain_foreign *f, struct bytes in)
{
	switch (foreign_head_feed(&f->head, in, &f->code, f->text)) {
	case FOREIGN_HEAD_MORE:
		return CHAIN_FOREIGN_MORE;
	case FOREIGN_HEAD_BROKEN:
		return end(f, CHAIN_FOREIGN_BROKEN);
	case FOREIGN_HEAD_DONE:
		break;
	}
	if (f->code / 100 == 2)
		return end(f, CHAIN_FOREIGN_DONE);
	if (f->code == HTTP_LOGIN_WANTED || f->code == HTTP_UNAUTHORIZED)
		return end(f, CHAIN_FOREIGN_NO_LOGIN);
	f->status = foreign_http_status(f->code);
	return end(f, CHAIN_FOREIGN_REFUSED);
}

size_t chain_foreign_wants(const struct chain_foreign *foreign)
{
	if (foreign->state == STATE_OVER)
		return 0;
	if (foreign->state == STATE_HEAD)
		return foreign_head_wants(&foreign->head);
	return foreign->n_wanted - foreign->n_in;
}

enum chain_foreign_step chain_foreign_feed(struct chain_foreign *foreign, struct bytes in)
{
	assert(in.len <= chain_foreign_wants(foreign));
	if (in.len == 0)
		return CHAIN_FOREIGN_MORE;
	if (foreign->state == STATE_HEAD)
		return on_head(foreign, in);
	memcpy(foreign->in + foreign->n_in, in.ptr, in.len);
	foreign->n_in += in.len;
	switch (foreign->state) {
	case STATE_METHOD:
		return on_method(foreign);
	case STATE_LOGIN:
		return on_login(foreign);
	case STATE_REPLY:
		return on_reply(foreign);
	case STATE_HEAD:
	case STATE_OVER:
		break;
	}
	return CHAIN_FOREIGN_BROKEN;
}

uint8_t chain_foreign_status(const struct chain_foreign *foreign)
{
	return foreign->status;
}

uint16_t chain_foreign_code(const struct chain_foreign *foreign)
{
	return foreign->code;
}

const char *chain_foreign_text(const struct chain_foreign *foreign)
{
	return foreign->text;
}

struct bytes chain_foreign_in(const struct chain_foreign *foreign)
{
	if (foreign->head.bytes != NULL)
		return bytes_of(foreign->head.bytes, foreign->head.n);
	return bytes_of(foreign->in, foreign->n_in);
}

/* ---- its life ---- */

static bool copy_login(struct chain_foreign *f, const struct chain_hop *proxy)
{
	if (proxy->user == NULL)
		return true;
	f->proxy.user = strndup(proxy->user, CHAIN_LOGIN_MAX);
	f->proxy.password =
		strndup(proxy->password != NULL ? proxy->password : "", CHAIN_LOGIN_MAX);
	return f->proxy.user != NULL && f->proxy.password != NULL;
}

static bool start_http(struct chain_foreign *f)
{
	if (!f->has_target) {
		f->state = STATE_OVER;
		return true;
	}
	f->head.bytes = malloc(CHAIN_FOREIGN_HEAD_MAX);
	f->state = STATE_HEAD;
	f->n_out = foreign_connect_print(&f->proxy, &f->target, f->out);
	return f->head.bytes != NULL;
}

int chain_foreign_new(
	const struct chain_hop *proxy, const struct addr *target, struct chain_foreign **ret)
{
	struct chain_foreign *f = calloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	f->proxy.step = proxy->step;
	f->has_target = target != NULL;
	if (target != NULL)
		f->target = *target;
	bool is_made = copy_login(f, proxy);
	if (is_made && proxy->step == CHAIN_STEP_SOCKS5)
		say_methods(f);
	else if (is_made)
		is_made = start_http(f);
	if (!is_made) {
		chain_foreign_free(f);
		return ERR_NOMEM;
	}
	*ret = f;
	return 0;
}

void chain_foreign_free(struct chain_foreign *foreign)
{
	if (foreign == NULL)
		return;
	if (foreign->proxy.password != NULL)
		seal_wipe(foreign->proxy.password, strlen(foreign->proxy.password));
	free(foreign->proxy.user);
	free(foreign->proxy.password);
	free(foreign->head.bytes);
	seal_wipe(foreign->out, sizeof foreign->out);
	free(foreign);
}
