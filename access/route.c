#include "access/route.h"

#include <stdlib.h>

void route_rule_deinit(struct route_rule *rule)
{
	free(rule->name);
	free(rule->ports);
	netset_deinit(&rule->from);
	for (size_t i = 0; i < rule->n_users; i++)
		free(rule->users[i]);
	for (size_t i = 0; i < rule->n_listeners; i++)
		free(rule->listeners[i]);
	free(rule->users);
	free(rule->listeners);
	*rule = (struct route_rule){ 0 };
}

const struct route_rule *route_find(
	const struct route_rule *rules, size_t n_rules, const struct route_query *query)
{
	(void)rules;
	(void)n_rules;
	(void)query;
	return NULL;
}
