#include "access/explain_format.h"

#include "chain/select.h"
#include "common/json_text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#define WHY_MAX 96

static const struct route_rule *rule_of(const struct access_explain *e)
{
	return route_find(e->options->rules, e->options->n_rules, e->query);
}

enum route_protocol access_explain_protocol(const struct access_listener *l)
{
	if (l->protocols != 0)
		return (l->protocols & GREETING_SOCKS) != 0 ? ROUTE_SOCKS : ROUTE_HTTP;
	return (l->transports & ACCESS_TCP) != 0 ? ROUTE_TCP : ROUTE_UDP;
}

const struct chain_upstream_spec *access_explain_use(const struct access_explain *e)
{
	const struct route_rule *rule = rule_of(e);
	return rule != NULL ? rule->use : e->listener->use;
}

static size_t n_skipped(const struct access_explain *e)
{
	const struct route_rule *rule = rule_of(e);
	return rule != NULL ? (size_t)(rule - e->options->rules) : e->options->n_rules;
}

/* The condition that is not met, and what is missing for it, if that can be said. */
static const char *print_why(
	const struct route_rule *rule, const struct route_query *query, char to[WHY_MAX])
{
	const char *what = route_mismatch(rule, query), *more = "";
	bool is_name = query->target->kind == ADDR_NAME;
	if (strcmp(what, "cidrs") == 0 && is_name)
		more = ": the target is a name, which is not looked up";
	else if (strcmp(what, "domains") == 0 && !is_name)
		more = ": the target is an address";
	else if (strcmp(what, "from") == 0 && query->source == NULL)
		more = ": the source is not known";
	else if (strcmp(what, "users") == 0 && (query->user == NULL || *query->user == '\0'))
		more = ": the user is not known";
	else if (strcmp(what, "listeners") == 0 && query->listener == NULL)
		more = ": the listener has no name";
	snprintf(to, WHY_MAX, "%s%s", what, more);
	return to;
}

static const char *use_name(const struct chain_upstream_spec *use)
{
	return use != NULL ? use->name : "block";
}

/* Its port decides nothing. */
static const char *print_source(const union addr_sock *source, char to[INET6_ADDRSTRLEN])
{
	union addr_sock s = *source;
	addr_sock_unmap(&s);
	const void *ip = s.any.sa_family == AF_INET ? (const void *)&s.ip4.sin_addr
						    : (const void *)&s.ip6.sin6_addr;
	return inet_ntop(s.any.sa_family, ip, to, INET6_ADDRSTRLEN);
}

/* ---- Text ---- */

static void text_rule(const struct access_explain *e, const struct route_rule *rule, FILE *to)
{
	fprintf(to, "rule #%zu", (size_t)(rule - e->options->rules) + 1);
	if (rule->name != NULL)
		fprintf(to, " \"%s\"", rule->name);
	if (rule->line != 0)
		fprintf(to, " (%s%s%" PRIu32 ")", e->file != NULL ? e->file : "line ",
			e->file != NULL ? ":" : "", rule->line);
}

static void text_query(const struct access_explain *e, FILE *to)
{
	char text[ADDR_TEXT_MAX], from[INET6_ADDRSTRLEN];
	const struct route_query *q = e->query;
	fprintf(to, "%s by %s", addr_print(q->target, text), route_protocol_name(q->protocol));
	if (q->listener != NULL)
		fprintf(to, ", listener \"%s\"", q->listener);
	if (q->source != NULL)
		fprintf(to, ", from %s", print_source(q->source, from));
	if (q->user != NULL && *q->user != '\0')
		fprintf(to, ", user \"%s\"", q->user);
	fputc('\n', to);
}

static void text_skipped(const struct access_explain *e, FILE *to)
{
	char why[WHY_MAX];
	size_t n = n_skipped(e);
	for (size_t i = 0; i < n && i < EXPLAIN_SKIPPED_MAX; i++) {
		fputs("  not ", to);
		text_rule(e, &e->options->rules[i], to);
		fprintf(to, ": %s\n", print_why(&e->options->rules[i], e->query, why));
	}
	if (n > EXPLAIN_SKIPPED_MAX)
		fprintf(to, "  nor %zu rules more\n", n - EXPLAIN_SKIPPED_MAX);
}

static void text_hop(const struct chain_spec *chain, size_t i, FILE *to)
{
	char text[ADDR_TEXT_MAX];
	const struct chain_group *group = chain->groups != NULL ? chain->groups[i] : NULL;
	if (group == NULL) {
		fputs(chain_hop_print(&chain->hops[i], text), to);
		return;
	}
	fprintf(to, "one of %zu by %s (", group->n_hops, chain_strategy_name(group->strategy));
	for (size_t j = 0; j < group->n_hops; j++)
		fprintf(to, "%s%s", j > 0 ? ", " : "", chain_hop_print(&group->hops[j], text));
	fputc(')', to);
}

static void text_member(
	const struct chain_upstream_spec *use, const struct chain_member *member, FILE *to)
{
	const struct chain_spec *chain = member->chain;
	const char *name = chain->name != NULL ? chain->name : use->name;
	fprintf(to, "  chain %s", name);
	if (use->n_members > 1)
		fprintf(to, " weight %" PRIu32, member->weight > 0 ? member->weight : 1);
	fputs(chain->n_hops == 0 ? ": no hops, straight to the target" : ": ", to);
	for (size_t i = 0; i < chain->n_hops; i++) {
		fputs(i > 0 ? " → " : "", to);
		text_hop(chain, i, to);
	}
	fputc('\n', to);
}

static void text_candidate(const struct chain_candidate *c, FILE *to)
{
	fprintf(to, "  %s %s", c->is_chosen ? "takes" : "not", c->position == 0 ? "chain" : "hop");
	if (c->position > 0)
		fprintf(to, " %u of chain", c->position);
	fprintf(to, " %s", c->member);
	if (c->position > 0)
		fprintf(to, ": %s%s%s", c->name, *c->name != '\0' ? " " : "", c->address);
	fprintf(to, " weight %" PRIu32, c->weight);
	if (c->state.rtt_us > 0)
		fprintf(to, " rtt %.1f ms", (double)c->state.rtt_us / 1000);
	if (c->state.last_error[0] != '\0')
		fprintf(to, " last error %s", c->state.last_error);
	fprintf(to, "%s%s\n", c->why[0] != '\0' ? ": " : "", c->why);
}

static void text_use(
	const struct access_explain *e, const struct chain_upstream_spec *use, FILE *to)
{
	if (use->n_members > 1)
		fprintf(to, "group %s: %zu chains by %s\n", use->name, use->n_members,
			chain_strategy_name(use->strategy));
	for (size_t i = 0; e->candidates == NULL && i < use->n_members; i++)
		text_member(use, &use->members[i], to);
	for (size_t i = 0; e->candidates != NULL && i < e->n_candidates; i++)
		text_candidate(&e->candidates[i], to);
}

void access_explain_text(const struct access_explain *e, FILE *to)
{
	const struct route_rule *rule = rule_of(e);
	const struct chain_upstream_spec *use = access_explain_use(e);
	text_query(e, to);
	text_skipped(e, to);
	if (rule != NULL)
		text_rule(e, rule, to);
	else
		fputs(e->options->n_rules > 0 ? "no rule matches: its listener" : "its listener",
			to);
	fprintf(to, " says: %s\n", use_name(use));
	if (use != NULL)
		text_use(e, use, to);
}

/* ---- JSON ---- */

static void json_member(const char *name, const char *text, FILE *to)
{
	fprintf(to, ",\"%s\":", name);
	json_text_put(to, text);
}

static void json_rule(const struct access_explain *e, const struct route_rule *rule, FILE *to)
{
	fprintf(to, "{\"number\":%zu", (size_t)(rule - e->options->rules) + 1);
	json_member("name", rule->name, to);
	if (rule->line != 0)
		fprintf(to, ",\"line\":%" PRIu32, rule->line);
	else
		fputs(",\"line\":null", to);
}

static void json_query(const struct access_explain *e, FILE *to)
{
	char text[ADDR_TEXT_MAX], from[INET6_ADDRSTRLEN];
	const struct route_query *q = e->query;
	fputs("{\"target\":", to);
	json_text_put(to, addr_print(q->target, text));
	json_member("from", q->source != NULL ? print_source(q->source, from) : NULL, to);
	json_member("user", q->user != NULL && *q->user != '\0' ? q->user : NULL, to);
	json_member("listener", q->listener, to);
	json_member("protocol", route_protocol_name(q->protocol), to);
	json_member("file", e->file, to);
}

static void json_skipped(const struct access_explain *e, FILE *to)
{
	char why[WHY_MAX];
	size_t n = n_skipped(e);
	fputs(",\"skipped\":[", to);
	for (size_t i = 0; i < n && i < EXPLAIN_SKIPPED_MAX; i++) {
		fputs(i > 0 ? "," : "", to);
		json_rule(e, &e->options->rules[i], to);
		json_member("why", print_why(&e->options->rules[i], e->query, why), to);
		fputc('}', to);
	}
	fprintf(to, "],\"n_skipped\":%zu", n);
}

static void json_hops(const struct chain_spec *chain, FILE *to)
{
	char text[ADDR_TEXT_MAX];
	fputs(",\"hops\":[", to);
	for (size_t i = 0; i < chain->n_hops; i++) {
		const struct chain_group *group = chain->groups != NULL ? chain->groups[i] : NULL;
		const struct chain_hop *hops = group != NULL ? group->hops : &chain->hops[i];
		size_t n = group != NULL ? group->n_hops : 1;
		fputs(i > 0 ? ",[" : "[", to);
		for (size_t j = 0; j < n; j++) {
			fputs(j > 0 ? "," : "", to);
			json_text_put(to, chain_hop_print(&hops[j], text));
		}
		fputc(']', to);
	}
	fputc(']', to);
}

static void json_chains(const struct chain_upstream_spec *use, FILE *to)
{
	fputs(",\"chains\":[", to);
	for (size_t i = 0; use != NULL && i < use->n_members; i++) {
		const struct chain_member *m = &use->members[i];
		fputs(i > 0 ? ",{\"name\":" : "{\"name\":", to);
		json_text_put(to, m->chain->name != NULL ? m->chain->name : use->name);
		fprintf(to, ",\"weight\":%" PRIu32, m->weight > 0 ? m->weight : 1);
		json_hops(m->chain, to);
		fputc('}', to);
	}
	fputc(']', to);
}

static void json_candidates(const struct access_explain *e, FILE *to)
{
	fputs(",\"candidates\":[", to);
	for (size_t i = 0; i < e->n_candidates; i++) {
		const struct chain_candidate *c = &e->candidates[i];
		fputs(i > 0 ? ",{\"chain\":" : "{\"chain\":", to);
		json_text_put(to, c->member);
		fprintf(to, ",\"position\":%u", c->position);
		json_member("name", *c->name != '\0' ? c->name : NULL, to);
		json_member("address", *c->address != '\0' ? c->address : NULL, to);
		fprintf(to, ",\"weight\":%" PRIu32 ",\"rtt_us\":%" PRIu32 ",\"aside\":%s",
			c->weight, c->state.rtt_us, c->state.is_aside ? "true" : "false");
		json_member("last_error",
			c->state.last_error[0] != '\0' ? c->state.last_error : NULL, to);
		fprintf(to, ",\"chosen\":%s", c->is_chosen ? "true" : "false");
		json_member("why", c->why[0] != '\0' ? c->why : NULL, to);
		fputc('}', to);
	}
	fputc(']', to);
}

void access_explain_json(const struct access_explain *e, FILE *to)
{
	const struct route_rule *rule = rule_of(e);
	const struct chain_upstream_spec *use = access_explain_use(e);
	bool is_group = use != NULL && use->n_members > 1;
	json_query(e, to);
	fputs(",\"rule\":", to);
	if (rule != NULL)
		json_rule(e, rule, to);
	fputs(rule != NULL ? "}" : "null", to);
	json_member("use", use_name(use), to);
	json_skipped(e, to);
	json_member("strategy", is_group ? chain_strategy_name(use->strategy) : NULL, to);
	json_chains(use, to);
	if (e->candidates != NULL)
		json_candidates(e, to);
	fputs("}\n", to);
}
