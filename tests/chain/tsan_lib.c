/* The library in four threads at once, each with its own loop and clients of one chain that they
 * share. Nothing listens at the first hop. A plain main for the thread sanitizer: exits 0 if every
 * stream and every probe failed as it must, and every flow and client closed. */
#include "chain/hopchain.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define N_THREADS 4
#define N_ROUNDS  20

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct user {
	pthread_t thread;
	/* Lives until all threads have ended: how libuv closes descriptors the sanitizer does not
	 * see, and takes their reuse in another thread for a race. */
	uv_loop_t loop;
	uint16_t port;
	const struct hopchain_chain *chain;
	struct hopchain_client *client;
	struct hopchain_flow *flow;
	unsigned n_waiting, n_failed, n_closed;
};

/* The client closes with the flow under way when all else is over. */
static void settle(struct user *u)
{
	if (--u->n_waiting == 0)
		hopchain_client_close(u->client, NULL, NULL);
}

static void on_stream(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	struct user *u = owner;
	(void)data, (void)len;
	CHECK(event == HOPCHAIN_FAILED || event == HOPCHAIN_CLOSED);
	if (event == HOPCHAIN_CLOSED) {
		settle(u);
		return;
	}
	CHECK(hopchain_stream_error(stream)->stage == HOPCHAIN_DIAL);
	u->n_failed++;
	hopchain_close(stream);
}

static void on_flow(struct hopchain_flow *flow, enum hopchain_flow_event event, const void *data,
	size_t len, void *owner)
{
	(void)flow, (void)data, (void)len;
	((struct user *)owner)->n_closed += event == HOPCHAIN_FLOW_CLOSED;
}

static void on_probe(const struct hopchain_probe_result *result, void *owner)
{
	struct user *u = owner;
	CHECK(result->error != NULL);
	u->n_failed++;
	settle(u);
}

static void run_client(struct user *u)
{
	struct hopchain_probe_options options = { .size = sizeof options, .hop = 1 };
	struct hopchain_stream *stream;
	struct hopchain_probe *probe;
	CHECK(hopchain_client_open(&u->loop, u->chain, &u->client) == 0);
	CHECK(hopchain_connect(u->client, "127.0.0.1:1", on_stream, u, &stream) == 0);
	CHECK(hopchain_probe_start(u->client, &options, on_probe, u, &probe) == 0);
	CHECK(hopchain_flow_open(u->client, "127.0.0.1:1", on_flow, u, &u->flow) == 0);
	CHECK(hopchain_flow_send(u->flow, "x", 1) == 0);
	u->n_waiting = 2;
	CHECK(uv_run(&u->loop, UV_RUN_DEFAULT) == 0);
}

static void make_chain(uint16_t port, struct hopchain_chain **ret)
{
	char key[HOPCHAIN_KEY_TEXT], address[32];
	struct hopchain_hop hop = { .size = sizeof hop, .address = address, .key = key };
	struct hopchain_options options = { .size = sizeof options, .hops = &hop, .n_hops = 1 };
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	CHECK(hopchain_key_generate(NULL, key, NULL) == 0);
	CHECK(hopchain_chain_new(&options, ret, NULL) == 0);
}

/* Chains are made in all threads at once, too. */
static void *run(void *owner)
{
	struct user *u = owner;
	struct hopchain_chain *own;
	make_chain(u->port, &own);
	CHECK(uv_loop_init(&u->loop) == 0);
	for (int i = 0; i < N_ROUNDS; i++)
		run_client(u);
	hopchain_chain_free(own);
	return NULL;
}

/* A port of ours that nobody else takes and nobody listens on. */
static int take_port(uint16_t *ret)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*ret = ntohs(at.sin_port);
	return fd;
}

int main(void)
{
	struct user users[N_THREADS] = { 0 };
	struct hopchain_chain *chain;
	uint16_t port;
	int fd = take_port(&port);
	make_chain(port, &chain);
	for (int i = 0; i < N_THREADS; i++) {
		users[i].port = port;
		users[i].chain = chain;
		CHECK(pthread_create(&users[i].thread, NULL, run, &users[i]) == 0);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(users[i].thread, NULL);
	for (int i = 0; i < N_THREADS; i++) {
		CHECK(uv_loop_close(&users[i].loop) == 0);
		CHECK(users[i].n_failed == 2 * N_ROUNDS);
		CHECK(users[i].n_closed == N_ROUNDS);
	}
	hopchain_chain_free(chain);
	close(fd);
	return 0;
}
