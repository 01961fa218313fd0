#include "access/domain_set.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define N_CASES   100000
#define N_LARGE   100000
#define N_LOOKUPS 200000

static int add(struct domain_set *set, const char *text)
{
	return domain_set_add(set, bytes_of(text, strlen(text)));
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

Test(domain_set, a_name_a_star_and_a_dot)
{
	static const struct {
		const char *entry, *name;
		bool is_in;
	} cases[] = {
		{ "example.org", "example.org", true },
		{ "example.org", "EXAMPLE.oRg", true },
		{ "Example.ORG.", "example.org", true },
		{ "example.org", "www.example.org", false },
		{ "example.org", "org", false },
		{ "example.org", "anexample.org", false },
		{ "*.example.org", "example.org", false },
		{ "*.example.org", "www.example.org", true },
		{ "*.example.org", "a.b.c.d.Example.org", true },
		{ "*.example.org", "anexample.org", false },
		{ ".example.org", "example.org", true },
		{ ".example.org", "www.example.org", true },
		{ ".example.org", "anexample.org", false },
		{ "*.org", "example.org", true },
		{ "localhost", "localhost", true },
		{ ".x_y.org", "_dmarc.x_y.org", true },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct domain_set *set = domain_set_new();
		cr_assert_eq(add(set, cases[i].entry), 0);
		domain_set_trim(set);
		cr_expect_eq(domain_set_has(set, cases[i].name), cases[i].is_in, "%s in %s",
			cases[i].name, cases[i].entry);
		domain_set_free(set);
	}
}

Test(domain_set, what_is_no_domain_is_not_added)
{
	static const char *const cases[] = { "", ".", "..", "*", "*.", "*.*.org", "a*.org", "a..b",
		"..org", "10.0.0.1", "a b", "a/b", "http://a.org", "*..org", "a.org..",
		"m\xc3\xbc.de", "::1" };
	char name[300] = "";
	struct domain_set *set = domain_set_new();
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_eq(add(set, cases[i]), ERR_INVAL, "%s", cases[i]);
	cr_expect_eq(domain_set_add(set, bytes_of("a\0b", 3)), ERR_INVAL);
	while (strlen(name) < 250)
		strcat(name, "abcdefghi.");
	strcpy(name + 250, "abcd");
	cr_expect_eq(add(set, name), ERR_INVAL, "254 letters");
	cr_expect_not(domain_set_has(set, name));
	name[253] = '\0';
	cr_expect_eq(add(set, name), 0, "253 letters");
	cr_expect(domain_set_has(set, name));
	cr_expect_not(domain_set_has(set, ""));
	cr_expect_eq(domain_set_count(set), 1);
	domain_set_free(set);
}

Test(domain_set, one_entry_can_mean_both)
{
	struct domain_set *set = domain_set_new();
	cr_assert(add(set, "a.b") == 0 && add(set, "*.a.b") == 0 && add(set, "A.b") == 0);
	cr_expect_eq(domain_set_count(set), 1);
	cr_expect(domain_set_has(set, "a.b") && domain_set_has(set, "x.a.b"));
	domain_set_free(set);
}

/* A name of few letters, so that sets and questions meet. */
static void make_name(char *to, unsigned max_labels)
{
	unsigned n = 1 + (unsigned)rand() % max_labels;
	*to = '\0';
	for (unsigned i = 0; i < n; i++)
		sprintf(to + strlen(to), "%s%c", i > 0 ? "." : "", "abcAB"[rand() % 5]);
}

static bool naive_has(char entries[][80], size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		const char *entry = entries[i];
		bool is_star = strncmp(entry, "*.", 2) == 0, is_dot = entry[0] == '.';
		const char *base = is_star ? entry + 2 : is_dot ? entry + 1 : entry;
		size_t len = strlen(name), base_len = strlen(base);
		if (!is_star && strcasecmp(name, base) == 0)
			return true;
		if ((is_star || is_dot) && len > base_len && name[len - base_len - 1] == '.' &&
			strcasecmp(name + len - base_len, base) == 0)
			return true;
	}
	return false;
}

Test(domain_set, agrees_with_a_list_that_is_read_from_the_front)
{
	static const char *const forms[] = { "", "*.", "." };
	char entries[40][80], name[64];
	size_t n_in = 0;
	srand(1);
	for (size_t round = 0; round < N_CASES / 100; round++) {
		struct domain_set *set = domain_set_new();
		size_t n = (size_t)rand() % 40;
		for (size_t i = 0; i < n; i++) {
			make_name(name, 4);
			snprintf(entries[i], sizeof entries[i], "%s%s", forms[rand() % 3], name);
			cr_assert_eq(add(set, entries[i]), 0);
		}
		for (size_t i = 0; i < 100; i++) {
			make_name(name, 6);
			bool is_in = naive_has(entries, n, name);
			cr_assert_eq(domain_set_has(set, name), is_in, "%s", name);
			n_in += is_in;
		}
		domain_set_free(set);
	}
	cr_assert(n_in > N_CASES / 10 && n_in < N_CASES - N_CASES / 10, "%zu", n_in);
}

Test(domain_set, a_hundred_thousand_names_are_small_and_quick)
{
	char name[64];
	size_t n_letters = 0, n_in = 0;
	struct domain_set *set = domain_set_new();
	double start = now_s();
	for (unsigned i = 0; i < N_LARGE; i++) {
		n_letters += (size_t)sprintf(name, "ads%u.tracker%u.net", i, i % 977);
		cr_assert_eq(add(set, name), 0);
	}
	double added = now_s();
	domain_set_trim(set);
	double asked = now_s();
	for (unsigned i = 0; i < N_LOOKUPS; i++) {
		sprintf(name, "a.b.ads%u.tracker%u.net", i, i % 977);
		n_in += domain_set_has(set, name);
		sprintf(name, "ads%u.tracker%u.net", i, i % 977);
		n_in += domain_set_has(set, name);
	}
	double us = (now_s() - asked) * 1e6 / (2.0 * N_LOOKUPS);
	printf("domain_set: %d names of %zu letters: %zu bytes, added in %.0f ms, %.2f us a "
	       "question\n",
		N_LARGE, n_letters, domain_set_size(set), (added - start) * 1e3, us);
	cr_expect_eq(n_in, N_LARGE);
	cr_expect_eq(domain_set_count(set), N_LARGE);
	cr_expect_lt(domain_set_size(set), n_letters + 2 * N_LARGE + 4 * 4 * N_LARGE / 3 * 2);
	cr_expect_lt(us, 50.0);
	domain_set_free(set);
}

Test(domain_set, is_full_at_its_limit)
{
	char name[32];
	struct domain_set *set = domain_set_new();
	for (unsigned i = 0; i < DOMAIN_SET_MAX; i++) {
		sprintf(name, "a%u", i);
		cr_assert_eq(add(set, name), 0);
	}
	cr_expect_eq(add(set, "one-more"), -ENOSPC);
	cr_expect_eq(add(set, ".a1"), 0, "known already");
	cr_expect(domain_set_has(set, "x.a1"));
	cr_expect_not(domain_set_has(set, "one-more"));
	domain_set_free(set);
}
