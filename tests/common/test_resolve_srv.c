/* SRV records: the resolver against a name server of our own; the parser against every cut. */
#include "common/resolve.h"
#include "common/seal.h"
#include "tests/common/name_server.h"

#include <stdlib.h>

#define THREE "_hop._tcp.three.test"
#define NONE  "_hop._tcp.none.test"
#define BAD   "_hop._tcp.bad.test"
#define ZERO  "_hop._tcp.zero.test"
#define MANY  "_hop._tcp.many.test"

static const struct name_record zone[] = {
	{ THREE, NAME_OK, 30, { "127.0.0.1" } },
	{ NONE, NAME_OK, 30, { NULL } },
	{ BAD, NAME_OK, 3600, { NULL } },
	{ MANY, NAME_TCP_ONLY, 30, { NULL } },
	{ ZERO, NAME_OK, 0, { NULL } },
	{ "_hop._tcp.empty.test", NAME_OK, 30, { NULL } },
	{ "_hop._tcp.fail.test", NAME_SERVFAIL, 0, { NULL } },
	{ "_hop._tcp.hole.test", NAME_SILENT, 0, { NULL } },
	{ NULL, 0, 0, { NULL } },
};

#define N_THREE 3
static const struct name_service few[] = {
	{ THREE, 10, 5, 7000, "hop1.test" },
	{ THREE, 0, 60, 7001, "Hop2.Test" },
	{ THREE, 10, 0, 7002, "hop3.test" },
	{ NONE, 0, 0, 0, "" },
	{ BAD, 1, 1, 0, "no-port.test" },
	{ BAD, 1, 1, 7000, "a space.test" },
	{ BAD, 1, 1, 7000, "10.0.0.1" },
	{ BAD, 2, 3, 7004, "good.test" },
	{ ZERO, 1, 1, 7000, "zero.test" },
};
#define N_FEW  (sizeof few / sizeof few[0])
#define N_MANY (RESOLVE_MAX_SRV + 10)
static struct name_service services[N_FEW + N_MANY + 1];

struct answer {
	bool is_done;
	int n_calls, error;
	size_t n;
	uint32_t ttl_s;
	struct resolve_srv records[RESOLVE_MAX_SRV];
};

static struct loop *loop;
static struct name_server server;
static struct resolver *resolver;

static void setup(void)
{
	memcpy(services, few, sizeof few);
	for (uint16_t i = 0; i < N_MANY; i++)
		services[N_FEW + i] = (struct name_service){ MANY, i, 1, 7000, "h.test" };
	cr_assert_eq(loop_new(&loop), 0);
	name_server_open(&server, loop, zone);
	server.services = services;
	cr_assert_eq(resolver_new(loop, server.text, &resolver), 0);
}

static void teardown(void)
{
	resolver_free(resolver);
	name_server_close(&server);
	loop_free(loop);
}

TestSuite(resolve_srv, .init = setup, .fini = teardown, .timeout = 30);

static void on_answer(
	int error, const struct resolve_srv *records, size_t n, uint32_t ttl_s, void *owner)
{
	struct answer *a = owner;
	a->is_done = true;
	a->n_calls++;
	a->error = error;
	a->n = n;
	a->ttl_s = ttl_s;
	memcpy(a->records, records, n * sizeof records[0]);
}

static struct resolve_query *start(const char *name, uint64_t timeout_ms, struct answer *a)
{
	struct resolve_query *q;
	*a = (struct answer){ 0 };
	cr_assert_eq(resolve_srv_start(resolver, name, timeout_ms, on_answer, a, &q), 0);
	cr_assert_not(a->is_done, "called back from inside");
	return q;
}

static struct answer ask(const char *name)
{
	struct answer a;
	start(name, 10000, &a);
	cr_assert(loop_run_until(loop, &a.is_done, 15000), "%s", name);
	cr_assert_eq(a.n_calls, 1);
	return a;
}

Test(resolve_srv, records_come_with_all_they_say)
{
	struct answer a = ask("_hop._TCP.three.test");
	cr_assert_eq(a.error, 0, "%s", err_name(a.error));
	cr_assert_eq(a.n, N_THREE);
	for (size_t i = 0; i < N_THREE; i++) {
		cr_expect_eq(a.records[i].priority, few[i].priority);
		cr_expect_eq(a.records[i].weight, few[i].weight);
		cr_expect_eq(a.records[i].port, few[i].port);
		cr_expect_str_eq(a.records[i].name, few[i].host);
	}
	cr_expect(a.ttl_s == 30 || a.ttl_s == 29, "%u", a.ttl_s);
	cr_expect_eq(server.n_queries, 1);
}

Test(resolve_srv, every_failure_has_its_error)
{
	static const struct {
		const char *name;
		int error;
	} rows[] = {
		{ "_hop._tcp.nobody.test", ERR_NOT_FOUND },
		{ "_hop._tcp.empty.test", ERR_NO_ADDRESS },
		{ NONE, ERR_NO_ADDRESS },
		{ "_hop._tcp.fail.test", ERR_DNS_SERVER },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct answer a = ask(rows[i].name);
		cr_expect_eq(a.error, rows[i].error, "%s: %s", rows[i].name, err_name(a.error));
		cr_expect_eq(a.n, 0);
		cr_expect_eq(a.ttl_s, 0);
	}
}

Test(resolve_srv, records_that_name_no_host_are_left_out)
{
	struct answer a = ask(BAD);
	cr_assert_eq(a.error, 0);
	cr_assert_eq(a.n, 1);
	cr_expect_str_eq(a.records[0].name, "good.test");
	cr_expect(a.ttl_s >= 3599, "the cache's own limit was told: %u", a.ttl_s);
}

Test(resolve_srv, too_many_records_are_cut)
{
	struct answer a = ask(MANY);
	cr_assert_eq(a.error, 0, "%s", err_name(a.error));
	cr_assert_eq(a.n, RESOLVE_MAX_SRV);
	cr_expect_eq(a.records[RESOLVE_MAX_SRV - 1].priority, RESOLVE_MAX_SRV - 1);
}

Test(resolve_srv, answers_are_cached_apart_from_addresses)
{
	ask(THREE);
	int n = server.n_queries;
	cr_expect_eq(ask(THREE).n, N_THREE);
	cr_expect_eq(server.n_queries, n);
	ask(NONE);
	n = server.n_queries;
	cr_expect_eq(ask(NONE).error, ERR_NO_ADDRESS);
	cr_expect_eq(server.n_queries, n);
	ask(ZERO);
	n = server.n_queries;
	cr_expect_eq(ask(ZERO).ttl_s, 0);
	cr_expect_gt(server.n_queries, n, "TTL 0 was cached");
}

static void on_addresses(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	(void)addresses;
	cr_expect_eq(error, 0);
	cr_expect_eq(n, 1);
	*(bool *)owner = true;
}

Test(resolve_srv, one_name_may_have_both)
{
	bool is_done = false;
	struct answer a;
	struct resolve_query *q;
	start(THREE, 5000, &a);
	cr_assert_eq(resolve_start(resolver, THREE, 5000, on_addresses, &is_done, &q), 0);
	cr_assert(loop_run_until(loop, &is_done, 5000));
	cr_assert(loop_run_until(loop, &a.is_done, 5000));
	cr_expect_eq(a.n, N_THREE);
}

Test(resolve_srv, deadline_and_cancel)
{
	struct answer a, b;
	start("_hop._tcp.hole.test", 200, &a);
	struct resolve_query *q = start("_hop._tcp.hole.test", 200, &b);
	resolve_cancel(q);
	cr_assert(loop_run_until(loop, &a.is_done, 5000));
	cr_expect_eq(a.error, ERR_DNS_TIMEOUT);
	cr_expect_eq(b.n_calls, 0);
	start("_hop._tcp.hole.test", 10000, &b); /* teardown ends it */
}

/* --- the parser --- */

/* A question, an alias with a TTL of 7, two services; names are compressed. */
static const uint8_t message[] = { 0, 1, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0, /* header */
	1, 'a', 1, 'b', 0, 0, 33, 0, 1, 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 7, 0, 4, 1, 'c', 0xc0, 14,
	0xc0, 31, 0, 33, 0, 1, 0, 0, 0, 60, 0, 11, 0, 1, 0, 2, 0x1b, 0x58, 2, 'h', '1', 0xc0, 14,
	0xc0, 31, 0, 33, 0, 1, 0, 0, 0, 60, 0, 9, 0, 3, 0, 4, 0x1b, 0x59, 1, 'd', 0 };

Test(srv, an_alias_counts_for_the_ttl)
{
	struct resolve_srv records[4];
	size_t n;
	uint32_t ttl_s;
	cr_assert_eq(
		resolve_srv_parse(bytes_of(message, sizeof message), records, 4, &n, &ttl_s), 0);
	cr_assert_eq(n, 2);
	cr_expect_eq(ttl_s, 7);
	cr_expect_str_eq(records[0].name, "h1.b");
	cr_expect_eq(records[0].port, 7000);
	cr_expect_str_eq(records[1].name, "d");
	cr_expect_eq(records[1].weight, 4);
}

Test(srv, a_message_that_is_cut_is_malformed)
{
	for (size_t len = 0; len < sizeof message; len++) {
		struct resolve_srv records[4];
		size_t n;
		uint32_t ttl_s;
		uint8_t *copy = malloc(len > 0 ? len : 1); /* so that reading behind it is seen */
		memcpy(copy, message, len);
		cr_expect_eq(resolve_srv_parse(bytes_of(copy, len), records, 4, &n, &ttl_s),
			ERR_DNS_SERVER, "%zu bytes", len);
		free(copy);
	}
}

/* --- the order --- */

static uint32_t least(uint32_t max, void *owner)
{
	(void)max;
	(void)owner;
	return 0;
}

static uint32_t most(uint32_t max, void *owner)
{
	(void)owner;
	return max;
}

static uint32_t by_lot(uint32_t max, void *owner)
{
	uint32_t lot;
	(void)owner;
	seal_random(&lot, sizeof lot);
	return lot % (max + 1);
}

Test(srv, priority_decides_and_then_the_lot)
{
	static const struct resolve_srv given[] = {
		{ 2, 9, 1, "late" },
		{ 1, 0, 2, "weightless" },
		{ 1, 3, 3, "light" },
		{ 1, 7, 4, "heavy" },
	};
	static const struct {
		resolve_random_fn *random;
		const char *order[4];
	} rows[] = {
		{ least, { "weightless", "light", "heavy", "late" } },
		{ most, { "heavy", "light", "weightless", "late" } },
	};
	for (size_t i = 0; i < 2; i++) {
		struct resolve_srv records[4];
		memcpy(records, given, sizeof given);
		resolve_srv_order(records, 4, rows[i].random, NULL);
		for (size_t k = 0; k < 4; k++)
			cr_expect_str_eq(records[k].name, rows[i].order[k], "%zu %zu", i, k);
	}
	resolve_srv_order(NULL, 0, least, NULL);
}

Test(srv, the_first_is_drawn_by_weight)
{
	int n_heavy = 0;
	cr_assert_eq(seal_start(), 0);
	for (int i = 0; i < 4000; i++) {
		struct resolve_srv records[] = { { 1, 1, 1, "light" }, { 1, 3, 2, "heavy" } };
		resolve_srv_order(records, 2, by_lot, NULL);
		n_heavy += records[0].port == 2;
	}
	/* Lots 0 and 1 of 0..4 are the light one's: 3 in 5, and 8 standard deviations. */
	cr_expect(n_heavy > 2150 && n_heavy < 2650, "%d", n_heavy);
}
