#include "chain/blame.h"
#include "chain/wire_status.h"

#include <criterion/criterion.h>

#define N_HOPS 3

static const struct {
	const char *name;
	struct chain_error error;
	struct chain_blame wanted;
} rows[] = {
	{ "name of hop 1", { .hop = 1, .stage = CHAIN_RESOLVE, .code = ERR_NOT_FOUND },
		{ .hop = 1, .fault = CHAIN_FAULT_DEAD } },
	{ "name of the target, here", { .hop = 0, .stage = CHAIN_RESOLVE, .code = ERR_NOT_FOUND },
		{ .is_final = true } },
	{ "hop 1 refuses", { .hop = 1, .stage = CHAIN_DIAL, .code = -ECONNREFUSED },
		{ .hop = 1, .fault = CHAIN_FAULT_DEAD } },
	{ "hop 2 is silent", { .hop = 2, .stage = CHAIN_ANSWER, .code = ERR_TIMEOUT },
		{ .hop = 2, .fault = CHAIN_FAULT_DEAD, .n_alive = 1 } },
	{ "hop 1 cannot reach hop 2", { .hop = 1, .stage = CHAIN_STATUS, .status = STATUS_REFUSED },
		{ .hop = 2, .fault = CHAIN_FAULT_DEAD, .n_alive = 1, .is_link = true } },
	{ "hop 2 does not know the name of hop 3",
		{ .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_RESOLVE_FAIL },
		{ .hop = 3, .fault = CHAIN_FAULT_DEAD, .n_alive = 2, .is_link = true } },
	{ "hop 1 must not dial hop 2",
		{ .hop = 1, .stage = CHAIN_STATUS, .status = STATUS_DENIED_PRIVATE },
		{ .hop = 2, .n_alive = 1, .is_link = true } },
	{ "the target refuses", { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_REFUSED },
		{ .n_alive = 3, .is_final = true } },
	{ "the target is silent", { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_TIMEOUT },
		{ .n_alive = 3, .is_final = true } },
	{ "the exit's policy", { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_DENIED_PORT },
		{ .n_alive = 3, .is_final = true } },
	{ "the exit's policy about commands",
		{ .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_DENIED_CMD },
		{ .n_alive = 3, .is_final = true } },
	{ "the exit is full", { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_LIMIT },
		{ .hop = 3, .fault = CHAIN_FAULT_BUSY, .n_alive = 3 } },
	{ "hop 1 is asked too often", { .hop = 1, .stage = CHAIN_STATUS, .status = STATUS_RATE },
		{ .hop = 1, .fault = CHAIN_FAULT_BUSY, .n_alive = 1 } },
	{ "hop 2 has no descriptors", { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_LOCAL },
		{ .hop = 2, .fault = CHAIN_FAULT_DEAD, .n_alive = 1 } },
	{ "the exit is broken", { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_INTERNAL },
		{ .hop = 3, .fault = CHAIN_FAULT_DEAD, .n_alive = 2 } },
	{ "another version", { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_VERSION },
		{ .hop = 2, .fault = CHAIN_FAULT_DEAD, .n_alive = 1 } },
	{ "a status of tomorrow", { .hop = 2, .stage = CHAIN_STATUS, .status = 0x7e },
		{ .hop = 2, .fault = CHAIN_FAULT_DEAD, .n_alive = 1 } },
	{ "not implemented there",
		{ .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_UNSUPPORTED },
		{ .hop = 3, .n_alive = 3 } },
	{ "own descriptors", { .hop = 1, .stage = CHAIN_SETUP, .code = -EMFILE },
		{ .is_final = true } },
	{ "lost while it carried", { .hop = 1, .stage = CHAIN_PAYLOAD, .code = ERR_RESET },
		{ .is_final = true } },
};

Test(blame, falls_on_who_can_be_avoided)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct chain_error error = rows[i].error;
		const struct chain_blame *wanted = &rows[i].wanted;
		error.n_hops = N_HOPS;
		struct chain_blame got = chain_blame_of(&error);
		cr_expect(got.hop == wanted->hop && got.fault == wanted->fault &&
				  got.n_alive == wanted->n_alive &&
				  got.is_link == wanted->is_link &&
				  got.is_final == wanted->is_final,
			"%s: hop %u, fault %d, alive %u, link %d, final %d", rows[i].name, got.hop,
			(int)got.fault, got.n_alive, got.is_link, got.is_final);
	}
}

Test(blame, nobody_is_behind_the_exit)
{
	for (unsigned status = 1; status < 256; status++) {
		struct chain_error error = { .hop = N_HOPS,
			.n_hops = N_HOPS,
			.stage = CHAIN_STATUS,
			.status = (uint8_t)status };
		cr_expect_leq(chain_blame_of(&error).hop, N_HOPS);
	}
}

Test(blame, nobody_stands_on_a_direct_way)
{
	struct chain_error error = { .stage = CHAIN_DIAL, .code = -ECONNREFUSED };
	cr_expect(chain_blame_of(&error).is_final);
	cr_expect_eq(chain_blame_of(&error).hop, 0);
}
