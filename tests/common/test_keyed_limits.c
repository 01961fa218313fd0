/* Limits by key: caps, rates, what is remembered, what is forgotten, changes in place. */
#include "common/keyed_limits.h"
#include "common/seal.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void start(void)
{
	cr_assert_eq(seal_start(), 0);
}

TestSuite(keyed_limits, .init = start);

static struct keyed_limits *with(struct keyed_caps caps)
{
	struct keyed_limits *limits;
	cr_assert_eq(keyed_limits_new(&caps, &limits), 0);
	return limits;
}

static struct bytes key_of(const char *text)
{
	return bytes_of(text, strlen(text));
}

Test(keyed_limits, each_key_has_its_own_connections)
{
	struct keyed_limits *limits = with((struct keyed_caps){ .connections = 2 });
	struct keyed_charge charges[5] = { { .entry = NULL } };
	cr_expect_eq(keyed_charge_take(&charges[0], limits, key_of("a"), 0), KEYED_TAKEN);
	cr_expect_eq(keyed_charge_take(&charges[1], limits, key_of("a"), 0), KEYED_TAKEN);
	cr_expect_eq(keyed_charge_take(&charges[2], limits, key_of("a"), 0), KEYED_CONNECTIONS);
	cr_expect_eq(keyed_charge_take(&charges[3], limits, key_of("aa"), 0), KEYED_TAKEN);
	keyed_charge_return(&charges[2]); /* took nothing */
	keyed_charge_return(&charges[0]);
	keyed_charge_return(&charges[0]);
	cr_expect_eq(keyed_charge_take(&charges[4], limits, key_of("a"), 0), KEYED_TAKEN);
	cr_expect_eq(keyed_charge_take(&charges[0], limits, key_of("a"), 0), KEYED_CONNECTIONS);
	cr_expect_null(keyed_charge_shaper(&charges[4]));
	for (int i = 0; i < 5; i++)
		keyed_charge_return(&charges[i]);
	keyed_limits_free(limits);
}

Test(keyed_limits, rates_go_on_where_they_were)
{
	struct keyed_limits *limits = with((struct keyed_caps){ .per_second = 3, .rate = 1000 });
	struct keyed_charge charge = { .entry = NULL };
	struct shaper *first = NULL;
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(keyed_charge_take(&charge, limits, key_of("k"), 5000), KEYED_TAKEN);
		first = first == NULL ? keyed_charge_shaper(&charge) : first;
		cr_expect_eq(keyed_charge_shaper(&charge), first, "his alone, and always the same");
		keyed_charge_return(&charge);
	}
	cr_expect_eq(keyed_charge_take(&charge, limits, key_of("k"), 5000), KEYED_PER_SECOND);
	cr_expect_eq(keyed_charge_take(&charge, limits, key_of("l"), 5000), KEYED_TAKEN);
	cr_expect_neq(keyed_charge_shaper(&charge), first);
	keyed_charge_return(&charge);
	cr_expect_eq(keyed_charge_take(&charge, limits, key_of("k"), 6000), KEYED_TAKEN);
	keyed_charge_return(&charge);
	keyed_limits_free(limits);
}

Test(keyed_limits, without_limits_nobody_is_counted)
{
	struct keyed_limits *limits = with((struct keyed_caps){ .connections = 0 });
	struct keyed_charge charge = { .entry = NULL };
	cr_expect_eq(keyed_charge_take(&charge, limits, key_of("k"), 0), KEYED_TAKEN);
	cr_expect_eq(keyed_limits_count(limits), 0);
	keyed_charge_return(&charge);
	keyed_limits_free(limits);
}

/* Strangers can make as many keys as they like. */
Test(keyed_limits, the_idle_ones_are_bounded_and_the_busy_ones_stay)
{
	struct keyed_limits *limits = with((struct keyed_caps){ .connections = 1 });
	struct keyed_charge busy = { .entry = NULL }, again = { .entry = NULL };
	cr_assert_eq(keyed_charge_take(&busy, limits, key_of("busy"), 0), KEYED_TAKEN);
	for (int i = 0; i < 3 * KEYED_IDLE_MAX; i++) {
		struct keyed_charge charge = { .entry = NULL };
		char name[16];
		snprintf(name, sizeof name, "%d", i);
		cr_assert_eq(keyed_charge_take(&charge, limits, key_of(name), 0), KEYED_TAKEN);
		keyed_charge_return(&charge);
	}
	cr_expect_leq(keyed_limits_count(limits), KEYED_IDLE_MAX + 1);
	cr_expect_eq(keyed_charge_take(&again, limits, key_of("busy"), 0), KEYED_CONNECTIONS);
	keyed_charge_return(&busy);
	keyed_limits_free(limits);
}

Test(keyed_limits, limits_change_in_place)
{
	struct keyed_limits *limits = with((struct keyed_caps){ .connections = 3 });
	struct keyed_charge charges[3] = { { .entry = NULL } };
	cr_assert_eq(keyed_charge_take(&charges[0], limits, key_of("k"), 0), KEYED_TAKEN);
	cr_assert_eq(keyed_charge_take(&charges[1], limits, key_of("k"), 0), KEYED_TAKEN);
	keyed_limits_set(limits, &(struct keyed_caps){ .connections = 1, .rate = 5000 });
	cr_expect_eq(keyed_charge_take(&charges[2], limits, key_of("k"), 0), KEYED_CONNECTIONS);
	cr_assert_not_null(keyed_charge_shaper(&charges[0]));
	cr_expect_eq(shaper_rate(keyed_charge_shaper(&charges[0])), 5000);
	keyed_limits_set(limits, &(struct keyed_caps){ .connections = 3 });
	cr_expect_null(keyed_charge_shaper(&charges[0]));
	cr_expect_eq(keyed_charge_take(&charges[2], limits, key_of("k"), 0), KEYED_TAKEN);
	for (int i = 0; i < 3; i++)
		keyed_charge_return(&charges[i]);
	keyed_limits_free(limits);
}
