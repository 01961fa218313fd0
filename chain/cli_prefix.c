#include "chain/cli_prefix.h"

#include "chain/cli_fit.h"

#include <stdio.h>
#include <uv.h>

#define TCP_TIMEOUT_MS 10000
#define UDP_TIMEOUT_MS 3000

static void copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text != NULL ? text : "");
}

static void take_error(struct cli_prefix *p, const struct hopchain_error *error)
{
	p->failed_hop = error->hop;
	p->exit_code = error->exit_code;
	p->slug = error->slug;
	cli_fit_clean(error->text, cli_fit_start(), p->text, sizeof p->text);
}

static void take_answers(struct cli_prefix *p, const struct hopchain_probe_result *result)
{
	const struct hopchain_answer *own = &result->answers[p->hop - 1];
	p->total_us = result->total_us;
	p->has_clock = own->has_clock;
	p->clock_offset_ms = own->clock_offset_ms;
	copy(p->software, sizeof p->software, own->software);
	if (p->hop == 1) {
		p->resolve_us = result->resolve_us;
		p->connect_us = result->connect_us;
		copy(p->dialled, sizeof p->dialled, result->dialled);
		return;
	}
	const struct hopchain_answer *before = own - 1;
	p->resolve_us = before->resolve_us;
	p->connect_us = before->connect_us;
	copy(p->dialled, sizeof p->dialled, before->dialled);
}

static void on_probed(const struct hopchain_probe_result *result, void *owner)
{
	struct cli_prefix *p = owner;
	p->is_good = result->error == NULL && result->n_answers >= p->hop;
	if (result->error != NULL)
		take_error(p, result->error);
	else if (p->is_good)
		take_answers(p, result);
}

/* Probes what is not good yet. */
static int start(
	struct hopchain_client *client, bool is_udp, uint32_t timeout_ms, struct cli_prefixes *to)
{
	struct hopchain_probe_options options = {
		.size = sizeof options, .is_udp = is_udp, .timeout_ms = timeout_ms
	};
	for (size_t i = 0; i < to->n; i++) {
		struct hopchain_probe *probe;
		options.hop = to->all[i].hop;
		if (to->all[i].is_good)
			continue;
		int error = hopchain_probe_start(client, &options, on_probed, &to->all[i], &probe);
		if (error != 0)
			return error;
	}
	return 0;
}

static int run(uv_loop_t *loop, struct hopchain_client *client, bool is_udp, uint32_t timeout_ms,
	struct cli_prefixes *to)
{
	int error = start(client, is_udp, timeout_ms, to);
	if (error == 0)
		uv_run(loop, UV_RUN_DEFAULT);
	return error;
}

int cli_prefix_probe(const struct hopchain_chain *chain, bool is_udp, struct cli_prefixes *ret)
{
	uv_loop_t loop;
	struct hopchain_client *client;
	ret->n = hopchain_chain_n_hops(chain);
	for (size_t i = 0; i < ret->n; i++)
		ret->all[i] = (struct cli_prefix){ .hop = (unsigned)i + 1 };
	int error = uv_loop_init(&loop);
	if (error != 0)
		return error;
	error = hopchain_client_open(&loop, chain, &client);
	if (error == 0) {
		error = run(&loop, client, is_udp, is_udp ? UDP_TIMEOUT_MS : TCP_TIMEOUT_MS, ret);
		/* A lost datagram is none that the path never lets through. */
		if (error == 0 && is_udp && cli_prefix_first_failed(ret) != NULL)
			error = run(&loop, client, is_udp, UDP_TIMEOUT_MS, ret);
		hopchain_client_close(client, NULL, NULL);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	(void)uv_loop_close(&loop);
	return error;
}

const struct cli_prefix *cli_prefix_first_failed(const struct cli_prefixes *prefixes)
{
	for (size_t i = 0; i < prefixes->n; i++) {
		if (!prefixes->all[i].is_good)
			return &prefixes->all[i];
	}
	return NULL;
}
