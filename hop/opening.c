#include "hop/opening.h"

#include "common/secure.h"

#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define NEXT_HEADER_MS                                                                             \
	90000 /* a new R may start so long after S(OK, KEEP) (docs/protocol.md 2.7.6) */

struct hop_opening {
	struct hop_worker *worker;
	struct stream *client;
	struct hop_header header;
	const struct hop_users *users;     /* among whom the header is looked up */
	struct hop_generation *generation; /* of these; held */
	struct timer deadline;
	hop_opening_late_fn *on_late;
	void *owner;
	uint64_t start_ms; /* accept, or end of the last good header: N and T of 2.11 count from
			      here */
	struct wire_pair *pair; /* exit with FS */
	uint8_t ss[SEAL_CURVE];
	bool is_next;
};

int hop_opening_new(struct hop_worker *worker, struct stream *client, hop_opening_late_fn *on_late,
	void *owner, struct hop_opening **ret)
{
	struct hop_opening *o = calloc(1, sizeof *o);
	if (o == NULL)
		return ERR_NOMEM;
	o->worker = worker;
	o->client = client;
	o->on_late = on_late;
	o->owner = owner;
	o->start_ms = loop_now_ms(worker->loop);
	hop_header_init(&o->header);
	*ret = o;
	return 0;
}

void hop_opening_free(struct hop_opening *o)
{
	if (o == NULL)
		return;
	loop_timer_stop(o->worker->loop, &o->deadline);
	wire_pair_release(o->pair);
	hop_header_deinit(&o->header);
	hop_generation_release(o->generation);
	seal_wipe(o->ss, sizeof o->ss);
	free(o);
}

static void on_deadline(struct timer *timer)
{
	struct hop_opening *o =
		(struct hop_opening *)((char *)timer - offsetof(struct hop_opening, deadline));
	o->on_late(o->owner);
}

static void await_within(struct hop_opening *o, uint64_t timeout_ms)
{
	loop_timer_start(o->worker->loop, &o->deadline, timeout_ms, on_deadline);
	stream_read_limit(o->client, hop_header_wants(&o->header));
}

void hop_opening_await(struct hop_opening *o)
{
	await_within(o, o->worker->options->header_timeout_ms);
}

void hop_opening_await_next(struct hop_opening *o)
{
	hop_header_deinit(&o->header);
	o->start_ms = loop_now_ms(o->worker->loop);
	o->is_next = true;
	await_within(o, NEXT_HEADER_MS);
}

/* A header is looked up among the users of the moment in which it begins. */
static void begin_header(struct hop_opening *o)
{
	hop_generation_release(o->generation);
	o->generation = hop_generation_hold(o->worker->generation);
	o->users = o->worker->users;
}

enum hop_header_step hop_opening_feed(struct hop_opening *o, struct bytes data)
{
	bool is_first = o->header.n_in == 0;
	if (is_first)
		begin_header(o);
	struct hop_header_context context = { .users = o->users, .replay = o->worker->replay };
	enum hop_header_step step = hop_header_feed(
		&o->header, &context, data, loop_wall_ms(), loop_now_ms(o->worker->loop));
	if (step != HOP_HEADER_MORE)
		loop_timer_stop(o->worker->loop, &o->deadline);
	else if (is_first && o->is_next)
		hop_opening_await(o); /* after KEEP the deadline counts from the first byte */
	else
		stream_read_limit(o->client, hop_header_wants(&o->header));
	return step;
}

const struct hop_header *hop_opening_header(const struct hop_opening *o)
{
	return &o->header;
}

struct hop_generation *hop_opening_generation(const struct hop_opening *o)
{
	return hop_generation_hold(o->generation);
}

bool hop_opening_agree(struct hop_opening *o, struct policy_verdict *ret)
{
	struct hop_worker *w = o->worker;
	if ((o->header.request->flags & WIRE_FS) == 0)
		return true;
	o->pair = wire_pair_acquire(w->ephemeral, loop_now_ms(w->loop));
	if (o->pair == NULL) {
		*ret = (struct policy_verdict){ STATUS_LOCAL, DETAIL_LOCAL_MEMORY, NULL };
		return false;
	}
	hop_worker_watch_ephemeral(w);
	if (!wire_pair_agree(o->pair, o->header.request->eph, o->ss)) {
		*ret = (struct policy_verdict){ STATUS_BAD_REQUEST, 48, NULL };
		return false;
	}
	return true;
}

int hop_opening_seal(const struct hop_opening *o, struct hop_reply *reply)
{
	const uint8_t *public = o->pair != NULL ? wire_pair_public(o->pair) : NULL;
	return hop_reply_seal(reply, &o->header, public, loop_wall_us() / 1000);
}

int hop_opening_payload(
	const struct hop_opening *o, const struct hop_reply *reply, struct stream **ret)
{
	struct secure_options options = { .cipher = o->header.cipher };
	struct wire_secrets secrets;
	*ret = o->client;
	if ((o->header.request->flags & WIRE_E2E) == 0)
		return 0;
	hop_reply_secrets(reply, &o->header, o->ss, &secrets);
	memcpy(options.secret_in, secrets.up, sizeof secrets.up);
	memcpy(options.secret_out, secrets.down, sizeof secrets.down);
	int error = secure_open(o->client, &options, ret);
	seal_wipe(&options, sizeof options);
	seal_wipe(&secrets, sizeof secrets);
	return error;
}

void hop_opening_log_stranger(const struct hop_opening *o, const union addr_sock *peer)
{
	const struct hop_header *h = &o->header;
	char from[ADDR_TEXT_MAX];
	const char *user = h->entry != NULL ? h->entry->user->name : "-";
	addr_sock_print(peer, from);
	if (h->reason == HOP_REASON_CLOCK)
		LOG_LIMITED(LOG_LEVEL_NOTICE,
			"rejected: authentic, but its clock differs reason=clock from=%s user=%s "
			"off_s=%.1f",
			from, user, (double)h->skew_ms / 1000);
	else
		LOG_LIMITED(LOG_LEVEL_NOTICE, "rejected reason=%s from=%s user=%s",
			hop_header_reason_name(h->reason), from, user);
}

void hop_opening_fall_silent(const struct hop_opening *o)
{
	drain_silent(o->worker->drain, o->client, o->header.n_in, o->start_ms);
}
