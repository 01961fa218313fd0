#include "access/logins.h"

#include "common/loop.h"
#include "common/quota.h"
#include "common/seal.h"
#include "common/seal_password.h"
#include "common/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define DIGEST 32
#define N_SETS 256 /* of right answers; a digest may be in one of them only */
#define N_WAYS 4

/* Each hash takes 64 MiB and a core while it is made: of one listener at one worker, one at a time.
 * Those of all come to at most libuv's 4 threads: 256 MiB. */
#define RUNNING_MAX 1

/* Where a name is in the list, by a hash that strangers cannot aim at. */
struct place {
	uint64_t hash;
	const struct login *login;
};

/* A name and a password that were right. All zero: free. */
struct right {
	uint8_t digest[DIGEST];
	uint64_t until_ms;
};

struct logins {
	struct loop *loop;
	uint8_t place_key[16];
	struct place *places; /* ascending */
	size_t n_logins;
	uint8_t digest_key[SEAL_KEY];
	struct right rights[N_SETS][N_WAYS];
	size_t n_rights;
	struct timer forget;
	struct login_check *checks;    /* in the order they came */
	struct source_quota *sources;  /* of what is pending */
	unsigned n_pending, n_running; /* pending: waiting or running */
};

enum check_state {
	CHECK_WAITS, /* for a thread */
	CHECK_RUNS,  /* on one */
	CHECK_READY, /* its answer is known, and queued */
};

/* While it runs, its thread reads the hash and the password, and writes is_right. */
struct login_check {
	struct task deliver;
	struct logins *logins; /* NULL: freed */
	struct login_check *next, *prev;
	enum check_state state;
	bool is_known; /* there is such a user */
	bool is_right;
	char *password; /* owned */
	char hash[SEAL_PASSWORD_TEXT];
	uint8_t digest[DIGEST];
	struct work *work;
	struct source_charge charge; /* while it is pending */
	login_check_fn *fn;          /* NULL: cancelled */
	void *owner;
};

/* --- names --- */

static uint64_t hash_of(const struct logins *l, const char *name)
{
	return seal_siphash(l->place_key, bytes_of(name, strlen(name)));
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = ((const struct place *)a)->hash, y = ((const struct place *)b)->hash;
	return (x > y) - (x < y);
}

/* The first place whose hash is @hash or larger. */
static size_t place_of(const struct logins *l, uint64_t hash)
{
	size_t low = 0, high = l->n_logins;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (l->places[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The user @name; or, for a name that nobody has, any of them, always the same: the hash of that
 * one is checked as if it were his, so that the time tells nothing. NULL: there are no users. */
static const struct login *find(const struct logins *l, const char *name, bool *ret_is_known)
{
	uint64_t hash = hash_of(l, name);
	size_t first = place_of(l, hash);
	*ret_is_known = false;
	for (size_t i = first; i < l->n_logins && l->places[i].hash == hash; i++) {
		if (strcmp(l->places[i].login->name, name) == 0) {
			*ret_is_known = true;
			return l->places[i].login;
		}
	}
	return l->n_logins > 0 ? l->places[hash % l->n_logins].login : NULL;
}

/* --- what was right --- */

static void digest(const struct logins *l, const char *name, const char *password, uint8_t *to)
{
	const struct bytes parts[] = {
		bytes_of(name, strlen(name) + 1), /* with its NUL: what is name, what is password */
		bytes_of(password, strlen(password)),
	};
	seal_hash(bytes_of(l->digest_key, sizeof l->digest_key), parts, 2, to, DIGEST);
}

static void right_forget(struct logins *l, struct right *right)
{
	if (right->until_ms != 0)
		l->n_rights--;
	seal_wipe(right, sizeof *right);
}

/* Looks at all places where it could be. */
static bool is_remembered(const struct logins *l, const uint8_t wanted[DIGEST])
{
	uint64_t now_ms = loop_now_ms(l->loop);
	bool is_there = false;
	for (int i = 0; i < N_WAYS; i++) {
		const struct right *right = &l->rights[wanted[0]][i];
		bool is_equal = seal_is_equal(right->digest, wanted, DIGEST);
		is_there |= is_equal & (now_ms < right->until_ms);
	}
	return is_there;
}

static void on_forget(struct timer *timer)
{
	struct logins *l = (struct logins *)((char *)timer - offsetof(struct logins, forget));
	uint64_t now_ms = loop_now_ms(l->loop);
	for (int set = 0; set < N_SETS; set++) {
		for (int i = 0; i < N_WAYS; i++) {
			if (now_ms >= l->rights[set][i].until_ms)
				right_forget(l, &l->rights[set][i]);
		}
	}
	if (l->n_rights > 0)
		loop_timer_start(l->loop, &l->forget, LOGINS_REMEMBER_MS / 4, on_forget);
}

/* In the place of the same, or of what is free, or of the oldest. */
static void remember(struct logins *l, const uint8_t right_one[DIGEST])
{
	struct right *set = l->rights[right_one[0]], *at = &set[0];
	for (int i = 0; i < N_WAYS; i++) {
		if (seal_is_equal(set[i].digest, right_one, DIGEST)) {
			at = &set[i];
			break;
		}
		if (set[i].until_ms < at->until_ms)
			at = &set[i];
	}
	right_forget(l, at);
	memcpy(at->digest, right_one, DIGEST);
	at->until_ms = loop_now_ms(l->loop) + LOGINS_REMEMBER_MS;
	if (l->n_rights++ == 0)
		loop_timer_start(l->loop, &l->forget, LOGINS_REMEMBER_MS, on_forget);
}

/* --- checks --- */

static void check_free(struct login_check *c)
{
	seal_wipe(c->password, strlen(c->password));
	free(c->password);
	seal_wipe(c, sizeof *c);
	free(c);
}

static void end_pending(struct login_check *c)
{
	source_charge_return(&c->charge);
	c->logins->n_pending--;
}

/* The last of it: @fn may free the logins. */
static void check_end(struct login_check *c)
{
	login_check_fn *fn = c->fn;
	void *owner = c->owner;
	bool is_right = c->is_right;
	if (c->logins != NULL)
		DL_DELETE(c->logins->checks, c);
	check_free(c);
	if (fn != NULL)
		fn(is_right, owner);
}

static void on_deliver(struct task *task)
{
	check_end((struct login_check *)((char *)task - offsetof(struct login_check, deliver)));
}

/* @c is not pending, or not any more. */
static void answer(struct login_check *c, bool is_right)
{
	c->state = CHECK_READY;
	c->is_right = is_right;
	loop_defer(c->logins->loop, &c->deliver, on_deliver);
}

static void on_thread(void *owner)
{
	struct login_check *c = owner;
	c->is_right = seal_password_check(c->hash, c->password);
}

static void start_waiting(struct logins *l);

static void on_done(bool has_run, void *owner)
{
	struct login_check *c = owner;
	struct logins *l = c->logins;
	c->is_right &= has_run & c->is_known;
	if (l != NULL) {
		end_pending(c);
		l->n_running--;
		if (c->is_right)
			remember(l, c->digest);
		start_waiting(l);
	}
	check_end(c);
}

static void start(struct login_check *c)
{
	struct logins *l = c->logins;
	if (is_remembered(l, c->digest)) { /* since it came: the same was asked before it */
		end_pending(c);
		answer(c, true);
	} else if (work_start(l->loop, on_thread, on_done, c, &c->work) != 0) {
		end_pending(c);
		answer(c, false);
	} else {
		c->state = CHECK_RUNS;
		l->n_running++;
	}
}

static void start_waiting(struct logins *l)
{
	struct login_check *c;
	DL_FOREACH (l->checks, c) {
		if (l->n_running >= RUNNING_MAX)
			return;
		if (c->state == CHECK_WAITS)
			start(c);
	}
}

static struct login_check *check_new(
	struct logins *l, const char *name, const char *password, login_check_fn *fn, void *owner)
{
	struct login_check *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->password = strdup(password);
	if (c->password == NULL) {
		free(c);
		return NULL;
	}
	c->logins = l;
	c->fn = fn;
	c->owner = owner;
	digest(l, name, password, c->digest);
	return c;
}

int logins_check(struct logins *logins, const union addr_sock *source, const char *name,
	const char *password, login_check_fn *fn, void *owner, struct login_check **ret)
{
	struct login_check *c = check_new(logins, name, password, fn, owner);
	if (c == NULL)
		return ERR_NOMEM;
	const struct login *login = find(logins, name, &c->is_known);
	bool is_right = is_remembered(logins, c->digest);
	if (!is_right && login != NULL &&
		(logins->n_pending >= LOGINS_PENDING_MAX ||
			!source_charge_take(&c->charge, logins->sources, source))) {
		check_free(c);
		return ERR_AGAIN;
	}
	DL_APPEND(logins->checks, c);
	*ret = c;
	if (is_right || login == NULL) {
		answer(c, is_right);
		return 0;
	}
	snprintf(c->hash, sizeof c->hash, "%s", login->hash);
	logins->n_pending++;
	start_waiting(logins);
	return 0;
}

void login_check_cancel(struct login_check *check)
{
	check->fn = NULL;
	if (check->state == CHECK_RUNS) {
		work_cancel(check->work);
	} else if (check->state == CHECK_WAITS) {
		end_pending(check);
		check_end(check);
	}
}

/* --- all --- */

int logins_new(struct loop *loop, const struct login *list, size_t n_logins, struct logins **ret)
{
	struct logins *l = calloc(1, sizeof *l);
	if (l == NULL)
		return ERR_NOMEM;
	l->places = calloc(n_logins + 1, sizeof *l->places);
	if (l->places == NULL || source_quota_new(LOGINS_SOURCE_MAX, &l->sources) != 0) {
		free(l->places);
		free(l);
		return ERR_NOMEM;
	}
	l->loop = loop;
	l->n_logins = n_logins;
	seal_random(l->place_key, sizeof l->place_key);
	seal_random(l->digest_key, sizeof l->digest_key);
	for (size_t i = 0; i < n_logins; i++)
		l->places[i] = (struct place){ hash_of(l, list[i].name), &list[i] };
	qsort(l->places, n_logins, sizeof *l->places, by_hash);
	*ret = l;
	return 0;
}

void logins_free(struct logins *logins)
{
	struct login_check *c, *next;
	if (logins == NULL)
		return;
	DL_FOREACH_SAFE (logins->checks, c, next) {
		c->fn = NULL;
		c->logins = NULL;
		source_charge_return(&c->charge);
		if (c->state == CHECK_RUNS)
			work_cancel(c->work);
		else if (c->state == CHECK_WAITS)
			check_free(c);
	}
	loop_timer_stop(logins->loop, &logins->forget);
	source_quota_free(logins->sources);
	free(logins->places);
	seal_wipe(logins, sizeof *logins);
	free(logins);
}
