#include "common/local.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static union addr_sock sock(const char *ip, uint16_t port)
{
	union addr_sock s;
	memset(&s, 0, sizeof s);
	if (inet_pton(AF_INET, ip, &s.ip4.sin_addr) == 1) {
		s.any.sa_family = AF_INET;
	} else {
		cr_assert_eq(inet_pton(AF_INET6, ip, &s.ip6.sin6_addr), 1, "%s", ip);
		s.any.sa_family = AF_INET6;
	}
	addr_sock_set_port(&s, port);
	return s;
}

static bool has(const struct local_addresses *local, const char *ip)
{
	union addr_sock s = sock(ip, 4711);
	return local_addresses_has(local, &s);
}

Test(local, exactly_the_fixed_addresses_are_ours)
{
	union addr_sock own[] = { sock("203.0.113.5", 80), sock("2001:db8::5", 0),
		sock("::ffff:10.0.0.1", 1), sock("fe80::5", 0) };
	struct local_addresses *local;
	own[3].ip6.sin6_scope_id = 3;
	cr_assert_eq(local_addresses_new_fixed(own, 4, &local), 0);
	cr_expect(has(local, "203.0.113.5"));
	cr_expect(has(local, "::ffff:203.0.113.5"));
	cr_expect(has(local, "10.0.0.1"));
	cr_expect(has(local, "2001:db8::5"));
	cr_expect(has(local, "fe80::5"), "whatever the zone");
	cr_expect_not(has(local, "203.0.113.6"));
	cr_expect_not(has(local, "127.0.0.1"));
	cr_expect_not(has(local, "2001:db8::6"));
	local_addresses_free(local);
	cr_assert_eq(local_addresses_new_fixed(NULL, 0, &local), 0);
	cr_expect_not(has(local, "203.0.113.5"));
	local_addresses_free(local);
	local_addresses_free(NULL);
}

Test(local, the_first_look_finds_loopback)
{
	struct local_addresses *local;
	cr_assert_eq(local_addresses_new(&local), 0);
	cr_expect(has(local, "127.0.0.1"));
	cr_expect_not(has(local, "8.8.8.8"));
	local_addresses_free(local);
}

static bool wait_for(
	struct loop *loop, const struct local_addresses *local, const char *ip, bool is_there)
{
	static const bool never = false;
	for (int i = 0; i < 300 && has(local, ip) != is_there; i++)
		loop_run_until(loop, &never, 10);
	return has(local, ip) == is_there;
}

Test(local, watching_begins_with_another_look, .timeout = 10)
{
	union addr_sock wrong = sock("203.0.113.5", 0);
	struct local_addresses *local;
	struct loop *loop;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(local_addresses_new_fixed(&wrong, 1, &local), 0);
	cr_assert_eq(local_addresses_watch(local, loop), 0);
	cr_expect(wait_for(loop, local, "127.0.0.1", true));
	cr_expect_not(has(local, "203.0.113.5"));
	local_addresses_unwatch(local);
	local_addresses_unwatch(local);
	cr_assert_eq(local_addresses_watch(local, loop), 0);
	local_addresses_unwatch(local);
	loop_free(loop);
	local_addresses_free(local);
}

/* Sets the IP4 address of lo:1 in this process's own network namespace. */
static void set_alias(const char *ip)
{
	struct ifreq request = { .ifr_name = "lo:1" };
	union addr_sock s = sock(ip, 0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(&request.ifr_addr, &s.ip4, sizeof s.ip4);
	cr_assert_eq(ioctl(fd, SIOCSIFADDR, &request), 0);
	close(fd);
}

Test(local, what_changes_is_noticed, .timeout = 20)
{
	struct local_addresses *local;
	struct loop *loop;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && unshare(CLONE_NEWNET) != 0)
		cr_skip_test("no right to make a network namespace");
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(local_addresses_new(&local), 0);
	cr_assert_eq(local_addresses_watch(local, loop), 0);
	set_alias("203.0.113.1");
	cr_expect(wait_for(loop, local, "203.0.113.1", true));
	for (int i = 2; i < 20; i++) { /* a burst: the last one counts */
		char ip[40];
		snprintf(ip, sizeof ip, "203.0.113.%d", i);
		set_alias(ip);
	}
	cr_expect(wait_for(loop, local, "203.0.113.19", true));
	cr_expect_not(has(local, "203.0.113.1"));
	local_addresses_unwatch(local);
	loop_free(loop);
	local_addresses_free(local);
}

struct reader {
	const struct local_addresses *local;
	atomic_bool is_ending;
	unsigned n_reads;
};

static void *read_always(void *arg)
{
	struct reader *r = arg;
	union addr_sock always = sock("127.0.0.1", 0);
	while (!atomic_load(&r->is_ending)) {
		if (!local_addresses_has(r->local, &always))
			return (void *)r->local; /* 127.0.0.1 was gone */
		r->n_reads++;
	}
	return NULL;
}

Test(local, readers_on_other_threads_always_see_a_whole_set, .timeout = 20)
{
	union addr_sock begin[] = { sock("127.0.0.1", 0), sock("203.0.113.5", 0) };
	struct reader reader = { 0 };
	struct local_addresses *local;
	struct loop *loop;
	pthread_t thread;
	void *complaint;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(local_addresses_new_fixed(begin, 2, &local), 0);
	reader.local = local;
	cr_assert_eq(pthread_create(&thread, NULL, read_always, &reader), 0);
	cr_assert_eq(local_addresses_watch(local, loop), 0);
	cr_expect(wait_for(loop, local, "203.0.113.5", false));
	atomic_store(&reader.is_ending, true);
	pthread_join(thread, &complaint);
	cr_expect_null(complaint);
	local_addresses_unwatch(local);
	loop_free(loop);
	local_addresses_free(local);
}
