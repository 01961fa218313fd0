#include "access/caps.h"

#include <stdlib.h>

static struct keyed_caps of_sources(const struct access_caps_options *o)
{
	return (struct keyed_caps){ .per_second = o->connects_per_second_per_source,
		.rate = o->rate_per_source };
}

static struct keyed_caps of_users(const struct access_caps_options *o)
{
	return (struct keyed_caps){ .connections = o->connections_per_user,
		.rate = o->rate_per_user };
}

int access_caps_new(const struct access_caps_options *options, struct access_caps **ret)
{
	struct keyed_caps sources = of_sources(options), users = of_users(options);
	struct access_caps *caps = calloc(1, sizeof *caps);
	if (caps == NULL)
		return ERR_NOMEM;
	rate_init(&caps->connects, options->connects_per_second);
	int error = shaper_new(options->rate, &caps->shaper);
	if (error == 0)
		error = keyed_limits_new(&sources, &caps->sources);
	if (error == 0)
		error = keyed_limits_new(&users, &caps->users);
	if (error == 0)
		error = source_quota_new(ACCESS_LOOKUPS_MAX, &caps->lookups);
	if (error != 0)
		access_caps_free(caps);
	else
		*ret = caps;
	return error;
}

void access_caps_set(struct access_caps *caps, const struct access_caps_options *options)
{
	struct keyed_caps sources = of_sources(options), users = of_users(options);
	rate_set(&caps->connects, options->connects_per_second);
	if (shaper_rate(caps->shaper) != options->rate)
		shaper_set_rate(caps->shaper, options->rate);
	keyed_limits_set(caps->sources, &sources);
	keyed_limits_set(caps->users, &users);
}

void access_caps_free(struct access_caps *caps)
{
	if (caps == NULL)
		return;
	shaper_release(caps->shaper);
	keyed_limits_free(caps->sources);
	keyed_limits_free(caps->users);
	source_quota_free(caps->lookups);
	free(caps);
}
