/* Workers on four threads, each with its own logins of one list: right, wrong, remembered,
 * cancelled while a thread is at it, freed with checks under way. A plain main for the thread
 * sanitizer. */
#include "access/logins.h"
#include "common/loop.h"
#include "common/seal.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define N_THREADS 4
#define N_ROUNDS  20
#define N_CHECKS  40

/* "password", as cheap as argon2id can be. */
static char hash[] = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$"
		     "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
static char name[] = "ann";
static const struct login list[] = { { name, hash } };

static const union addr_sock here[] = { { .ip4 = { .sin_family = AF_INET, .sin_port = 1 } },
	{ .ip6 = { .sin6_family = AF_INET6 } } };

struct thread {
	pthread_t thread;
	struct loop *loop;
	struct logins *logins;
	unsigned n_answers, n_right, n_wrong_answers;
	bool is_enough;
};

struct asked {
	struct thread *thread;
	struct login_check *check;
	bool expected;
};

static void on_answer(bool is_right, void *owner)
{
	struct asked *asked = owner;
	struct thread *t = asked->thread;
	t->n_right += is_right;
	t->n_wrong_answers += is_right != asked->expected;
	asked->check = NULL;
	if (++t->n_answers >= N_CHECKS / 2)
		t->is_enough = true;
}

static void run_round(struct thread *t)
{
	static const struct login_try {
		const char *name, *password;
		bool is_right;
	} tries[] = { { "ann", "password", true }, { "ann", "wrong", false },
		{ "nobody", "password", false }, { "ann", "passworD", false } };
	struct asked asked[N_CHECKS];
	t->n_answers = 0;
	t->is_enough = false;
	if (logins_new(t->loop, list, 1, &t->logins) != 0)
		abort();
	for (int i = 0; i < N_CHECKS; i++) {
		const struct login_try *try = &tries[i % 4];
		asked[i] = (struct asked){ t, NULL, try->is_right };
		if (logins_check(t->logins, &here[i % 2], try->name, try->password, on_answer,
			    &asked[i], &asked[i].check) != 0)
			abort();
		if (i % 5 == 4)
			loop_turn(t->loop);
		if (i % 9 == 8 && asked[i - 4].check != NULL) {
			login_check_cancel(asked[i - 4].check);
			asked[i - 4].check = NULL;
		}
	}
	if (!loop_run_until(t->loop, &t->is_enough, 20000))
		t->n_wrong_answers++;
	logins_free(t->logins);
}

static void *run(void *owner)
{
	struct thread *t = owner;
	for (int i = 0; i < N_ROUNDS; i++)
		run_round(t);
	loop_free(t->loop);
	return NULL;
}

int main(void)
{
	static struct thread threads[N_THREADS];
	unsigned n_failed = 0;
	if (seal_start() != 0)
		return 1;
	for (int i = 0; i < N_THREADS; i++) {
		if (loop_new(&threads[i].loop) != 0)
			abort();
	}
	for (int i = 0; i < N_THREADS; i++) {
		if (pthread_create(&threads[i].thread, NULL, run, &threads[i]) != 0)
			abort();
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		printf("%u right, %u answers wrong\n", threads[i].n_right,
			threads[i].n_wrong_answers);
		n_failed += threads[i].n_wrong_answers + (threads[i].n_right == 0);
	}
	return n_failed != 0;
}
