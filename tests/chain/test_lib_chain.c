/* Chains of the library from files and from structs, keys, and the words it has. */
#include "chain/hopchain.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char not_a_key[] = "hunter2";

struct files {
	char dir[64], key1[96], key2[96], chain[96];
};

static void make_key(const char *path, const char *mask_of)
{
	char text[HOPCHAIN_KEY_TEXT], *report = (char *)(uintptr_t) "";
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(hopchain_key_generate(mask_of, text, &report), 0, "%s", report);
	cr_expect_null(report);
	cr_expect_eq(strlen(text), HOPCHAIN_KEY_TEXT - 1);
	fprintf(f, "%s\n", text);
	fclose(f);
	cr_assert_eq(chmod(path, 0600), 0);
}

static void set_up(struct files *f)
{
	snprintf(f->dir, sizeof f->dir, "/tmp/hopchain-test-XXXXXX");
	cr_assert_not_null(mkdtemp(f->dir));
	snprintf(f->key1, sizeof f->key1, "%s/1.key", f->dir);
	snprintf(f->key2, sizeof f->key2, "%s/2.key", f->dir);
	snprintf(f->chain, sizeof f->chain, "%s/chain.json", f->dir);
	make_key(f->key1, NULL);
	make_key(f->key2, NULL);
}

static void tear_down(struct files *f)
{
	unlink(f->key1);
	unlink(f->key2);
	unlink(f->chain);
	cr_expect_eq(rmdir(f->dir), 0);
}

static void write_chain(struct files *f, const char *text)
{
	FILE *to = fopen(f->chain, "w");
	cr_assert_not_null(to);
	fputs(text, to);
	fclose(to);
}

Test(lib_chain, a_file_becomes_a_chain)
{
	struct files f;
	struct hopchain_chain *chain;
	char *report = (char *)(uintptr_t) "";
	size_t first = 0, steady = 0;
	set_up(&f);
	write_chain(&f,
		"{ \"name\": \"office\", \"target\": \"Example.org.:22\", \"hops\": [\n"
		"  { \"name\": \"a\", \"addr\": \"[::1]:7000\", \"key_file\": \"1.key\" },\n"
		"  { \"addr\": \"hop2.example.net:7001\", \"key_file\": \"2.key\" } ] }\n");
	cr_assert_eq(hopchain_chain_read(f.chain, &chain, &report), 0, "%s", report);
	cr_expect_null(report);
	cr_expect_eq(hopchain_chain_n_hops(chain), 2);
	cr_expect_str_eq(hopchain_chain_name(chain), "office");
	cr_expect_not_null(strcasestr(hopchain_chain_target(chain), "example.org:22"));
	cr_expect_str_eq(hopchain_chain_hop_address(chain, 1), "[::1]:7000");
	cr_expect_str_eq(hopchain_chain_hop_address(chain, 2), "hop2.example.net:7001");
	cr_expect_str_eq(hopchain_chain_hop_name(chain, 1), "a");
	cr_expect_null(hopchain_chain_hop_name(chain, 2));
	cr_expect_null(hopchain_chain_hop_address(chain, 0), "from 1");
	cr_expect_null(hopchain_chain_hop_address(chain, 3));
	cr_expect(!hopchain_chain_is_header_only(chain));
	cr_expect_eq(hopchain_chain_mtu(chain, NULL, &first, &steady), 0);
	cr_expect(first > 500 && first < steady && steady < 1500, "%zu %zu", first, steady);
	cr_expect_eq(hopchain_chain_mtu(chain, "x", &first, &steady), HOPCHAIN_INVALID);
	hopchain_chain_free(chain);
	hopchain_chain_free(NULL);
	tear_down(&f);
}

Test(lib_chain, candidates_of_a_group_are_told)
{
	static const struct {
		size_t i, k;
		struct hopchain_candidate wanted;
	} rows[] = {
		{ 1, 1, { "p.test:3128", "proxy", "http", 1 } },
		{ 2, 1, { "a.test:7000", NULL, "hop", 3 } },
		{ 2, 2, { "srv:_hop._tcp.test", "cloud", "hop", 1 } },
	};
	struct files f;
	struct hopchain_chain *chain;
	char *report;
	set_up(&f);
	write_chain(&f,
		"{\"hops\":[{\"type\":\"http\",\"name\":\"proxy\",\"addr\":\"p.test:3128\"},"
		"{\"any\":[{\"addr\":\"a.test:7000\",\"key_file\":\"1.key\",\"weight\":3},"
		"{\"name\":\"cloud\",\"addr\":\"srv:_hop._tcp.test\",\"key_file\":\"2.key\"}],"
		"\"strategy\":\"first\"}]}");
	cr_assert_eq(hopchain_chain_read(f.chain, &chain, &report), 0, "%s", report);
	cr_expect_eq(hopchain_chain_n_hops(chain), 2);
	for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
		const struct hopchain_candidate *wanted = &rows[r].wanted,
						*c = hopchain_chain_candidate(
							chain, rows[r].i, rows[r].k);
		cr_assert_not_null(c);
		cr_expect_str_eq(c->address, wanted->address);
		cr_expect_eq(c->name == NULL, wanted->name == NULL);
		cr_expect(c->name == NULL || strcmp(c->name, wanted->name) == 0);
		cr_expect_str_eq(c->type, wanted->type);
		cr_expect_eq(c->weight, wanted->weight);
	}
	static const size_t n[] = { 0, 1, 2, 0 };
	for (size_t i = 0; i < 4; i++) {
		cr_expect_eq(hopchain_chain_n_candidates(chain, i), n[i]);
		cr_expect_null(hopchain_chain_candidate(chain, i, 0));
		cr_expect_null(hopchain_chain_candidate(chain, i, n[i] + 1));
		cr_expect(i == 2 || hopchain_chain_strategy(chain, i) == NULL);
	}
	cr_expect_str_eq(hopchain_chain_strategy(chain, 2), "first");
	cr_expect_str_eq(hopchain_chain_hop_address(chain, 2), "a.test:7000");
	size_t first, steady;
	cr_expect_eq(hopchain_chain_mtu(chain, "10.0.0.1:53", &first, &steady), 0);
	cr_expect_eq(first, 65507, "in a stream");
	hopchain_chain_free(chain);
	tear_down(&f);
}

Test(lib_chain, what_is_wrong_in_a_file_is_the_report_of_chain_check)
{
	struct files f;
	struct hopchain_chain *chain;
	char *report = NULL;
	set_up(&f);
	write_chain(&f, "{\n  \"hops\": [ { \"addr\": \"a\", \"key_file\": \"3.key\" } ]\n}\n");
	cr_assert_eq(hopchain_chain_read(f.chain, &chain, &report), HOPCHAIN_INVALID);
	cr_assert_not_null(report);
	cr_expect_not_null(strstr(report, "chain.json:2:"), "%s", report);
	cr_expect_not_null(strstr(report, "has no port"), "%s", report);
	cr_expect_not_null(strstr(report, "3.key"), "%s", report);
	cr_expect_eq(report[strlen(report) - 1], '\n');
	hopchain_text_free(report);
	cr_expect_eq(hopchain_chain_read(f.chain, &chain, NULL), HOPCHAIN_INVALID);
	cr_expect_eq(hopchain_chain_read("/nowhere/x.json", &chain, &report), HOPCHAIN_INVALID);
	cr_expect_not_null(strstr(report, "/nowhere/x.json"), "%s", report);
	hopchain_text_free(report);
	tear_down(&f);
}

static void refuse(const struct hopchain_options *options, const char *why)
{
	struct hopchain_chain *chain;
	char *report = NULL;
	cr_assert_eq(hopchain_chain_new(options, &chain, &report), HOPCHAIN_INVALID, "%s", why);
	cr_assert_not_null(report);
	cr_expect_not_null(strstr(report, why), "expected %s, got %s", why, report);
	cr_expect_eq(strncmp(report, "chain: ", 7), 0, "%s", report);
	hopchain_text_free(report);
}

Test(lib_chain, structs_are_checked_as_files_are)
{
	struct files f;
	struct hopchain_chain *chain;
	set_up(&f);
	struct hopchain_hop hops[17] = {
		{ .size = sizeof *hops, .address = "a:1", .key_file = f.key1, .name = "a" },
		{ .size = sizeof *hops, .address = "b:2", .key_file = f.key2 },
	};
	struct hopchain_options options = { .size = sizeof options, .hops = hops, .n_hops = 2 };
	cr_assert_eq(hopchain_chain_new(&options, &chain, NULL), 0);
	cr_expect_str_eq(hopchain_chain_hop_name(chain, 1), "a");
	cr_expect_str_eq(hopchain_chain_hop_address(chain, 2), "b:2");
	cr_expect_null(hopchain_chain_target(chain));
	hopchain_chain_free(chain);
	hops[1].key_file = f.key1;
	refuse(&options, "hop 2: the hop has the key of another one");
	hops[1].key_file = NULL;
	refuse(&options, "hop 2: needs either key_file or key");
	hops[1].key = not_a_key;
	refuse(&options, "hop 2: \"hunter2\" is not a key");
	hops[1].address = "b";
	refuse(&options, "hop 2: \"b\" has no port");
	hops[1].address = NULL;
	refuse(&options, "hop 2: has no address");
	options.n_hops = 0;
	refuse(&options, "0 hops; a chain has 1 to 16");
	options.n_hops = 17;
	refuse(&options, "17 hops; a chain has 1 to 16");
	options.n_hops = 1;
	options.udp = (enum hopchain_udp)7;
	refuse(&options, "udp: 7");
	options.udp = HOPCHAIN_UDP_AUTO;
	hops[0].size = 3;
	refuse(&options, "struct hopchain_hop");
	options.size = 0;
	refuse(&options, "struct hopchain_options");
	cr_assert_eq(chmod(f.key2, 0644), 0);
	hops[0] =
		(struct hopchain_hop){ .size = sizeof *hops, .address = "a:1", .key_file = f.key2 };
	options.size = sizeof options;
	refuse(&options, "mode 0644");
	tear_down(&f);
}

/* A program of a later header: its structs are longer than ours. */
Test(lib_chain, longer_structs_are_read_by_their_size)
{
	struct files f;
	struct hopchain_chain *chain;
	set_up(&f);
	struct {
		struct hopchain_hop hop;
		long more;
	} hops[2] = {
		{ { .size = sizeof hops[0], .address = "a:1", .key_file = f.key1 }, -1 },
		{ { .size = sizeof hops[0], .address = "b:2", .key_file = f.key2 }, -1 },
	};
	struct {
		struct hopchain_options options;
		long more;
	} options = { { .size = sizeof options, .hops = &hops[0].hop, .n_hops = 2 }, -1 };
	cr_assert_eq(hopchain_chain_new(&options.options, &chain, NULL), 0);
	cr_expect_str_eq(hopchain_chain_hop_address(chain, 2), "b:2");
	hopchain_chain_free(chain);
	tear_down(&f);
}

Test(lib_chain, a_further_users_key_shares_the_mask)
{
	struct files f;
	char text[HOPCHAIN_KEY_TEXT], first[HOPCHAIN_KEY_TEXT + 1], *report = NULL;
	set_up(&f);
	FILE *from = fopen(f.key1, "r");
	cr_assert_not_null(from);
	cr_assert_not_null(fgets(first, sizeof first, from));
	fclose(from);
	cr_assert_eq(hopchain_key_generate(f.key1, text, &report), 0);
	cr_expect_eq(strncmp(text, first, 4 + 42), 0, "32 bytes are 42 characters and a bit");
	cr_expect_neq(strncmp(text + 48, first + 48, 44), 0);
	write_chain(&f, "no key\n");
	cr_assert_eq(chmod(f.chain, 0600), 0);
	cr_expect_eq(hopchain_key_generate(f.chain, text, &report), HOPCHAIN_INVALID);
	cr_expect_not_null(strstr(report, "chain.json"), "%s", report);
	hopchain_text_free(report);
	cr_expect_eq(hopchain_key_generate("/nowhere/key", text, NULL), HOPCHAIN_INVALID);
	tear_down(&f);
}

Test(lib_chain, password_hashes_have_their_own_salt)
{
	char one[HOPCHAIN_PASSWORD_TEXT], two[HOPCHAIN_PASSWORD_TEXT];
	cr_assert_eq(hopchain_password_hash("secret", one), 0);
	cr_assert_eq(hopchain_password_hash("secret", two), 0);
	cr_expect_eq(strncmp(one, "$argon2id$", 10), 0, "%s", one);
	cr_expect_str_neq(one, two);
	cr_expect_lt(strlen(one), sizeof one);
}

Test(lib_chain, words)
{
	cr_expect_str_eq(hopchain_version(), HOPCHAIN_VERSION);
	cr_expect_str_eq(hopchain_strerror(-ECONNREFUSED), "connection refused");
	cr_expect_str_neq(hopchain_strerror(HOPCHAIN_INVALID), hopchain_strerror(-1000000));
	cr_expect_gt(hopchain_n_statuses(), 20);
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *s = hopchain_status_at(i);
		cr_expect_eq(hopchain_status_find(s->slug), s);
	}
	cr_expect_null(hopchain_status_find("nothing"));
	hopchain_text_free(NULL);
}
