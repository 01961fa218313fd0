#include "chain/client.h"

#include "chain/pool.h"
#include "chain/wire_secret.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdlib.h>

struct chain_client {
	struct loop *loop;
	struct resolver *resolver;
	const struct chain_spec *spec;
	struct wire_ephemeral *ephemeral;
	struct chain_pool_user *pool_user; /* or NULL */
	struct timer expiry; /* of the ephemeral pair: wiped also when nobody connects any more */
	enum chain_udp_path udp_path;
	uint64_t udp_lost_ms; /* when it was found LOST */
};

int chain_client_new(struct loop *loop, struct resolver *resolver, const struct chain_spec *spec,
	struct chain_client **ret)
{
	struct chain_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return ERR_NOMEM;
	client->loop = loop;
	client->resolver = resolver;
	client->spec = spec;
	/* Of a header-only chain, too: datagrams are always sealed. It is empty until used. */
	int error = wire_ephemeral_new(spec->ephemeral_window_ms, &client->ephemeral);
	if (error != 0) {
		free(client);
		return error;
	}
	*ret = client;
	return 0;
}

void chain_client_free(struct chain_client *client)
{
	if (client == NULL)
		return;
	chain_pools_remove(client);
	loop_timer_stop(client->loop, &client->expiry);
	wire_ephemeral_free(client->ephemeral);
	free(client);
}

static void on_expiry(struct timer *timer)
{
	struct chain_client *client =
		(struct chain_client *)((char *)timer - offsetof(struct chain_client, expiry));
	uint64_t due_ms = wire_ephemeral_expire(client->ephemeral, loop_now_ms(client->loop));
	if (due_ms != UINT64_MAX)
		loop_timer_start(client->loop, timer, due_ms, on_expiry);
}

struct loop *chain_client_loop(const struct chain_client *client)
{
	return client->loop;
}

struct resolver *chain_client_resolver(const struct chain_client *client)
{
	return client->resolver;
}

const struct chain_spec *chain_client_spec(const struct chain_client *client)
{
	return client->spec;
}

struct wire_ephemeral *chain_client_ephemeral(struct chain_client *client)
{
	if (!timer_is_running(&client->expiry))
		loop_timer_start(client->loop, &client->expiry, client->spec->ephemeral_window_ms,
			on_expiry);
	return client->ephemeral;
}

void chain_client_set_pool_user(struct chain_client *client, struct chain_pool_user *user)
{
	client->pool_user = user;
}

struct chain_pool_user *chain_client_pool_user(const struct chain_client *client)
{
	return client->pool_user;
}

enum chain_udp_path chain_client_udp_path(const struct chain_client *client)
{
	if (client->udp_path == CHAIN_UDP_LOST &&
		loop_now_ms(client->loop) - client->udp_lost_ms >= CHAIN_UDP_AGAIN_MS)
		return CHAIN_UDP_UNKNOWN;
	return client->udp_path;
}

void chain_client_set_udp_path(struct chain_client *client, enum chain_udp_path path)
{
	client->udp_path = path;
	client->udp_lost_ms = loop_now_ms(client->loop);
}
