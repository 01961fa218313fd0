#ifndef CHAIN_CLIENT_H
#define CHAIN_CLIENT_H
/*
 * Does: what everything of one worker that goes through one chain shares: resolver, ephemeral keys,
 * and what was found out about datagrams. Knows: one spec. Never knows: sessions, flows.
 */
#include "chain/spec.h"
#include "common/resolve.h"

struct wire_ephemeral;
struct chain_pool_user;

struct chain_client;
/** chain_client_new() - borrows all. */
NODISCARD int chain_client_new(struct loop *loop, struct resolver *resolver,
	const struct chain_spec *spec, struct chain_client **ret);
void chain_client_free(
	struct chain_client *client); /* after its sessions ended; leaves its pools. NULL ok */

struct loop *chain_client_loop(const struct chain_client *client);
struct resolver *chain_client_resolver(const struct chain_client *client);
const struct chain_spec *chain_client_spec(const struct chain_client *client);
/** chain_client_ephemeral() - also starts the timer that wipes an old pair; call it before each
 * use. */
struct wire_ephemeral *chain_client_ephemeral(struct chain_client *client);
/* For pool.h: what is kept warm for this client; NULL: nothing. */
void chain_client_set_pool_user(struct chain_client *client, struct chain_pool_user *user);
struct chain_pool_user *chain_client_pool_user(const struct chain_client *client);
/* Whether datagrams came through, by the last flow that knows. */
enum chain_udp_path {
	CHAIN_UDP_UNKNOWN,
	CHAIN_UDP_WORKS,
	CHAIN_UDP_LOST, /* until CHAIN_UDP_AGAIN_MS have passed */
};
#define CHAIN_UDP_AGAIN_MS 600000
enum chain_udp_path chain_client_udp_path(const struct chain_client *client);
void chain_client_set_udp_path(struct chain_client *client, enum chain_udp_path path);

#endif
