/* seal_password_check() is wrapped: what is asked of it counts, not how long it takes. It knows the
 * hashes "hash of X" and can be made to wait. So is the time that logins.c sees. */
#include "access/logins.h"
#include "common/loop.h"
#include "common/seal.h"
#include "common/seal_password.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 5000

bool __wrap_seal_password_check(const char *hash, const char *password);
uint64_t __wrap_loop_now_ms(const struct loop *loop);
uint64_t __real_loop_now_ms(const struct loop *loop);
void __wrap_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);
void __real_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);

static const bool never = false;
static uint64_t skew_ms, divisor = 1; /* of the time logins.c sees, and of its timers */
static unsigned n_timers;

uint64_t __wrap_loop_now_ms(const struct loop *at)
{
	return __real_loop_now_ms(at) + skew_ms;
}

void __wrap_loop_timer_start(struct loop *at, struct timer *timer, uint64_t delay_ms, timer_fn *fn)
{
	n_timers++;
	__real_loop_timer_start(at, timer, delay_ms / divisor, fn);
}

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_shut;
	unsigned n_begun, n_at_once, n_at_once_max;
	char last_hash[SEAL_PASSWORD_TEXT];
} checker = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

bool __wrap_seal_password_check(const char *hash, const char *password)
{
	char right[SEAL_PASSWORD_TEXT];
	snprintf(right, sizeof right, "hash of %s", password);
	pthread_mutex_lock(&checker.mutex);
	checker.n_begun++;
	if (++checker.n_at_once > checker.n_at_once_max)
		checker.n_at_once_max = checker.n_at_once;
	snprintf(checker.last_hash, sizeof checker.last_hash, "%s", hash);
	pthread_cond_broadcast(&checker.changed);
	while (checker.is_shut)
		pthread_cond_wait(&checker.changed, &checker.mutex);
	checker.n_at_once--;
	pthread_mutex_unlock(&checker.mutex);
	return strcmp(hash, right) == 0;
}

static void shut(void)
{
	pthread_mutex_lock(&checker.mutex);
	checker.is_shut = true;
	pthread_mutex_unlock(&checker.mutex);
}

static void *open_up(void *unused)
{
	pthread_mutex_lock(&checker.mutex);
	checker.is_shut = false;
	pthread_cond_broadcast(&checker.changed);
	pthread_mutex_unlock(&checker.mutex);
	return unused;
}

static unsigned n_begun(void)
{
	pthread_mutex_lock(&checker.mutex);
	unsigned n = checker.n_begun;
	pthread_mutex_unlock(&checker.mutex);
	return n;
}

static void wait_begun(unsigned n)
{
	pthread_mutex_lock(&checker.mutex);
	while (checker.n_begun < n)
		pthread_cond_wait(&checker.changed, &checker.mutex);
	pthread_mutex_unlock(&checker.mutex);
}

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static const struct login users[] = {
	{ TEXT("ann"), TEXT("hash of secret") },
	{ TEXT("bob"), TEXT("hash of hidden") },
	{ TEXT("cid"), TEXT("hash of secret") },
};

static struct loop *loop;
static struct logins *logins;

static void start(size_t n_users)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(logins_new(loop, users, n_users, &logins), 0);
}

static void end(void)
{
	logins_free(logins);
	loop_free(loop);
}

/* One answer. */
struct asked {
	struct login_check *check;
	unsigned n_answers;
	bool is_answered, is_right;
};

static void on_answer(bool is_right, void *owner)
{
	struct asked *asked = owner;
	asked->n_answers++;
	asked->is_answered = true;
	asked->is_right = is_right;
}

static unsigned i_asked;

/* 10.0.@i.1, of another port each time. */
static union addr_sock source(uint8_t i)
{
	union addr_sock source = { .ip4 = { .sin_family = AF_INET } };
	const uint8_t ip[] = { 10, 0, i, 1 };
	memcpy(&source.ip4.sin_addr, ip, sizeof ip);
	source.ip4.sin_port = (in_port_t)i_asked;
	return source;
}

static int ask_from(uint8_t i, struct asked *asked, const char *name, const char *password)
{
	union addr_sock from = source(i);
	*asked = (struct asked){ 0 };
	int error = logins_check(logins, &from, name, password, on_answer, asked, &asked->check);
	cr_assert_eq(asked->n_answers, 0, "never from inside");
	return error;
}

static int ask(struct asked *asked, const char *name, const char *password)
{
	return ask_from((uint8_t)++i_asked, asked, name, password);
}

static bool is_right(const char *name, const char *password)
{
	struct asked asked;
	cr_assert_eq(ask(&asked, name, password), 0);
	cr_assert(loop_run_until(loop, &asked.is_answered, WAIT_MS));
	loop_turn(loop);
	cr_assert_eq(asked.n_answers, 1);
	return asked.is_right;
}

Test(logins, right_and_wrong)
{
	start(3);
	cr_expect(is_right("ann", "secret"));
	cr_expect(is_right("bob", "hidden"));
	cr_expect(is_right("cid", "secret"));
	cr_expect_not(is_right("ann", "hidden"));
	cr_expect_not(is_right("bob", "secret"));
	cr_expect_not(is_right("ann", ""));
	cr_expect_not(is_right("", ""));
	cr_expect_not(is_right("", "secret"));
	cr_expect_not(is_right("Ann", "secret"));
	cr_expect_not(is_right("an", "secret"));
	cr_expect_not(is_right("an", "nsecret"));
	end();
}

Test(logins, what_was_right_is_not_hashed_again)
{
	start(3);
	cr_expect(is_right("ann", "secret"));
	for (int i = 0; i < 100; i++)
		cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 1);
	/* near misses of what is remembered */
	cr_expect(is_right("cid", "secret"));
	cr_expect_eq(n_begun(), 2);
	cr_expect_not(is_right("ann", "secre"));
	cr_expect_not(is_right("an", "nsecret"));
	cr_expect_eq(n_begun(), 4);
	end();
}

Test(logins, what_was_wrong_is_hashed_each_time)
{
	start(3);
	for (unsigned i = 1; i <= 10; i++) {
		cr_expect_not(is_right("ann", "wrong"));
		cr_expect_eq(n_begun(), i);
	}
	end();
}

/* A stranger must not learn by time who is a user. */
Test(logins, a_name_nobody_has_costs_as_much_as_a_wrong_password)
{
	char name[32];
	unsigned seen[3] = { 0 };
	start(3);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "nobody%u", i);
		cr_expect_not(is_right(name, "wrong"));
		cr_expect_eq(n_begun(), i + 1);
		for (int k = 0; k < 3; k++)
			seen[k] += strcmp(checker.last_hash, users[k].hash) == 0;
	}
	cr_expect(seen[0] > 0 && seen[1] > 0, "%u %u", seen[0], seen[1]);
	cr_expect_eq(seen[0] + seen[1], 60, "a hash of the file, so one that costs the same");
	end();
}

Test(logins, a_name_nobody_has_stays_out_with_the_password_of_a_user)
{
	char name[32];
	unsigned n = 0;
	start(1);
	for (int round = 0; round < 2; round++) { /* not remembered either */
		for (int i = 0; i < 10; i++) {
			snprintf(name, sizeof name, "nobody%d", i);
			cr_expect_not(is_right(name, "secret"));
			cr_expect_eq(n_begun(), ++n);
		}
	}
	end();
}

Test(logins, without_users_nobody_comes_in)
{
	start(0);
	cr_expect_not(is_right("ann", "secret"));
	cr_expect_not(is_right("", ""));
	cr_expect_eq(n_begun(), 0);
	end();
}

Test(logins, forgotten_after_a_while)
{
	start(3);
	cr_expect(is_right("ann", "secret"));
	skew_ms = LOGINS_REMEMBER_MS - 1000;
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 1, "asking again does not make it longer");
	skew_ms = LOGINS_REMEMBER_MS;
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 2);
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 2);
	skew_ms *= 2;
	cr_expect_not(is_right("ann", "wrong"));
	cr_expect_eq(n_begun(), 3);
	end();
}

static void wait_sweeps(unsigned n)
{
	n += n_timers;
	while (n_timers < n)
		loop_run_until(loop, &never, 5);
}

Test(logins, swept_from_time_to_time)
{
	divisor = 60000; /* 5 ms, then 1 ms */
	start(3);
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_timers, 1);
	wait_sweeps(3);
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 1, "a sweep leaves what is young");
	skew_ms = LOGINS_REMEMBER_MS / 2;
	cr_expect(is_right("bob", "hidden"));
	skew_ms = LOGINS_REMEMBER_MS;
	wait_sweeps(1);
	cr_expect(is_right("bob", "hidden"));
	cr_expect_eq(n_begun(), 2);
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 3);
	skew_ms *= 3;
	loop_run_until(loop, &never, 20); /* the last sweep: nothing is left, no timer */
	unsigned n = n_timers;
	loop_run_until(loop, &never, 20);
	cr_expect_eq(n_timers, n);
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_timers, n + 1);
	end();
}

Test(logins, at_most_so_many_are_under_way)
{
	struct asked asked[LOGINS_PENDING_MAX], more;
	char password[16];
	start(3);
	shut();
	for (int i = 0; i < LOGINS_PENDING_MAX; i++) {
		snprintf(password, sizeof password, "wrong%d", i);
		cr_assert_eq(ask(&asked[i], "ann", i == 7 ? "secret" : password), 0);
	}
	cr_expect_eq(ask(&more, "bob", "hidden"), ERR_AGAIN);
	cr_expect_eq(ask(&more, "nobody", "hidden"), ERR_AGAIN, "the same for nobody");
	open_up(NULL);
	for (int i = 0; i < LOGINS_PENDING_MAX; i++) {
		cr_assert(loop_run_until(loop, &asked[i].is_answered, WAIT_MS));
		cr_expect_eq(asked[i].is_right, i == 7);
		cr_expect_eq(asked[i].n_answers, 1);
	}
	cr_expect_eq(n_begun(), LOGINS_PENDING_MAX);
	cr_expect_eq(checker.n_at_once_max, 1, "each takes 64 MiB and a core");
	cr_expect(is_right("bob", "hidden"));
	end();
}

/* Who floods with wrong passwords does not lock out who was here before. */
Test(logins, the_remembered_come_in_although_all_is_taken)
{
	struct asked asked[LOGINS_PENDING_MAX];
	start(3);
	cr_expect(is_right("bob", "hidden"));
	shut();
	for (int i = 0; i < LOGINS_PENDING_MAX; i++)
		cr_assert_eq(ask(&asked[i], "ann", "wrong"), 0);
	cr_expect(is_right("bob", "hidden"));
	open_up(NULL);
	end();
}

/* Nor who is not remembered: one source never fills the queue. */
Test(logins, one_source_leaves_room_for_others)
{
	struct asked asked[LOGINS_SOURCE_MAX], more, other;
	start(3);
	cr_expect(is_right("cid", "secret"));
	for (int round = 0; round < 2; round++) { /* all is given back */
		shut();
		for (int i = 0; i < LOGINS_SOURCE_MAX; i++)
			cr_assert_eq(ask_from(1, &asked[i], "ann", "wrong"), 0);
		cr_expect_eq(ask_from(1, &more, "ann", "wrong"), ERR_AGAIN);
		cr_expect_eq(ask_from(1, &more, "nobody", "wrong"), ERR_AGAIN);
		cr_assert_eq(ask_from(1, &more, "cid", "secret"), 0, "remembered");
		cr_assert_eq(ask_from(2, &other, "bob", "hidden"), 0);
		login_check_cancel(asked[LOGINS_SOURCE_MAX - 1].check);
		cr_assert_eq(ask_from(1, &asked[LOGINS_SOURCE_MAX - 1], "ann", "secret"), 0);
		open_up(NULL);
		for (int i = 0; i < LOGINS_SOURCE_MAX; i++)
			cr_assert(loop_run_until(loop, &asked[i].is_answered, WAIT_MS));
		cr_assert(loop_run_until(loop, &other.is_answered, WAIT_MS));
		cr_expect(other.is_right && more.is_right);
	}
	end();
}

/* A browser opens six connections at once. */
Test(logins, the_same_asked_at_once_is_hashed_once)
{
	struct asked asked[6];
	start(3);
	for (int i = 0; i < 6; i++)
		cr_assert_eq(ask(&asked[i], "ann", "secret"), 0);
	for (int i = 0; i < 6; i++) {
		cr_assert(loop_run_until(loop, &asked[i].is_answered, WAIT_MS));
		cr_expect(asked[i].is_right);
		cr_expect_eq(asked[i].n_answers, 1);
	}
	cr_expect_eq(n_begun(), 1);
	end();
}

Test(logins, cancelled_in_every_state)
{
	struct asked running, waiting, last, remembered;
	start(3);
	cr_expect(is_right("bob", "hidden"));
	shut();
	cr_assert_eq(ask(&running, "ann", "secret"), 0);
	wait_begun(2);
	cr_assert_eq(ask(&waiting, "ann", "wrong"), 0);
	cr_assert_eq(ask(&last, "cid", "secret"), 0);
	cr_assert_eq(ask(&remembered, "bob", "hidden"), 0);
	login_check_cancel(running.check);
	login_check_cancel(waiting.check);
	login_check_cancel(remembered.check);
	open_up(NULL);
	cr_assert(loop_run_until(loop, &last.is_answered, WAIT_MS));
	cr_expect(last.is_right);
	cr_expect_eq(running.n_answers + waiting.n_answers + remembered.n_answers, 0);
	cr_expect_eq(n_begun(), 3, "what waits does not run once it is cancelled");
	cr_expect(is_right("ann", "secret"));
	cr_expect_eq(n_begun(), 3, "what was right is remembered although nobody waits for it");
	end();
}

Test(logins, cancelled_makes_room)
{
	struct asked asked[LOGINS_PENDING_MAX], more;
	start(3);
	shut();
	for (int i = 0; i < LOGINS_PENDING_MAX; i++)
		cr_assert_eq(ask(&asked[i], "ann", "wrong"), 0);
	wait_begun(1);
	login_check_cancel(asked[0].check);
	cr_expect_eq(ask(&more, "bob", "hidden"), ERR_AGAIN, "a thread is still at it");
	login_check_cancel(asked[1].check);
	cr_expect_eq(ask(&more, "bob", "hidden"), 0);
	open_up(NULL);
	cr_assert(loop_run_until(loop, &more.is_answered, WAIT_MS));
	cr_expect(more.is_right);
	end();
}

Test(logins, freed_in_every_state)
{
	struct asked running, waiting, cancelled, remembered, nobody;
	pthread_t opener;
	start(3);
	cr_expect(is_right("bob", "hidden"));
	shut();
	cr_assert_eq(ask(&running, "ann", "secret"), 0);
	cr_assert_eq(ask(&waiting, "ann", "wrong"), 0);
	cr_assert_eq(ask(&cancelled, "ann", "wrong"), 0);
	cr_assert_eq(ask(&remembered, "bob", "hidden"), 0);
	cr_assert_eq(ask(&nobody, "nobody", "hidden"), 0);
	login_check_cancel(cancelled.check);
	wait_begun(2);
	logins_free(logins);
	logins = NULL;
	loop_turn(loop);
	cr_assert_eq(pthread_create(&opener, NULL, open_up, NULL), 0);
	loop_free(loop);
	pthread_join(opener, NULL);
	cr_expect_eq(running.n_answers + waiting.n_answers + cancelled.n_answers +
			     remembered.n_answers + nobody.n_answers,
		0);
	cr_expect_eq(n_begun(), 2);
}

static void free_logins(bool unused, void *owner)
{
	on_answer(unused, owner);
	logins_free(logins);
	logins = NULL;
}

Test(logins, freed_by_an_answer)
{
	for (int round = 0; round < 2; round++) {
		struct asked first = { 0 }, second;
		start(3);
		if (round == 1) { /* remembered; the second one does not overtake it */
			cr_expect(is_right("ann", "secret"));
			shut();
		}
		union addr_sock from = source(1);
		cr_assert_eq(logins_check(logins, &from, "ann", "secret", free_logins, &first,
				     &first.check),
			0);
		cr_assert_eq(ask(&second, "bob", "hidden"), 0);
		cr_assert(loop_run_until(loop, &first.is_answered, WAIT_MS));
		cr_expect(first.is_right);
		open_up(NULL);
		loop_free(loop);
		cr_expect_eq(second.n_answers, 0);
	}
}

/* More than there is room for: some are hashed again, none is mixed up. */
Test(logins, many_users)
{
	enum {
		N = 5000
	};
	static struct login list[N];
	static char names[N][16], hashes[N][32];
	char password[16];
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], "user%d", i);
		snprintf(hashes[i], sizeof hashes[i], "hash of p%d", i);
		list[i] = (struct login){ names[i], hashes[i] };
	}
	start(0);
	logins_free(logins);
	cr_assert_eq(logins_new(loop, list, N, &logins), 0);
	for (int i = 0; i < N; i++) {
		snprintf(password, sizeof password, "p%d", i);
		cr_assert(is_right(names[i], password));
	}
	cr_expect_eq(n_begun(), N);
	for (int i = 0; i < 100; i++) {
		snprintf(password, sizeof password, "p%d", N - 1 - i);
		cr_assert(is_right(names[N - 1 - i], password));
		cr_assert_not(is_right(names[i], password));
	}
	cr_expect(n_begun() < N + 200, "the last ones are remembered: %u", n_begun());
	end();
}
