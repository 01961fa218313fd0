#include "access/control.h"

#include "access/explain_format.h"

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
		admin_put_text(to, l->name);
		fputs(",\"addr\":", to);
		admin_put_text(to, addr_print(&at, text));
		fputs(",\"use\":", to);
		admin_put_text(to, l->use->name);
		fprintf(to, ",\"connections\":%" PRIu32 "}",
			atomic_load(&g->limits[i]->connections.n));
	}
	fputs("]", to);
}

struct listing {
	FILE *to;
	size_t n;
};

static void put_candidate(const struct chain_candidate *c, void *owner)
{
	struct listing *listing = owner;
	FILE *to = listing->to;
	fputs(listing->n++ > 0 ? ",{\"member\":" : "{\"member\":", to);
	admin_put_text(to, c->member);
	fprintf(to, ",\"position\":%u,\"name\":", c->position);
	admin_put_text(to, c->name);
	fputs(",\"addr\":", to);
	admin_put_text(to, c->address);
	fprintf(to,
		",\"weight\":%" PRIu32 ",\"rtt_us\":%" PRIu32 ",\"ok\":%" PRIu64
		",\"failed\":%" PRIu64 ",\"aside\":%s,\"chosen\":%s,\"why\":",
		c->weight, c->state.rtt_us, c->state.n_ok, c->state.n_failed,
		c->state.is_aside ? "true" : "false", c->is_chosen ? "true" : "false");
	admin_put_text(to, c->why);
	fputs("}", to);
}

static void put_upstreams(FILE *to, const struct access_control *control)
{
	const struct access_generation *g = access_plan_generation(*control->plan);
	static const struct chain_who nobody = { 0 };
	fputs(",\"upstreams\":[", to);
	for (size_t i = 0; i < g->options.n_upstreams; i++) {
		struct listing listing = { .to = to };
		fputs(i > 0 ? ",{\"name\":" : "{\"name\":", to);
		admin_put_text(to, g->options.upstreams[i]->name);
		fputs(",\"candidates\":[", to);
		chain_upstream_explain(
			access_plan_upstream(*control->plan, i), &nobody, put_candidate, &listing);
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

#define CANDIDATES_MAX 1024 /* shown */

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

static char *explain(const struct access_control *control, const struct access_listener *listener,
	const struct route_query *query, const union addr_sock *source)
{
	const struct access_options *o = &access_plan_generation(*control->plan)->options;
	struct access_explain explain = { .options = o, .listener = listener, .query = query };
	struct found found = { .list = calloc(CANDIDATES_MAX, sizeof *found.list) };
	struct chain_who who = { .target = query->target, .source = source };
	char *text = NULL;
	size_t size;
	const struct chain_upstream_spec *use = access_explain_use(&explain);
	for (size_t i = 0; found.list != NULL && i < o->n_upstreams; i++) {
		if (o->upstreams[i] == use)
			chain_upstream_explain(access_plan_upstream(*control->plan, i), &who,
				keep_candidate, &found);
	}
	explain.candidates = found.list;
	explain.n_candidates = found.n;
	FILE *to = open_memstream(&text, &size);
	if (to != NULL) {
		access_explain_json(&explain, to);
		(void)fclose(to);
	}
	free(found.list);
	return text;
}

static bool read_protocol(const char *query, enum route_protocol *ret)
{
	char text[16];
	*ret = ROUTE_TCP;
	if (!admin_query(query, "protocol", text, sizeof text))
		return true;
	for (unsigned bit = ROUTE_TCP; bit <= ROUTE_HTTP; bit <<= 1) {
		if (strcmp(text, route_protocol_name((enum route_protocol)bit)) == 0) {
			*ret = (enum route_protocol)bit;
			return true;
		}
	}
	return false;
}

static bool read_source(const char *text, union addr_sock *ret)
{
	*ret = (union addr_sock){ .any.sa_family = AF_INET };
	if (inet_pton(AF_INET, text, &ret->ip4.sin_addr) == 1)
		return true;
	*ret = (union addr_sock){ .any.sa_family = AF_INET6 };
	return inet_pton(AF_INET6, text, &ret->ip6.sin6_addr) == 1;
}

static void on_explain(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct access_control *control = owner;
	const struct access_options *o = &access_plan_generation(*control->plan)->options;
	char target[ADDR_TEXT_MAX], from[ADDR_TEXT_MAX], user[256], name[128];
	struct addr to;
	union addr_sock source;
	bool has_name = admin_query(request->query, "listener", name, sizeof name);
	bool has_from = admin_query(request->query, "from", from, sizeof from);
	const struct access_listener *listener = find_listener(o, has_name ? name : NULL);
	struct route_query query = { .target = &to,
		.listener = listener != NULL ? listener->name : NULL };
	if (!admin_query(request->query, "target", target, sizeof target) ||
		addr_parse_dial(target, &to) != ADDR_OK) {
		admin_refuse(exchange, 400, "target", "target=HOST:PORT is needed");
		return;
	}
	if (listener == NULL) {
		admin_refuse(exchange, 404, "listener", "there is no listener of that name");
		return;
	}
	if (!read_protocol(request->query, &query.protocol)) {
		admin_refuse(exchange, 400, "protocol", "expected tcp, udp, socks or http");
		return;
	}
	if (has_from && !read_source(from, &source)) {
		admin_refuse(exchange, 400, "from", "expected an IP address");
		return;
	}
	if (has_from)
		query.source = &source;
	if (admin_query(request->query, "user", user, sizeof user))
		query.user = user;
	admin_answer(exchange, 200, explain(control, listener, &query, query.source));
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
