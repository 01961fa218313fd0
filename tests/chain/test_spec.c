#include "chain/spec.h"

#include <criterion/criterion.h>
#include <stdlib.h>

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

Test(spec, nothing_can_be_freed)
{
	chain_spec_free(NULL);
}
