#include "hop/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MASKS_MAX 2 /* docs/protocol.md 2.1 */

static void user_deinit(struct hop_user *user)
{
	for (size_t i = 0; i < user->n_keys; i++)
		wire_key_free(user->keys[i].key);
	free(user->keys);
	free(user->name);
	netset_deinit(&user->allow);
	netset_deinit(&user->deny);
}

void hop_options_deinit(struct hop_options *options)
{
	control_options_deinit(&options->control);
	for (size_t i = 0; i < options->n_users; i++)
		user_deinit(&options->users[i]);
	free(options->users);
	for (size_t i = 0; i < options->n_listen; i++)
		netset_deinit(&options->listen[i].proxies);
	free(options->listen);
	free(options->replay_file);
	free(options->dns_servers);
	netset_deinit(&options->allow);
	netset_deinit(&options->deny);
	*options = (struct hop_options){ 0 };
}

/* The key before (@i_user, @i_key) that has the same id, or NULL. */
static const struct hop_user *find_same(
	const struct hop_options *options, size_t i_user, size_t i_key)
{
	const struct wire_key *key = options->users[i_user].keys[i_key].key;
	for (size_t u = 0; u <= i_user; u++) {
		const struct hop_user *user = &options->users[u];
		size_t n = u == i_user ? i_key : user->n_keys;
		for (size_t k = 0; k < n; k++) {
			if (memcmp(user->keys[k].key->kid, key->kid, WIRE_KID) == 0)
				return user;
		}
	}
	return NULL;
}

struct masks {
	const struct wire_mask *known[MASKS_MAX];
	size_t n;
};

/* Return: false if @mask is one too many. */
static bool add_mask(struct masks *masks, const struct wire_mask *mask)
{
	for (size_t i = 0; i < masks->n; i++) {
		if (memcmp(masks->known[i]->id, mask->id, sizeof mask->id) == 0)
			return true;
	}
	if (masks->n == MASKS_MAX)
		return false;
	masks->known[masks->n++] = mask;
	return true;
}

__attribute__((format(printf, 3, 4))) static const char *explain(
	char *text, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
	return text;
}

static const char *check_user(
	const struct hop_options *options, size_t i, struct masks *masks, char *text, size_t size)
{
	const struct hop_user *user = &options->users[i];
	if (user->n_keys == 0)
		return explain(text, size, "user %s has no key", user->name);
	for (size_t k = 0; k < user->n_keys; k++) {
		const struct hop_user *same = find_same(options, i, k);
		if (same != NULL)
			return explain(text, size,
				"user %s has the key of user %s; every user needs its own",
				user->name, same->name);
		if (!add_mask(masks, user->keys[k].key->mask))
			return explain(text, size,
				"user %s has a third mask key; users of one hop share one, two "
				"while "
				"it is changed: chain keygen --mask-of FILE",
				user->name);
	}
	return NULL;
}

const char *hop_options_check(const struct hop_options *options, char *text, size_t size)
{
	struct masks masks = { .n = 0 };
	if (options->n_listen == 0)
		return "no address to listen on";
	if (options->n_users == 0)
		return "no users: nobody could connect";
	for (size_t i = 0; i < options->n_users; i++) {
		const char *wrong = check_user(options, i, &masks, text, size);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

static bool is_text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

void hop_options_keep(
	const struct hop_options *old, struct hop_options *new, struct reload_report *report)
{
	const struct {
		bool is_same;
		const char *name;
	} kept[] = {
		{ new->n_workers == old->n_workers, "workers" },
		{ new->drain_ms == old->drain_ms, "drain" },
		{ is_text_equal(new->dns_servers, old->dns_servers), "dns" },
		{ is_text_equal(new->replay_file, old->replay_file) &&
				new->replay_quota == old->replay_quota &&new->is_replay_strict ==
					old->is_replay_strict,
			"replay" },
		{ new->ephemeral_window_ms == old->ephemeral_window_ms, "forward_secrecy_window" },
		{ new->max_flows == old->max_flows, "limits.flows" },
		{ is_text_equal(new->control.path, old->control.path), "admin" },
	};
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		if (!kept[i].is_same)
			reload_report_warn(
				report, "\"%s\" takes effect after a restart", kept[i].name);
	}
	new->n_workers = old->n_workers;
	new->drain_ms = old->drain_ms;
	new->passed = old->passed;
}
