/* Counters with a ceiling, rates, and counters per source. */
#include "common/quota.h"
#include "common/seal.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>

static void start(void)
{
	cr_assert_eq(seal_start(), 0);
}

TestSuite(quota, .init = start);

static union addr_sock ip4(uint32_t host_order)
{
	union addr_sock s = { .ip4 = { .sin_family = AF_INET, .sin_port = htons(1) } };
	s.ip4.sin_addr.s_addr = htonl(host_order);
	return s;
}

static union addr_sock ip6(const char *text)
{
	union addr_sock s = { .ip6 = { .sin6_family = AF_INET6, .sin6_port = htons(2) } };
	cr_assert_eq(inet_pton(AF_INET6, text, &s.ip6.sin6_addr), 1);
	return s;
}

Test(quota, charge_takes_up_to_the_limit_and_returns_once)
{
	struct quota quota;
	struct charge charges[4] = { { NULL } };
	quota_init(&quota, 3);
	for (int i = 0; i < 3; i++)
		cr_assert(charge_take(&charges[i], &quota));
	cr_assert_not(charge_take(&charges[3], &quota));
	charge_return(&charges[3]); /* took nothing */
	cr_assert_eq(quota.n, 3);
	charge_return(&charges[0]);
	charge_return(&charges[0]);
	cr_assert_eq(quota.n, 2);
	cr_assert(charge_take(&charges[3], &quota));
}

Test(quota, without_a_limit_it_counts_only)
{
	struct quota quota;
	struct charge charge = { NULL };
	quota_init(&quota, 0);
	for (int i = 0; i < 1000; i++) {
		charge = (struct charge){ NULL };
		cr_assert(charge_take(&charge, &quota));
	}
	cr_assert_eq(quota.n, 1000);
}

Test(quota, rate_allows_a_burst_of_one_second_and_then_the_rate)
{
	static const uint32_t rates[] = { 1, 3, 7, 100, 1000 };
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct rate rate;
		uint64_t now = UINT64_C(1) << 40;
		uint32_t n = 0;
		rate_init(&rate, rates[i]);
		for (uint32_t k = 0; k < 3 * rates[i]; k++)
			n += rate_take(&rate, now);
		cr_assert_eq(n, rates[i]);
		for (int ms = 0; ms < 10000; ms++, now++)
			for (int k = 0; k < 3; k++)
				n += rate_take(&rate, now);
		cr_assert_geq(n, 11 * rates[i] - 1);
		cr_assert_leq(n, 11 * rates[i] + 1);
	}
}

Test(quota, rate_of_zero_is_none_and_an_old_clock_does_no_harm)
{
	struct rate rate;
	rate_init(&rate, 0);
	for (int i = 0; i < 1000; i++)
		cr_assert(rate_take(&rate, 0));
	rate_init(&rate, 10);
	cr_assert(rate_take(&rate, 100000));
	cr_assert_not(
		rate_take(&rate, 90000)); /* another worker's older reading: refused, not wrapped */
	cr_assert(rate_take(&rate, 100000));
}

Test(quota, sources_are_ip4_addresses_and_ip6_networks)
{
	struct source_quota *sources;
	struct source_charge c[6] = { { NULL } };
	union addr_sock a = ip4(0x0a000001), b = ip4(0x0a000002), mapped = ip6("::ffff:10.0.0.1");
	union addr_sock n1 = ip6("2001:db8:0:1::1"), n1b = ip6("2001:db8:0:1:ffff::9"),
			n2 = ip6("2001:db8:0:2::1");
	cr_assert_eq(source_quota_new(1, &sources), 0);
	cr_assert(source_charge_take(&c[0], sources, &a));
	cr_assert_not(source_charge_take(&c[1], sources, &a));
	cr_assert_not(source_charge_take(&c[1], sources, &mapped));
	cr_assert(source_charge_take(&c[1], sources, &b));
	cr_assert(source_charge_take(&c[2], sources, &n1));
	cr_assert_not(source_charge_take(&c[3], sources, &n1b));
	cr_assert(source_charge_take(&c[3], sources, &n2));
	source_charge_return(&c[0]);
	source_charge_return(&c[0]);
	cr_assert(source_charge_take(&c[4], sources, &mapped));
	for (int i = 0; i < 6; i++)
		source_charge_return(&c[i]);
	source_quota_free(sources);
	source_quota_free(NULL);
}

Test(quota, many_sources_come_and_go)
{
	enum {
		N = 20000
	};
	static struct source_charge c[N][2];
	struct source_quota *sources;
	struct source_charge more = { NULL };
	cr_assert_eq(source_quota_new(2, &sources), 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < N; i++) {
			union addr_sock s = ip4(0x0a000000 + i);
			cr_assert(source_charge_take(&c[i][0], sources, &s));
			cr_assert(source_charge_take(&c[i][1], sources, &s));
			cr_assert_not(source_charge_take(&more, sources, &s));
		}
		for (uint32_t i = 0; i < N; i++) {
			source_charge_return(&c[i][0]);
			source_charge_return(&c[i][1]);
		}
	}
	source_quota_free(sources); /* asserts that it is empty */
}

Test(quota, without_a_source_limit_everything_is_let_in)
{
	struct source_quota *sources;
	union addr_sock a = ip4(1);
	cr_assert_eq(source_quota_new(0, &sources), 0);
	for (int i = 0; i < 100; i++) {
		struct source_charge c = { NULL };
		cr_assert(source_charge_take(&c, sources, &a));
		source_charge_return(&c);
	}
	source_quota_free(sources);
}

/* ---- Several threads: never more than the limit at once, nothing left at the end. */

#define N_THREADS 4
#define LIMIT     3

static struct quota shared;
static struct source_quota *shared_sources;
static _Atomic int n_inside, n_over;

static void *take_and_return(void *arg)
{
	(void)arg;
	union addr_sock a = ip4(7);
	for (int i = 0; i < 20000; i++) {
		struct charge c = { NULL };
		struct source_charge s = { NULL };
		if (charge_take(&c, &shared)) {
			if (atomic_fetch_add(&n_inside, 1) >= LIMIT)
				atomic_fetch_add(&n_over, 1);
			atomic_fetch_sub(&n_inside, 1);
			charge_return(&c);
		}
		if (source_charge_take(&s, shared_sources, &a))
			source_charge_return(&s);
	}
	return NULL;
}

Test(quota, threads_never_exceed_the_limit)
{
	pthread_t threads[N_THREADS];
	quota_init(&shared, LIMIT);
	cr_assert_eq(source_quota_new(1, &shared_sources), 0);
	for (int i = 0; i < N_THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, take_and_return, NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(n_over, 0);
	cr_assert_eq(shared.n, 0);
	source_quota_free(shared_sources);
}
