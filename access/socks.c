#include "access/socks.h"

#include "access/socks_name.h"
#include "chain/wire_status.h"
#include "common/seal.h"

#include <assert.h>

#define VERSION_4       4
#define VERSION_5       5
#define VERSION_USER    1 /* of RFC 1929's messages */
#define METHOD_NONE     0x00
#define METHOD_USER     0x02
#define METHOD_REFUSED  0xff
#define CMD_CONNECT     1
#define CMD_ASSOCIATE   3
#define REPLY_4_GRANTED 0x5a
#define REPLY_4_REFUSED 0x5b

#define METHODS_HEAD 2 /* version, number of methods */
#define USER_HEAD    2 /* version, length of the name */
#define REQUEST_HEAD 5 /* version, command, reserved, address type, first byte of the address */
#define HEAD_4       8 /* version, command, port, address */
#define TEXT_4_MAX   255

enum {
	ATYP_IP4 = 1,
	ATYP_NAME = 3,
	ATYP_IP6 = 4,
};

enum reply { /* RFC 1928 6 */
	REPLY_OK = 0,
	REPLY_FAILURE = 1,
	REPLY_RULES = 2,
	REPLY_NET_UNREACH = 3,
	REPLY_HOST_UNREACH = 4,
	REPLY_REFUSED = 5,
	REPLY_CMD = 7,
	REPLY_ATYP = 8,
};

enum state {
	STATE_METHODS,
	STATE_USER,
	STATE_VERDICT,
	STATE_REQUEST,
	STATE_HEAD_4,
	STATE_USER_4,
	STATE_NAME_4,
	STATE_READY,
	STATE_DONE,
};

static_assert(sizeof((struct socks *)0)->in >= USER_HEAD + 255 + 1 + 255, "the longest message");

void socks_init(struct socks *socks, bool needs_user)
{
	*socks = (struct socks){ .needs_user = needs_user, .n_wanted = METHODS_HEAD };
	socks->request.protocol = "socks5";
	socks->request.user = "";
}

void socks_deinit(struct socks *socks)
{
	seal_wipe(socks, sizeof *socks);
}

/* What comes behind a first message is the begin of the next one. */
size_t socks_wants(const struct socks *socks)
{
	bool is_first = socks->state == STATE_METHODS && socks->n_wanted < SOCKS_FIRST_READ;
	return (size_t)(is_first ? SOCKS_FIRST_READ : socks->n_wanted) - socks->n_in;
}

/* Waits for the @n_wanted first bytes of the next message; the last one is gone. */
static enum greeting_step expect(struct socks *s, enum state state, uint16_t n_wanted)
{
	seal_wipe(s->in, sizeof s->in);
	s->n_in = 0;
	s->n_wanted = n_wanted;
	s->state = (uint8_t)state;
	return GREETING_MORE;
}

/* The same, and what came behind the @n_taken bytes of the first message begins the next one. */
static enum greeting_step expect_behind(
	struct socks *s, size_t n_taken, enum state state, uint16_t n_wanted)
{
	uint8_t rest[SOCKS_FIRST_READ];
	size_t n_rest = s->n_in - n_taken;
	assert(n_rest <= sizeof rest);
	memcpy(rest, s->in + n_taken, n_rest);
	(void)expect(s, state, n_wanted);
	memcpy(s->in, rest, n_rest);
	s->n_in = (uint16_t)n_rest;
	return GREETING_MORE;
}

/* The message is longer than what has been read. */
static enum greeting_step expect_rest(struct socks *s, size_t n_wanted)
{
	s->n_wanted = (uint16_t)n_wanted;
	return GREETING_MORE;
}

static void put(struct socks *s, uint8_t first, uint8_t second)
{
	assert(s->n_out + 2u <= sizeof s->out);
	s->out[s->n_out++] = first;
	s->out[s->n_out++] = second;
}

static void put_address(struct wire_writer *w, const union addr_sock *bound)
{
	union addr_sock at;
	memset(&at, 0, sizeof at);
	at.any.sa_family = AF_INET;
	if (bound != NULL)
		at = *bound;
	addr_sock_unmap(&at);
	bool is_ip4 = at.any.sa_family == AF_INET;
	wire_put_u8(w, is_ip4 ? ATYP_IP4 : ATYP_IP6);
	if (is_ip4)
		wire_put_bytes(w, &at.ip4.sin_addr, 4);
	else
		wire_put_bytes(w, &at.ip6.sin6_addr, 16);
	wire_put_u16(w, addr_sock_port(&at));
}

static void put_reply(struct socks *s, enum reply reply, const union addr_sock *bound)
{
	struct wire_writer w;
	wire_writer_init(&w, s->out + s->n_out, sizeof s->out - s->n_out);
	if (s->is_v4) {
		wire_put_u8(&w, 0);
		wire_put_u8(&w, reply == REPLY_OK ? REPLY_4_GRANTED : REPLY_4_REFUSED);
		wire_put_zeros(&w, HEAD_4 - 2);
	} else {
		wire_put_u8(&w, VERSION_5);
		wire_put_u8(&w, (uint8_t)reply);
		wire_put_u8(&w, 0);
		put_address(&w, bound);
	}
	assert(!w.failed);
	s->n_out = (uint8_t)(s->n_out + wire_written(&w));
}

static enum greeting_step end(struct socks *s)
{
	(void)expect(s, STATE_DONE, 0);
	return GREETING_REFUSED;
}

static enum greeting_step refuse(struct socks *s, enum reply reply)
{
	put_reply(s, reply, NULL);
	return end(s);
}

static enum greeting_step ready(struct socks *s)
{
	(void)expect(s, STATE_READY, 0);
	return GREETING_READY;
}

/* ---- SOCKS5 ---- */

static enum greeting_step take_methods(struct socks *s)
{
	if (s->in[0] == VERSION_4) {
		s->is_v4 = true;
		s->request.protocol = "socks4a";
		s->state = STATE_HEAD_4;
		return expect_rest(s, HEAD_4);
	}
	if (s->in[0] != VERSION_5)
		return end(s);
	size_t n_methods = s->in[1];
	if (s->n_in < METHODS_HEAD + n_methods)
		return expect_rest(s, METHODS_HEAD + n_methods);
	uint8_t ours = s->needs_user ? METHOD_USER : METHOD_NONE;
	if (memchr(s->in + METHODS_HEAD, ours, n_methods) == NULL) {
		put(s, VERSION_5, METHOD_REFUSED);
		return end(s);
	}
	put(s, VERSION_5, ours);
	size_t n_taken = METHODS_HEAD + n_methods;
	return s->needs_user ? expect_behind(s, n_taken, STATE_USER, USER_HEAD)
			     : expect_behind(s, n_taken, STATE_REQUEST, REQUEST_HEAD);
}

static enum greeting_step refuse_user(struct socks *s)
{
	seal_wipe(s->name, sizeof s->name);
	seal_wipe(s->password, sizeof s->password);
	put(s, VERSION_USER, 1);
	return end(s);
}

static bool copy_text(struct bytes from, char to[GREETING_NAME_MAX + 1])
{
	if (memchr(from.ptr, '\0', from.len) != NULL)
		return false;
	memcpy(to, from.ptr, from.len);
	to[from.len] = '\0';
	return true;
}

static enum greeting_step take_user(struct socks *s)
{
	size_t n_name = s->in[1], at_password = USER_HEAD + n_name + 1;
	if (s->in[0] != VERSION_USER)
		return refuse_user(s);
	if (s->n_in < at_password)
		return expect_rest(s, at_password);
	size_t n_password = s->in[at_password - 1];
	if (s->n_in < at_password + n_password)
		return expect_rest(s, at_password + n_password);
	if (n_name == 0 || !copy_text(bytes_of(s->in + USER_HEAD, n_name), s->name) ||
		!copy_text(bytes_of(s->in + at_password, n_password), s->password))
		return refuse_user(s);
	(void)expect(s, STATE_VERDICT, 0);
	return GREETING_PASSWORD;
}

enum greeting_step socks_verdict(struct socks *socks, bool is_right)
{
	assert(socks->state == STATE_VERDICT);
	if (!is_right)
		return refuse_user(socks);
	seal_wipe(socks->password, sizeof socks->password);
	socks->request.user = socks->name;
	put(socks, VERSION_USER, 0);
	return expect(socks, STATE_REQUEST, REQUEST_HEAD);
}

/* Bytes of the address with the length byte of a name; 0: a type that is none of ours. */
static size_t address_size(const struct socks *s)
{
	switch (s->in[3]) {
	case ATYP_IP4:
		return 4;
	case ATYP_NAME:
		return 1u + s->in[4];
	case ATYP_IP6:
		return 16;
	default:
		return 0;
	}
}

/* The whole request is there. */
static enum reply read_request(struct socks *s, size_t n_address)
{
	struct addr *target = &s->request.target;
	const uint8_t *address = s->in + REQUEST_HEAD - 1, *port = address + n_address;
	bool is_connect = s->in[1] == CMD_CONNECT;
	if (s->in[2] != 0)
		return REPLY_FAILURE;
	if (!is_connect && s->in[1] != CMD_ASSOCIATE)
		return REPLY_CMD;
	s->request.command = is_connect ? GREETING_CONNECT : GREETING_ASSOCIATE;
	target->port = (uint16_t)(port[0] << 8 | port[1]);
	if (is_connect && target->port == 0)
		return REPLY_FAILURE;
	/* Where datagrams will come from is not always known: PySocks names it "0". */
	if (s->in[3] == ATYP_NAME)
		return socks_name_read(
			       bytes_of(address + 1, n_address - 1), target->port, target) ||
				       !is_connect
			       ? REPLY_OK
			       : REPLY_FAILURE;
	target->kind = s->in[3] == ATYP_IP4 ? ADDR_IP4 : ADDR_IP6;
	memcpy(target->ip, address, n_address);
	return REPLY_OK;
}

static enum greeting_step take_request(struct socks *s)
{
	size_t n_address = address_size(s), n_request = REQUEST_HEAD - 1 + n_address + 2;
	if (s->in[0] != VERSION_5)
		return refuse(s, REPLY_FAILURE);
	if (n_address == 0) { /* where it ends is not known: nothing more can be read */
		bool is_ours = s->in[1] == CMD_CONNECT || s->in[1] == CMD_ASSOCIATE;
		return refuse(s, is_ours ? REPLY_ATYP : REPLY_CMD);
	}
	if (s->n_in < n_request)
		return expect_rest(s, n_request);
	enum reply reply = read_request(s, n_address);
	return reply == REPLY_OK ? ready(s) : refuse(s, reply);
}

/* ---- SOCKS4, 4a ---- */

static bool is_v4a(const struct socks *s)
{
	return s->in[4] == 0 && s->in[5] == 0 && s->in[6] == 0 && s->in[7] != 0;
}

/* All of it is there; the head is still at the start of the message. */
static enum greeting_step take_4(struct socks *s, struct bytes name)
{
	struct addr *target = &s->request.target;
	target->port = (uint16_t)(s->in[2] << 8 | s->in[3]);
	if (s->in[1] != CMD_CONNECT || s->needs_user || target->port == 0)
		return refuse(s, REPLY_FAILURE);
	if (is_v4a(s))
		return socks_name_read(name, target->port, target) ? ready(s)
								   : refuse(s, REPLY_FAILURE);
	target->kind = ADDR_IP4;
	memcpy(target->ip, s->in + 4, 4);
	return ready(s);
}

/* One byte of the user id or the name came. Where they end shows at their end only. */
static enum greeting_step take_text_4(struct socks *s)
{
	if (s->in[s->n_in - 1] != '\0') {
		bool is_long = s->n_in > HEAD_4 + TEXT_4_MAX;
		return is_long ? refuse(s, REPLY_FAILURE) : expect_rest(s, s->n_in + 1u);
	}
	struct bytes text = bytes_of(s->in + HEAD_4, s->n_in - HEAD_4 - 1u);
	if (s->state == STATE_NAME_4 || !is_v4a(s))
		return take_4(s, text);
	s->state = STATE_NAME_4;
	s->n_in = HEAD_4;
	return expect_rest(s, HEAD_4 + 1);
}

/* ---- both ---- */

/* What was wanted is there. */
static enum greeting_step take(struct socks *s)
{
	switch ((enum state)s->state) {
	case STATE_METHODS:
		return take_methods(s);
	case STATE_USER:
		return take_user(s);
	case STATE_REQUEST:
		return take_request(s);
	case STATE_HEAD_4:
		s->state = STATE_USER_4;
		return expect_rest(s, HEAD_4 + 1);
	case STATE_USER_4:
	case STATE_NAME_4:
		return take_text_4(s);
	case STATE_VERDICT:
	case STATE_READY:
	case STATE_DONE:
		break;
	}
	assert(!"fed when nothing was wanted");
	return GREETING_REFUSED;
}

enum greeting_step socks_feed(struct socks *socks, struct bytes in)
{
	size_t wants = socks_wants(socks), n = in.len < wants ? in.len : wants;
	assert(in.len <= wants);
	if (n == 0)
		return GREETING_MORE;
	memcpy(socks->in + socks->n_in, in.ptr, n);
	socks->n_in = (uint16_t)(socks->n_in + n);
	enum greeting_step step = GREETING_MORE;
	while (step == GREETING_MORE && socks->n_in >= socks->n_wanted)
		step = take(socks);
	return step;
}

struct bytes socks_output(struct socks *socks)
{
	struct bytes out = bytes_of(socks->out, socks->n_out);
	socks->n_out = 0;
	return out;
}

enum greeting_step socks_refuse(struct socks *socks)
{
	assert(socks->state == STATE_READY);
	return refuse(socks, REPLY_RULES);
}

static enum reply reply_of(const struct chain_error *error)
{
	uint8_t reply = wire_status_socks_reply(chain_error_status(error), error->detail);
	bool is_exit = error->stage == CHAIN_STATUS && error->hop >= error->n_hops;
	bool is_of_way = reply >= REPLY_NET_UNREACH && reply <= REPLY_REFUSED;
	return is_exit || is_of_way ? (enum reply)reply : REPLY_FAILURE;
}

struct bytes socks_answer(
	struct socks *socks, const struct chain_error *error, const union addr_sock *bound)
{
	assert(socks->state == STATE_READY);
	put_reply(socks, error != NULL ? reply_of(error) : REPLY_OK, error != NULL ? NULL : bound);
	socks->state = STATE_DONE;
	return socks_output(socks);
}
