/*
 * A SOCKS client's bytes. Byte 0 chooses: bit 0, a user is needed; bit 1, the password is right;
 * the others, how the chain ends. The rest is fed as it is asked for, and again byte by byte: what
 * is taken, said and understood must be the same, and never more is taken than the message has.
 */
#include "access/socks.h"
#include "chain/wire_status.h"

#include <stdlib.h>

#define OUT_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
	struct socks socks;
	enum greeting_step step;
	size_t n_in, n_out;
	uint8_t out[OUT_MAX];
};

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static void hear(struct talk *t, struct bytes out)
{
	check(t->n_out + out.len <= sizeof t->out);
	memcpy(t->out + t->n_out, out.ptr, out.len);
	t->n_out += out.len;
	check(socks_output(&t->socks).len == 0);
}

static void judge(struct talk *t, bool is_right)
{
	size_t n_name = strlen(t->socks.name), n_password = strlen(t->socks.password);
	check(t->socks.needs_user && !t->socks.is_v4);
	check(n_name > 0 && n_name <= GREETING_NAME_MAX && n_password <= GREETING_NAME_MAX);
	check(socks_wants(&t->socks) == 0);
	t->step = socks_verdict(&t->socks, is_right);
	check(t->step == (is_right ? GREETING_MORE : GREETING_REFUSED));
	check(t->socks.password[0] == '\0');
	hear(t, socks_output(&t->socks));
}

static void converse(struct talk *t, struct bytes in, uint8_t choice, size_t piece)
{
	memset(t, 0, sizeof *t);
	socks_init(&t->socks, choice & 1);
	while (t->step == GREETING_MORE && t->n_in < in.len) {
		size_t n = socks_wants(&t->socks), left = in.len - t->n_in;
		check(n > 0);
		n = n < left ? n : left;
		n = n < piece ? n : piece;
		t->step = socks_feed(&t->socks, bytes_of(in.ptr + t->n_in, n));
		t->n_in += n;
		hear(t, socks_output(&t->socks));
		if (t->step == GREETING_PASSWORD)
			judge(t, choice & 2);
	}
	check(t->step != GREETING_SILENT && t->n_in <= 2 + 255 + 513 + 262);
	check((socks_wants(&t->socks) > 0) == (t->step == GREETING_MORE));
}

static void check_request(const struct talk *t, uint8_t choice)
{
	const struct greeting_request *r = &t->socks.request;
	const struct addr *to = &r->target;
	union addr_sock sock;
	check(r->command == GREETING_CONNECT ||
		(!t->socks.is_v4 && r->command == GREETING_ASSOCIATE));
	check(r->command == GREETING_ASSOCIATE || to->port != 0);
	check((r->user[0] != '\0') == (choice & 1));
	check(r->http == NULL && to->scope == 0);
	check((to->kind == ADDR_NAME) == (to->name[0] != '\0'));
	if (to->kind == ADDR_NAME)
		check(addr_name_is_valid(bytes_of(to->name, strlen(to->name))));
	else if (to->kind == ADDR_NONE) /* who asks for datagrams may name itself as it likes */
		check(r->command == GREETING_ASSOCIATE);
	else
		check(addr_to_sock(to, &sock) == 0);
}

static void check_answer(struct talk *t, uint8_t choice)
{
	struct chain_error error = { .hop = 2,
		.n_hops = choice & 4 ? 2 : 3,
		.stage = CHAIN_STATUS,
		.status = choice >> 1,
		.detail = choice >> 3 };
	bool is_ok = choice >> 2 == 0;
	struct bytes out = socks_answer(&t->socks, is_ok ? NULL : &error, NULL);
	check(out.len == (t->socks.is_v4 ? 8 : 10));
	check((out.ptr[1] == (t->socks.is_v4 ? 0x5a : 0)) == is_ok);
	check(socks_wants(&t->socks) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct talk t, slow;
	if (size < 1)
		return 0;
	struct bytes in = bytes_of(data + 1, size - 1);
	converse(&t, in, data[0], SIZE_MAX);
	converse(&slow, in, data[0], 1);
	check(t.step == slow.step && t.n_out == slow.n_out);
	check(memcmp(t.out, slow.out, t.n_out) == 0);
	/* A refusal may come as soon as it is clear. */
	check(t.step == GREETING_REFUSED ? slow.n_in <= t.n_in : slow.n_in == t.n_in);
	if (t.step == GREETING_READY) {
		check(addr_is_equal(&t.socks.request.target, &slow.socks.request.target));
		check_request(&t, data[0]);
		check_answer(&t, data[0]);
	}
	socks_deinit(&t.socks);
	socks_deinit(&slow.socks);
	return 0;
}
