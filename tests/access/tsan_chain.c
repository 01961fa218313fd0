/* Two hops and an access server, two workers each, in one process, under load from four threads.
 * A plain main for the thread sanitizer: exits 0 if every echo came back and everything drained. */
#include "access/access.h"
#include "access/options.h"
#include "common/log.h"
#include "common/record.h"
#include "hop/hop.h"
#include "hop/options.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_CLIENTS     4
#define N_CONNECTIONS 100

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* A server thread, and the port it came up on. */
struct server {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint16_t port;
	int result;
	int n_key;
	struct chain_spec *chain;
	struct addr target;
};

static struct wire_key *new_key(int n)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key;
	memset(credential, n, 32);
	memset(credential + 32, n + 100, 32);
	CHECK(wire_key_new(credential, &key) == WIRE_KEY_OK);
	return key;
}

static void on_ready(const uint16_t *ports, unsigned n_ports, void *owner)
{
	struct server *s = owner;
	(void)n_ports;
	pthread_mutex_lock(&s->lock);
	s->port = ports[0];
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static uint16_t port_of(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->port == 0)
		pthread_cond_wait(&s->changed, &s->lock);
	uint16_t port = s->port;
	pthread_mutex_unlock(&s->lock);
	return port;
}

static void on_access_ready(
	const struct access_options *options, const uint16_t *ports, void *owner)
{
	on_ready(ports, (unsigned)options->n_listen, owner);
}

static void on_hop_ready(const struct hop_options *options, const uint16_t *ports, void *owner)
{
	on_ready(ports, (unsigned)options->n_listen, owner);
}

static void *run_hop(void *arg)
{
	struct server *s = arg;
	struct hop_options options = HOP_OPTIONS_DEFAULT;
	struct hop_user_key key = { .key = new_key(s->n_key), .not_after_ms = UINT64_MAX };
	struct hop_user user = { .name = "me", .keys = &key, .n_keys = 1 };
	struct hop_listener listener = { .takes_udp = false };
	CHECK(addr_parse_listen("127.0.0.1:0", &listener.addr) == ADDR_OK);
	CHECK(netset_add(&options.allow, "loopback") == 0);
	options.listen = &listener;
	options.n_listen = 1;
	options.users = &user;
	options.n_users = 1;
	options.n_workers = 2;
	static const struct hop_hooks hooks = { .on_ready = on_hop_ready };
	s->result = hop_run(&options, &hooks, s, NULL);
	netset_deinit(&options.allow);
	wire_key_free(key.key);
	return NULL;
}

static void *run_access(void *arg)
{
	struct server *s = arg;
	struct access_options options = ACCESS_OPTIONS_DEFAULT;
	struct access_listener listener = { .transports = ACCESS_TCP, .to = s->target };
	CHECK(addr_parse_listen("127.0.0.1:0", &listener.addr) == ADDR_OK);
	options.listen = &listener;
	options.n_listen = 1;
	struct chain_member member = { .chain = s->chain };
	struct chain_upstream_spec upstream = { .members = &member, .n_members = 1 };
	struct chain_upstream_spec *upstreams[] = { &upstream };
	listener.use = &upstream;
	options.upstreams = upstreams;
	options.n_upstreams = 1;
	options.n_workers = 2;
	static const struct access_hooks hooks = { .on_ready = on_access_ready };
	s->result = access_run(&options, &hooks, s, NULL);
	return NULL;
}

static void start(struct server *s, void *(*run)(void *))
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	CHECK(pthread_create(&s->thread, NULL, run, s) == 0);
	port_of(s);
}

static void *echo(void *arg)
{
	int listener = *(int *)arg;
	for (;;) {
		char buffer[256];
		ssize_t n;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			return NULL;
		while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
			CHECK(send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n);
		close(fd);
	}
}

static void *talk(void *arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	to.sin_port = htons(*(uint16_t *)arg);
	for (int i = 0; i < N_CONNECTIONS; i++) {
		char out[64], in[64];
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		memset(out, i, sizeof out);
		CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
		CHECK(send(fd, out, sizeof out, MSG_NOSIGNAL) == sizeof out);
		CHECK(recv(fd, in, sizeof in, MSG_WAITALL) == sizeof in);
		CHECK(memcmp(out, in, sizeof in) == 0);
		close(fd);
	}
	return NULL;
}

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 256) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

int main(void)
{
	struct server hops[2] = { { .n_key = 1 }, { .n_key = 2 } }, access = { .n_key = 0 };
	struct chain_spec spec = CHAIN_SPEC_DEFAULT;
	struct chain_hop chain_hops[2] = { 0 };
	pthread_t origins[4], clients[N_CLIENTS];
	uint16_t origin_port;
	CHECK(seal_start() == 0 && record_start() == 0);
	CHECK(log_start(2, LOG_LEVEL_WARNING, LOG_FORMAT_TEXT) == 0);
	int listener = listen_somewhere(&origin_port);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&origins[i], NULL, echo, &listener) == 0);
	spec.hops = chain_hops;
	spec.n_hops = 2;
	for (int i = 0; i < 2; i++) {
		start(&hops[i], run_hop);
		chain_hops[i].key = new_key(i + 1);
		chain_hops[i].addr = (struct addr){
			.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = hops[i].port
		};
	}
	access.chain = &spec;
	access.target =
		(struct addr){ .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = origin_port };
	start(&access, run_access);
	for (int i = 0; i < N_CLIENTS; i++)
		CHECK(pthread_create(&clients[i], NULL, talk, &access.port) == 0);
	for (int i = 0; i < N_CLIENTS; i++)
		pthread_join(clients[i], NULL);
	kill(getpid(), SIGTERM);
	pthread_join(access.thread, NULL);
	pthread_join(hops[0].thread, NULL);
	pthread_join(hops[1].thread, NULL);
	shutdown(listener, SHUT_RDWR);
	for (int i = 0; i < 4; i++)
		pthread_join(origins[i], NULL);
	close(listener);
	for (int i = 0; i < 2; i++)
		wire_key_free(chain_hops[i].key);
	log_stop();
	CHECK(access.result == 0 && hops[0].result == 0 && hops[1].result == 0);
	puts("ok");
	return 0;
}
