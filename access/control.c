#include "access/control.h"

#include "access/explain_format.h"
#include "common/admin_query.h"
#include "common/json_text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct access_control {
	struct access_worker *worker;
	struct access_plan *const *plan;
	const struct access_doors *doors;
	struct reload *reload;
	struct admin *admin;
	uint64_t start_ms;
};

static void on_reload(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct access_control *control = owner;
	(void)request;
	control_reload(exchange, control->reload);
}

/* ---- Status ---- */

static void put_listeners(FILE *to, const struct access_control *control)
{
	const struct access_generation *g = access_plan_generation(*control->plan);
	char text[ADDR_TEXT_MAX];
	fputs("\"listeners\":[", to);
	for (size_t i = 0; i < g->options.n_listen; i++) {
		const struct access_listener *l = &g->options.listen[i];
		struct addr at = l->addr;
		if (addr_is_port(&at))
			at.port = access_doors_port(control->doors, g->sites[i]);
		fputs(i > 0 ? ",{\"name\":" : "{\"name\":", to);
		json_text_put(to, l->name);
		fputs(",\"addr\":", to);
		json_text_put(to, addr_print(&at, text));
		fputs(",\"use\":", to);
		json_text_put(to, l->use->name);
		fprintf(to, ",\"connections\":%" PRIu32 "}",
			atomic_load(&g->limits[i]->connections.n));
	}
	fputs("]", to);
}

struct listing {
	FILE *to;
	size_t n;
};

static void put_pool(const struct chain_upstream_pool *pool, void *owner)
{
	struct listing *listing = owner;
	const struct chain_pool_counters *n = &pool->counters;
	FILE *to = listing->to;
	fputs(listing->n++ > 0 ? ",{\"member\":" : "{\"member\":", to);
	json_text_put(to, pool->member);
	fprintf(to, ",\"hops\":%zu,\"addr\":", pool->n_hops);
	json_text_put(to, pool->address);
	fprintf(to,
		",\"idle\":%" PRIu32 ",\"building\":%" PRIu32 ",\"lent\":%" PRIu64
		",\"missed\":%" PRIu64 ",\"built\":%" PRIu64 ",\"failed\":%" PRIu64
		",\"dead\":{\"peer\":%" PRIu64 ",\"age\":%" PRIu64 ",\"silent\":%" PRIu64
		",\"lent\":%" PRIu64 "}}",
		n->n_idle, n->n_building, n->n_lent, n->n_missed, n->n_built, n->n_failed,
		n->n_dead_peer, n->n_dead_age, n->n_dead_silent, n->n_dead_lent);
}

static void put_candidate(const struct chain_candidate *c, void *owner)
{
	struct listing *listing = owner;
	FILE *to = listing->to;
	fputs(listing->n++ > 0 ? ",{\"member\":" : "{\"member\":", to);
	json_text_put(to, c->member);
	fprintf(to, ",\"position\":%u,\"name\":", c->position);
	json_text_put(to, c->name);
	fputs(",\"addr\":", to);
	json_text_put(to, c->address);
	fprintf(to,
		",\"weight\":%" PRIu32 ",\"rtt_us\":%" PRIu32 ",\"ok\":%" PRIu64
		",\"failed\":%" PRIu64 ",\"aside\":%s,\"chosen\":%s,\"why\":",
		c->weight, c->state.rtt_us, c->state.n_ok, c->state.n_failed,
		c->state.is_aside ? "true" : "false", c->is_chosen ? "true" : "false");
	json_text_put(to, c->why);
	fputs("}", to);
}

static void put_upstreams(FILE *to, const struct access_control *control)
{
	const struct access_generation *g = access_plan_generation(*control->plan);
	static const struct chain_who nobody = { 0 };
	fputs(",\"upstreams\":[", to);
	for (size_t i = 0; i < g->options.n_upstreams; i++) {
		struct chain_upstream *upstream = access_plan_upstream(*control->plan, i);
		struct listing listing = { .to = to }, pools = { .to = to };
		fputs(i > 0 ? ",{\"name\":" : "{\"name\":", to);
		json_text_put(to, g->options.upstreams[i]->name);
		fputs(",\"candidates\":[", to);
		chain_upstream_explain(upstream, &nobody, put_candidate, &listing);
		fputs("],\"pools\":[", to);
		chain_upstream_pools(upstream, put_pool, &pools);
		fputs("]}", to);
	}
	fputs("]}", to);
}

static void on_status(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct access_control *control = owner;
	char *json = NULL;
	size_t size;
	FILE *to = open_memstream(&json, &size);
	(void)request;
	if (to != NULL) {
		control_put_head(to, "access",
			loop_now_ms(control->worker->loop) - control->start_ms,
			control->worker->options->n_workers);
		put_listeners(to, control);
		put_upstreams(to, control);
		(void)fclose(to);
	}
	admin_answer(exchange, 200, json);
}

/* ---- Explain ---- */

#define CANDIDATES_MAX     1024 /* shown */
#define QUESTION_VALUE_MAX 300  /* a name of 255 bytes and a port */

struct found {
	struct chain_candidate *list;
	size_t n;
};

static void keep_candidate(const struct chain_candidate *candidate, void *owner)
{
	struct found *found = owner;
	if (found->n < CANDIDATES_MAX)
		found->list[found->n++] = *candidate;
}

static const struct access_listener *find_listener(const struct access_options *o, const char *name)
{
	for (size_t i = 0; i < o->n_listen; i++) {
		if (name == NULL ||
			(o->listen[i].name != NULL && strcmp(o->listen[i].name, name) == 0))
			return &o->listen[i];
	}
	return NULL;
}

/* What is asked; query points in here. */
struct question {
	char target[QUESTION_VALUE_MAX], from[QUESTION_VALUE_MAX], user[QUESTION_VALUE_MAX],
		listener[QUESTION_VALUE_MAX], protocol[QUESTION_VALUE_MAX],
		format[QUESTION_VALUE_MAX];
	struct addr to;
	union addr_sock source;
	const struct access_listener *at;
	struct route_query query;
	bool is_text;
};

static char *print(const struct access_explain *explain, bool is_text)
{
	char *text = NULL, *json = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	if (!is_text) {
		access_explain_json(explain, to);
		return fclose(to) == 0 ? text : NULL;
	}
	access_explain_text(explain, to);
	if (fclose(to) == 0 && (to = open_memstream(&json, &size)) != NULL) {
		fputs("{\"text\":", to);
		json_text_put(to, text);
		fputs("}", to);
		(void)fclose(to);
	}
	free(text);
	return json;
}

static char *explain(const struct access_control *control, const struct question *q)
{
	const struct access_options *o = &access_plan_generation(*control->plan)->options;
	struct access_explain explain = { .options = o, .listener = q->at, .query = &q->query };
	struct found found = { .list = calloc(CANDIDATES_MAX, sizeof *found.list) };
	struct chain_who who = { .target = &q->to, .source = q->query.source };
	if (found.list == NULL)
		return NULL;
	const struct chain_upstream_spec *use = access_explain_use(&explain);
	for (size_t i = 0; i < o->n_upstreams; i++) {
		if (o->upstreams[i] == use)
			chain_upstream_explain(access_plan_upstream(*control->plan, i), &who,
				keep_candidate, &found);
	}
	explain.candidates = found.list;
	explain.n_candidates = found.n;
	char *text = print(&explain, q->is_text);
	free(found.list);
	return text;
}

static bool read_protocol(struct question *q)
{
	q->query.protocol = access_explain_protocol(q->at);
	if (*q->protocol == '\0')
		return true;
	for (unsigned bit = ROUTE_TCP; bit <= ROUTE_HTTP; bit <<= 1) {
		if (strcmp(q->protocol, route_protocol_name((enum route_protocol)bit)) == 0) {
			q->query.protocol = (enum route_protocol)bit;
			return true;
		}
	}
	return false;
}

static bool read_source(struct question *q)
{
	if (*q->from == '\0')
		return true;
	q->query.source = &q->source;
	q->source = (union addr_sock){ .any.sa_family = AF_INET };
	if (inet_pton(AF_INET, q->from, &q->source.ip4.sin_addr) == 1)
		return true;
	q->source = (union addr_sock){ .any.sa_family = AF_INET6 };
	return inet_pton(AF_INET6, q->from, &q->source.ip6.sin6_addr) == 1;
}

/* Return: false after an answer that says what is wrong. */
static bool read_values(struct question *q, const char *query, struct admin_exchange *exchange)
{
	const struct {
		const char *name;
		char *to;
	} values[] = { { "target", q->target }, { "from", q->from }, { "user", q->user },
		{ "listener", q->listener }, { "protocol", q->protocol }, { "format", q->format } };
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		if (admin_query(query, values[i].name, values[i].to, QUESTION_VALUE_MAX) !=
			ADMIN_VALUE_BAD)
			continue;
		admin_refuse(exchange, 400, values[i].name,
			"a value is too long, or not encoded as %XX with two digits");
		return false;
	}
	return true;
}

static bool read_question(struct question *q, const struct access_options *o, const char *query,
	struct admin_exchange *exchange)
{
	if (!read_values(q, query, exchange))
		return false;
	q->is_text = strcmp(q->format, "text") == 0;
	q->at = find_listener(o, *q->listener != '\0' ? q->listener : NULL);
	if (addr_parse_dial(q->target, &q->to) != ADDR_OK)
		admin_refuse(exchange, 400, "target", "target=HOST:PORT is needed");
	else if (q->at == NULL)
		admin_refuse(exchange, 404, "listener", "there is no listener of that name");
	else if (!read_protocol(q))
		admin_refuse(exchange, 400, "protocol", "expected tcp, udp, socks or http");
	else if (!read_source(q))
		admin_refuse(exchange, 400, "from", "expected an IP address");
	else if (!q->is_text && *q->format != '\0' && strcmp(q->format, "json") != 0)
		admin_refuse(exchange, 400, "format", "expected text or json");
	else
		return true;
	return false;
}

static void on_explain(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct access_control *control = owner;
	const struct access_options *o = &access_plan_generation(*control->plan)->options;
	struct question q = { 0 };
	if (!read_question(&q, o, request->query, exchange))
		return;
	q.query.target = &q.to;
	q.query.listener = q.at->name;
	q.query.user = *q.user != '\0' ? q.user : NULL;
	admin_answer(exchange, 200, explain(control, &q));
}

int access_control_new(struct access_worker *worker, struct access_plan *const *plan,
	const struct access_doors *doors, struct reload *reload, struct access_control **ret)
{
	static const struct admin_route routes[] = {
		{ "GET", "/v1/status", on_status },
		{ "GET", "/v1/explain", on_explain },
		{ "POST", "/v1/reload", on_reload },
	};
	*ret = NULL;
	if (worker->options->control.path == NULL)
		return 0;
	struct access_control *control = calloc(1, sizeof *control);
	if (control == NULL)
		return ERR_NOMEM;
	*control = (struct access_control){
		.worker = worker,
		.plan = plan,
		.doors = doors,
		.reload = reload,
		.start_ms = loop_now_ms(worker->loop),
	};
	int error = control_open(&worker->options->control, worker->loop, routes,
		sizeof routes / sizeof *routes, control, &control->admin);
	if (error != 0 || control->admin == NULL) {
		free(control);
		return error;
	}
	*ret = control;
	return 0;
}

void access_control_free(struct access_control *control)
{
	if (control == NULL)
		return;
	admin_free(control->admin);
	free(control);
}
