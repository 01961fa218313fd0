#include "chain/probe.h"
#include "chain/upstream_state.h"

#include <stddef.h>
#include <stdlib.h>

#define TICK_MS    500
#define TIMEOUT_MS 5000
#define FRESH_MS   10000 /* an RTT that is older is measured again */
#define SPREAD_MS  2000  /* … so much sooner or later */
#define CHECKS_MAX 4     /* at a time, of one upstream */

/* One that is under way. */
struct check {
	struct chain_checks *checks;
	struct chain_way *way; /* held; NULL: free */
	size_t n_hops;         /* as far as this one; the last is the one in question */
	bool is_whole;         /* in question is the chain */
	struct chain_probe *probe;
};

struct chain_checks {
	struct chain_upstream *upstream;
	struct timer tick;
	struct check checks[CHECKS_MAX];
};

static uint64_t now_of(const struct chain_checks *checks)
{
	return loop_now_ms(checks->upstream->loop);
}

static void let_go(struct check *check)
{
	chain_way_release(check->way);
	*check = (struct check){ .checks = check->checks };
}

static void on_probe(const struct chain_error *error, const struct chain_answers *answers,
	uint64_t total_us, void *owner)
{
	struct check *check = owner;
	check->probe = NULL;
	if (error != NULL) {
		(void)chain_way_report(check->way, error, answers, 0);
	} else {
		chain_way_note_alive(check->way, check->n_hops, answers);
		if (check->is_whole)
			(void)chain_health_ok(check->way->member->health, (uint32_t)total_us,
				now_of(check->checks));
	}
	let_go(check);
}

static void start(struct check *check)
{
	struct chain_probe_options options = { .n_hops = check->n_hops, .timeout_ms = TIMEOUT_MS };
	if (check->way == NULL || chain_probe_start(chain_way_client(check->way), NULL, &options,
					  on_probe, check, &check->probe) != 0)
		let_go(check);
}

/* A way with @peer at position @i, else as a client would get it. */
static struct chain_way *way_with(struct chain_upstream *upstream,
	struct chain_upstream_member *member, size_t i, size_t i_peer)
{
	static const struct chain_who nobody = { 0 };
	struct chain_select_candidate list[CHAIN_PEERS_MAX];
	struct chain_peer *peers[CHAIN_HOPS_MAX];
	for (size_t k = 0; k < member->chain->n_hops; k++) {
		struct chain_position *at = &member->positions[k];
		uint64_t random = upstream->random;
		if (at->n == 0)
			return NULL;
		peers[k] = at->peers[k == i ? i_peer
					    : chain_position_choose(
						      upstream, at, &nobody, &random, list)];
	}
	return chain_way_get(upstream, member, peers);
}

static struct check *free_slot(struct chain_checks *checks)
{
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		if (checks->checks[i].way == NULL)
			return &checks->checks[i];
	}
	return NULL;
}

/* Whether something was not measured for long; then the next time is set, too. */
static bool is_stale(const struct chain_health_state *state, uint64_t *next_ms, uint64_t now_ms)
{
	uint32_t random;
	if (now_ms < *next_ms || (state->rtt_us > 0 && now_ms < state->rtt_ms + FRESH_MS))
		return false;
	seal_random(&random, sizeof random);
	*next_ms = now_ms + FRESH_MS - SPREAD_MS + random % (2 * SPREAD_MS);
	return true;
}

static bool is_due(
	const struct chain_checks *checks, const struct chain_position *at, struct chain_peer *peer)
{
	struct chain_health_state state;
	bool is_measured = at->strategy == CHAIN_LOWEST_RTT && at->n > 1;
	chain_health_read(peer->health, &state);
	if (state.is_aside)
		return chain_health_claim(peer->health, now_of(checks));
	return is_measured && is_stale(&state, &peer->next_check_ms, now_of(checks));
}

static void check_position(
	struct chain_checks *checks, struct chain_upstream_member *member, size_t i)
{
	struct chain_position *at = &member->positions[i];
	for (size_t k = 0; k < at->n; k++) {
		struct check *check = free_slot(checks);
		if (check == NULL)
			return;
		if (!is_due(checks, at, at->peers[k]))
			continue;
		check->way = way_with(checks->upstream, member, i, k);
		check->n_hops = i + 1;
		start(check);
	}
}

/* How long a whole chain takes, where that decides. */
static void check_member(struct chain_checks *checks, struct chain_upstream_member *member)
{
	struct chain_upstream *upstream = checks->upstream;
	size_t n = member->chain->n_hops;
	struct check *check = free_slot(checks);
	struct chain_health_state state;
	if (upstream->spec->n_members == 1 || upstream->spec->strategy != CHAIN_LOWEST_RTT ||
		check == NULL || n == 0)
		return;
	chain_health_read(member->health, &state);
	if (!is_stale(&state, &member->next_check_ms, now_of(checks)))
		return;
	check->way = way_with(upstream, member, n, 0);
	check->n_hops = n;
	check->is_whole = true;
	start(check);
}

static void on_tick(struct timer *timer)
{
	struct chain_checks *checks =
		(struct chain_checks *)((char *)timer - offsetof(struct chain_checks, tick));
	struct chain_upstream *upstream = checks->upstream;
	for (size_t i = 0; chain_upstream_has_choice(upstream) && i < upstream->spec->n_members;
		i++) {
		struct chain_upstream_member *member = &upstream->members[i];
		for (size_t k = 0; k < member->chain->n_hops; k++)
			check_position(checks, member, k);
		check_member(checks, member);
	}
	loop_timer_start(upstream->loop, timer, TICK_MS, on_tick);
}

/* Whether there may ever be more than one way: records may add some. */
static bool may_choose(const struct chain_upstream *upstream)
{
	return upstream->records != NULL || chain_upstream_has_choice(upstream);
}

int chain_checks_new(struct chain_upstream *upstream, struct chain_checks **ret)
{
	struct chain_checks *checks;
	if (!may_choose(upstream))
		return 0;
	checks = calloc(1, sizeof *checks);
	if (checks == NULL)
		return ERR_NOMEM;
	checks->upstream = upstream;
	for (size_t i = 0; i < CHECKS_MAX; i++)
		checks->checks[i].checks = checks;
	loop_timer_start(upstream->loop, &checks->tick, TICK_MS, on_tick);
	*ret = checks;
	return 0;
}

void chain_checks_free(struct chain_checks *checks)
{
	if (checks == NULL)
		return;
	loop_timer_stop(checks->upstream->loop, &checks->tick);
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		struct check *check = &checks->checks[i];
		if (check->way == NULL)
			continue;
		if (check->probe != NULL)
			chain_probe_cancel(check->probe);
		let_go(check);
	}
	free(checks);
}
