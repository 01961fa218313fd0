#include "access/transparent.h"

#include "common/seal.h"
#include "common/tcp.h"

#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#define LOG_MODULE "access"
#include "common/log.h"

#define N_BUCKETS 1024 /* a power of two */

struct transparent_voice {
	struct transparent_voice *prev, *next;
	struct transparent_voices *voices;
	union addr_sock target;
	struct udp *udp;
	uint32_t n_held;
};

struct transparent_voices {
	struct udp_io *io;
	const struct udp_ops *ops;
	void *owner;
	uint8_t hash_key[16]; /* who picks addresses must not pick buckets */
	struct transparent_voice *buckets[N_BUCKETS];
};

/* Whether an address is this host's: then, and only then, it can be bound. */
static bool is_own(const union addr_sock *at)
{
	union addr_sock any_port = *at;
	addr_sock_set_port(&any_port, 0);
	int fd = socket(at->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	bool is_bound = bind(fd, &any_port.any, addr_sock_len(&any_port)) == 0;
	close(fd);
	return is_bound;
}

bool transparent_is_loop(const union addr_sock *target, uint16_t port)
{
	return addr_sock_port(target) == port && is_own(target);
}

bool transparent_target(
	const struct stream *stream, enum access_capture capture, uint16_t port, struct addr *ret)
{
	char text[ADDR_TEXT_MAX];
	union addr_sock target, local;
	bool is_known = tcp_local(stream, &local);
	if (capture == ACCESS_REDIRECT) {
		is_known = is_known && tcp_original(stream, &target);
		port = addr_sock_port(&local); /* of what systemd passed it is not known before */
	} else {
		target = local;
	}
	if (!is_known) {
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"refused: a connection that no rule has redirected; hint: 'access "
			"tproxy-rules' prints the firewall rules");
		return false;
	}
	if (transparent_is_loop(&target, port)) {
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"refused: a connection to this listener itself would be a loop target=%s",
			addr_sock_print(&target, text));
		return false;
	}
	addr_from_sock(&target, ret);
	return true;
}

static bool begins_at(const struct chain_spec *chain, const struct addr *target)
{
	const struct chain_group *group = chain->groups != NULL ? chain->groups[0] : NULL;
	const struct chain_hop *hops = group != NULL ? group->hops : chain->hops;
	size_t n = group != NULL ? group->n_hops : chain->n_hops > 0 ? 1 : 0;
	for (size_t i = 0; i < n; i++) {
		if (addr_is_equal(&hops[i].addr, target))
			return true;
	}
	return false;
}

bool transparent_comes_back(const struct chain_upstream_spec *way, const struct addr *target)
{
	char text[ADDR_TEXT_MAX];
	for (size_t i = 0; i < way->n_members; i++) {
		if (!begins_at(way->members[i].chain, target))
			continue;
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"refused: what goes to the first hop of its own way would be a loop; "
			"rules must leave it alone target=%s",
			addr_print(target, text));
		return true;
	}
	return false;
}

int transparent_voices_new(
	struct udp_io *io, const struct udp_ops *ops, void *owner, struct transparent_voices **ret)
{
	struct transparent_voices *v = calloc(1, sizeof *v);
	if (v == NULL)
		return ERR_NOMEM;
	v->io = io;
	v->ops = ops;
	v->owner = owner;
	seal_random(v->hash_key, sizeof v->hash_key);
	*ret = v;
	return 0;
}

void transparent_voices_free(struct transparent_voices *voices)
{
	free(voices);
}

static struct transparent_voice **bucket_of(
	struct transparent_voices *voices, const union addr_sock *target)
{
	bool is_ip4 = target->any.sa_family == AF_INET;
	const void *ip = is_ip4 ? (const void *)&target->ip4.sin_addr : &target->ip6.sin6_addr;
	uint64_t hash = seal_siphash(voices->hash_key, bytes_of(ip, is_ip4 ? 4 : 16));
	return &voices->buckets[(hash ^ addr_sock_port(target)) & (N_BUCKETS - 1)];
}

int transparent_voice_take(struct transparent_voices *voices, const union addr_sock *target,
	struct transparent_voice **ret)
{
	struct transparent_voice **bucket = bucket_of(voices, target), *voice;
	struct addr bind_to;
	DL_FOREACH (*bucket, voice) {
		if (addr_sock_is_equal(&voice->target, target)) {
			voice->n_held++;
			*ret = voice;
			return 0;
		}
	}
	voice = calloc(1, sizeof *voice);
	if (voice == NULL)
		return ERR_NOMEM;
	addr_from_sock(target, &bind_to);
	struct udp_options options = { .bind = &bind_to, .speaks_for = true };
	int error = udp_open(voices->io, &options, voices->ops, voices->owner, &voice->udp);
	if (error != 0) {
		free(voice);
		return error;
	}
	voice->voices = voices;
	voice->target = *target;
	voice->n_held = 1;
	DL_APPEND(*bucket, voice);
	*ret = voice;
	return 0;
}

void transparent_voice_give(struct transparent_voice *voice)
{
	if (voice == NULL || --voice->n_held > 0)
		return;
	struct transparent_voice **bucket = bucket_of(voice->voices, &voice->target);
	DL_DELETE(*bucket, voice);
	udp_close(voice->udp);
	free(voice);
}

void transparent_voice_send(
	struct transparent_voice *voice, const union addr_sock *to, struct bytes data)
{
	udp_send(voice->udp, to, NULL, bytes_of(NULL, 0), data);
}
