#include "common/shaper.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NS_PER_S UINT64_C(1000000000)
#define RATE_MAX                                                                                   \
	(UINT64_C(1) << 37) /* beyond it is no limit: the products below fit in 64 bits            \
			     */
#define BURST_PARTS 20      /* of a second */
#define CHUNK_PARTS 4       /* of a burst: the most one gets at a time */
#define PIECE_MIN   512
#define PIECE_MAX   4096
#define CHUNK_MAX   (256 * 1024) /* as a pipe; a lower rate takes none of it back */
#define WAIT_MAX_MS 1000         /* a rate may be set while somebody waits */

/* A token bucket in one word: the time, in ns, up to which what was taken uses the rate up. It is
 * full while that is past, empty when it is the depth of the bucket ahead of now, and in debt
 * beyond. */
struct bucket {
	_Atomic uint64_t used_ns;
	_Atomic uint32_t n_waiting;
};

struct shaper {
	_Atomic uint32_t n_held;
	_Atomic uint64_t rate;
	struct bucket lanes[SHAPER_N_LANES];
};

int shaper_new(uint64_t rate, struct shaper **ret)
{
	struct shaper *shaper = calloc(1, sizeof *shaper);
	if (shaper == NULL)
		return ERR_NOMEM;
	atomic_init(&shaper->n_held, 1);
	shaper_set_rate(shaper, rate);
	*ret = shaper;
	return 0;
}

struct shaper *shaper_hold(struct shaper *shaper)
{
	atomic_fetch_add_explicit(&shaper->n_held, 1, memory_order_relaxed);
	return shaper;
}

void shaper_release(struct shaper *shaper)
{
	if (shaper == NULL || atomic_fetch_sub(&shaper->n_held, 1) > 1)
		return;
	for (int i = 0; i < SHAPER_N_LANES; i++)
		assert(shaper->lanes[i].n_waiting == 0);
	free(shaper);
}

void shaper_set_rate(struct shaper *shaper, uint64_t rate)
{
	atomic_store(&shaper->rate, rate > RATE_MAX ? 0 : rate);
	for (int i = 0; i < SHAPER_N_LANES; i++)
		atomic_store(&shaper->lanes[i].used_ns, 0);
}

uint64_t shaper_rate(const struct shaper *shaper)
{
	return atomic_load_explicit(&shaper->rate, memory_order_relaxed);
}

void shaper_set_add(struct shaper_set *set, struct shaper *shaper)
{
	if (shaper == NULL)
		return;
	assert(set->n < SHAPER_SET_MAX);
	set->of[set->n++] = shaper_hold(shaper);
}

void shaper_set_copy(struct shaper_set *to, const struct shaper_set *from)
{
	to->n = 0;
	for (unsigned i = 0; i < from->n; i++)
		shaper_set_add(to, from->of[i]);
}

void shaper_set_release(struct shaper_set *set)
{
	while (set->n > 0)
		shaper_release(set->of[--set->n]);
}

/* ---- One bucket. */

static uint64_t burst_of(uint64_t rate)
{
	uint64_t burst = rate / BURST_PARTS;
	return burst > SHAPER_BURST_MIN ? burst : SHAPER_BURST_MIN;
}

static uint64_t cost_ns(uint64_t rate, uint64_t n)
{
	return (n * NS_PER_S + rate - 1) / rate;
}

/* The least that is worth a wake-up: 20 ms of the rate within bounds. */
static uint64_t piece_of(uint64_t rate)
{
	uint64_t piece = rate / 50;
	return piece < PIECE_MIN ? PIECE_MIN : piece > PIECE_MAX ? PIECE_MAX : piece;
}

/* Bytes in the bucket; if there are less than @wanted, *ret_ns until there are so many. */
static uint64_t fill_of(const struct bucket *bucket, uint64_t rate, uint64_t now_ns,
	uint64_t wanted, uint64_t *ret_ns)
{
	uint64_t used = atomic_load_explicit(&bucket->used_ns, memory_order_relaxed);
	uint64_t full_ns = now_ns + cost_ns(rate, burst_of(rate)), need_ns = cost_ns(rate, wanted);
	if (used < now_ns)
		used = now_ns;
	*ret_ns = used + need_ns > full_ns ? used + need_ns - full_ns : 0;
	return used < full_ns ? (full_ns - used) * rate / NS_PER_S : 0;
}

static uint64_t chunk_of(uint64_t rate)
{
	uint64_t chunk = burst_of(rate) / CHUNK_PARTS;
	return chunk < CHUNK_MAX ? chunk : CHUNK_MAX;
}

static void charge(struct shaper *shaper, enum shaper_lane lane, size_t n, uint64_t now_ns)
{
	struct bucket *bucket = &shaper->lanes[lane];
	uint64_t rate = shaper_rate(shaper);
	uint64_t old = atomic_load_explicit(&bucket->used_ns, memory_order_relaxed), used;
	if (rate == 0)
		return;
	do
		used = (old > now_ns ? old : now_ns) + cost_ns(rate, n);
	while (!atomic_compare_exchange_weak(&bucket->used_ns, &old, used));
}

static void refund(struct shaper *shaper, enum shaper_lane lane, size_t n)
{
	struct bucket *bucket = &shaper->lanes[lane];
	uint64_t rate = shaper_rate(shaper);
	uint64_t old = atomic_load_explicit(&bucket->used_ns, memory_order_relaxed), used;
	if (rate == 0)
		return;
	do
		used = old > cost_ns(rate, n) ? old - cost_ns(rate, n) : 0;
	while (!atomic_compare_exchange_weak(&bucket->used_ns, &old, used));
}

/* Return: false if the bucket does not hold @n. */
static bool take(struct shaper *shaper, enum shaper_lane lane, size_t n, uint64_t now_ns)
{
	struct bucket *bucket = &shaper->lanes[lane];
	uint64_t rate = shaper_rate(shaper);
	uint64_t old = atomic_load_explicit(&bucket->used_ns, memory_order_relaxed), used;
	if (rate == 0)
		return true;
	uint64_t full_ns = now_ns + cost_ns(rate, burst_of(rate));
	do {
		used = (old > now_ns ? old : now_ns) + cost_ns(rate, n);
		if (used > full_ns)
			return false;
	} while (!atomic_compare_exchange_weak(&bucket->used_ns, &old, used));
	return true;
}

/* ---- All of a set. */

bool shaper_set_take(const struct shaper_set *set, enum shaper_lane lane, size_t n, uint64_t now_us)
{
	for (unsigned i = 0; i < set->n; i++) {
		if (take(set->of[i], lane, n, now_us * 1000))
			continue;
		while (i > 0)
			refund(set->of[--i], lane, n);
		return false;
	}
	return true;
}

void shaper_set_charge(
	const struct shaper_set *set, enum shaper_lane lane, size_t n, uint64_t now_us)
{
	for (unsigned i = 0; i < set->n; i++)
		charge(set->of[i], lane, n, now_us * 1000);
}

void shaper_set_refund(const struct shaper_set *set, enum shaper_lane lane, size_t n)
{
	for (unsigned i = 0; i < set->n; i++)
		refund(set->of[i], lane, n);
}

void shaper_wait_end(struct shaper_wait *wait, enum shaper_lane lane)
{
	if (wait->at == NULL)
		return;
	atomic_fetch_sub(&wait->at->lanes[lane].n_waiting, 1);
	shaper_release(wait->at);
	wait->at = NULL;
}

static void wait_at(
	struct shaper_wait *wait, enum shaper_lane lane, struct shaper *shaper, uint64_t ns)
{
	uint64_t ms = ns / 1000000 + 1;
	wait->ms = ms < WAIT_MAX_MS ? (uint32_t)ms : WAIT_MAX_MS;
	if (wait->at == shaper)
		return;
	shaper_wait_end(wait, lane);
	wait->at = shaper_hold(shaper);
	atomic_fetch_add(&shaper->lanes[lane].n_waiting, 1);
}

/* What @shaper grants: an equal share of what is there for each that waits, at least a piece, at
 * most a chunk. 0: nothing, *ret_ns until there is. */
static uint64_t share_of(struct shaper *shaper, enum shaper_lane lane, bool is_in_line,
	uint64_t now_ns, uint64_t *ret_ns)
{
	struct bucket *bucket = &shaper->lanes[lane];
	uint64_t rate = shaper_rate(shaper);
	uint32_t n_waiting = atomic_load_explicit(&bucket->n_waiting, memory_order_relaxed);
	*ret_ns = 0;
	if (rate == 0)
		return SIZE_MAX;
	uint64_t piece = piece_of(rate), chunk = chunk_of(rate);
	uint64_t fill = fill_of(bucket, rate, now_ns, piece, ret_ns);
	if (*ret_ns > 0 || (n_waiting > 0 && !is_in_line))
		return 0;
	uint64_t share = n_waiting > 1 ? fill / n_waiting : fill;
	return share < piece ? piece : share > chunk ? chunk : share;
}

size_t shaper_set_ask(const struct shaper_set *set, enum shaper_lane lane, struct shaper_wait *wait,
	uint64_t now_us)
{
	uint64_t n = SIZE_MAX, longest_ns = 0;
	struct shaper *emptiest = NULL;
	for (unsigned i = 0; i < set->n; i++) {
		uint64_t ns;
		uint64_t share = share_of(set->of[i], lane, wait->at != NULL, now_us * 1000, &ns);
		if (share == 0 && (emptiest == NULL || ns > longest_ns)) {
			emptiest = set->of[i];
			longest_ns = ns;
		}
		n = share < n ? share : n;
	}
	if (emptiest != NULL) {
		wait_at(wait, lane, emptiest, longest_ns);
		return 0;
	}
	shaper_wait_end(wait, lane);
	if (n == SIZE_MAX) /* no limit has a rate now */
		return CHUNK_MAX;
	shaper_set_charge(set, lane, n, now_us);
	return n;
}
