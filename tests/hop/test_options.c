#include "hop/options.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void setup(void)
{
	cr_assert_eq(seal_start(), 0);
}

TestSuite(options, .init = setup);

/* A key whose halves are filled with @mask and @user. */
static struct wire_key *new_key(uint8_t mask, uint8_t user)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key = NULL;
	memset(credential, mask, 32);
	memset(credential + 32, user, 32);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static void add_user(
	struct hop_options *o, const char *name, struct wire_key *first, struct wire_key *second)
{
	o->users = realloc(o->users, (o->n_users + 1) * sizeof *o->users);
	struct hop_user *user = &o->users[o->n_users++];
	*user = (struct hop_user){ .name = strdup(name) };
	user->keys = calloc(2, sizeof *user->keys);
	user->keys[user->n_keys++].key = first;
	if (second != NULL)
		user->keys[user->n_keys++].key = second;
}

static struct hop_options new_options(void)
{
	struct hop_options o = HOP_OPTIONS_DEFAULT;
	o.listen = calloc(1, sizeof *o.listen);
	o.n_listen = 1;
	return o;
}

Test(options, users_with_own_keys_and_two_mask_keys_are_good)
{
	char text[200];
	struct hop_options o = new_options();
	add_user(&o, "ann", new_key(1, 10), new_key(2, 11));
	add_user(&o, "bob", new_key(2, 12), new_key(1, 13));
	cr_expect_null(hop_options_check(&o, text, sizeof text));
	hop_options_deinit(&o);
}

Test(options, a_hop_needs_listeners_and_users)
{
	char text[200];
	struct hop_options o = HOP_OPTIONS_DEFAULT;
	cr_expect_str_eq(hop_options_check(&o, text, sizeof text), "no address to listen on");
	o = new_options();
	cr_expect_str_eq(
		hop_options_check(&o, text, sizeof text), "no users: nobody could connect");
	hop_options_deinit(&o);
}

Test(options, equal_user_keys_are_refused)
{
	char text[200];
	struct hop_options o = new_options();
	add_user(&o, "ann", new_key(1, 10), NULL);
	add_user(&o, "bob", new_key(1, 11), new_key(2, 10));
	cr_expect_str_eq(hop_options_check(&o, text, sizeof text),
		"user bob has the key of user ann; every user needs its own");
	hop_options_deinit(&o);
}

Test(options, a_third_mask_key_is_refused)
{
	char text[200];
	struct hop_options o = new_options();
	add_user(&o, "ann", new_key(1, 10), new_key(2, 11));
	add_user(&o, "bob", new_key(1, 12), NULL);
	add_user(&o, "carl", new_key(3, 13), NULL);
	cr_expect_str_eq(hop_options_check(&o, text, sizeof text),
		"user carl has a third mask key; users of one hop share one, two while it is "
		"changed: "
		"chain keygen --mask-of FILE");
	hop_options_deinit(&o);
}

Test(options, deinit_can_be_repeated)
{
	struct hop_options o = new_options();
	add_user(&o, "ann", new_key(1, 10), NULL);
	cr_assert_eq(netset_add(&o.allow, "loopback"), 0);
	hop_options_deinit(&o);
	hop_options_deinit(&o);
}
