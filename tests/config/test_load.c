#include "config/read_access.h"
#include "config/read_chain.h"
#include "config/read_hop.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/hopchain-load-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	const char *path = path_of(name);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, 0600);
}

static void write_key(const char *name, const uint8_t *mask)
{
	char text[WIRE_CREDENTIAL_TEXT + 1];
	wire_key_generate(mask, text);
	write_file(name, text);
}

static void setup(void)
{
	static const uint8_t mask[32] = { 1 };
	cr_assert_eq(seal_start(), 0);
	cr_assert_not_null(mkdtemp(folder));
	write_key("a.key", mask);
	write_key("b.key", mask);
	write_key("c.key", mask);
	write_key("other1.key", NULL);
	write_key("other2.key", NULL);
}

static void teardown(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(load, .init = setup, .fini = teardown);

/* What @report says; heap. */
static char *said(struct report *report)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	report_print(report, to);
	fclose(to);
	report_free(report);
	return text;
}

static struct chain_spec *read_spec(const char *text, char **ret_said)
{
	struct report *report = report_new("chain");
	write_file("chain.json", text);
	struct chain_spec *spec = read_chain_file(path_of("chain.json"), report);
	*ret_said = said(report);
	return spec;
}

Test(load, chain_has_the_defaults)
{
	char *text;
	struct chain_spec *spec =
		read_spec("{\"hops\":[{\"addr\":\"a.example:1\",\"key_file\":\"a.key\"}]}", &text);
	cr_assert_not_null(spec, "%s", text);
	cr_expect_eq(spec->n_hops, 1);
	cr_expect_str_eq(spec->hops[0].addr.name, "a.example");
	cr_expect_not_null(spec->hops[0].key);
	cr_expect_eq(spec->connect_timeout_ms, CHAIN_CONNECT_TIMEOUT_MS);
	cr_expect_eq(spec->handshake_timeout_ms, CHAIN_HANDSHAKE_TIMEOUT_MS);
	cr_expect_eq(spec->ephemeral_window_ms, CHAIN_EPHEMERAL_WINDOW_MS);
	cr_expect_eq(spec->idle_timeout_ms, 0);
	cr_expect_not(spec->is_header_only || spec->resolves_locally || spec->has_target);
	chain_spec_free(spec);
	free(text);
}

Test(load, chain_has_every_member)
{
	char *text;
	struct chain_spec *spec = read_spec(
		"{\"$schema\":\"x\",\"$comment\":\"y\",\"version\":1,\"name\":\"office\",\"hops\":["
		"{\"name\":\"fra\",\"addr\":\"10.0.0.1:7000\",\"key_file\":\"a.key\",\"cipher\":"
		"\"aes-256-gcm\"},"
		"{\"addr\":\"[::1]:7001\",\"key_file\":\"b.key\",\"cipher\":\"chacha20-poly1305\"}]"
		","
		"\"payload\":\"header-only\",\"dns\":\"local\",\"target\":\"t.example:22\","
		"\"forward_secrecy_window\":\"5s\","
		"\"timeouts\":{\"connect\":\"1s\",\"handshake\":\"2s\",\"idle\":\"3s\"}}",
		&text);
	cr_assert_not_null(spec, "%s", text);
	cr_expect_str_eq(spec->name, "office");
	cr_expect_str_eq(spec->hops[0].name, "fra");
	cr_expect_eq(spec->hops[0].cipher, CHAIN_CIPHER_AES_256_GCM);
	cr_expect_eq(spec->hops[1].cipher, CHAIN_CIPHER_CHACHA20_POLY1305);
	cr_expect_eq(spec->hops[1].addr.kind, ADDR_IP6);
	cr_expect_eq(spec->hops[1].addr.port, 7001);
	cr_expect(spec->is_header_only && spec->resolves_locally && spec->has_target);
	cr_expect_eq(spec->target.port, 22);
	cr_expect_eq(spec->connect_timeout_ms, 1000);
	cr_expect_eq(spec->handshake_timeout_ms, 2000);
	cr_expect_eq(spec->idle_timeout_ms, 3000);
	cr_expect_eq(spec->ephemeral_window_ms, 5000);
	chain_spec_free(spec);
	free(text);
}

Test(load, twenty_errors_are_shown_and_the_others_counted)
{
	char *text, json[4096] = "{\"hops\":[{\"addr\":\"a:1\",\"key_file\":\"a.key\"}]";
	for (int i = 0; i < 25; i++)
		snprintf(json + strlen(json), sizeof json - strlen(json), ",\n\"zz%d\":1", i);
	strcat(json, "}");
	cr_expect_null(read_spec(json, &text));
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, ": error: ")) != NULL; p++)
		n++;
	cr_expect_eq(n, 20);
	cr_expect(strstr(text, "\nchain: 5 more errors\n"), "%s", text);
	cr_expect_lt(strstr(text, "/zz0:"), strstr(text, "/zz19:"), "in the order of the text");
	free(text);
}

Test(load, keys_beside_an_error_are_not_shown)
{
	char *text, key[WIRE_CREDENTIAL_TEXT + 1], json[512];
	wire_key_generate(NULL, key);
	snprintf(json, sizeof json,
		"{\"hops\":[{\"addr\":\"a:70000\",\"key\":\"%s\"},{\"addr\":\"b\",\"key\":\"%."
		"60s\"}]}",
		key, key);
	cr_expect_null(read_spec(json, &text));
	key[20] = '\0';
	cr_expect_null(strstr(text, key + 4), "%s", text);
	cr_expect(strstr(text, "56 of 88 characters"), "%s", text);
	free(text);
}

static bool read_hop_text(
	const char *json, struct hop_options *o, struct log_options *log, char **ret_said)
{
	static const struct hop_options standard = HOP_OPTIONS_DEFAULT;
	static const struct log_options standard_log = LOG_OPTIONS_DEFAULT;
	struct report *report = report_new("hop");
	*o = standard;
	*log = standard_log;
	write_file("hop.json", json);
	bool is_good = read_hop_file(path_of("hop.json"), report, o, log);
	*ret_said = said(report);
	return is_good;
}

Test(load, hop_has_every_member)
{
	struct hop_options o;
	struct log_options log;
	char *text;
	cr_assert_eq(mkdir(path_of("users"), 0700), 0);
	write_key("users/dora.key", (const uint8_t[32]){ 1 });
	write_key("users/carl.key", (const uint8_t[32]){ 1 });
	write_file("users/README", "not a key");
	bool is_good = read_hop_text(
		"{\"version\":1,\"listen\":[{\"addr\":\":7000\"},{\"addr\":\"127.0.0.1:0\","
		"\"udp\":false}],"
		"\"users_dir\":\"users\","
		"\"users\":[{\"name\":\"ann\",\"key_file\":\"a.key\",\"not_before\":\"1970-01-"
		"01T00:00:01Z\","
		"\"not_after\":\"2030-01-01T00:00:00Z\",\"targets\":{\"allow\":[\"*:443\"],"
		"\"deny\":[\"private\"]},"
		"\"limits\":{\"connections\":5,\"connects_per_second\":6,\"flows\":10}},"
		"{\"name\":\"bob\",\"keys\":[{\"key_file\":\"b.key\",\"not_after\":\"2027-01-01T00:"
		"00:00Z\"},"
		"{\"key_file\":\"other1.key\"}],\"targets\":{\"allow\":[]}}],"
		"\"targets\":{\"allow\":[\"loopback\"],\"deny\":[\"10.0.0.0/"
		"8\",\"x.example:1-2\"]},"
		"\"replay\":{\"file\":\"replay\",\"strict\":true},\"dns\":{\"servers\":[\"127.0.0."
		"1:53\",\"::1\"]},"
		"\"timeouts\":{\"header\":\"1s\",\"connect\":\"2s\",\"idle\":\"3s\",\"half_close\":"
		"\"4s\"},"
		"\"log\":{\"level\":\"debug\",\"format\":\"json\",\"connections\":false},"
		"\"limits\":{\"connections\":7,\"connections_per_source\":8,\"handshakes_per_"
		"second\":9,\"flows\":11},"
		"\"on_bad\":\"reset\",\"measure\":false,\"forward_secrecy_window\":\"0s\","
		"\"workers\":3,\"drain\":"
		"\"1m\"}",
		&o, &log, &text);
	cr_assert(is_good, "%s", text);
	cr_expect_eq(o.n_listen, 2);
	cr_expect_eq(o.listen[0].addr.kind, ADDR_NONE);
	cr_expect(o.listen[0].takes_udp && !o.listen[1].takes_udp);
	cr_expect_eq(o.n_users, 4);
	const struct hop_user *ann = NULL, *bob = NULL;
	for (size_t i = 0; i < o.n_users; i++) {
		ann = strcmp(o.users[i].name, "ann") == 0 ? &o.users[i] : ann;
		bob = strcmp(o.users[i].name, "bob") == 0 ? &o.users[i] : bob;
	}
	cr_assert(ann != NULL && bob != NULL);
	cr_expect_eq(ann->n_keys, 1);
	cr_expect_eq(ann->keys[0].not_before_ms, 1000);
	cr_expect_eq(ann->keys[0].not_after_ms, UINT64_C(1893456000000));
	cr_expect_eq(ann->max_connections, 5);
	cr_expect_eq(ann->max_connects_per_second, 6);
	cr_expect_eq(ann->max_flows, 10);
	cr_expect_eq(bob->max_flows, 0);
	cr_expect(ann->has_allow && ann->allow.n_rules == 1 && ann->deny.n_rules == 1);
	cr_expect_eq(bob->n_keys, 2);
	cr_expect_eq(bob->keys[1].not_after_ms, UINT64_MAX);
	cr_expect(bob->has_allow && bob->allow.n_rules == 0, "an empty list allows nothing");
	cr_expect_eq(o.deny.n_rules, 2);
	cr_expect_str_eq(o.replay_file, path_of("replay"));
	cr_expect(o.is_replay_strict);
	cr_expect_str_eq(o.dns_servers, "127.0.0.1:53,::1");
	cr_expect(o.header_timeout_ms == 1000 && o.dial_timeout_ms == 2000);
	cr_expect(o.relay.idle_timeout_ms == 3000 && o.relay.half_close_timeout_ms == 4000);
	cr_expect(o.max_connections == 7 && o.max_connections_per_source == 8);
	cr_expect_eq(o.max_flows, 11);
	cr_expect(o.max_handshakes_per_second == 9 && o.on_bad == HOP_BAD_RESET);
	cr_expect(o.refuses_measure);
	cr_expect(o.ephemeral_window_ms == 0 && o.n_workers == 3 && o.drain_ms == 60000);
	cr_expect(!o.logs_connections && log.level == LOG_LEVEL_DEBUG &&
		  log.format == LOG_FORMAT_JSON);
	hop_options_deinit(&o);
	free(text);
}

Test(load, a_hop_takes_two_mask_keys_and_no_third)
{
	struct hop_options o;
	struct log_options log;
	char *text;
	cr_expect_not(read_hop_text("{\"listen\":[{\"addr\":\":0\"}],\"users\":[{\"name\":\"a\","
				    "\"key_file\":\"a.key\"},"
				    "{\"name\":\"b\",\"key_file\":\"other1.key\"},{\"name\":\"c\","
				    "\"key_file\":\"c.key\"},\n"
				    "{\"name\":\"d\",\"key_file\":\"other2.key\"}]}",
		&o, &log, &text));
	cr_expect(strstr(text, "hop.json:2:24: error: /users/3/key_file: a third mask key;"), "%s",
		text);
	hop_options_deinit(&o);
	free(text);
}

Test(load, names_and_keys_of_users_differ)
{
	struct hop_options o;
	struct log_options log;
	char *text;
	cr_expect_not(read_hop_text("{\"listen\":[{\"addr\":\":0\"}],\"users\":[{\"name\":\"a\","
				    "\"key_file\":\"a.key\"},"
				    "{\"name\":\"a\",\"key_file\":\"a.key\"}]}",
		&o, &log, &text));
	cr_expect(strstr(text, "/users/1/name: there are two users \"a\""), "%s", text);
	cr_expect(strstr(text, "/users/1/key_file: same key as /users/0/key_file;"), "%s", text);
	hop_options_deinit(&o);
	free(text);
}

static bool read_access_text(
	const char *json, bool is_open, struct access_options *o, char **ret_said)
{
	static const struct access_options standard = ACCESS_OPTIONS_DEFAULT;
	struct log_options log = LOG_OPTIONS_DEFAULT;
	struct report *report = report_new("access");
	*o = standard;
	write_file("access.json", json);
	bool is_good = read_access_file(path_of("access.json"), is_open, report, o, &log);
	*ret_said = said(report);
	return is_good;
}

Test(load, access_takes_targets_and_chains_from_where_they_are)
{
	struct access_options o;
	char *text;
	write_file("chain.json", "{\"hops\":[{\"addr\":\"a:1\",\"key_file\":\"a.key\"}],\"target\":"
				 "\"10.0.0.1:22\"}");
	bool is_good = read_access_text(
		"{\"listen\":[{\"addr\":\"127.0.0.1:0\",\"chain\":\"one\"},"
		"{\"name\":\"web\",\"addr\":\":0\",\"type\":\"tcp\",\"to\":\"w.example:80\","
		"\"chain\":\"two\","
		"\"from\":[\"10.0.0.0/"
		"8\"],\"limits\":{\"connections\":1,\"connections_per_source\":2}},"
		"{\"addr\":\":53\",\"type\":\"udp\",\"to\":\"9.9.9.9:53\",\"chain\":\"two\","
		"\"limits\":{\"flows\":5}}],"
		"\"chains\":{\"one\":{\"file\":\"chain.json\"},"
		"\"two\":{\"hops\":[{\"addr\":\"b:1\",\"key_file\":\"b.key\"}],\"payload\":"
		"\"header-only\",\"udp\":\"stream\"}},"
		"\"limits\":{\"connections\":3,\"connections_per_source\":4},\"workers\":\"auto\","
		"\"drain\":\"5s\"}",
		false, &o, &text);
	cr_assert(is_good, "%s", text);
	cr_expect_eq(o.n_chains, 3, "direct is always one");
	cr_expect_eq(o.listen[0].use, o.upstreams[0]);
	cr_expect_eq(o.listen[0].to.port, 22);
	cr_expect_eq(o.listen[1].use, o.upstreams[1]);
	cr_expect_eq(o.listen[0].transports, ACCESS_TCP | ACCESS_UDP, "no type: both");
	cr_expect_eq(o.listen[1].transports, ACCESS_TCP);
	cr_expect_eq(o.listen[2].transports, ACCESS_UDP);
	cr_expect(o.listen[1].max_flows == 0 && o.listen[2].max_flows == 5);
	cr_expect(o.chains[0]->udp == CHAIN_UDP_AUTO && o.chains[1]->udp == CHAIN_UDP_STREAM);
	cr_expect_str_eq(o.listen[1].to.name, "w.example");
	cr_expect_eq(o.listen[1].from.n_rules, 1);
	cr_expect(o.listen[1].max_connections == 1 && o.listen[1].max_connections_per_source == 2);
	cr_expect(o.max_connections == 3 && o.max_connections_per_source == 4);
	cr_expect_eq(o.n_workers, read_workers_auto());
	cr_expect_eq(o.drain_ms, 5000);
	access_options_deinit(&o);
	free(text);
}

Test(load, an_open_listener_needs_to_say_so)
{
	static const char format[] =
		"{\"listen\":[{\"addr\":\":80\",\"to\":\"a:1\",\"from\":[\"%s\"]%s}],"
		"\"chains\":{\"a\":{\"hops\":[{\"addr\":\"b:1\",\"key_file\":\"a.key\"}]}}}";
	static const struct {
		const char *from, *more;
		bool is_flag, is_good;
	} rows[] = {
		{ "any", "", false, false },
		{ "*", "", false, false },
		{ "0.0.0.0/0", "", false, false },
		{ "::/0", "", false, false },
		{ "any", ",\"open\":false", false, false },
		{ "any", ",\"open\":true", false, true },
		{ "any", "", true, true },
		{ "10.0.0.0/8", "", false, true },
		{ "local", "", false, true },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct access_options o;
		char json[512], *text;
		snprintf(json, sizeof json, format, rows[i].from, rows[i].more);
		cr_expect_eq(read_access_text(json, rows[i].is_flag, &o, &text), rows[i].is_good,
			"%zu: %s", i, text);
		access_options_deinit(&o);
		free(text);
	}
}

Test(load, credentials_come_from_systemds_folder)
{
	struct hop_options o;
	struct log_options log;
	char *text;
	static const char json[] = "{\"listen\":[{\"addr\":\":0\"}],\"users\":[{\"name\":\"a\","
				   "\"key_file\":\"${CREDENTIALS_DIRECTORY}/a.key\"}]}";
	unsetenv("CREDENTIALS_DIRECTORY");
	cr_expect_not(read_hop_text(json, &o, &log, &text));
	cr_expect(strstr(text, "${CREDENTIALS_DIRECTORY} is not set"), "%s", text);
	hop_options_deinit(&o);
	free(text);
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	chmod(path_of("a.key"), 0440); /* how systemd's ACL shows */
	cr_expect(read_hop_text(json, &o, &log, &text), "%s", text);
	hop_options_deinit(&o);
	free(text);
}
