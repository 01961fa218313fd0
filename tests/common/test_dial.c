/* Dialling listeners on loopback, by literal and by names of a name server of our own. One port is
 * bound on several addresses: HOLE accepts nothing more (its queue is full), OPEN accepts, SHUT
 * refuses. */
#include "common/dial.h"
#include "common/tcp.h"
#include "tests/common/name_server.h"

#include <poll.h>

#define HOLE     "127.0.0.2"
#define OPEN     "127.0.0.3"
#define SHUT     "127.0.0.4"
#define N_FILLER 4

static const struct name_record zone[] = {
	{ "open.test", NAME_OK, 30, { OPEN } },
	{ "hole-open.test", NAME_OK, 30, { HOLE, OPEN } },
	{ "hole-shut.test", NAME_OK, 30, { HOLE, SHUT } },
	{ "shut-open.test", NAME_OK, 30, { SHUT, OPEN } },
	{ "shut-shut.test", NAME_OK, 30, { SHUT, "127.0.0.5" } },
	{ "shut-hole.test", NAME_OK, 30, { SHUT, HOLE } },
	{ "holes.test", NAME_OK, 30, { HOLE, HOLE, HOLE } },
	{ "silent.test", NAME_SILENT, 0, { NULL } },
	{ NULL, 0, 0, { NULL } },
};

struct outcome {
	bool is_done;
	int n_calls;
	struct dial_result result;
};

static struct loop *loop;
static struct name_server server;
static struct resolver *resolver;
static int listeners[2], fillers[N_FILLER];
static uint16_t port;

static union addr_sock sock(const char *ip, uint16_t p)
{
	union addr_sock s;
	memset(&s, 0, sizeof s);
	s.any.sa_family = AF_INET;
	cr_assert_eq(inet_pton(AF_INET, ip, &s.ip4.sin_addr), 1);
	addr_sock_set_port(&s, p);
	return s;
}

static int listen_at(const char *ip, int backlog)
{
	union addr_sock at = sock(ip, port);
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, &at.any, addr_sock_len(&at)), 0);
	cr_assert_eq(listen(fd, backlog), 0);
	getsockname(fd, &at.any, &len);
	port = addr_sock_port(&at);
	return fd;
}

/* Fills the queue of HOLE: from then on the kernel drops every SYN. */
static void fill(void)
{
	union addr_sock at = sock(HOLE, port);
	int n_waiting = 0;
	for (int i = 0; i < N_FILLER; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], &at.any, addr_sock_len(&at));
		struct pollfd p = { .fd = fillers[i], .events = POLLOUT };
		n_waiting += poll(&p, 1, 0) == 0;
	}
	cr_assert_gt(n_waiting, 0, "the queue never filled");
}

static void setup(void)
{
	port = 0;
	cr_assert_eq(loop_new(&loop), 0);
	name_server_open(&server, loop, zone);
	cr_assert_eq(resolver_new(loop, server.text, &resolver), 0);
	listeners[0] = listen_at(HOLE, 0);
	listeners[1] = listen_at(OPEN, 100);
	fill();
}

static void teardown(void)
{
	for (int i = 0; i < N_FILLER; i++)
		close(fillers[i]);
	close(listeners[0]);
	close(listeners[1]);
	resolver_free(resolver);
	name_server_close(&server);
	loop_free(loop);
}

TestSuite(dial, .init = setup, .fini = teardown, .timeout = 30);

static void on_done(const struct dial_result *result, void *owner)
{
	struct outcome *o = owner;
	o->is_done = true;
	o->n_calls++;
	o->result = *result;
}

static struct dial *start(
	const struct dial_options *options, const char *host, uint16_t p, struct outcome *o)
{
	struct dial_options opt = *options;
	struct dial *d;
	struct addr to;
	char text[ADDR_TEXT_MAX];
	snprintf(text, sizeof text, "%s:%u", host, p);
	cr_assert_eq(addr_parse_dial(text, &to), ADDR_OK);
	opt.loop = loop;
	if (opt.timeout_ms == 0)
		opt.timeout_ms = 10000;
	*o = (struct outcome){ 0 };
	cr_assert_eq(dial_start(&opt, &to, on_done, o, &d), 0);
	cr_assert_not(o->is_done, "called back from inside");
	return d;
}

static void run_for(uint64_t ms)
{
	static const bool never = false;
	loop_run_until(loop, &never, ms);
}

/* Dials and, after the result, listens a while for a second one. */
static struct dial_result dial_with(const struct dial_options *options, const char *host)
{
	struct outcome o;
	start(options, host, port, &o);
	cr_assert(loop_run_until(loop, &o.is_done, 15000), "%s", host);
	run_for(50);
	cr_assert_eq(o.n_calls, 1);
	cr_assert_eq(o.result.stream != NULL, o.result.error == 0);
	return o.result;
}

static struct dial_result dial_name(const char *name, uint64_t timeout_ms)
{
	struct dial_options options = { .resolver = resolver, .timeout_ms = timeout_ms };
	return dial_with(&options, name);
}

static void expect_address(const struct dial_result *r, const char *ip)
{
	union addr_sock want = sock(ip, port);
	char text[ADDR_TEXT_MAX];
	cr_expect(addr_sock_is_equal(&r->address, &want), "%s", addr_sock_print(&r->address, text));
}

Test(dial, a_literal_connects)
{
	struct dial_options options = { 0 };
	struct dial_result r = dial_with(&options, OPEN);
	union addr_sock peer;
	cr_assert_eq(r.error, 0, "%s", err_name(r.error));
	expect_address(&r, OPEN);
	cr_expect_eq(r.n_tries, 1);
	cr_expect_eq(r.resolve_us, 0);
	cr_expect_eq(r.refused, 0);
	cr_assert(tcp_peer(r.stream, &peer));
	cr_expect(addr_sock_is_equal(&peer, &r.address));
	stream_drop(r.stream);
}

Test(dial, a_refused_literal_says_so)
{
	struct dial_options options = { 0 };
	struct dial_result r = dial_with(&options, SHUT);
	cr_expect_eq(r.error, -ECONNREFUSED, "%s", err_name(r.error));
	expect_address(&r, SHUT);
	cr_expect_eq(r.n_tries, 1);
}

Test(dial, a_connect_that_fails_at_once_is_reported_later)
{
	struct dial_options options = { 0 };
	struct dial_result r = dial_with(&options, "255.255.255.255");
	cr_expect(r.error == -ENETUNREACH || r.error == -EACCES, "%s", err_name(r.error));
	cr_expect_eq(r.n_tries, 1);
}

Test(dial, silence_ends_at_the_deadline)
{
	struct dial_options options = { .timeout_ms = 200 };
	struct dial_result r = dial_with(&options, HOLE);
	cr_expect_eq(r.error, ERR_TIMEOUT, "%s", err_name(r.error));
	cr_expect_not(r.is_resolving);
	cr_expect_eq(r.n_tries, 1);
	cr_expect(r.connect_us >= 199000 && r.connect_us < 1000000, "%u us", r.connect_us);
}

Test(dial, a_name_is_resolved_and_connected)
{
	struct dial_result r = dial_name("open.test", 0);
	cr_assert_eq(r.error, 0, "%s", err_name(r.error));
	expect_address(&r, OPEN);
	cr_expect_gt(r.resolve_us, 0);
	cr_expect_eq(server.n_queries, 2);
	stream_drop(r.stream);
}

Test(dial, errors_of_the_resolver_come_through)
{
	struct dial_options none = { 0 };
	struct dial_result r = dial_name("nobody.test", 0);
	cr_expect_eq(r.error, ERR_NOT_FOUND, "%s", err_name(r.error));
	cr_expect_eq(r.n_tries, 0);
	r = dial_with(&none, "open.test");
	cr_expect_eq(r.error, ERR_NO_ADDRESS, "%s", err_name(r.error));
}

Test(dial, the_deadline_covers_resolving)
{
	struct dial_result r = dial_name("silent.test", 200);
	cr_expect_eq(r.error, ERR_TIMEOUT, "%s", err_name(r.error));
	cr_expect(r.is_resolving);
	cr_expect_geq(r.resolve_us, 199000);
	cr_expect_eq(r.connect_us, 0);
}

Test(dial, a_silent_address_gives_way_after_the_stagger)
{
	struct dial_result r = dial_name("hole-open.test", 0);
	cr_assert_eq(r.error, 0, "%s", err_name(r.error));
	expect_address(&r, OPEN);
	cr_expect_eq(r.n_tries, 2);
	cr_expect(r.connect_us >= 249000 && r.connect_us < 900000, "%u us", r.connect_us);
	stream_drop(r.stream);
	run_for(300);
}

Test(dial, a_failed_try_starts_the_next_at_once)
{
	struct dial_result r = dial_name("shut-open.test", 0);
	cr_assert_eq(r.error, 0, "%s", err_name(r.error));
	expect_address(&r, OPEN);
	cr_expect_eq(r.n_tries, 2);
	cr_expect_lt(r.connect_us, 200000);
	stream_drop(r.stream);
}

Test(dial, when_all_fail_the_most_telling_error_is_given)
{
	struct dial_result r = dial_name("shut-shut.test", 0);
	cr_expect_eq(r.error, -ECONNREFUSED, "%s", err_name(r.error));
	cr_expect_eq(r.n_tries, 2);
	expect_address(&r, "127.0.0.5");
	r = dial_name("hole-shut.test", 600);
	cr_expect_eq(r.error, -ECONNREFUSED, "a timeout after a refusal: %s", err_name(r.error));
	r = dial_name("shut-hole.test", 200);
	cr_expect_eq(r.error, -ECONNREFUSED, "a timeout after a refusal: %s", err_name(r.error));
	r = dial_name("holes.test", 700);
	cr_expect_eq(r.error, ERR_TIMEOUT, "%s", err_name(r.error));
	cr_expect_eq(r.n_tries, 3);
}

struct gate {
	const char *refused[3];
	int n_asked;
};

/* Refuses the addresses of the gate with 41, 42, 43. */
static int filter(const union addr_sock *address, void *owner)
{
	struct gate *gate = owner;
	gate->n_asked++;
	cr_expect_eq(addr_sock_port(address), port);
	cr_expect_eq(address->any.sa_family, AF_INET, "mapped addresses come unmapped");
	for (int i = 0; i < 3 && gate->refused[i] != NULL; i++) {
		union addr_sock refused = sock(gate->refused[i], port);
		if (addr_sock_is_equal(address, &refused))
			return 41 + i;
	}
	return 0;
}

Test(dial, a_refused_address_is_not_tried)
{
	struct gate gate = { .refused = { HOLE } };
	struct dial_options options = {
		.resolver = resolver, .filter = filter, .filter_owner = &gate
	};
	struct dial_result r = dial_with(&options, "hole-open.test");
	cr_assert_eq(r.error, 0, "%s", err_name(r.error));
	expect_address(&r, OPEN);
	cr_expect_eq(r.n_tries, 1);
	cr_expect_eq(r.refused, 41);
	cr_expect_eq(gate.n_asked, 2);
	cr_expect_lt(r.connect_us, 200000);
	stream_drop(r.stream);
}

Test(dial, when_all_are_refused_the_first_is_told)
{
	struct gate gate = { .refused = { "127.0.0.9", OPEN, HOLE } };
	struct dial_options options = {
		.resolver = resolver, .filter = filter, .filter_owner = &gate
	};
	struct dial_result r = dial_with(&options, "hole-open.test");
	cr_expect_eq(r.error, ERR_DENIED, "%s", err_name(r.error));
	cr_expect_eq(r.refused, 43);
	cr_expect_eq(r.n_tries, 0);
	r = dial_with(&options, OPEN);
	cr_expect_eq(r.error, ERR_DENIED);
	cr_expect_eq(r.refused, 42);
	r = dial_with(&options, "[::ffff:" OPEN "]");
	cr_expect_eq(r.error, ERR_DENIED);
	cr_expect_eq(r.refused, 42);
}

Test(dial, a_mapped_literal_is_dialled_as_the_address_it_maps)
{
	struct gate gate = { 0 };
	struct dial_options options = { .filter = filter, .filter_owner = &gate };
	struct dial_result r = dial_with(&options, "[::ffff:" OPEN "]");
	cr_assert_eq(r.error, 0, "%s", err_name(r.error));
	expect_address(&r, OPEN);
	stream_drop(r.stream);
}

Test(dial, cancelled_in_any_state_it_never_calls)
{
	static const struct {
		const char *host;
		unsigned run_ms;
	} rows[] = {
		{ OPEN, 0 },                                          /* connecting */
		{ SHUT, 0 }, { HOLE, 100 }, { "255.255.255.255", 0 }, /* failed, to be reported */
		{ "open.test", 0 },                                   /* resolving */
		{ "silent.test", 100 }, { "holes.test", 100 },        /* one try */
		{ "holes.test", 400 },                                /* two */
		{ "holes.test", 700 },                                /* three, no more to come */
		{ "hole-shut.test", 400 },                            /* one failed, one waits */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct dial_options options = { .resolver = resolver };
		struct outcome o;
		struct dial *d = start(&options, rows[i].host, port, &o);
		if (rows[i].run_ms > 0)
			run_for(rows[i].run_ms);
		cr_assert_not(o.is_done, "row %zu", i);
		dial_cancel(d);
		run_for(50);
		cr_expect_eq(o.n_calls, 0, "row %zu", i);
	}
}

Test(dial, cancelled_after_the_filter_refused_it_never_calls)
{
	struct gate gate = { .refused = { OPEN } };
	struct dial_options options = {
		.resolver = resolver, .filter = filter, .filter_owner = &gate
	};
	struct outcome o;
	dial_cancel(start(&options, OPEN, port, &o));
	options.resolver = NULL;
	dial_cancel(start(&options, "open.test", port, &o));
	run_for(50);
	cr_expect_eq(o.n_calls, 0);
}

Test(dial, many_at_once_each_have_one_result)
{
	struct dial_options options = { .resolver = resolver };
	static struct outcome o[60];
	static const char *const hosts[] = { OPEN, SHUT, "open.test", "shut-open.test",
		"nobody.test", "hole-open.test" };
	for (int i = 0; i < 60; i++)
		start(&options, hosts[i % 6], port, &o[i]);
	for (int i = 0; i < 60; i++) {
		cr_assert(loop_run_until(loop, &o[i].is_done, 10000));
		bool is_open = hosts[i % 6] != hosts[1] && hosts[i % 6] != hosts[4];
		cr_assert_eq(o[i].result.error == 0, is_open, "%s: %s", hosts[i % 6],
			err_name(o[i].result.error));
		if (is_open)
			stream_drop(o[i].result.stream);
	}
	run_for(300);
	for (int i = 0; i < 60; i++)
		cr_expect_eq(o[i].n_calls, 1);
}
