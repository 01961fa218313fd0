#include "access/opening.h"

#include "access/http_text.h"
#include "common/loop.h"
#include "common/seal.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "access"
#include "common/log.h"

/* What has come of a next request before its opening. A deferred call lives until it has run. */
struct early {
	struct task task;
	struct opening *opening; /* NULL: it has gone */
	size_t len;
	uint8_t data[];
};

struct opening {
	const struct access_ingress *ingress;
	struct stream *client;
	union addr_sock peer;
	struct greeting *greeting;
	struct login_check *check; /* while a password is looked up */
	struct timer deadline;
	struct early *early; /* until it is fed */
	bool is_next, has_begun, was_wrong;
	opening_fn *on_done;
	void *owner;
};

static struct loop *loop_of(const struct opening *o)
{
	return o->ingress->worker->loop;
}

/* The one place an opening reports; @o may be gone afterwards. */
static void end(struct opening *o, enum opening_end how)
{
	loop_timer_stop(loop_of(o), &o->deadline);
	stream_read_stop(o->client);
	o->on_done(how, o->owner);
}

static void say(struct opening *o, struct bytes what)
{
	if (what.len > 0)
		stream_write(o->client, what);
}

static void log_rejected(const struct opening *o)
{
	char from[ADDR_TEXT_MAX];
	LOG_LIMITED(LOG_LEVEL_NOTICE, "rejected: wrong name or password from=%s",
		addr_sock_print(&o->peer, from));
}

static void advance(struct opening *o, enum greeting_step step);

static void on_checked(bool is_right, void *owner)
{
	struct opening *o = owner;
	o->check = NULL;
	o->was_wrong = !is_right;
	if (!is_right)
		log_rejected(o);
	advance(o, greeting_verdict(o->greeting, is_right));
}

static void check_password(struct opening *o)
{
	const char *name, *password;
	stream_read_stop(o->client);
	greeting_password(o->greeting, &name, &password);
	assert(o->ingress->logins != NULL);
	int error = logins_check(
		o->ingress->logins, &o->peer, name, password, on_checked, o, &o->check);
	if (error != 0)
		end(o, error == ERR_AGAIN ? OPENING_BUSY : OPENING_NO_MEMORY);
}

static void advance(struct opening *o, enum greeting_step step)
{
	say(o, greeting_output(o->greeting));
	switch (step) {
	case GREETING_MORE:
		stream_read_limit(o->client, greeting_wants(o->greeting));
		return;
	case GREETING_PASSWORD:
		check_password(o);
		return;
	case GREETING_READY:
		end(o, OPENING_READY);
		return;
	case GREETING_REFUSED:
		end(o, o->was_wrong ? OPENING_REJECTED : OPENING_REFUSED);
		return;
	case GREETING_SILENT:
		end(o, OPENING_SILENT);
		return;
	}
}

static void on_deadline(struct timer *timer)
{
	end((struct opening *)((char *)timer - offsetof(struct opening, deadline)), OPENING_LATE);
}

/* The first byte of a next request is when its time begins. */
static void begin(struct opening *o)
{
	if (o->is_next)
		loop_timer_start(loop_of(o), &o->deadline, GREETING_MS, on_deadline);
	o->has_begun = true;
}

static void feed(struct opening *o, struct bytes data)
{
	size_t n_skipped = o->is_next && !o->has_begun ? http_line_ends(data) : 0;
	data = bytes_of(data.ptr + n_skipped, data.len - n_skipped);
	if (data.len > 0 && !o->has_begun)
		begin(o);
	advance(o, greeting_feed(o->greeting, data));
}

/* A request that is whole may end the opening. */
static void feed_early(struct opening *o, struct bytes early)
{
	enum greeting_step step = GREETING_MORE;
	begin(o);
	for (size_t i = 0, n; step == GREETING_MORE && i < early.len; i += n) {
		n = early.len - i;
		if (n > greeting_wants(o->greeting))
			n = greeting_wants(o->greeting);
		step = greeting_feed(o->greeting, bytes_of(early.ptr + i, n));
	}
	advance(o, step);
}

static void on_early(struct task *task)
{
	struct early *early = (struct early *)task;
	struct opening *o = early->opening;
	if (o != NULL) {
		o->early = NULL;
		feed_early(o, bytes_of(early->data, early->len));
	}
	seal_wipe(early->data, early->len);
	free(early);
}

static int keep_early(struct opening *o, struct bytes data)
{
	struct early *early = malloc(sizeof *early + data.len);
	if (early == NULL)
		return ERR_NOMEM;
	*early = (struct early){ .opening = o, .len = data.len };
	memcpy(early->data, data.ptr, data.len);
	loop_defer(loop_of(o), &early->task, on_early);
	o->early = early;
	return 0;
}

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct opening *o = owner;
	(void)client;
	switch (event) {
	case STREAM_DATA:
		feed(o, data);
		return;
	case STREAM_EOF:
		end(o, OPENING_LEFT);
		return;
	case STREAM_FAILED:
		end(o, OPENING_FAILED);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
	case STREAM_CLOSED:
		return;
	}
}

static int make(const struct access_ingress *ingress, unsigned protocols, struct opening **ret)
{
	struct greeting_options options = { .protocols = protocols,
		.needs_user = ingress->options->needs_user };
	struct opening *o = calloc(1, sizeof *o);
	if (o == NULL)
		return ERR_NOMEM;
	int error = greeting_new(&options, &o->greeting);
	if (error != 0) {
		free(o);
		return error;
	}
	o->ingress = ingress;
	*ret = o;
	return 0;
}

static void own(struct opening *o, struct stream *client, const union addr_sock *peer,
	opening_fn *on_done, void *owner)
{
	o->client = client;
	o->peer = *peer;
	o->on_done = on_done;
	o->owner = owner;
	stream_own(client, on_client, o);
}

int opening_start(const struct access_ingress *ingress, struct stream *client,
	const union addr_sock *peer, opening_fn *on_done, void *owner, struct opening **ret)
{
	int error = make(ingress, ingress->options->protocols, ret);
	if (error != 0)
		return error;
	own(*ret, client, peer, on_done, owner);
	stream_read_limit(client, greeting_wants((*ret)->greeting));
	loop_timer_start(loop_of(*ret), &(*ret)->deadline, GREETING_MS, on_deadline);
	return 0;
}

int opening_start_next(const struct access_ingress *ingress, struct stream *client,
	const union addr_sock *peer, struct bytes early, opening_fn *on_done, void *owner,
	struct opening **ret)
{
	struct opening *o;
	size_t n_skipped = http_line_ends(early);
	assert(early.len <= GREETING_HEAD_MAX);
	if (make(ingress, GREETING_HTTP, &o) != 0)
		return ERR_NOMEM;
	o->is_next = true;
	early = bytes_of(early.ptr + n_skipped, early.len - n_skipped);
	if (early.len > 0 && keep_early(o, early) != 0) {
		opening_free(o);
		return ERR_NOMEM;
	}
	own(o, client, peer, on_done, owner);
	if (early.len == 0) {
		stream_read_limit(client, greeting_wants(o->greeting));
		loop_timer_start(loop_of(o), &o->deadline, OPENING_IDLE_MS, on_deadline);
	}
	*ret = o;
	return 0;
}

void opening_free(struct opening *opening)
{
	if (opening == NULL)
		return;
	loop_timer_stop(loop_of(opening), &opening->deadline);
	if (opening->check != NULL)
		login_check_cancel(opening->check);
	if (opening->early != NULL)
		opening->early->opening = NULL;
	greeting_free(opening->greeting);
	free(opening);
}

bool opening_has_begun(const struct opening *opening)
{
	return opening->has_begun;
}

const struct greeting_request *opening_request(const struct opening *opening)
{
	return greeting_request(opening->greeting);
}

char *opening_tell(const struct opening *opening)
{
	const struct greeting_request *request = opening_request(opening);
	char user[4 * GREETING_NAME_MAX], to[ADDR_TEXT_MAX], *told = NULL;
	log_quote(request->user[0] != '\0' ? request->user : NULL, user, sizeof user);
	if (asprintf(&told, "protocol=%s user=%s target=%s", request->protocol, user,
		    addr_print(&request->target, to)) < 0)
		return NULL;
	return told;
}

void opening_answer(
	struct opening *opening, const struct chain_error *error, const union addr_sock *bound)
{
	say(opening, greeting_answer(opening->greeting, error, bound));
}

const char *opening_end_name(enum opening_end end)
{
	switch (end) {
	case OPENING_READY:
		return "ready";
	case OPENING_REFUSED:
		return "bad-greeting";
	case OPENING_REJECTED:
		return "wrong-login";
	case OPENING_SILENT:
		return "unknown-protocol";
	case OPENING_LEFT:
		return "client-fin";
	case OPENING_FAILED:
		return "client-failed";
	case OPENING_LATE:
		return "greeting-timeout";
	case OPENING_BUSY:
		return "logins-busy";
	case OPENING_NO_MEMORY:
		return "local";
	}
	return "?";
}
