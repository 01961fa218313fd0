/*
 * udp_ping - sends datagrams to a UDP echo service through a chain of hops and tells how long each
 * took to come back.
 *
 *   cc udp_ping.c -o udp_ping $(pkg-config --cflags --libs hopchain)
 *   ./udp_ping chain.json example.org:7 5
 *
 * Exit code: 0 if every datagram came back, 1 if some did not, else that of the failure.
 */
#include <hopchain.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define INTERVAL_MS 200
#define PATIENCE_MS 2000 /* after the last one was sent */

struct ping {
	uv_loop_t loop;
	uv_timer_t timer;
	struct hopchain_client *client;
	struct hopchain_flow *flow; /* NULL once it has closed */
	unsigned n, n_sent, n_heard;
	int exit_code;
};

/* What a datagram carries, and comes back with. */
struct payload {
	uint32_t i;
	uint64_t sent_ns;
};

static void end(struct ping *p)
{
	uv_timer_stop(&p->timer);
	if (p->flow != NULL)
		hopchain_flow_close(p->flow);
}

static void on_timer(uv_timer_t *timer)
{
	struct ping *p = timer->data;
	struct payload payload;
	if (p->n_sent == p->n) {
		end(p);
		return;
	}
	memset(&payload, 0, sizeof payload);
	payload.i = ++p->n_sent;
	payload.sent_ns = uv_hrtime();
	int error = hopchain_flow_send(p->flow, &payload, sizeof payload);
	if (error != 0)
		fprintf(stderr, "udp_ping: %u: %s\n", payload.i, hopchain_strerror(error));
	uv_timer_start(timer, on_timer, p->n_sent < p->n ? INTERVAL_MS : PATIENCE_MS, 0);
}

static void on_datagram(struct ping *p, const void *data, size_t len)
{
	struct payload payload;
	if (len != sizeof payload)
		return;
	memcpy(&payload, data, sizeof payload);
	p->n_heard++;
	printf("%" PRIu32 ": %.3f ms%s\n", payload.i, (double)(uv_hrtime() - payload.sent_ns) / 1e6,
		hopchain_flow_is_stream(p->flow) ? " (in a stream)" : "");
	if (p->n_heard == p->n)
		end(p);
}

static void on_event(struct hopchain_flow *flow, enum hopchain_flow_event event, const void *data,
	size_t len, void *owner)
{
	struct ping *p = owner;
	switch (event) {
	case HOPCHAIN_FLOW_DATAGRAM:
		on_datagram(p, data, len);
		break;
	case HOPCHAIN_FLOW_STATUS: /* a hint about one datagram: the flow goes on */
		fprintf(stderr, "udp_ping: %s\n", (const char *)data);
		break;
	case HOPCHAIN_FLOW_FAILED: /* the sentence names the hop, the reason and the time */
		fprintf(stderr, "udp_ping: %s\n", hopchain_flow_error(flow)->text);
		p->exit_code = hopchain_flow_error(flow)->exit_code;
		end(p);
		break;
	case HOPCHAIN_FLOW_CLOSED:
		p->flow = NULL;
		hopchain_client_close(p->client, NULL, NULL);
		uv_close((uv_handle_t *)&p->timer, NULL);
		break;
	}
}

static int run(struct ping *p, const struct hopchain_chain *chain, const char *target)
{
	uv_loop_init(&p->loop);
	uv_timer_init(&p->loop, &p->timer);
	p->timer.data = p;
	int error = hopchain_client_open(&p->loop, chain, &p->client);
	if (error == 0)
		error = hopchain_flow_open(p->client, target, on_event, p, &p->flow);
	if (error != 0) {
		fprintf(stderr, "udp_ping: %s\n", hopchain_strerror(error));
		return 1;
	}
	uv_timer_start(&p->timer, on_timer, 0, 0);
	uv_run(&p->loop, UV_RUN_DEFAULT); /* returns when everything has closed */
	uv_loop_close(&p->loop);
	return p->exit_code != 0 ? p->exit_code : p->n_heard < p->n;
}

int main(int argc, char **argv)
{
	struct ping ping = { .n = argc > 3 ? (unsigned)atoi(argv[3]) : 5 };
	struct hopchain_chain *chain;
	char *report;
	if (argc < 3 || ping.n == 0 || hopchain_target_check(argv[2]) != NULL) {
		fprintf(stderr, "Usage: udp_ping CHAIN HOST:PORT [COUNT]\n");
		return 2;
	}
	int error = hopchain_chain_read(argv[1], &chain, &report);
	if (error != 0) {
		fprintf(stderr, "%s", report != NULL ? report : hopchain_strerror(error));
		hopchain_text_free(report);
		return 3;
	}
	int exit_code = run(&ping, chain, argv[2]);
	hopchain_chain_free(chain);
	return exit_code;
}
