/* A hop's header against the client's side of it, without a socket: chain/open.h writes,
 * hop/header.h reads, hop/reply.h answers, chain/open.h reads. */
#include "chain/open.h"
#include "common/record.h"
#include "hop/header.h"
#include "hop/reply.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NOW_MS UINT64_C(1800000000000)

struct world {
	struct hop_options options;
	struct hop_users *users;
	struct replay *replay;
	struct hop_header_context context;
	struct chain_spec spec;
	struct wire_ephemeral *client, *exit;
	struct addr target;
};

static struct wire_key *new_key(const uint8_t mask, const uint8_t user)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key;
	memset(credential, mask, 32);
	memset(credential + 32, user, 32);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static void set_up(struct world *w, bool is_header_only)
{
	struct replay_options memory = { .path = NULL };
	*w = (struct world){ .options = HOP_OPTIONS_DEFAULT, .spec = CHAIN_SPEC_DEFAULT };
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
	w->options.users = calloc(1, sizeof *w->options.users);
	w->options.n_users = 1;
	w->options.users[0].name = strdup("me");
	w->options.users[0].keys = calloc(1, sizeof *w->options.users[0].keys);
	w->options.users[0].n_keys = 1;
	w->options.users[0].keys[0] = (struct hop_user_key){
		.key = new_key(1, 2), .not_before_ms = 0, .not_after_ms = UINT64_MAX
	};
	cr_assert_eq(hop_users_new(&w->options, &w->users), 0);
	cr_assert_eq(replay_open(&memory, NOW_MS - 60000, 1000, &w->replay), 0);
	w->context = (struct hop_header_context){ .users = w->users, .replay = w->replay };
	w->spec.hops = calloc(1, sizeof *w->spec.hops);
	w->spec.n_hops = 1;
	w->spec.hops[0].key = new_key(1, 2);
	cr_assert_eq(addr_parse_dial("192.0.2.1:7000", &w->spec.hops[0].addr), ADDR_OK);
	w->spec.is_header_only = is_header_only;
	cr_assert_eq(addr_parse_dial("example.org:443", &w->target), ADDR_OK);
	cr_assert_eq(wire_ephemeral_new(60000, &w->client), 0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->exit), 0);
}

static void tear_down(struct world *w)
{
	wire_ephemeral_free(w->client);
	wire_ephemeral_free(w->exit);
	wire_key_free(w->spec.hops[0].key);
	free(w->spec.hops);
	replay_close(w->replay);
	hop_users_free(w->users);
	wire_key_free(w->options.users[0].keys[0].key);
	free(w->options.users[0].keys);
	free(w->options.users[0].name);
	free(w->options.users);
}

static struct chain_open *ask_for(struct world *w, uint8_t cmd)
{
	struct chain_open *open;
	struct chain_open_options options = {
		.spec = &w->spec,
		.n_hops = w->spec.n_hops,
		.cmd = cmd,
		.target = &w->target,
		.ephemeral = w->spec.is_header_only && cmd == WIRE_CONNECT ? NULL : w->client,
	};
	cr_assert_eq(chain_open_new(&options, NOW_MS, 0, &open), 0);
	return open;
}

static struct chain_open *ask(struct world *w)
{
	return ask_for(w, WIRE_CONNECT);
}

/* Feeds @bytes in pieces of @piece, as the session does: never more than wanted. */
static enum hop_header_step feed(
	struct world *w, struct hop_header *h, struct bytes in, size_t piece, uint64_t wall_ms)
{
	enum hop_header_step step = HOP_HEADER_MORE;
	while (in.len > 0 && step == HOP_HEADER_MORE) {
		size_t n = piece < hop_header_wants(h) ? piece : hop_header_wants(h);
		n = n < in.len ? n : in.len;
		step = hop_header_feed(h, &w->context, bytes_of(in.ptr, n), wall_ms, 2000);
		in = bytes_of(in.ptr + n, in.len - n);
	}
	return step;
}

Test(header, a_request_is_read_in_pieces_of_any_size)
{
	for (size_t piece = 1; piece <= 130; piece++) {
		struct world w;
		struct hop_header h;
		set_up(&w, false);
		struct chain_open *open = ask(&w);
		hop_header_init(&h);
		cr_assert_eq(feed(&w, &h, chain_open_request(open), piece, NOW_MS), HOP_HEADER_OK,
			"piece %zu", piece);
		cr_expect_str_eq(h.request->to.name, "example.org");
		cr_expect_eq(h.request->to.port, 443);
		cr_expect_str_eq(h.entry->user->name, "me");
		hop_header_deinit(&h);
		chain_open_free(open);
		tear_down(&w);
	}
}

Test(header, a_long_name_comes_in_an_extension)
{
	struct world w;
	struct hop_header h;
	set_up(&w, false);
	cr_assert_eq(addr_parse_dial("a-rather-long-name.example.org:443", &w.target), ADDR_OK);
	for (size_t piece = 1; piece < 200; piece += 13) {
		struct chain_open *open = ask(&w);
		hop_header_init(&h);
		cr_assert_eq(feed(&w, &h, chain_open_request(open), piece, NOW_MS), HOP_HEADER_OK);
		cr_expect_str_eq(h.request->to.name, "a-rather-long-name.example.org");
		hop_header_deinit(&h);
		chain_open_free(open);
	}
	tear_down(&w);
}

Test(header, every_flipped_bit_is_silence)
{
	struct world w;
	set_up(&w, false);
	for (size_t bit = 0; bit < WIRE_REQUEST * 8; bit++) {
		uint8_t r[WIRE_REQUEST];
		struct hop_header h;
		struct chain_open *open = ask(&w);
		memcpy(r, chain_open_request(open).ptr, sizeof r);
		r[bit / 8] ^= (uint8_t)(1u << bit % 8);
		hop_header_init(&h);
		cr_expect_eq(feed(&w, &h, bytes_of(r, sizeof r), 128, NOW_MS), HOP_HEADER_SILENT,
			"bit %zu", bit);
		hop_header_deinit(&h);
		chain_open_free(open);
	}
	tear_down(&w);
}

Test(header, a_replay_is_silence)
{
	struct world w;
	struct hop_header h;
	set_up(&w, false);
	struct chain_open *open = ask(&w);
	hop_header_init(&h);
	cr_assert_eq(feed(&w, &h, chain_open_request(open), 128, NOW_MS), HOP_HEADER_OK);
	hop_header_deinit(&h);
	cr_assert_eq(feed(&w, &h, chain_open_request(open), 128, NOW_MS), HOP_HEADER_SILENT);
	cr_expect_eq(h.reason, HOP_REASON_REPLAYED);
	hop_header_deinit(&h);
	chain_open_free(open);
	tear_down(&w);
}

Test(header, the_clock_window_has_its_edges)
{
	static const struct {
		int64_t off_ms; /* the hop's clock against the client's */
		enum hop_header_step step;
	} rows[] = {
		{ 29000, HOP_HEADER_OK },
		{ 31000, HOP_HEADER_SILENT },
		{ -9000, HOP_HEADER_OK },
		{ -11000, HOP_HEADER_SILENT },
	};
	for (size_t i = 0; i < 4; i++) {
		struct world w;
		struct hop_header h;
		set_up(&w, false);
		struct chain_open *open = ask(&w);
		hop_header_init(&h);
		cr_expect_eq(feed(&w, &h, chain_open_request(open), 128,
				     NOW_MS + (uint64_t)rows[i].off_ms),
			rows[i].step, "off %lld", (long long)rows[i].off_ms);
		if (rows[i].step == HOP_HEADER_SILENT)
			cr_expect_eq(h.reason, HOP_REASON_CLOCK);
		hop_header_deinit(&h);
		chain_open_free(open);
		tear_down(&w);
	}
}

Test(header, a_key_outside_its_dates_is_silence)
{
	struct world w;
	struct hop_header h;
	set_up(&w, false);
	struct chain_open *open = ask(&w);
	w.options.users[0].keys[0].not_after_ms = NOW_MS - 1;
	hop_header_init(&h);
	cr_assert_eq(feed(&w, &h, chain_open_request(open), 128, NOW_MS), HOP_HEADER_SILENT);
	cr_expect_eq(h.reason, HOP_REASON_EXPIRED_KEY);
	hop_header_deinit(&h);
	w.options.users[0].keys[0].not_after_ms = NOW_MS;
	cr_expect_eq(feed(&w, &h, chain_open_request(open), 128, NOW_MS), HOP_HEADER_OK);
	hop_header_deinit(&h);
	chain_open_free(open);
	tear_down(&w);
}

/* Answers @open's request the way a session does. */
static void answer(struct world *w, const struct chain_open *open, uint8_t status,
	struct hop_reply *reply, struct wire_secrets *ret_secrets)
{
	struct hop_header h;
	uint8_t ss[32] = { 0 };
	struct wire_pair *pair = NULL;
	hop_header_init(&h);
	cr_assert_eq(feed(w, &h, chain_open_request(open), 128, NOW_MS), HOP_HEADER_OK);
	*reply = (struct hop_reply){ .response = { .status = status, .connect_us = 12300 } };
	if (h.request->flags & WIRE_FS) {
		pair = wire_pair_acquire(w->exit, 0);
		cr_assert_not_null(pair);
		cr_assert(wire_pair_agree(pair, h.request->eph, ss));
	}
	cr_assert_eq(hop_reply_seal(reply, &h, pair != NULL ? wire_pair_public(pair) : NULL,
			     NOW_MS + 7000),
		0);
	if (status == STATUS_OK && (h.request->flags & WIRE_E2E))
		hop_reply_secrets(reply, &h, ss, ret_secrets);
	wire_pair_release(pair);
	hop_header_deinit(&h);
}

static enum chain_open_step listen_to(struct chain_open *open, struct bytes in, size_t piece)
{
	enum chain_open_step step = CHAIN_OPEN_MORE;
	while (in.len > 0 && step == CHAIN_OPEN_MORE) {
		size_t n = piece < chain_open_wants(open) ? piece : chain_open_wants(open);
		n = n < in.len ? n : in.len;
		step = chain_open_feed(open, bytes_of(in.ptr, n), NOW_MS, 5);
		in = bytes_of(in.ptr + n, in.len - n);
	}
	return step;
}

Test(header, both_ends_derive_the_same_secrets)
{
	for (size_t piece = 1; piece <= 97; piece += 8) {
		struct world w;
		struct hop_reply reply;
		struct wire_secrets theirs, ours;
		uint8_t cipher;
		set_up(&w, false);
		struct chain_open *open = ask(&w);
		answer(&w, open, STATUS_OK, &reply, &theirs);
		cr_assert_eq(
			listen_to(open, bytes_of(reply.bytes, reply.len), piece), CHAIN_OPEN_DONE);
		cr_assert(chain_open_secrets(open, &cipher, &ours));
		cr_expect_eq(cipher, reply.response.cipher);
		cr_expect_arr_eq(ours.up, theirs.up, 32);
		cr_expect_arr_eq(ours.down, theirs.down, 32);
		chain_open_free(open);
		tear_down(&w);
	}
}

Test(header, header_only_has_no_secrets)
{
	struct world w;
	struct hop_reply reply;
	struct wire_secrets secrets;
	uint8_t cipher;
	set_up(&w, true);
	struct chain_open *open = ask(&w);
	answer(&w, open, STATUS_OK, &reply, &secrets);
	cr_assert_eq(listen_to(open, bytes_of(reply.bytes, reply.len), 96), CHAIN_OPEN_DONE);
	cr_expect(!chain_open_secrets(open, &cipher, &secrets));
	chain_open_free(open);
	tear_down(&w);
}

Test(header, every_flipped_bit_of_the_answer_fails_the_chain)
{
	struct world w;
	set_up(&w, false);
	for (size_t bit = 0; bit < WIRE_RESPONSE * 8; bit++) {
		struct hop_reply reply;
		struct wire_secrets secrets;
		struct chain_open *open = ask(&w);
		answer(&w, open, STATUS_OK, &reply, &secrets);
		reply.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_eq(listen_to(open, bytes_of(reply.bytes, reply.len), 96),
			CHAIN_OPEN_FAILED, "bit %zu", bit);
		cr_expect_eq(chain_open_error(open)->stage, CHAIN_ANSWER);
		chain_open_free(open);
	}
	tear_down(&w);
}

Test(header, a_status_is_told_in_words)
{
	static const struct {
		uint8_t status;
		int exit_code;
		const char *slug, *words;
	} rows[] = {
		{ STATUS_REFUSED, 8, "refused",
			"hop 1 could not reach example.org:443: refused after" },
		{ STATUS_LIMIT, 8, "limit", "hop 1 (192.0.2.1:7000): limit" },
		{ STATUS_DENIED_LOOPBACK, 8, "denied-loopback",
			"hop 1 refused example.org:443: denied-loopback" },
		{ STATUS_RESOLVE_FAIL, 8, "resolve-fail",
			"hop 1 could not reach example.org:443: resolve-fail" },
	};
	for (size_t i = 0; i < 4; i++) {
		struct world w;
		struct hop_reply reply;
		char text[512];
		set_up(&w, false);
		struct chain_open *open = ask(&w);
		answer(&w, open, rows[i].status, &reply, NULL);
		cr_assert_eq(
			listen_to(open, bytes_of(reply.bytes, reply.len), 96), CHAIN_OPEN_FAILED);
		const struct chain_error *e = chain_open_error(open);
		cr_expect_eq(e->stage, CHAIN_STATUS);
		cr_expect_eq(chain_error_exit_code(e), rows[i].exit_code);
		cr_expect_str_eq(chain_error_slug(e), rows[i].slug);
		chain_error_print(e, text, sizeof text);
		cr_expect_eq(strncmp(text, rows[i].words, strlen(rows[i].words)), 0, "%s", text);
		chain_open_free(open);
		tear_down(&w);
	}
}

Test(header, another_protocol_is_recognised_before_96_bytes)
{
	struct world w;
	char text[512];
	set_up(&w, false);
	struct chain_open *open = ask(&w);
	cr_assert_eq(
		listen_to(open, bytes_of("SSH-2.0-OpenSSH_9.2p1\r\n", 23), 96), CHAIN_OPEN_FAILED);
	cr_expect_str_eq(chain_error_slug(chain_open_error(open)), "not-a-hop");
	cr_expect(strstr(chain_error_print(chain_open_error(open), text, sizeof text),
			  "an ssh server") != NULL,
		"%s", text);
	chain_open_free(open);
	tear_down(&w);
}

Test(header, silence_is_told_in_words)
{
	struct world w;
	struct chain_error error;
	char text[512];
	set_up(&w, false);
	struct chain_open *open = ask(&w);
	chain_open_fail(open, ERR_TIMEOUT, &error);
	cr_expect_str_eq(chain_error_slug(&error), "no-answer");
	cr_expect_eq(chain_error_exit_code(&error), 7);
	chain_error_print(&error, text, sizeof text);
	cr_expect(strstr(text, "wrong key, clock more than 30 s off, or not one of ours") != NULL,
		"%s", text);
	chain_open_free(open);
	tear_down(&w);
}

Test(header, every_answer_under_trace_names_the_software_and_no_other_does)
{
	static const uint8_t statuses[] = { STATUS_OK, STATUS_REFUSED, STATUS_VERSION };
	for (int i = 0; i < 6; i++) {
		struct world w;
		struct hop_reply reply;
		struct wire_secrets secrets;
		bool is_trace = i % 2;
		set_up(&w, false);
		struct chain_open_options options = {
			.spec = &w.spec,
			.n_hops = 1,
			.cmd = WIRE_CONNECT,
			.target = &w.target,
			.is_trace = is_trace,
			.ephemeral = w.client,
		};
		struct chain_open *open;
		cr_assert_eq(chain_open_new(&options, NOW_MS, 0, &open), 0);
		answer(&w, open, statuses[i / 2], &reply, &secrets);
		bool is_named = is_trace && statuses[i / 2] != STATUS_VERSION;
		cr_expect_str_eq(
			reply.response.software, is_named ? "hopchain " HOPCHAIN_VERSION : "");
		cr_expect_eq(reply.len > WIRE_RESPONSE, is_named);
		cr_expect_eq(listen_to(open, bytes_of(reply.bytes, reply.len), 7),
			i < 2 ? CHAIN_OPEN_DONE : CHAIN_OPEN_FAILED);
		chain_open_free(open);
		tear_down(&w);
	}
}

/* Feeds one block that @request is sealed to. */
static enum hop_header_step feed_request(
	struct world *w, struct hop_header *h, const struct wire_request *request)
{
	static uint8_t n_made;
	uint8_t salt[WIRE_SALT] = { ++n_made }, r[WIRE_REQUEST_MAX];
	int n = wire_request_encode(request, WIRE_TCP, w->spec.hops[0].key, salt, r);
	cr_assert_eq(n, WIRE_REQUEST);
	hop_header_init(h);
	return feed(w, h, bytes_of(r, WIRE_REQUEST), WIRE_REQUEST, NOW_MS);
}

Test(header, the_exit_takes_datagrams_over_a_stream)
{
	struct wire_request request = {
		.cmd = WIRE_CMD_UDP,
		.flags = WIRE_EXIT | WIRE_E2E | WIRE_OFFERS,
		.time_ms = NOW_MS,
		.proto = 1,
		.atyp = WIRE_ATYP_IP4,
		.to = { .kind = ADDR_IP4, .ip = { 192, 0, 2, 1 }, .port = 53 },
	};
	struct world w;
	struct hop_header h;
	set_up(&w, false);
	cr_expect_eq(feed_request(&w, &h, &request), HOP_HEADER_OK);
	cr_expect_eq(h.request->cmd, WIRE_CMD_UDP);
	cr_expect_neq(h.cipher, RECORD_NONE);
	hop_header_deinit(&h);

	request.flags |= WIRE_OPEN_UDP;
	request.atyp = WIRE_ATYP_NONE;
	request.to = (struct addr){ .kind = ADDR_NONE };
	cr_expect_eq(feed_request(&w, &h, &request), HOP_HEADER_REFUSED);
	cr_expect_eq(h.status, STATUS_UNSUPPORTED);
	cr_expect_eq(h.detail, 2);
	hop_header_deinit(&h);

	request = (struct wire_request){
		.cmd = WIRE_CONNECT,
		.time_ms = NOW_MS,
		.proto = 2,
		.atyp = WIRE_ATYP_IP4,
		.to = { .kind = ADDR_IP4, .ip = { 192, 0, 2, 1 }, .port = 53 },
	};
	cr_expect_eq(feed_request(&w, &h, &request), HOP_HEADER_REFUSED);
	cr_expect_eq(h.status, STATUS_UNSUPPORTED);
	cr_expect_eq(h.detail, 17);
	hop_header_deinit(&h);
	tear_down(&w);
}

Test(header, a_client_asks_for_datagrams_sealed_also_where_streams_are_not)
{
	for (int is_header_only = 0; is_header_only < 2; is_header_only++) {
		struct world w;
		struct hop_reply reply;
		struct hop_header h;
		struct wire_secrets theirs, ours;
		struct chain_open *open;
		uint8_t cipher;
		set_up(&w, is_header_only);
		open = ask_for(&w, WIRE_CMD_UDP);
		answer(&w, open, STATUS_OK, &reply, &theirs);
		cr_assert_eq(
			listen_to(open, bytes_of(reply.bytes, reply.len), 96), CHAIN_OPEN_DONE);
		cr_assert(chain_open_secrets(open, &cipher, &ours));
		cr_expect_arr_eq(ours.up, theirs.up, 32);
		cr_expect_arr_eq(ours.down, theirs.down, 32);
		chain_open_free(open);

		open = ask_for(&w, WIRE_CMD_UDP);
		hop_header_init(&h);
		cr_assert_eq(feed(&w, &h, chain_open_request(open), 128, NOW_MS), HOP_HEADER_OK);
		cr_expect_eq(h.request->cmd, WIRE_CMD_UDP);
		cr_expect_eq(h.request->proto, 1);
		cr_expect_eq(h.request->flags & (WIRE_EXIT | WIRE_E2E | WIRE_FS),
			WIRE_EXIT | WIRE_E2E | WIRE_FS);
		hop_header_deinit(&h);
		chain_open_free(open);
		tear_down(&w);
	}
}

Test(header, the_last_hop_measures)
{
	struct wire_request request = {
		.cmd = WIRE_MEASURE,
		.flags = WIRE_EXIT | WIRE_TRACE,
		.time_ms = NOW_MS,
	};
	struct world w;
	struct hop_header h;
	set_up(&w, false);
	cr_expect_eq(feed_request(&w, &h, &request), HOP_HEADER_OK, "plain");
	cr_expect_eq(h.cipher, RECORD_NONE);
	hop_header_deinit(&h);
	request.flags |= WIRE_E2E | WIRE_OFFER_CHACHA20_POLY1305;
	cr_expect_eq(feed_request(&w, &h, &request), HOP_HEADER_OK, "sealed");
	cr_expect_eq(h.cipher, RECORD_CHACHA20_POLY1305);
	hop_header_deinit(&h);
	for (int is_header_only = 0; is_header_only < 2; is_header_only++) {
		w.spec.is_header_only = is_header_only;
		struct chain_open_options options = {
			.spec = &w.spec,
			.n_hops = 1,
			.cmd = WIRE_MEASURE,
			.target = &w.target,
			.ephemeral = is_header_only ? NULL : w.client,
		};
		struct chain_open *open;
		cr_assert_eq(chain_open_new(&options, NOW_MS, 0, &open), 0);
		hop_header_init(&h);
		cr_expect_eq(feed(&w, &h, chain_open_request(open), WIRE_REQUEST, NOW_MS),
			HOP_HEADER_OK);
		cr_expect_eq(h.request->cmd, WIRE_MEASURE);
		hop_header_deinit(&h);
		chain_open_free(open);
	}
	tear_down(&w);
}
