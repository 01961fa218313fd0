#include "access/options.h"

#include <stdlib.h>

static void free_users(struct access_listener *listener)
{
	for (size_t i = 0; i < listener->n_users; i++) {
		free(listener->users[i].name);
		free(listener->users[i].hash);
	}
	free(listener->users);
}

void access_options_deinit(struct access_options *options)
{
	for (size_t i = 0; i < options->n_listen; i++) {
		free(options->listen[i].name);
		netset_deinit(&options->listen[i].from);
		free_users(&options->listen[i]);
	}
	for (size_t i = 0; i < options->n_chains; i++)
		chain_spec_free(options->chains[i]);
	free(options->listen);
	free(options->chains);
	free(options->dns_servers);
	*options = (struct access_options){ 0 };
}
