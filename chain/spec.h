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

/* What stands at a step of a chain. */
enum chain_step {
	CHAIN_STEP_HOP,
	CHAIN_STEP_SOCKS5, /* somebody else's proxy: no key, nothing of ours is sealed for it */
	CHAIN_STEP_HTTP,   /* the same, by CONNECT */
};

#define CHAIN_WEIGHT_MAX 1000
#define CHAIN_POOL_MAX   64 /* warm connections to one hop */
#define CHAIN_LOGIN_MAX  255

struct chain_hop {
	char *name;       /* or NULL; owned */
	struct addr addr; /* with is_srv: a name, and port 0 */
	bool is_srv;      /* addr.name is that of SRV records (RFC 2782) */
	enum chain_step step;
	struct wire_key *key; /* of HOP; owned */
	enum chain_cipher cipher;
	char *user, *password; /* of the others, or NULL; at most CHAIN_LOGIN_MAX bytes; owned */
	uint32_t weight;       /* 1..CHAIN_WEIGHT_MAX: among its group; 0 = 1 */
	uint32_t n_warm;       /* "pool": idle connections kept ready, steered as far as this hop */
};

/* How one of several is chosen. */
enum chain_strategy {
	CHAIN_FIRST, /* the first that lives */
	CHAIN_ROUND_ROBIN,
	CHAIN_RANDOM,
	CHAIN_LOWEST_RTT,
	CHAIN_HASH_SOURCE, /* the same source, the same candidate, as long as it lives */
	CHAIN_HASH_TARGET,
};
#define CHAIN_MAX_FAILS      3 /* default: failures in a row until one is put aside */
#define CHAIN_RETRY_AFTER_MS 30000
#define CHAIN_CANDIDATES_MAX 64

/* Several hops for one position ("any"). */
struct chain_group {
	enum chain_strategy strategy;
	uint32_t max_fails, retry_after_ms;
	struct chain_hop *hops; /* 1..CHAIN_CANDIDATES_MAX; owned */
	size_t n_hops;
};

struct chain_spec {
	char *name; /* or NULL; owned */
	/* 0..CHAIN_HOPS_MAX; none: "direct", which a chain file cannot say. The array is owned. Of
	 * a position with a group this is its first candidate, whose members are the group's: so a
	 * spec is always one complete chain for those who do not choose. */
	struct chain_hop *hops;
	size_t n_hops;
	struct chain_group **groups; /* NULL: no position has one; else n_hops, NULL where there is
					none; owned */
	bool is_way; /* made by chain_spec_way(): all members of its hops are another spec's */
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
/** chain_spec_way() - the chain without groups that takes candidate @choice[i] at position i (0
 * where there is no group). Borrows everything but its arrays from @spec, which must outlive it.
 * Return: NULL without memory. */
struct chain_spec *chain_spec_way(const struct chain_spec *spec, const uint8_t *choice);
/** chain_spec_is_equal() - whether both would lead the same way in the same manner: all that
 * decides anything is compared, keys too. */
bool chain_spec_is_equal(const struct chain_spec *a, const struct chain_spec *b);
/* What can stand at one position: the group, or the one hop. */
struct chain_candidates {
	const struct chain_hop *hops;
	size_t n;
};
struct chain_candidates chain_spec_candidates(const struct chain_spec *spec, size_t i);
/** chain_spec_has_groups() */
bool chain_spec_has_groups(const struct chain_spec *spec);
/** chain_spec_has_foreign() - whether somebody else's proxy is among the steps or candidates. */
bool chain_spec_has_foreign(const struct chain_spec *spec);
/** chain_spec_can_seal() - whether each way has a hop of ours, whichever candidates are taken.
 * Payload is sealed as far as the last hop; the steps of others behind it see it as it is. */
bool chain_spec_can_seal(const struct chain_spec *spec);
/* What chain_spec_check() says of the whole chain. */
#define CHAIN_SPEC_SEALS_NOTHING                                                                   \
	"no step has a key: nothing can be sealed, which \"payload\": \"header-only\" must say"
#define CHAIN_SPEC_NO_DATAGRAMS                                                                    \
	"other people's proxies carry no datagrams; \"udp\" can be \"auto\" or \"stream\""
/** chain_spec_check() - 1..16 steps, each candidate with an address, each hop with a key, no two
 * equal user keys; a way without a hop of ours only if it is header-only; datagrams on every link
 * only if every step is a hop. Return: 0, or the 1-based position of the first step that is wrong,
 * with *ret_reason (static). */
size_t chain_spec_check(const struct chain_spec *spec, const char **ret_reason);

/** chain_step_name() - "hop", "socks5", "http". Static. */
const char *chain_step_name(enum chain_step step);
/** chain_hop_print() - "host:port", or "srv:_hop._tcp.example.net". Returns @to. */
const char *chain_hop_print(const struct chain_hop *hop, char to[ADDR_TEXT_MAX]);

#endif
