/* The resolver against a name server of our own, on the same loop. */
#include "common/resolve.h"
#include "tests/common/name_server.h"

static const struct name_record zone[] = {
	{ "both.test", NAME_OK, 30, { "127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "fd00::2" } },
	{ "four.test", NAME_OK, 30, { "127.0.0.9" } },
	{ "six.test", NAME_OK, 30, { "fd00::9" } },
	{ "empty.test", NAME_OK, 30, { NULL } },
	{ "fail.test", NAME_SERVFAIL, 0, { NULL } },
	{ "refused.test", NAME_REFUSED, 0, { NULL } },
	{ "hole1.test", NAME_SILENT, 0, { NULL } },
	{ "hole2.test", NAME_SILENT, 0, { NULL } },
	{ "zero.test", NAME_OK, 0, { "127.0.0.9" } },
	{ "tcp.test", NAME_TCP_ONLY, 30, { "127.0.0.9" } },
	{ "single", NAME_OK, 30, { "127.0.0.9" } },
	{ "many.test", NAME_OK, 30,
		{ "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6",
			"127.0.0.7", "127.0.0.8", "127.0.0.9", "127.0.0.10", "127.0.0.11",
			"127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15", "127.0.0.16",
			"127.0.0.17", "127.0.0.18", "fd00::1", "fd00::2", "fd00::3" } },
	{ NULL, 0, 0, { NULL } },
};

struct answer {
	bool is_done;
	int n_calls, error;
	size_t n;
	union addr_sock addresses[RESOLVE_MAX_ADDRESSES];
};

static struct loop *loop;
static struct name_server server;
static struct resolver *resolver;

static void setup(void)
{
	cr_assert_eq(loop_new(&loop), 0);
	name_server_open(&server, loop, zone);
	cr_assert_eq(resolver_new(loop, server.text, &resolver), 0);
}

static void teardown(void)
{
	resolver_free(resolver);
	name_server_close(&server);
	loop_free(loop);
}

TestSuite(resolve, .init = setup, .fini = teardown, .timeout = 30);

static void on_answer(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct answer *a = owner;
	a->is_done = true;
	a->n_calls++;
	a->error = error;
	a->n = n;
	memcpy(a->addresses, addresses, n * sizeof addresses[0]);
}

static struct resolve_query *start(const char *name, uint64_t timeout_ms, struct answer *a)
{
	struct resolve_query *q;
	*a = (struct answer){ 0 };
	cr_assert_eq(resolve_start(resolver, name, timeout_ms, on_answer, a, &q), 0);
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

static void run_for(uint64_t ms)
{
	static const bool never = false;
	loop_run_until(loop, &never, ms);
}

static void expect_address(const union addr_sock *s, const char *text)
{
	char printed[ADDR_TEXT_MAX];
	cr_expect_str_eq(addr_sock_print(s, printed), text);
}

Test(resolve, families_are_interleaved_six_first_port_zero)
{
	struct answer a = ask("both.test");
	cr_assert_eq(a.error, 0);
	cr_assert_eq(a.n, 5);
	expect_address(&a.addresses[0], "[::1]:0");
	expect_address(&a.addresses[1], "127.0.0.1:0");
	expect_address(&a.addresses[2], "[fd00::2]:0");
	expect_address(&a.addresses[3], "127.0.0.2:0");
	expect_address(&a.addresses[4], "127.0.0.3:0");
}

Test(resolve, one_family_is_enough)
{
	struct answer four = ask("four.test"), six = ask("six.test");
	cr_assert_eq(four.n, 1);
	expect_address(&four.addresses[0], "127.0.0.9:0");
	cr_assert_eq(six.n, 1);
	expect_address(&six.addresses[0], "[fd00::9]:0");
}

Test(resolve, too_many_addresses_are_cut)
{
	struct answer a = ask("many.test");
	cr_assert_eq(a.n, RESOLVE_MAX_ADDRESSES);
	expect_address(&a.addresses[0], "[fd00::1]:0");
	expect_address(&a.addresses[4], "[fd00::3]:0");
	expect_address(&a.addresses[15], "127.0.0.13:0");
}

Test(resolve, every_failure_has_its_error)
{
	static const struct {
		const char *name;
		int error;
	} rows[] = {
		{ "nobody.test", ERR_NOT_FOUND },
		{ "empty.test", ERR_NO_ADDRESS },
		{ "fail.test", ERR_DNS_SERVER },
		{ "refused.test", ERR_DNS_SERVER },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct answer a = ask(rows[i].name);
		cr_expect_eq(a.error, rows[i].error, "%s: %s", rows[i].name, err_name(a.error));
		cr_expect_eq(a.n, 0);
	}
}

Test(resolve, a_server_that_is_not_there_is_not_waited_for)
{
	struct answer a;
	struct resolve_query *q;
	struct resolver *other;
	cr_assert_eq(resolver_new(loop, "127.0.0.1:1", &other), 0);
	a = (struct answer){ 0 };
	cr_assert_eq(resolve_start(other, "four.test", 10000, on_answer, &a, &q), 0);
	cr_assert(loop_run_until(loop, &a.is_done, 15000));
	cr_expect(
		a.error == ERR_DNS_TEMPORARY || a.error == ERR_DNS_SERVER, "%s", err_name(a.error));
	resolver_free(other);
}

Test(resolve, hosts_come_from_the_file_and_single_labels_go_out_as_they_are)
{
	struct answer a = ask("localhost");
	cr_assert_eq(a.error, 0);
	cr_assert_geq(a.n, 1);
	cr_assert_eq(addr_classify(&a.addresses[0], NULL), ADDR_LOOPBACK);
	cr_assert_eq(server.n_queries, 0);
	a = ask("single");
	cr_assert_eq(a.error, 0, "%s", err_name(a.error));
	cr_assert_eq(a.n, 1);
}

Test(resolve, truncated_answers_are_fetched_over_tcp)
{
	struct answer a = ask("tcp.test");
	cr_assert_eq(a.error, 0, "%s", err_name(a.error));
	cr_assert_eq(a.n, 1);
	expect_address(&a.addresses[0], "127.0.0.9:0");
}

Test(resolve, an_answer_is_cached_for_its_ttl_whatever_the_case)
{
	ask("both.test");
	int n = server.n_queries;
	struct answer a = ask("BOTH.test");
	cr_assert_eq(a.n, 5);
	cr_assert_eq(server.n_queries, n);
	ask("zero.test");
	n = server.n_queries;
	a = ask("zero.test");
	cr_assert_eq(a.error, 0);
	cr_assert_gt(server.n_queries, n, "TTL 0 was cached");
}

Test(resolve, no_such_name_is_cached_but_trouble_is_not)
{
	ask("nobody.test");
	int n = server.n_queries;
	cr_assert_eq(ask("nobody.test").error, ERR_NOT_FOUND);
	cr_assert_eq(server.n_queries, n);
	ask("fail.test");
	n = server.n_queries;
	ask("fail.test");
	cr_assert_gt(server.n_queries, n);
}

Test(resolve, questions_for_one_name_share_a_lookup)
{
	struct answer a[20];
	for (int i = 0; i < 20; i++)
		start("both.test", 10000, &a[i]);
	for (int i = 0; i < 20; i++) {
		cr_assert(loop_run_until(loop, &a[i].is_done, 5000));
		cr_assert_eq(a[i].n, 5);
	}
	cr_assert_eq(server.n_queries, 2);
}

Test(resolve, no_answer_ends_at_the_deadline)
{
	struct answer a;
	uint64_t began_us = loop_clock_us();
	start("hole1.test", 300, &a);
	cr_assert(loop_run_until(loop, &a.is_done, 5000));
	uint64_t took_ms = (loop_clock_us() - began_us) / 1000;
	cr_expect_eq(a.error, ERR_DNS_TIMEOUT);
	cr_expect_eq(a.n, 0);
	cr_expect(took_ms >= 299 && took_ms < 1000, "%d ms", (int)took_ms);
}

Test(resolve, two_black_holed_names_delay_no_other)
{
	struct answer hole[2], other;
	start("hole1.test", 10000, &hole[0]);
	start("hole2.test", 10000, &hole[1]);
	uint64_t began_us = loop_clock_us();
	start("four.test", 10000, &other);
	cr_assert(loop_run_until(loop, &other.is_done, 5000));
	cr_expect_eq(other.error, 0);
	cr_expect_lt(loop_clock_us() - began_us, 500000u);
	cr_expect_not(hole[0].is_done);
	cr_expect_not(hole[1].is_done);
}

Test(resolve, after_all_tries_the_lookup_ends_by_itself)
{
	struct answer a;
	start("hole1.test", 60000, &a);
	cr_assert(loop_run_until(loop, &a.is_done, 20000));
	cr_expect_eq(a.error, ERR_DNS_TIMEOUT, "%s", err_name(a.error));
	cr_expect_geq(server.n_queries, 4, "asked again");
}

Test(resolve, a_cancelled_question_is_never_answered)
{
	struct answer a, b, c;
	struct resolve_query *qa = start("four.test", 10000, &a);
	start("four.test", 10000, &b);
	resolve_cancel(qa); /* while others wait for the same lookup */
	cr_assert(loop_run_until(loop, &b.is_done, 5000));
	struct resolve_query *qc =
		start("four.test", 10000, &c); /* cached: the answer is on its way */
	resolve_cancel(qc);
	qc = start("hole1.test", 100, &c); /* alone */
	resolve_cancel(qc);
	run_for(300);
	cr_expect_eq(a.n_calls, 0);
	cr_expect_eq(b.n_calls, 1);
	cr_expect_eq(c.n_calls, 0);
}

Test(resolve, the_answer_of_a_cancelled_question_is_cached)
{
	struct answer a;
	struct resolve_query *q = start("four.test", 10000, &a);
	resolve_cancel(q);
	run_for(200);
	int n = server.n_queries;
	cr_assert_eq(n, 2);
	cr_assert_eq(ask("four.test").n, 1);
	cr_assert_eq(server.n_queries, n);
}

struct chained {
	struct answer first, second;
	struct resolve_query *other;
};

static void on_first(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct chained *c = owner;
	struct resolve_query *q;
	on_answer(error, addresses, n, &c->first);
	resolve_cancel(c->other);
	cr_assert_eq(resolve_start(resolver, "four.test", 1000, on_answer, &c->second, &q), 0);
	cr_assert_not(c->second.is_done);
}

Test(resolve, a_callback_may_cancel_and_start_others)
{
	struct chained c = { 0 };
	struct answer other;
	struct resolve_query *q;
	ask("four.test");
	cr_assert_eq(resolve_start(resolver, "four.test", 1000, on_first, &c, &q), 0);
	c.other = start("four.test", 1000, &other);
	cr_assert(loop_run_until(loop, &c.second.is_done, 2000));
	cr_expect_eq(c.first.n_calls, 1);
	cr_expect_eq(other.n_calls, 0);
}

Test(resolve, more_names_than_the_limit_fail_at_once)
{
	static struct answer a[RESOLVE_MAX_PENDING + 1];
	char name[40];
	for (int i = 0; i <= RESOLVE_MAX_PENDING; i++) {
		snprintf(name, sizeof name, "n%d.test", i);
		start(name, 20000, &a[i]);
	}
	cr_assert(loop_run_until(loop, &a[RESOLVE_MAX_PENDING].is_done, 1000));
	cr_expect_eq(a[RESOLVE_MAX_PENDING].error, ERR_DNS_TEMPORARY);
	for (int i = 0; i < RESOLVE_MAX_PENDING; i++)
		cr_assert_neq(a[i].error, ERR_DNS_TEMPORARY);
}

Test(resolve, the_cache_forgets_the_oldest_names)
{
	char name[40];
	ask("four.test");
	for (int i = 0; i < RESOLVE_CACHE_MAX; i++) {
		snprintf(name, sizeof name, "n%d.test", i);
		ask(name);
	}
	int n = server.n_queries;
	ask(name); /* the youngest is still known */
	cr_assert_eq(server.n_queries, n);
	ask("four.test");
	cr_assert_eq(server.n_queries, n + 2);
}

Test(resolve, freeing_ends_what_is_pending_without_a_call)
{
	struct answer a, b;
	ask("four.test");
	start("hole1.test", 10000, &a);
	start("four.test", 10000, &b); /* ready, not delivered */
	resolver_free(resolver);
	resolver = NULL;
	run_for(100);
	cr_expect_eq(a.n_calls, 0);
	cr_expect_eq(b.n_calls, 0);
}

Test(resolve, servers_are_checked)
{
	struct resolver *other;
	cr_expect_eq(resolver_new(loop, "not an address", &other), ERR_INVAL);
	cr_expect_eq(resolver_new(loop, "", &other), ERR_INVAL);
	cr_assert_eq(resolver_new(loop, "127.0.0.1,[::1]:5353", &other), 0);
	resolver_free(other);
	cr_assert_eq(resolver_new(loop, NULL, &other), 0);
	resolver_free(other);
	resolver_free(NULL);
}
