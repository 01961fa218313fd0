/* An access server of two workers that is told to reload while clients talk through it. A plain
 * main(): the thread sanitizer reports what it sees. Every second configuration has another
 * listener more and other limits. */
#include "access/access.h"
#include "access/options.h"
#include "common/log.h"
#include "common/record.h"
#include "common/seal.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_CLIENTS 4
#define N_RELOADS 100
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct scene {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint16_t port, origin;
	unsigned n_loads, n_reloaded;
	atomic_bool is_over;
	int result;
};

static struct addr local(uint16_t port)
{
	return (struct addr){ .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = port };
}

/* Straight to the origin, on one listener or two. */
static void configure(const struct scene *scene, unsigned n, struct access_options *ret)
{
	static const struct access_options standard = ACCESS_OPTIONS_DEFAULT;
	static const struct chain_spec spec = CHAIN_SPEC_DEFAULT;
	struct chain_spec *direct = malloc(sizeof *direct);
	CHECK(direct != NULL);
	*direct = spec;
	*ret = standard;
	ret->n_workers = 2;
	ret->logs_connections = false;
	ret->max_connections = 1000 + n;
	CHECK(access_options_add_chain(ret, direct, "direct") != NULL);
	ret->n_listen = 1 + n % 2;
	ret->listen = calloc(ret->n_listen, sizeof *ret->listen);
	CHECK(ret->listen != NULL);
	for (size_t i = 0; i < ret->n_listen; i++)
		ret->listen[i] = (struct access_listener){
			.transports = ACCESS_TCP,
			.addr = local(0),
			.to = local(scene->origin),
			.use = ret->upstreams[0],
			.max_connections = 500 + n,
		};
}

static bool load(void *owner, struct access_options *ret, struct reload_report *report)
{
	struct scene *scene = owner;
	pthread_mutex_lock(&scene->mutex);
	unsigned n = ++scene->n_loads;
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->mutex);
	if (n % 10 == 9) {
		reload_report_fail(report, "this one is wrong");
		return false;
	}
	configure(scene, n, ret);
	return true;
}

static void on_ready(const struct access_options *options, const uint16_t *ports, void *owner)
{
	struct scene *scene = owner;
	(void)options;
	pthread_mutex_lock(&scene->mutex);
	scene->port = ports[0];
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->mutex);
}

static void on_reloaded(const struct access_options *options, const uint16_t *ports,
	const bool *is_new, void *owner)
{
	struct scene *scene = owner;
	(void)options;
	CHECK(ports[0] == scene->port && !is_new[0]);
	pthread_mutex_lock(&scene->mutex);
	scene->n_reloaded++;
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->mutex);
}

static void *run(void *arg)
{
	static const struct access_hooks hooks = {
		.on_ready = on_ready, .load = load, .on_reloaded = on_reloaded
	};
	struct scene *scene = arg;
	struct access_options options;
	configure(scene, 0, &options);
	scene->result = access_run(&options, &hooks, scene, NULL);
	access_options_deinit(&options);
	return NULL;
}

static void *echo(void *arg)
{
	int listener = *(int *)arg, fd;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		char buffer[256];
		ssize_t n;
		while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
			CHECK(send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n);
		close(fd);
	}
	return NULL;
}

static void talk_once(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	char out[64] = "hello", in[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
	for (int i = 0; i < 4; i++) {
		CHECK(send(fd, out, sizeof out, MSG_NOSIGNAL) == sizeof out);
		CHECK(recv(fd, in, sizeof in, MSG_WAITALL) == sizeof in);
		CHECK(memcmp(out, in, sizeof in) == 0);
	}
	close(fd);
}

static void *talk(void *arg)
{
	struct scene *scene = arg;
	while (!atomic_load(&scene->is_over))
		talk_once(scene->port);
	return NULL;
}

static void wait_for(struct scene *scene, const unsigned *n, unsigned least)
{
	pthread_mutex_lock(&scene->mutex);
	while (*n < least)
		pthread_cond_wait(&scene->changed, &scene->mutex);
	pthread_mutex_unlock(&scene->mutex);
}

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 256) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

int main(void)
{
	struct scene scene = { .mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	pthread_t server, origins[N_CLIENTS], clients[N_CLIENTS];
	CHECK(seal_start() == 0 && record_start() == 0);
	CHECK(log_start(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT) == 0);
	log_mute();
	int listener = listen_somewhere(&scene.origin);
	for (int i = 0; i < N_CLIENTS; i++)
		CHECK(pthread_create(&origins[i], NULL, echo, &listener) == 0);
	CHECK(pthread_create(&server, NULL, run, &scene) == 0);
	pthread_mutex_lock(&scene.mutex);
	while (scene.port == 0)
		pthread_cond_wait(&scene.changed, &scene.mutex);
	pthread_mutex_unlock(&scene.mutex);
	for (int i = 0; i < N_CLIENTS; i++)
		CHECK(pthread_create(&clients[i], NULL, talk, &scene) == 0);
	for (unsigned i = 1; i <= N_RELOADS; i++) {
		kill(getpid(), SIGHUP);
		wait_for(&scene, &scene.n_loads, i);
	}
	wait_for(&scene, &scene.n_reloaded, N_RELOADS / 2);
	atomic_store(&scene.is_over, true);
	for (int i = 0; i < N_CLIENTS; i++)
		pthread_join(clients[i], NULL);
	kill(getpid(), SIGHUP); /* and the end comes during one more */
	kill(getpid(), SIGTERM);
	pthread_join(server, NULL);
	CHECK(scene.result == 0);
	shutdown(listener, SHUT_RDWR);
	for (int i = 0; i < N_CLIENTS; i++)
		pthread_join(origins[i], NULL);
	close(listener);
	log_stop();
	return 0;
}
