#include "chain/answers.h"

#include "chain/wire_response.h"

#include <assert.h>

/* By the connects of every link up to hop @i + 1. UINT64_MAX: one of them did not tell. */
static uint64_t by_connects(const struct chain_answers *a, size_t i)
{
	uint64_t sum_us = a->connect_us;
	bool is_known = a->connect_us > 0;
	for (size_t k = 0; k < i; k++) {
		is_known = is_known && a->hops[k].connect_us > 0;
		sum_us += a->hops[k].connect_us;
	}
	return is_known ? sum_us : UINT64_MAX;
}

/* When hop @i + 1 sealed S, in us after @answers->written_us. */
static uint64_t sealed_us(const struct chain_answers *a, size_t i)
{
	uint64_t dialling_us = 0, since_us = a->hops[i].at_us - a->written_us;
	uint64_t connects_us = by_connects(a, i);
	for (size_t k = 0; k <= i; k++)
		dialling_us += (uint64_t)a->hops[k].resolve_us + a->hops[k].connect_us;
	if (dialling_us >= since_us)
		return since_us;
	uint64_t trip_us = since_us - dialling_us;
	return dialling_us + (connects_us < trip_us ? connects_us : trip_us) / 2;
}

void chain_answers_set(struct chain_answers *answers, size_t i,
	const struct wire_response *response, bool has_clock, uint64_t now_us, uint64_t wall_us)
{
	struct chain_answer *a = &answers->hops[i];
	bool is_time = response->val > 0 && response->val <= INT64_MAX;
	*a = (struct chain_answer){
		.at_us = now_us - answers->start_us,
		.resolve_us = response->resolve_us,
		.connect_us = response->connect_us,
		.status = response->status,
		.tries = response->tries,
		.cipher = response->cipher,
		.has_clock = has_clock && is_time,
		.has_address = response->has_address,
		.address = response->address,
	};
	static_assert(sizeof a->software == sizeof response->software, "one limit");
	memcpy(a->software, response->software, sizeof a->software);
	if (a->has_clock) {
		uint64_t since_us = a->at_us - answers->written_us;
		uint64_t ours_us = wall_us - since_us + sealed_us(answers, i);
		a->clock_offset_ms = (int64_t)(response->val - ours_us / 1000);
	}
	if (answers->n_answers <= i)
		answers->n_answers = i + 1;
}
