/* What hops said and when; the clock of a hop by it. Times in us. */
#include "chain/answers.h"
#include "chain/wire_response.h"

#include <criterion/criterion.h>

#define WALL_US UINT64_C(1760000000000000) /* when S came */

struct row {
	const char *what;
	uint32_t connects[3]; /* ours, of hop 1, of hop 2 */
	uint64_t at_us[2];    /* when S_1, S_2 came, since the write */
	uint64_t sealed_us;   /* when S_2 was sealed, really, since the write */
	int64_t off_ms;       /* how far the clock of hop 2 is off, really */
	int64_t wrong_ms;     /* by how much the result may be wrong */
};

static int64_t offset_of(const struct row *r)
{
	struct chain_answers a = { .start_us = 1000000, .written_us = 5000 };
	uint64_t wrote_us = WALL_US - r->at_us[1];
	a.connect_us = r->connects[0];
	for (size_t i = 0; i < 2; i++) {
		struct wire_response s = { .connect_us = r->connects[i + 1] };
		uint64_t sealed_us = i == 1 ? r->sealed_us : 0;
		s.val = (wrote_us + sealed_us) / 1000 + (uint64_t)r->off_ms;
		chain_answers_set(
			&a, i, &s, true, 1000000 + 5000 + r->at_us[i], wrote_us + r->at_us[i]);
	}
	cr_assert_eq(a.n_answers, 2);
	cr_assert_eq(a.hops[1].at_us, 5000 + r->at_us[1]);
	return a.hops[1].clock_offset_ms;
}

Test(answers, a_clock_is_taken_when_the_hop_must_have_sealed)
{
	static const struct row rows[] = {
		{ "two links of 40 ms, an echo", { 40000, 40000, 0 }, { 80000, 120000 }, 80000, 0,
			1 },
		{ "an hour ahead", { 40000, 40000, 0 }, { 80000, 120000 }, 80000, 3600000, 1 },
		{ "an hour behind", { 40000, 40000, 0 }, { 80000, 120000 }, 80000, -3600000, 1 },
		{ "hop 2 dials for 500 ms", { 40000, 40000, 500000 }, { 80000, 620000 }, 580000, 7,
			1 },
		{ "its answer is held back for 200 ms", { 40000, 40000, 100000 }, { 80000, 420000 },
			180000, 7, 1 },
		{ "nothing known of the links", { 0, 0, 0 }, { 80000, 120000 }, 80000, 0, 60 },
		{ "it says it dialled for longer than there was", { 40000, 40000, 900000 },
			{ 80000, 120000 }, 80000, 0, 40 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t wrong_ms = offset_of(&rows[i]) - rows[i].off_ms;
		cr_expect(wrong_ms >= -rows[i].wrong_ms && wrong_ms <= rows[i].wrong_ms, "%s: %lld",
			rows[i].what, (long long)wrong_ms);
	}
}

/* With VERSION a hop tells 0 (docs/protocol.md 2.6); what it makes up must not overflow. */
Test(answers, what_is_no_time_is_no_clock)
{
	static const struct {
		uint64_t val;
		bool has_clock;
	} rows[] = { { 0, false }, { 1, true }, { INT64_MAX, true },
		{ (uint64_t)INT64_MAX + 1, false }, { UINT64_MAX, false },
		{ WALL_US / 1000 + (UINT64_C(1) << 63), false } };
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct chain_answers a = { .start_us = 1 };
		struct wire_response s = { .val = rows[i].val, .connect_us = UINT32_MAX };
		chain_answers_set(&a, 0, &s, true, 1, WALL_US);
		cr_expect_eq(a.hops[0].has_clock, rows[i].has_clock, "row %zu", i);
		cr_expect_eq(a.hops[0].clock_offset_ms != 0, rows[i].has_clock, "row %zu", i);
		cr_expect_gt(a.hops[0].clock_offset_ms, INT64_MIN);
		chain_answers_set(&a, 1, &s, false, 1, WALL_US);
		cr_expect(!a.hops[1].has_clock && a.hops[1].clock_offset_ms == 0);
	}
}
