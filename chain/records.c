#include "chain/upstream_state.h"

#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define ASK_MS       5000   /* for one answer */
#define AGAIN_MIN_MS 5000   /* between two answers for one name */
#define AGAIN_MAX_MS 300000 /* … although the records hold for longer */

/* One name, at one position. */
struct name {
	struct chain_records *records;
	struct chain_position *position;
	const struct chain_spec *chain;
	size_t i_hop, i_source;
	struct resolve_query *query; /* NULL: waits for its time */
	struct timer again;
	int error; /* of the last answer */
	bool is_asked, has_records;
};

struct chain_records {
	struct chain_upstream *upstream;
	size_t n_pending; /* names without a first answer */
	size_t n;
	struct name names[];
};

static const struct chain_hop *hop_of(const struct name *name)
{
	return &name->position->sources[name->i_source];
}

static void ask(struct name *name);

static void on_again(struct timer *timer)
{
	ask((struct name *)((char *)timer - offsetof(struct name, again)));
}

static void ask_later(struct name *name, uint64_t ms)
{
	if (ms < AGAIN_MIN_MS)
		ms = AGAIN_MIN_MS;
	if (ms > AGAIN_MAX_MS)
		ms = AGAIN_MAX_MS;
	loop_timer_start(name->records->upstream->loop, &name->again, ms, on_again);
}

/* The first answer, whatever it is. */
static void note_answer(struct name *name, int error)
{
	struct chain_records *records = name->records;
	name->error = error;
	if (name->is_asked)
		return;
	name->is_asked = true;
	records->n_pending--;
	chain_upstream_heard(records->upstream);
}

/* What DNS does not know any more, or does not say, stays in use: hosts outlive name servers. */
static void on_records(
	int error, const struct resolve_srv *records, size_t n, uint32_t ttl_s, void *owner)
{
	struct name *name = owner;
	struct chain_upstream *upstream = name->records->upstream;
	name->query = NULL;
	if (error == 0) {
		name->has_records = true;
		chain_position_set_records(
			name->position, name->i_source, records, n, loop_now_ms(upstream->loop));
		chain_ways_drop(upstream, true);
	} else {
		LOG_LIMITED(LOG_LEVEL_WARNING, "no SRV records name=%s error=%s used=%s",
			hop_of(name)->addr.name, err_name(error),
			name->has_records ? "the-old-ones" : "none");
	}
	ask_later(name, error == 0 ? ttl_s * 1000ull : 0);
	note_answer(name, error);
}

static void ask(struct name *name)
{
	struct chain_upstream *upstream = name->records->upstream;
	if (upstream->resolver != NULL &&
		resolve_srv_start(upstream->resolver, hop_of(name)->addr.name, ASK_MS, on_records,
			name, &name->query) == 0)
		return;
	ask_later(name, 0);
	note_answer(name, upstream->resolver != NULL ? ERR_NOMEM : ERR_NO_ADDRESS);
}

static size_t count(const struct chain_upstream *upstream)
{
	size_t n = 0;
	for (size_t i = 0; i < upstream->spec->n_members; i++) {
		const struct chain_upstream_member *member = &upstream->members[i];
		for (size_t k = 0; k < member->chain->n_hops; k++) {
			const struct chain_position *at = &member->positions[k];
			for (size_t j = 0; j < at->n_sources; j++)
				n += at->sources[j].is_srv ? 1 : 0;
		}
	}
	return n;
}

static void add_names(
	struct chain_records *records, struct chain_upstream_member *member, size_t i_hop)
{
	struct chain_position *at = &member->positions[i_hop];
	for (size_t i = 0; i < at->n_sources; i++) {
		if (!at->sources[i].is_srv)
			continue;
		records->names[records->n++] = (struct name){ .records = records,
			.position = at,
			.chain = member->chain,
			.i_hop = i_hop,
			.i_source = i };
	}
}

int chain_records_new(struct chain_upstream *upstream, struct chain_records **ret)
{
	size_t n = count(upstream);
	struct chain_records *records;
	if (n == 0)
		return 0;
	records = calloc(1, sizeof *records + n * sizeof records->names[0]);
	if (records == NULL)
		return ERR_NOMEM;
	records->upstream = upstream;
	records->n_pending = n;
	for (size_t i = 0; i < upstream->spec->n_members; i++) {
		struct chain_upstream_member *member = &upstream->members[i];
		for (size_t k = 0; k < member->chain->n_hops; k++)
			add_names(records, member, k);
	}
	for (size_t i = 0; i < records->n; i++)
		ask(&records->names[i]);
	*ret = records;
	return 0;
}

void chain_records_free(struct chain_records *records)
{
	if (records == NULL)
		return;
	for (size_t i = 0; i < records->n; i++) {
		if (records->names[i].query != NULL)
			resolve_cancel(records->names[i].query);
		loop_timer_stop(records->upstream->loop, &records->names[i].again);
	}
	free(records);
}

bool chain_records_pending(const struct chain_records *records)
{
	return records != NULL && records->n_pending > 0;
}

bool chain_records_failed(const struct chain_records *records, struct chain_error *ret)
{
	for (size_t i = 0; records != NULL && i < records->n; i++) {
		const struct name *name = &records->names[i];
		if (name->has_records)
			continue;
		*ret = (struct chain_error){ .stage = CHAIN_RESOLVE,
			.hop = (uint8_t)(name->i_hop + 1),
			.n_hops = (uint8_t)name->chain->n_hops,
			.code = name->is_asked ? name->error : ERR_DNS_TIMEOUT,
			.address = hop_of(name)->addr };
		return true;
	}
	return false;
}
