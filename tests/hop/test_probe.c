/* Probes of a chain of real hops, all on one loop. */
#include "chain/probe.h"
#include "tests/common/name_server.h"
#include "tests/support/failing.h"
#include "tests/support/hops.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 5000

struct heard {
	bool is_done, has_error;
	struct chain_error error;
	struct chain_answers answers;
	uint64_t total_us;
};

static void on_done(const struct chain_error *error, const struct chain_answers *answers,
	uint64_t total_us, void *owner)
{
	struct heard *h = owner;
	cr_assert(!h->is_done, "once");
	h->is_done = true;
	h->has_error = error != NULL;
	if (error != NULL)
		h->error = *error;
	h->answers = *answers;
	h->total_us = total_us;
}

static void run(struct hops *hops, const struct chain_probe_options *options, struct heard *h)
{
	struct chain_probe *probe;
	*h = (struct heard){ .is_done = false };
	cr_assert_eq(chain_probe_start(hops->client, hops->io, options, on_done, h, &probe), 0);
	cr_assert(!h->is_done, "not from inside");
	cr_assert(loop_run_until(hops->loop, &h->is_done, WAIT_MS));
}

static void probe(struct hops *hops, size_t n_hops, bool is_udp, struct heard *h)
{
	struct chain_probe_options options = { .n_hops = n_hops, .is_udp = is_udp };
	run(hops, &options, h);
}

static void probe_within(
	struct hops *hops, size_t n_hops, bool is_udp, uint32_t timeout_ms, struct heard *h)
{
	struct chain_probe_options options = {
		.n_hops = n_hops, .is_udp = is_udp, .timeout_ms = timeout_ms
	};
	run(hops, &options, h);
}

static uint16_t port_of(const struct hops *hops, size_t i)
{
	return hops->spec_hops[i - 1].addr.port;
}

static void check_answers(const struct hops *hops, const struct heard *h, size_t n, bool is_udp)
{
	const struct chain_answers *a = &h->answers;
	cr_assert(!h->has_error, "n=%zu udp=%d stage=%d hop=%d", n, is_udp, h->error.stage,
		h->error.hop);
	cr_assert_eq(a->n_answers, n);
	cr_expect(a->has_address);
	cr_expect_eq(addr_sock_port(&a->address), port_of(hops, 1));
	cr_expect_eq(a->tries, 1);
	cr_expect_eq(h->total_us, a->hops[n - 1].at_us);
	cr_expect(a->written_us > 0 && a->written_us >= a->connect_us);
	cr_expect_gt(h->total_us, 0);
	for (size_t i = 0; i < n; i++) {
		const struct chain_answer *hop = &a->hops[i];
		cr_expect_eq(hop->status, STATUS_OK);
		cr_expect_geq(hop->at_us, a->written_us);
		cr_expect(i == 0 || hop->at_us >= a->hops[i - 1].at_us);
		cr_expect_eq(strncmp(hop->software, "hopchain ", 9), 0, "\"%s\"", hop->software);
		cr_expect_eq(hop->has_address, i + 1 < n, "an echo dials nothing");
		if (i + 1 < n)
			cr_expect_eq(addr_sock_port(&hop->address), port_of(hops, i + 2));
		cr_expect_eq(hop->has_clock, !is_udp || i + 1 == n);
		if (hop->has_clock)
			cr_expect(hop->clock_offset_ms >= -50 && hop->clock_offset_ms <= 50,
				"%lld ms", (long long)hop->clock_offset_ms);
	}
}

Test(probe, each_prefix_answers_over_tcp_and_udp, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	hops_open(&hops, 3);
	for (size_t n = 1; n <= 3; n++) {
		probe(&hops, n, false, &heard);
		check_answers(&hops, &heard, n, false);
		cr_expect_gt(heard.answers.connect_us, 0);
		probe(&hops, n, true, &heard);
		check_answers(&hops, &heard, n, true);
	}
	cr_expect_eq(hops.hop[2].n_accepted, 1, "hop 3 is in one prefix only");
	hops_close(&hops);
}

/* All S together are too long for one datagram: those of the first hops come ahead. */
Test(probe, a_long_chain_answers_in_parts, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	hops_open(&hops, HOPS_MAX);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		probe(&hops, HOPS_MAX, is_udp, &heard);
		check_answers(&hops, &heard, HOPS_MAX, is_udp);
	}
	hops_close(&hops);
}

static void on_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	(void)peer;
	(void)owner;
	stream_drop(s);
}

Test(probe, the_target_is_reached_over_tcp_and_udp, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	struct listener *listener;
	struct addr target;
	hops_open(&hops, 2);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &target), ADDR_OK);
	cr_assert_eq(listener_open(hops.loop, &target, false, on_accept, NULL, &listener), 0);
	target.port = listener_port(listener);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		struct chain_probe_options options = { .target = &target, .is_udp = is_udp };
		run(&hops, &options, &heard);
		cr_assert(!heard.has_error, "%d", is_udp);
		cr_expect_eq(heard.answers.n_answers, 2);
		const struct chain_answer *exit = &heard.answers.hops[1];
		cr_expect(exit->has_address);
		cr_expect_eq(addr_sock_port(&exit->address), target.port);
		cr_expect_gt(exit->cipher, 0);
		cr_expect_eq(exit->has_clock, !is_udp);
	}
	listener_close(listener);
	hops_close(&hops);
}

Test(probe, what_cannot_be_asked_is_an_error_at_once)
{
	struct hops hops;
	struct chain_probe *probe;
	hops_open(&hops, 2);
	struct chain_probe_options no_target = { .n_hops = 0 }, too_far = { .n_hops = 3 },
				   no_io = { .n_hops = 1, .is_udp = true };
	cr_expect_eq(chain_probe_start(hops.client, hops.io, &no_target, on_done, NULL, &probe),
		ERR_INVAL);
	cr_expect_eq(chain_probe_start(hops.client, hops.io, &too_far, on_done, NULL, &probe),
		ERR_INVAL);
	cr_expect_eq(
		chain_probe_start(hops.client, NULL, &no_io, on_done, NULL, &probe), ERR_INVAL);
	hops_close(&hops);
}

Test(probe, a_dead_middle_hop_is_named, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	hops_open(&hops, 3);
	hops_stop(&hops, 2);
	probe(&hops, 1, false, &heard);
	check_answers(&hops, &heard, 1, false);
	for (size_t n = 2; n <= 3; n++) {
		probe(&hops, n, false, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_STATUS);
		cr_expect_eq(heard.error.status, STATUS_REFUSED);
		cr_expect_eq(heard.error.hop, 1);
		cr_expect_eq(heard.error.n_hops, 3);
		cr_expect_eq(chain_error_exit_code(&heard.error), 6);
		cr_expect_eq(heard.answers.n_answers, 1, "its refusal is an answer");
		cr_expect_eq(heard.answers.hops[0].status, STATUS_REFUSED);
		/* Hop 1 opened a socket and answers for itself when hop 2's host refuses. */
		probe_within(&hops, n, true, 300, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_ANSWER);
		cr_expect_eq(heard.error.code, ERR_TIMEOUT);
		cr_expect_eq(heard.error.hop, 2, "%d", heard.error.hop);
		cr_expect_geq(heard.total_us, 290000);
		probe_within(&hops, n, true, 4500, &heard);
		cr_expect_eq(heard.error.hop, 2);
		cr_expect(heard.total_us >= 990000 && heard.total_us < 2000000, "soon");
	}
	hops_close(&hops);
}

Test(probe, a_first_hop_that_is_not_there_is_named_at_once, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	hops_open(&hops, 2);
	hops_stop(&hops, 1);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		probe(&hops, 2, is_udp, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_DIAL, "%d", is_udp);
		cr_expect_eq(heard.error.code, -ECONNREFUSED);
		cr_expect_eq(heard.error.hop, 1);
		cr_expect_eq(heard.error.n_hops, 2);
		cr_expect_eq(chain_error_exit_code(&heard.error), 5);
		cr_expect_lt(heard.total_us, 1000000);
		cr_expect(heard.answers.has_address);
	}
	hops_close(&hops);
}

Test(probe, a_wrong_key_is_silence_of_that_hop, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	hops_open(&hops, 3);
	hops_spoil(&hops, 2);
	/* Hop 1 may hold its answer back for 200 ms (docs/protocol.md 2.7.6). */
	for (size_t n = 2; n <= 3; n++) {
		probe_within(&hops, n, false, 400, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_ANSWER);
		cr_expect_eq(heard.error.hop, 2);
		cr_expect_eq(heard.error.code, ERR_TIMEOUT);
		cr_expect_eq(heard.error.n_hops, 3);
		cr_expect_eq(chain_error_exit_code(&heard.error), 7);
		cr_expect_eq(heard.answers.n_answers, 1);
		cr_expect(heard.total_us >= 390000 && heard.total_us < 5000000);
		cr_expect_geq(heard.error.elapsed_ms, 390);
		/* Nothing comes back: that it is hop 2 cannot be known. */
		probe_within(&hops, n, true, 200, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_ANSWER);
		cr_expect_eq(heard.error.hop, 1);
		cr_expect_eq(heard.answers.n_answers, 0);
		cr_expect_geq(heard.error.elapsed_ms, 190);
	}
	hops_close(&hops);
}

Test(probe, a_refusal_is_the_exits, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	struct addr target;
	hops_open(&hops, 2);
	cr_assert_eq(addr_parse_dial("169.254.1.1:53", &target), ADDR_OK);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		struct chain_probe_options options = { .target = &target, .is_udp = is_udp };
		run(&hops, &options, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_STATUS);
		cr_expect_eq(heard.error.status, STATUS_DENIED_PRIVATE);
		cr_expect_eq(heard.error.detail, DETAIL_DENIED_LINK_LOCAL);
		cr_expect_eq(heard.error.hop, 2);
		cr_expect_eq(heard.error.address.port, 53);
		cr_expect_eq(chain_error_exit_code(&heard.error), 8);
		cr_expect_eq(heard.answers.n_answers, 2);
		cr_expect_eq(heard.answers.hops[0].status, STATUS_OK);
	}
	/* A middle hop that may not dial the next one. */
	hops.spec_hops[1].addr = target;
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		probe(&hops, 2, is_udp, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_STATUS);
		cr_expect_eq(heard.error.status, STATUS_DENIED_PRIVATE);
		cr_expect_eq(heard.error.hop, 1);
		cr_expect_eq(chain_error_exit_code(&heard.error), 6);
	}
	hops_close(&hops);
}

static const struct name_record zone[] = {
	{ .name = "one.test", .ttl_s = 60, .addresses = { "127.0.0.1" } },
	{ .name = "two.test", .ttl_s = 60, .addresses = { "::1", "127.0.0.1" } },
	{ .name = "dead.test", .ttl_s = 60, .addresses = { "127.0.0.2", "127.0.0.3" } },
	{ .name = "silent.test", .rcode = NAME_SILENT },
	{ .name = NULL },
};

Test(probe, a_name_is_looked_up_and_each_address_tried, .timeout = 60)
{
	static const char *const names[] = { "one.test", "two.test" };
	for (size_t i = 0; i < 2; i++) {
		struct hops hops;
		struct heard heard;
		struct name_server server;
		hops_open(&hops, 2);
		name_server_open(&server, hops.loop, zone);
		hops_rename(&hops, names[i], server.text);
		for (int is_udp = 0; is_udp < 2; is_udp++) {
			probe(&hops, 2, is_udp, &heard);
			cr_assert(!heard.has_error, "%s %d", names[i], is_udp);
			cr_expect_eq(heard.answers.tries, i + 1, "%s %d", names[i], is_udp);
			cr_expect_eq(heard.answers.address.any.sa_family, AF_INET);
			if (is_udp == 0) /* else from the cache */
				cr_expect_gt(heard.answers.resolve_us, 0);
			cr_expect_lt(heard.total_us, 900000);
		}
		name_server_close(&server);
		hops_close(&hops);
	}
}

Test(probe, a_name_that_fails_is_named, .timeout = 60)
{
	static const struct {
		const char *name;
		enum chain_stage stage;
		int code;
	} rows[] = {
		{ "none.test", CHAIN_RESOLVE, ERR_NOT_FOUND },
		{ "silent.test", CHAIN_RESOLVE, ERR_DNS_TIMEOUT },
		{ "dead.test", CHAIN_DIAL, -ECONNREFUSED },
	};
	for (size_t i = 0; i < 3; i++) {
		struct hops hops;
		struct heard heard;
		struct name_server server;
		hops_open(&hops, 2);
		name_server_open(&server, hops.loop, zone);
		hops_rename(&hops, rows[i].name, server.text);
		for (int is_udp = 0; is_udp < 2; is_udp++) {
			probe_within(&hops, 2, is_udp, 300, &heard);
			cr_assert(heard.has_error, "%s %d", rows[i].name, is_udp);
			cr_expect_eq(
				heard.error.stage, rows[i].stage, "%s %d", rows[i].name, is_udp);
			cr_expect_eq(heard.error.code, rows[i].code, "%s %d: %d", rows[i].name,
				is_udp, heard.error.code);
			cr_expect_eq(heard.error.hop, 1);
			cr_expect_eq(heard.error.n_hops, 2);
			cr_expect_eq(chain_error_exit_code(&heard.error), 5);
			cr_expect_lt(heard.total_us, 600000);
		}
		name_server_close(&server);
		hops_close(&hops);
	}
}

/* Takes SYNs into a full queue: whoever dials it waits. */
struct black_hole {
	int fds[4];
	struct addr addr;
};

static void black_hole_open(struct black_hole *b)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	b->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(b->fds[0], (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(listen(b->fds[0], 0), 0);
	cr_assert_eq(getsockname(b->fds[0], (struct sockaddr *)&at, &len), 0);
	for (int i = 1; i < 4; i++) {
		b->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(b->fds[i], (struct sockaddr *)&at, sizeof at);
	}
	b->addr = (struct addr){
		.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = ntohs(at.sin_port)
	};
}

static void black_hole_close(struct black_hole *b)
{
	for (int i = 0; i < 4; i++)
		close(b->fds[i]);
}

/* The hop before it has to say so before the probe gives up: it gets less time than its own. */
Test(probe, who_waits_in_vain_for_a_connection_says_so_in_time, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	struct black_hole hole;
	hops_open(&hops, 2);
	black_hole_open(&hole);
	struct chain_probe_options to_target = { .target = &hole.addr, .timeout_ms = 1000 };
	run(&hops, &to_target, &heard);
	cr_assert(heard.has_error);
	cr_expect_eq(heard.error.stage, CHAIN_STATUS, "stage %d", heard.error.stage);
	cr_expect_eq(heard.error.status, STATUS_TIMEOUT);
	cr_expect_eq(heard.error.hop, 2);
	cr_expect_eq(heard.answers.hops[0].status, STATUS_OK);
	hops.spec_hops[1].addr = hole.addr;
	probe_within(&hops, 2, false, 1000, &heard);
	cr_assert(heard.has_error);
	cr_expect_eq(heard.error.stage, CHAIN_STATUS);
	cr_expect_eq(heard.error.status, STATUS_TIMEOUT);
	cr_expect_eq(heard.error.hop, 1);
	hops.spec_hops[0].addr = hole.addr;
	probe_within(&hops, 2, false, 300, &heard);
	cr_assert(heard.has_error);
	cr_expect_eq(heard.error.stage, CHAIN_DIAL);
	cr_expect_eq(heard.error.code, ERR_TIMEOUT);
	cr_expect_eq(heard.error.hop, 1);
	cr_expect(heard.total_us >= 290000 && heard.total_us < 600000);
	black_hole_close(&hole);
	hops_close(&hops);
}

/* With "dns": "local" the target's name is looked up here, before anything else. */
Test(probe, a_targets_name_that_fails_here_is_no_hops, .timeout = 60)
{
	struct hops hops;
	struct heard heard;
	struct name_server server;
	struct addr target = { .kind = ADDR_NAME, .name = "silent.test", .port = 53 };
	hops_open(&hops, 1);
	name_server_open(&server, hops.loop, zone);
	hops_rename(&hops, "one.test", server.text);
	hops.spec.resolves_locally = true;
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		struct chain_probe_options options = {
			.target = &target, .is_udp = is_udp, .timeout_ms = 200
		};
		run(&hops, &options, &heard);
		cr_assert(heard.has_error);
		cr_expect_eq(heard.error.stage, CHAIN_RESOLVE);
		cr_expect_eq(heard.error.hop, 0);
		cr_expect_eq(heard.error.code, ERR_DNS_TIMEOUT, "%d", heard.error.code);
		cr_expect_lt(heard.total_us, 500000);
	}
	name_server_close(&server);
	hops_close(&hops);
}

Test(probe, cancelled_at_any_turn, .timeout = 120)
{
	struct hops hops;
	hops_open(&hops, 3);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		for (int turns = 0; turns < 40; turns++) {
			struct chain_probe_options options = { .n_hops = 3, .is_udp = is_udp };
			struct heard heard = { .is_done = false };
			struct chain_probe *probe;
			cr_assert_eq(chain_probe_start(hops.client, hops.io, &options, on_done,
					     &heard, &probe),
				0);
			for (int i = 0; i < turns && !heard.is_done; i++)
				loop_turn(hops.loop);
			bool was_done = heard.is_done;
			if (!was_done)
				chain_probe_cancel(probe);
			hops_turn(&hops, 20);
			cr_expect_eq(heard.is_done, was_done, "nothing after cancel");
		}
	}
	hops_close(&hops);
}

Test(probe, each_allocation_may_fail, .timeout = 120)
{
	struct hops hops;
	hops_open(&hops, 2);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		bool has_failed = true;
		unsigned long n;
		for (n = 1; n < 120 && has_failed; n++) {
			struct chain_probe_options options = {
				.n_hops = 2, .is_udp = is_udp, .timeout_ms = 400
			};
			struct heard heard = { .is_done = false };
			struct chain_probe *probe;
			failing_start(n);
			if (chain_probe_start(
				    hops.client, hops.io, &options, on_done, &heard, &probe) == 0)
				loop_run_until(hops.loop, &heard.is_done, WAIT_MS);
			has_failed = failing_stop();
			cr_assert(has_failed || (heard.is_done && !heard.has_error),
				"n=%lu udp=%d done=%d stage=%d hop=%d code=%d", n, is_udp,
				heard.is_done, heard.error.stage, heard.error.hop,
				heard.error.code);
			hops_turn(&hops, 10);
		}
		cr_expect_gt(n, 4);
		cr_expect_lt(n, 120);
	}
	hops_close(&hops);
}
