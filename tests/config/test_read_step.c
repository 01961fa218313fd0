/* What a chain file can say of its steps: hops, other people's proxies, several to choose from. */
#include "chain/select.h"
#include "config/read_chain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/hopchain-step-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const void *data, size_t len, mode_t mode)
{
	FILE *file = fopen(path_of(name), "w");
	cr_assert_not_null(file);
	fwrite(data, 1, len, file);
	fclose(file);
	chmod(path_of(name), mode);
}

static void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text), 0600);
}

static void setup(void)
{
	static const char *const keys[] = { "a.key", "b.key", "c.key" };
	char text[WIRE_CREDENTIAL_TEXT + 1];
	cr_assert_eq(seal_start(), 0);
	cr_assert_not_null(mkdtemp(folder));
	for (size_t i = 0; i < 3; i++) {
		wire_key_generate(NULL, text);
		write_text(keys[i], text);
	}
	write_text("password", "s3cret words\r\n");
}

static void teardown(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(step, .init = setup, .fini = teardown);

/* A chain of @hops and further members. @ret_said is heap. */
static struct chain_spec *read_spec(const char *hops, const char *more, char **ret_said)
{
	static char text[40000];
	size_t size = 0;
	struct report *report = report_new("chain");
	snprintf(text, sizeof text, "{\"hops\":[%s]%s}", hops, more);
	write_text("chain.json", text);
	struct chain_spec *spec = read_chain_file(path_of("chain.json"), report);
	FILE *to = open_memstream(ret_said, &size);
	report_print(report, to);
	fclose(to);
	report_free(report);
	return spec;
}

static struct chain_spec *read_good(const char *hops, const char *more)
{
	char *said, *reason;
	struct chain_spec *spec = read_spec(hops, more, &said);
	cr_assert_not_null(spec, "%s", said);
	cr_assert_eq(chain_spec_check(spec, (const char **)&reason), 0);
	free(said);
	return spec;
}

#define HOP_A "{\"addr\":\"a.test:7000\",\"key_file\":\"a.key\"}"
#define HOP_B "{\"addr\":\"b.test:7000\",\"key_file\":\"b.key\"}"
#define PROXY "{\"type\":\"socks5\",\"addr\":\"p.test:1080\"}"

Test(step, a_hop_has_weight_and_pool)
{
	struct chain_spec *spec = read_good("{\"addr\":\"a.test:7000\",\"key_file\":\"a.key\","
					    "\"weight\":1000,\"pool\":64}",
		"");
	cr_expect_eq(spec->hops[0].weight, 1000);
	cr_expect_eq(spec->hops[0].n_warm, 64);
	cr_expect_eq(spec->hops[0].step, CHAIN_STEP_HOP);
	cr_expect_null(spec->groups);
	chain_spec_free(spec);
}

Test(step, srv_records_stand_for_a_hop_anywhere)
{
	char text[ADDR_TEXT_MAX];
	struct chain_spec *spec = read_good(
		HOP_A ",{\"addr\":\"srv:_hop._tcp.example.net.\",\"key_file\":\"b.key\"}", "");
	cr_expect_not(spec->hops[0].is_srv);
	cr_expect(spec->hops[1].is_srv);
	cr_expect_str_eq(spec->hops[1].addr.name, "_hop._tcp.example.net");
	cr_expect_eq(spec->hops[1].addr.port, 0);
	cr_expect_str_eq(chain_hop_print(&spec->hops[1], text), "srv:_hop._tcp.example.net");
	cr_expect_str_eq(chain_hop_print(&spec->hops[0], text), "a.test:7000");
	chain_spec_free(spec);
}

Test(step, a_proxy_has_a_login)
{
	struct chain_spec *spec =
		read_good("{\"type\":\"http\",\"name\":\"p\",\"addr\":\"p.test:3128\",\"user\":"
			  "\"ann\",\"password_file\":\"password\",\"weight\":2}," HOP_A "," PROXY,
			"");
	cr_assert_eq(spec->n_hops, 3);
	cr_expect_eq(spec->hops[0].step, CHAIN_STEP_HTTP);
	cr_expect_str_eq(spec->hops[0].user, "ann");
	cr_expect_str_eq(spec->hops[0].password, "s3cret words");
	cr_expect_eq(spec->hops[0].weight, 2);
	cr_expect_null(spec->hops[0].key);
	cr_expect_eq(spec->hops[2].step, CHAIN_STEP_SOCKS5);
	cr_expect_null(spec->hops[2].user);
	cr_expect(chain_spec_has_foreign(spec) && chain_spec_can_seal(spec));
	chain_spec_free(spec);
}

Test(step, a_group_has_defaults_and_members)
{
	struct chain_spec *spec = read_good("{\"any\":[" HOP_A "]},{\"any\":[" HOP_B "," PROXY
					    "],\"strategy\":\"hash-source\",\"max_fails\":5,"
					    "\"retry_after\":\"2s\"}",
		"");
	cr_assert_eq(spec->n_hops, 2);
	cr_assert(chain_spec_has_groups(spec));
	cr_expect_eq(spec->groups[0]->strategy, CHAIN_LOWEST_RTT);
	cr_expect_eq(spec->groups[0]->max_fails, CHAIN_MAX_FAILS);
	cr_expect_eq(spec->groups[0]->retry_after_ms, CHAIN_RETRY_AFTER_MS);
	cr_expect_eq(spec->groups[0]->n_hops, 1);
	cr_expect_eq(spec->groups[1]->strategy, CHAIN_HASH_SOURCE);
	cr_expect_eq(spec->groups[1]->max_fails, 5);
	cr_expect_eq(spec->groups[1]->retry_after_ms, 2000);
	cr_expect_eq(spec->groups[1]->n_hops, 2);
	cr_expect_eq(spec->hops[1].key, spec->groups[1]->hops[0].key, "the first candidate");
	chain_spec_free(spec);
}

Test(step, strategies_have_their_words)
{
	static const char *const words[] = { "first", "round-robin", "random", "lowest-rtt",
		"hash-source", "hash-target" };
	for (size_t i = 0; i < 6; i++) {
		char hops[200];
		snprintf(hops, sizeof hops, "{\"any\":[" HOP_A "],\"strategy\":\"%s\"}", words[i]);
		struct chain_spec *spec = read_good(hops, "");
		cr_expect_eq(spec->groups[0]->strategy, i);
		cr_expect_str_eq(chain_strategy_name(spec->groups[0]->strategy), words[i]);
		chain_spec_free(spec);
	}
}

Test(step, nothing_sealed_must_be_said)
{
	static const char *const good[] = { HOP_A "," PROXY, PROXY "," HOP_A,
		"{\"any\":[" PROXY "," HOP_A "]}," HOP_B };
	for (size_t i = 0; i < 3; i++)
		chain_spec_free(read_good(good[i], ""));
	chain_spec_free(read_good(PROXY, ",\"payload\":\"header-only\""));
}

Test(step, what_is_wrong_is_said)
{
	static const struct {
		const char *hops, *more, *says;
	} rows[] = {
		{ PROXY, "",
			"/hops: no step has a key: nothing can be sealed, which \"payload\": "
			"\"header-only\" must say" },
		{ "{\"any\":[" HOP_A "," PROXY "]}", "", "/hops: no step has a key" },
		{ HOP_A "," PROXY, ",\"udp\":\"datagram\"",
			"/udp: other people's proxies carry no datagrams; \"udp\" can be \"auto\" "
			"or \"stream\"" },
		{ "{\"any\":[]}", "", "/hops/0/any: 0 candidates; a group has 1 to 64" },
		{ "{\"any\":[{\"any\":[" HOP_A "]}]}", "",
			"/hops/0/any/0: a group inside of a group; expected a hop or a proxy" },
		{ "{\"any\":{}}", "", "/hops/0/any: expected an array of hops, found" },
		{ "{\"any\":[" HOP_A "],\"stratgy\":\"first\"}", "",
			"unknown member \"stratgy\"; did you mean \"strategy\"?" },
		{ "{\"any\":[" HOP_A "],\"strategy\":\"lowest-rt\"}", "",
			"did you mean \"lowest-rtt\"?" },
		{ "{\"any\":[" HOP_A "],\"max_fails\":0}", "", "0 is out of range (1 to 1000)" },
		{ "{\"any\":[" HOP_A "],\"retry_after\":\"0s\"}", "", "cannot be 0" },
		{ "{\"strategy\":\"first\"}", "", "missing \"any\"" },
		{ "{\"any\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
		  "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"any\":[" HOP_A
		  "]}," HOP_A,
			"", "duplicate member \"any\"" },
		{ "{\"any\":[" HOP_A "," HOP_A "]}", "",
			"/hops/0/any/1/key_file: same key as /hops/0/any/0;" },
		{ "{\"any\":[" HOP_A "," HOP_B "]}," HOP_B, "",
			"/hops/1/key_file: same key as /hops/0/any/1;" },
		{ "{\"addr\":\"a:1\",\"key_file\":\"a.key\",\"weight\":0}", "",
			"0 is out of range (1 to 1000)" },
		{ "{\"addr\":\"a:1\",\"key_file\":\"a.key\",\"pool\":65}", "",
			"65 is out of range (0 to 64)" },
		{ "{\"addr\":\"srv:example.net\",\"key_file\":\"a.key\"}", "",
			"\"srv:example.net\" names no SRV records; expected something like "
			"\"srv:_hop._tcp.example.net\", without a port" },
		{ "{\"addr\":\"srv:_hop._tcp.a:7000\",\"key_file\":\"a.key\"}", "",
			"without a port" },
		{ "{\"addr\":\"srv:\",\"key_file\":\"a.key\"}", "", "names no SRV records" },
		{ "{\"type\":\"socks5\",\"addr\":\"srv:_socks._tcp.a\"}", "",
			"only the address of a hop can be that of SRV records" },
		{ "{\"type\":\"socks4\",\"addr\":\"a:1\"}", "",
			"expected \"socks5\" or \"http\", found \"socks4\"; did you mean "
			"\"socks5\"?" },
		{ "{\"user\":\"a\",\"password_file\":\"password\",\"addr\":\"a:1\"}", "",
			"missing \"type\"" },
		{ "{\"type\":\"http\",\"addr\":\"a:1\",\"user\":\"a\"}", "",
			"/hops/0/user: \"user\" needs \"password_file\"" },
		{ "{\"type\":\"http\",\"addr\":\"a:1\",\"password_file\":\"password\"}", "",
			"\"password_file\" needs \"user\"" },
		{ "{\"type\":\"http\",\"addr\":\"a:1\",\"user\":\"a:b\",\"password_file\":"
		  "\"password\"}",
			"", "/hops/0/user: a colon in a name" },
		{ "{\"type\":\"socks5\",\"addr\":\"a:1\",\"user\":\"\",\"password_file\":"
		  "\"password\"}",
			"", "a name of 0 bytes; expected 1 to 255" },
		{ "{\"type\":\"socks5\",\"addr\":\"a:1\",\"key_file\":\"a.key\"}", "",
			"unknown member \"type\"" },
		{ "{\"type\":\"socks5\",\"addr\":\"a:1\",\"pool\":1}", "",
			"unknown member \"pool\"" },
		{ "{\"reverse\":\"nas\",\"key_file\":\"a.key\"}", "",
			"unknown member \"reverse\"" },
		{ "7", "", "/hops/0: expected" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *said;
		struct chain_spec *spec = read_spec(rows[i].hops, rows[i].more, &said);
		cr_expect_null(spec, "%s", rows[i].hops);
		cr_expect_not_null(strstr(said, rows[i].says), "%s: %s", rows[i].hops, said);
		chain_spec_free(spec);
		free(said);
	}
}

Test(step, a_password_file_is_one_private_line)
{
	static char long_one[CHAIN_LOGIN_MAX + 2];
	memset(long_one, 'w', sizeof long_one);
	const struct {
		const char *data;
		size_t len;
		mode_t mode;
		const char *says; /* NULL: it is good */
	} rows[] = {
		{ "word", 4, 0600, NULL },
		{ "word\n", 5, 0400, NULL },
		{ " word \n", 7, 0600, NULL },
		{ long_one, CHAIN_LOGIN_MAX, 0600, NULL },
		{ long_one, CHAIN_LOGIN_MAX + 1, 0600, "has more than 255 bytes" },
		{ "", 0, 0600, "is empty" },
		{ "\n", 1, 0600, "is empty" },
		{ "word\nmore\n", 10, 0600, "has more than one line" },
		{ "wo\0rd", 5, 0600, "has a zero byte" },
		{ "word", 4, 0644, "mode 0644 lets others read this secret; run: chmod 600" },
		{ "word", 4, 0640, "mode 0640 lets others read this secret" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *said;
		write_file("tried", rows[i].data, rows[i].len, rows[i].mode);
		struct chain_spec *spec =
			read_spec("{\"type\":\"socks5\",\"addr\":\"p:1\",\"user\":\"u\","
				  "\"password_file\":\"tried\"}," HOP_A,
				"", &said);
		cr_expect_eq(spec != NULL, rows[i].says == NULL, "%zu: %s", i, said);
		if (rows[i].says != NULL) {
			cr_expect_not_null(strstr(said, rows[i].says), "%zu: %s", i, said);
			cr_expect_not_null(strstr(said, "/tried"), "%zu: %s", i, said);
			cr_expect_null(strstr(said, "word\\n"), "%zu: %s", i, said);
			cr_expect_null(strstr(said, "www"), "%zu: %s", i, said);
		}
		chain_spec_free(spec);
		free(said);
		unlink(path_of("tried"));
	}
}

Test(step, sixty_four_candidates_and_no_more)
{
	for (size_t n = 64; n <= 65; n++) {
		static char hops[40000];
		char *said;
		strcpy(hops, "{\"any\":[" PROXY);
		for (size_t i = 1; i < n; i++)
			strcat(hops, "," PROXY);
		strcat(hops, "]}," HOP_A);
		struct chain_spec *spec = read_spec(hops, "", &said);
		cr_expect_eq(spec != NULL, n == 64, "%s", said);
		chain_spec_free(spec);
		free(said);
	}
}
