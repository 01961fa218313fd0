#include "chain/spec.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct wire_key *new_key(void)
{
	char text[WIRE_CREDENTIAL_TEXT + 1];
	struct wire_key *key = NULL;
	wire_key_generate(NULL, text);
	cr_assert_eq(wire_key_parse(bytes_of(text, WIRE_CREDENTIAL_TEXT), &key), WIRE_KEY_OK);
	return key;
}

static struct chain_spec *new_spec(size_t n_hops)
{
	static const struct chain_spec standard = CHAIN_SPEC_DEFAULT;
	struct chain_spec *spec = malloc(sizeof *spec);
	cr_assert_not_null(spec);
	*spec = standard;
	spec->hops = calloc(n_hops + 1, sizeof *spec->hops);
	spec->n_hops = n_hops;
	for (size_t i = 0; i < n_hops; i++) {
		cr_assert_eq(addr_parse_dial("hop.example:7000", &spec->hops[i].addr), ADDR_OK);
		spec->hops[i].key = new_key();
	}
	return spec;
}

static void setup(void)
{
	cr_assert_eq(seal_start(), 0);
}

TestSuite(spec, .init = setup);

Test(spec, one_to_sixteen_hops_are_a_chain)
{
	for (size_t n = 0; n <= 17; n++) {
		const char *reason = NULL;
		struct chain_spec *spec = new_spec(n);
		size_t wrong = chain_spec_check(spec, &reason);
		cr_expect_eq(wrong, n < 1 || n > 16, "%zu hops", n);
		cr_expect_eq(wrong > 0, reason != NULL);
		chain_spec_free(spec);
	}
}

Test(spec, the_first_wrong_hop_is_named)
{
	const char *reason;
	struct chain_spec *spec = new_spec(3);
	spec->hops[1].addr = (struct addr){ 0 };
	cr_expect_eq(chain_spec_check(spec, &reason), 2);
	cr_expect_str_eq(reason, "the hop has no address");
	wire_key_free(spec->hops[0].key);
	spec->hops[0].key = NULL;
	cr_expect_eq(chain_spec_check(spec, &reason), 1);
	cr_expect_str_eq(reason, "the hop has no key");
	chain_spec_free(spec);
}

Test(spec, two_hops_do_not_share_a_key)
{
	const char *reason;
	uint8_t credential[WIRE_CREDENTIAL] = { 1, [40] = 2 };
	struct chain_spec *spec = new_spec(3);
	for (size_t i = 0; i < 3; i += 2) {
		wire_key_free(spec->hops[i].key);
		cr_assert_eq(wire_key_new(credential, &spec->hops[i].key), WIRE_KEY_OK);
		credential[0]++; /* another mask key, the same user key: still the same key */
	}
	cr_expect_eq(chain_spec_check(spec, &reason), 3);
	cr_expect(strstr(reason, "every hop needs its own"), "%s", reason);
	chain_spec_free(spec);
}

/* Three positions; the second is a group of a hop and a proxy with a login. */
static struct chain_spec *new_grouped(struct wire_key *const keys[3])
{
	struct chain_spec *spec = new_spec(0);
	spec->name = strdup("office");
	spec->n_hops = 3;
	free(spec->hops);
	spec->hops = calloc(3, sizeof *spec->hops);
	spec->groups = calloc(3, sizeof(struct chain_group *));
	struct chain_group *group = calloc(1, sizeof *group);
	*group = (struct chain_group){ .strategy = CHAIN_RANDOM,
		.max_fails = 3,
		.retry_after_ms = 30000,
		.hops = calloc(2, sizeof *group->hops),
		.n_hops = 2 };
	spec->groups[1] = group;
	struct chain_hop *all[] = { &spec->hops[0], &group->hops[0], &spec->hops[2] };
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(addr_parse_dial("hop.example:7000", &all[i]->addr), ADDR_OK);
		all[i]->key = keys[i];
	}
	cr_assert_eq(addr_parse_dial("10.0.0.1:1080", &group->hops[1].addr), ADDR_OK);
	group->hops[1].step = CHAIN_STEP_SOCKS5;
	group->hops[1].user = strdup("ann");
	group->hops[1].password = strdup("secret");
	spec->hops[1] = group->hops[0];
	return spec;
}

static struct wire_key *key_of(uint8_t mask, uint8_t user)
{
	const uint8_t credential[WIRE_CREDENTIAL] = { mask, [40] = user };
	struct wire_key *key = NULL;
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static struct chain_spec *new_fixed(void)
{
	struct wire_key *const keys[] = { key_of(1, 1), key_of(1, 2), key_of(1, 3) };
	return new_grouped(keys);
}

enum change {
	UNCHANGED,
	WEIGHT_ONE, /* what 0 means */
	SAME_END,
	NAME = SAME_END,
	HOP_NAME,
	ADDRESS,
	SRV,
	USER_KEY,
	MASK_KEY,
	CIPHER,
	WEIGHT,
	POOL,
	STEP,
	USER,
	PASSWORD,
	NO_PASSWORD,
	STRATEGY,
	MAX_FAILS,
	RETRY,
	FEWER,
	NO_GROUP,
	N_HOPS,
	PAYLOAD,
	CONNECT,
	IDLE,
	WINDOW,
	DNS,
	UDP,
	TARGET,
	N_CHANGES,
};

static void replace_key(struct chain_hop *hop, struct wire_key *key)
{
	wire_key_free(hop->key);
	hop->key = key;
}

static void change_hop(struct chain_spec *spec, enum change change)
{
	struct chain_hop *first = &spec->hops[0], *proxy = &spec->groups[1]->hops[1];
	switch ((int)change) {
	case WEIGHT_ONE:
		first->weight = 1;
		break;
	case HOP_NAME:
		first->name = strdup("fra");
		break;
	case ADDRESS:
		first->addr.port = 7001;
		break;
	case SRV:
		first->is_srv = true;
		break;
	case USER_KEY:
		replace_key(first, key_of(1, 9));
		break;
	case MASK_KEY:
		replace_key(first, key_of(2, 1));
		break;
	case CIPHER:
		first->cipher = CHAIN_CIPHER_AES_256_GCM;
		break;
	case WEIGHT:
		proxy->weight = 2;
		break;
	case POOL:
		first->n_warm = 1;
		break;
	case STEP:
		proxy->step = CHAIN_STEP_HTTP;
		break;
	case USER:
		proxy->user[0] = 'b';
		break;
	case PASSWORD:
		proxy->password[5] = 'T';
		break;
	case NO_PASSWORD:
		free(proxy->password);
		proxy->password = NULL;
		break;
	default:
		break;
	}
}

static void change_chain(struct chain_spec *spec, enum change change)
{
	switch ((int)change) {
	case NAME:
		spec->name[0] = 'O';
		break;
	case STRATEGY:
		spec->groups[1]->strategy = CHAIN_FIRST;
		break;
	case MAX_FAILS:
		spec->groups[1]->max_fails = 4;
		break;
	case RETRY:
		spec->groups[1]->retry_after_ms = 1;
		break;
	case PAYLOAD:
		spec->is_header_only = true;
		break;
	case CONNECT:
		spec->connect_timeout_ms = 1;
		break;
	case IDLE:
		spec->idle_timeout_ms = 1;
		break;
	case WINDOW:
		spec->ephemeral_window_ms = 1;
		break;
	case DNS:
		spec->resolves_locally = true;
		break;
	case UDP:
		spec->udp = CHAIN_UDP_STREAM;
		break;
	case TARGET:
		spec->has_target = true;
		break;
	default:
		break;
	}
}

Test(spec, equal_is_what_decides_the_same_in_everything)
{
	for (enum change change = UNCHANGED; change < N_CHANGES; change++) {
		struct chain_spec *a = new_fixed(), *b = new_fixed();
		struct chain_group *group = b->groups[1];
		size_t n_hops = b->n_hops, n_candidates = group->n_hops;
		change_hop(b, change);
		change_chain(b, change);
		b->n_hops -= change == N_HOPS;
		group->n_hops -= change == FEWER;
		if (change == NO_GROUP)
			b->groups[1] = NULL;
		bool is_same = change < SAME_END;
		cr_expect_eq(chain_spec_is_equal(a, b), is_same, "change %d", (int)change);
		cr_expect_eq(chain_spec_is_equal(b, a), is_same, "change %d", (int)change);
		b->n_hops = n_hops;
		group->n_hops = n_candidates;
		b->groups[1] = group;
		chain_spec_free(a);
		chain_spec_free(b);
	}
}

Test(spec, a_way_is_not_its_chain)
{
	struct chain_spec *a = new_fixed();
	cr_expect(chain_spec_is_equal(a, a));
	const uint8_t choice[3] = { 0, 1, 0 };
	struct chain_spec *way = chain_spec_way(a, choice);
	cr_expect_not(chain_spec_is_equal(a, way), "a way has no groups");
	cr_expect_eq(way->hops[1].step, CHAIN_STEP_SOCKS5);
	chain_spec_free(way);
	chain_spec_free(a);
}

Test(spec, candidates_are_checked)
{
	const char *reason;
	struct chain_spec *spec = new_fixed();
	cr_expect_eq(chain_spec_check(spec, &reason), 0);
	replace_key(&spec->hops[2], key_of(7, 2));
	cr_expect_eq(chain_spec_check(spec, &reason), 3, "the key of a candidate");
	replace_key(&spec->hops[2], key_of(7, 3));
	spec->groups[1]->hops[1].addr.port = 0;
	cr_expect_eq(chain_spec_check(spec, &reason), 2);
	cr_expect_str_eq(reason, "the hop has no address");
	spec->groups[1]->hops[1].addr.port = 1080;
	spec->udp = CHAIN_UDP_DATAGRAM;
	cr_expect_eq(chain_spec_check(spec, &reason), 1);
	cr_expect_str_eq(reason, CHAIN_SPEC_NO_DATAGRAMS);
	chain_spec_free(spec);
}

Test(spec, a_chain_of_proxies_alone_is_header_only)
{
	const char *reason;
	struct chain_spec *spec = new_spec(2);
	for (size_t i = 0; i < 2; i++) {
		replace_key(&spec->hops[i], NULL);
		spec->hops[i].step = CHAIN_STEP_HTTP;
	}
	cr_expect_eq(chain_spec_check(spec, &reason), 1);
	cr_expect_str_eq(reason, CHAIN_SPEC_SEALS_NOTHING);
	spec->is_header_only = true;
	cr_expect_eq(chain_spec_check(spec, &reason), 0);
	chain_spec_free(spec);
}

Test(spec, nothing_can_be_freed)
{
	chain_spec_free(NULL);
}
