#ifndef CHAIN_SPEC_H
#define CHAIN_SPEC_H
/*
 * Does: a chain as the client needs it: hops, keys, limits. Knows: credentials. Never knows: JSON.
 */
#include "chain/wire_key.h"
#include "common/addr.h"

#define CHAIN_HOPS_MAX             16
#define CHAIN_CONNECT_TIMEOUT_MS   10000
#define CHAIN_HANDSHAKE_TIMEOUT_MS 10000
#define CHAIN_EPHEMERAL_WINDOW_MS  60000

enum chain_cipher {
	CHAIN_CIPHER_AUTO,
	CHAIN_CIPHER_AES_256_GCM,
	CHAIN_CIPHER_CHACHA20_POLY1305,
};

/* How UDP goes: datagrams on every link, or framed in a stream where the path loses UDP. */
enum chain_udp {
	CHAIN_UDP_AUTO,
	CHAIN_UDP_DATAGRAM,
	CHAIN_UDP_STREAM,
};

struct chain_hop {
	char *name; /* or NULL; owned */
	struct addr addr;
	struct wire_key *key; /* owned */
	enum chain_cipher cipher;
};

struct chain_spec {
	char *name;             /* or NULL; owned */
	struct chain_hop *hops; /* 1..CHAIN_HOPS_MAX; owned */
	size_t n_hops;
	bool is_header_only; /* "payload": "header-only" on the last hop: no end-to-end encryption
			      */
	uint32_t connect_timeout_ms;   /* to the first hop; also each hop's budget for resolve +
					  connect */
	uint32_t handshake_timeout_ms; /* read from the file; not used: open.c's deadlines are the
					  protocol's */
	uint32_t idle_timeout_ms;      /* of the relay; 0 = off */
	uint32_t ephemeral_window_ms;  /* 0 = a key pair per connection */
	bool resolves_locally;         /* "dns": "local" */
	enum chain_udp udp;
	bool has_target;
	struct addr target;
};

#define CHAIN_SPEC_DEFAULT                                                                         \
	{                                                                                          \
		.connect_timeout_ms = CHAIN_CONNECT_TIMEOUT_MS,                                    \
		.handshake_timeout_ms = CHAIN_HANDSHAKE_TIMEOUT_MS,                                \
		.ephemeral_window_ms = CHAIN_EPHEMERAL_WINDOW_MS,                                  \
	}

/** chain_spec_free() - frees what it owns and @spec itself. NULL ok. */
void chain_spec_free(struct chain_spec *spec);
/** chain_spec_check() - 1..16 hops, each with address and key, no two equal user keys.
 * Return: 0, or the 1-based position of the first hop that is wrong, with *ret_reason (static). */
size_t chain_spec_check(const struct chain_spec *spec, const char **ret_reason);

#endif
