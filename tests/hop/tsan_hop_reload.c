/* A hop of three workers that is told to reload while strangers come to both of its ports, with
 * PROXY headers that it believes. A plain main(): the thread sanitizer reports what it sees. Every
 * second configuration has another listener more, another key of its user and other limits. */
#include "common/log.h"
#include "common/record.h"
#include "common/seal.h"
#include "hop/hop.h"
#include "hop/options.h"

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
#define N_RELOADS 60
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
	uint16_t ports[2]; /* the second one comes and goes */
	unsigned n_ready, n_loads, n_reloaded;
	atomic_bool is_over;
	int result;
};

static void add_user(struct hop_options *o)
{
	char text[WIRE_CREDENTIAL_TEXT + 1];
	o->users = calloc(1, sizeof *o->users);
	CHECK(o->users != NULL);
	o->n_users = 1;
	o->users[0].name = strdup("me");
	o->users[0].keys = calloc(1, sizeof *o->users[0].keys);
	CHECK(o->users[0].name != NULL && o->users[0].keys != NULL);
	o->users[0].n_keys = 1;
	o->users[0].keys[0].not_after_ms = UINT64_MAX;
	wire_key_generate(NULL, text);
	CHECK(wire_key_parse(bytes_of(text, strlen(text)), &o->users[0].keys[0].key) ==
		WIRE_KEY_OK);
}

static void configure(const struct scene *scene, unsigned n, struct hop_options *ret)
{
	static const struct hop_options standard = HOP_OPTIONS_DEFAULT;
	*ret = standard;
	ret->n_workers = 3;
	ret->logs_connections = false;
	ret->max_connections = 1000 + n;
	ret->drain_ms = 1000;
	ret->on_bad = HOP_BAD_RESET;
	add_user(ret);
	ret->n_listen = 1 + n % 2;
	ret->listen = calloc(ret->n_listen, sizeof *ret->listen);
	CHECK(ret->listen != NULL);
	for (size_t i = 0; i < ret->n_listen; i++) {
		struct hop_listener *l = &ret->listen[i];
		l->addr = (struct addr){
			.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = scene->ports[i]
		};
		l->takes_udp = true;
		netset_init(&l->proxies);
		CHECK(netset_add(&l->proxies, "127.0.0.0/8") == 0);
	}
}

static bool load(void *owner, struct hop_options *ret, struct reload_report *report)
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

static void count(struct scene *scene, unsigned *n)
{
	pthread_mutex_lock(&scene->mutex);
	++*n;
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->mutex);
}

static void on_ready(const struct hop_options *options, const uint16_t *ports, void *owner)
{
	struct scene *scene = owner;
	(void)options;
	CHECK(ports[0] == scene->ports[0]);
	count(scene, &scene->n_ready);
}

static void on_reloaded(
	const struct hop_options *options, const uint16_t *ports, const bool *is_new, void *owner)
{
	struct scene *scene = owner;
	CHECK(ports[0] == scene->ports[0] && !is_new[0]);
	CHECK(options->n_listen == 1 || ports[1] == scene->ports[1]);
	count(scene, &scene->n_reloaded);
}

static void *run(void *arg)
{
	static const struct hop_hooks hooks = {
		.on_ready = on_ready, .load = load, .on_reloaded = on_reloaded
	};
	struct scene *scene = arg;
	struct hop_options options;
	configure(scene, 0, &options);
	scene->result = hop_run(&options, &hooks, scene, NULL);
	hop_options_deinit(&options);
	return NULL;
}

/* Comes to one port after the other, whether it is there or not. */
static void *talk(void *arg)
{
	static const char out[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nno header of ours";
	struct scene *scene = arg;
	char in[16];
	for (unsigned n = 0; !atomic_load(&scene->is_over); n++) {
		struct sockaddr_in to = { .sin_family = AF_INET,
			.sin_port = htons(scene->ports[n % 2]) };
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
			(void)send(fd, out, sizeof out, MSG_NOSIGNAL);
		(void)shutdown(fd, SHUT_WR); /* and waits: a flood would only make it slow */
		(void)recv(fd, in, sizeof in, 0);
		close(fd);
	}
	return NULL;
}

static void wait_for(struct scene *scene, const unsigned *n, unsigned least)
{
	pthread_mutex_lock(&scene->mutex);
	while (*n < least)
		pthread_cond_wait(&scene->changed, &scene->mutex);
	pthread_mutex_unlock(&scene->mutex);
}

/* Two that are free now. */
static void find_ports(uint16_t ports[2])
{
	int fds[2];
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in at = { .sin_family = AF_INET };
		socklen_t len = sizeof at;
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		CHECK(bind(fds[i], (struct sockaddr *)&at, sizeof at) == 0);
		CHECK(getsockname(fds[i], (struct sockaddr *)&at, &len) == 0);
		ports[i] = ntohs(at.sin_port);
	}
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	struct scene scene = { .mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };
	pthread_t server, clients[N_CLIENTS];
	CHECK(seal_start() == 0 && record_start() == 0);
	CHECK(log_start(2, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT) == 0);
	log_mute();
	find_ports(scene.ports);
	CHECK(pthread_create(&server, NULL, run, &scene) == 0);
	wait_for(&scene, &scene.n_ready, 1);
	for (int i = 0; i < N_CLIENTS; i++)
		CHECK(pthread_create(&clients[i], NULL, talk, &scene) == 0);
	for (unsigned i = 1; i <= N_RELOADS; i++) {
		kill(getpid(), SIGHUP);
		wait_for(&scene, &scene.n_loads, i);
	}
	wait_for(&scene, &scene.n_reloaded, N_RELOADS / 2);
	kill(getpid(), SIGHUP); /* and the end comes during one more, with clients */
	kill(getpid(), SIGTERM);
	pthread_join(server, NULL);
	CHECK(scene.result == 0);
	atomic_store(&scene.is_over, true);
	for (int i = 0; i < N_CLIENTS; i++)
		pthread_join(clients[i], NULL);
	log_stop();
	return 0;
}
