/*
 * The answers of a foreign proxy. Byte 0 chooses: bit 0, HTTP; bit 1, a login; bit 2, greeting and
 * login only. The rest is fed as it is asked for, and again byte by byte: what is said and
 * understood must be the same, and no more is taken than belongs to the proxy.
 */
#include "chain/foreign.h"
#include "chain/wire_status.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
	struct chain_foreign *foreign;
	enum chain_foreign_step step;
	size_t n_in, n_out;
};

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static void converse(struct talk *t, struct bytes in, uint8_t choice, size_t piece)
{
	struct chain_hop proxy = { .step = choice & 1 ? CHAIN_STEP_HTTP : CHAIN_STEP_SOCKS5,
		.user = choice & 2 ? (char *)(uintptr_t) "me" : NULL,
		.password = choice & 2 ? (char *)(uintptr_t) "pw" : NULL };
	struct addr target = { .kind = ADDR_NAME, .port = 443, .name = "example.org" };
	*t = (struct talk){ .step = CHAIN_FOREIGN_MORE };
	check(chain_foreign_new(&proxy, choice & 4 ? NULL : &target, &t->foreign) == 0);
	t->n_out = chain_foreign_output(t->foreign).len;
	while (t->step == CHAIN_FOREIGN_MORE && t->n_in < in.len) {
		size_t n = chain_foreign_wants(t->foreign), left = in.len - t->n_in;
		if (n == 0)
			break;
		n = n < left ? n : left;
		n = n < piece ? n : piece;
		t->step = chain_foreign_feed(t->foreign, bytes_of(in.ptr + t->n_in, n));
		t->n_in += n;
		t->n_out += chain_foreign_output(t->foreign).len;
	}
	check(t->step == CHAIN_FOREIGN_MORE || chain_foreign_wants(t->foreign) == 0);
	check(t->n_in <= CHAIN_FOREIGN_HEAD_MAX);
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
	/* What is wrong may be seen before the rest of it has come. */
	check(t.step <= CHAIN_FOREIGN_DONE ? slow.n_in == t.n_in : slow.n_in <= t.n_in);
	if (t.step == CHAIN_FOREIGN_REFUSED) {
		check(chain_foreign_status(t.foreign) != STATUS_OK);
		check(chain_foreign_status(t.foreign) == chain_foreign_status(slow.foreign));
		check(chain_foreign_code(t.foreign) == chain_foreign_code(slow.foreign));
		check(strcmp(chain_foreign_text(t.foreign), chain_foreign_text(slow.foreign)) == 0);
		check(strlen(chain_foreign_text(t.foreign)) <= CHAIN_FOREIGN_TEXT_MAX);
	}
	chain_foreign_free(t.foreign);
	chain_foreign_free(slow.foreign);
	return 0;
}
