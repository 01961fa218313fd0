#include "access/route.h"

#include "access/cidr_set.h"
#include "access/domain_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void route_rule_deinit(struct route_rule *rule)
{
	free(rule->name);
	domain_set_free(rule->domains);
	cidr_set_free(rule->cidrs);
	free(rule->ports);
	netset_deinit(&rule->from);
	free_texts(rule->users, rule->n_users);
	free_texts(rule->listeners, rule->n_listeners);
	*rule = (struct route_rule){ 0 };
}

static bool has_text(char *const *texts, size_t n, const char *text)
{
	for (size_t i = 0; text != NULL && i < n; i++) {
		if (strcmp(texts[i], text) == 0)
			return true;
	}
	return false;
}

static bool has_port(const struct route_rule *rule, uint16_t port)
{
	for (size_t i = 0; i < rule->n_ports; i++) {
		if (port >= rule->ports[i].low && port <= rule->ports[i].high)
			return true;
	}
	return false;
}

/* A source without an address is in no network; "any" has it too. */
static bool has_source(const struct netset *from, const union addr_sock *source)
{
	for (size_t i = 0; source == NULL && i < from->n_rules; i++) {
		if (from->rules[i].kind == NET_ANY)
			return true;
	}
	return source != NULL && netset_find_sock(from, source) != NULL;
}

/* A name is asked for by name alone, an address by address: no look-up can tell anybody what is
 * asked for. */
static bool has_target(const struct route_rule *rule, const struct addr *target)
{
	union addr_sock s;
	if (target->kind == ADDR_NAME)
		return rule->domains != NULL && domain_set_has(rule->domains, target->name);
	return rule->cidrs != NULL && addr_to_sock(target, &s) == 0 &&
	       cidr_set_has(rule->cidrs, &s);
}

static const char *target_words(const struct route_rule *rule)
{
	if (rule->domains != NULL && rule->cidrs != NULL)
		return "domains and cidrs";
	return rule->domains != NULL ? "domains" : "cidrs";
}

const char *route_mismatch(const struct route_rule *rule, const struct route_query *query)
{
	if (rule->protocols != 0 && (rule->protocols & query->protocol) == 0)
		return "protocols";
	if (rule->n_listeners > 0 && !has_text(rule->listeners, rule->n_listeners, query->listener))
		return "listeners";
	if (rule->n_ports > 0 && !has_port(rule, query->target->port))
		return "ports";
	if (rule->n_users > 0 && !has_text(rule->users, rule->n_users, query->user))
		return "users";
	if (rule->from.n_rules > 0 && !has_source(&rule->from, query->source))
		return "from";
	if ((rule->domains != NULL || rule->cidrs != NULL) && !has_target(rule, query->target))
		return target_words(rule);
	return NULL;
}

bool route_is_always(const struct route_rule *rule)
{
	return rule->domains == NULL && rule->cidrs == NULL && rule->n_ports == 0 &&
	       rule->from.n_rules == 0 && rule->n_users == 0 && rule->n_listeners == 0 &&
	       rule->protocols == 0;
}

const struct route_rule *route_find(
	const struct route_rule *rules, size_t n_rules, const struct route_query *query)
{
	for (size_t i = 0; i < n_rules; i++) {
		if (route_mismatch(&rules[i], query) == NULL)
			return &rules[i];
	}
	return NULL;
}

const char *route_rule_label(
	const struct route_rule *rules, const struct route_rule *rule, char to[ROUTE_LABEL_MAX])
{
	if (rule == NULL)
		return "-";
	if (rule->name != NULL)
		return rule->name;
	snprintf(to, ROUTE_LABEL_MAX, "#%zu", (size_t)(rule - rules) + 1);
	return to;
}

const char *route_protocol_name(enum route_protocol protocol)
{
	switch (protocol) {
	case ROUTE_TCP:
		return "tcp";
	case ROUTE_UDP:
		return "udp";
	case ROUTE_SOCKS:
		return "socks";
	case ROUTE_HTTP:
		return "http";
	}
	return "?";
}
