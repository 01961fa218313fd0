#ifndef HOP_OPTIONS_H
#define HOP_OPTIONS_H
/*
 * Does: everything a hop can be told. Knows: units and defaults. Never knows: JSON, flags.
 */
#include "chain/wire_key.h"
#include "common/addr.h"
#include "common/control.h"
#include "common/netset.h"
#include "common/relay.h"

#define HOP_HEADER_TIMEOUT_MS 10000 /* complete header (docs/protocol.md 2.7.6) */
#define HOP_DIAL_TIMEOUT_MS   10000
#define HOP_FLOWS_MAX         16384 /* default of max_flows: each holds a descriptor */

struct systemd_sockets;

struct hop_user_key {
	struct wire_key *key;                 /* owned */
	uint64_t not_before_ms, not_after_ms; /* unix ms; 0 and UINT64_MAX = always */
};

struct hop_user {
	char *name;                /* owned */
	struct hop_user_key *keys; /* owned, ≥ 1 */
	size_t n_keys;
	struct netset allow, deny; /* empty allow = the hop's */
	bool has_allow;
	uint32_t max_connections;         /* 0 = none */
	uint32_t max_connects_per_second; /* 0 = none; new flows count too */
	uint32_t max_flows;               /* UDP; 0 = none */
	uint64_t rate;                    /* bytes per second of each direction; 0 = none */
	bool has_proxy_header;            /* his targets get one where R carries CLIENT */
};

enum hop_on_bad {
	HOP_BAD_DRAIN,
	HOP_BAD_RESET,
};

struct hop_listener {
	struct addr addr;
	bool takes_udp;        /* datagrams too, on the same port */
	uint32_t mode;         /* of a socket file; 0 = PLACE_MODE */
	struct netset proxies; /* sources whose connections begin with a PROXY header */
};

struct hop_options {
	struct hop_listener *listen; /* owned */
	size_t n_listen;
	struct hop_user *users; /* owned */
	size_t n_users;
	struct netset allow, deny; /* of all users */
	char *replay_file;         /* or NULL = memory; owned */
	bool is_replay_strict;
	uint32_t replay_quota; /* 0 = default */
	char *dns_servers;     /* comma-separated, or NULL = system; owned */
	uint32_t header_timeout_ms, dial_timeout_ms;
	struct relay_options relay;
	uint32_t max_connections;            /* 0 = none */
	uint32_t max_flows;                  /* UDP flows of one worker; ≥ 1 */
	uint32_t max_connections_per_source; /* 0 = none */
	uint32_t max_handshakes_per_second;  /* 0 = none */
	uint64_t rate; /* bytes per second of each direction, of all users; 0 = none */
	uint32_t ephemeral_window_ms;
	enum hop_on_bad on_bad;
	bool refuses_measure;  /* command MEASURE: DENIED_CMD */
	bool logs_connections; /* one line per finished connection */
	unsigned n_workers;
	uint32_t drain_ms;
	struct control_options control;
	const struct systemd_sockets *passed; /* or NULL; a reload keeps them */
};

#define HOP_OPTIONS_DEFAULT                                                                        \
	{                                                                                          \
		.header_timeout_ms = HOP_HEADER_TIMEOUT_MS,                                        \
		.dial_timeout_ms = HOP_DIAL_TIMEOUT_MS, .relay = RELAY_OPTIONS_DEFAULT,            \
		.ephemeral_window_ms = 60000, .logs_connections = true, .n_workers = 1,            \
		.drain_ms = 30000, .max_flows = HOP_FLOWS_MAX,                                     \
	}

void hop_options_deinit(struct hop_options *options);
/** hop_options_check() - at least one listener and user; no two equal user keys or key ids; at most
 * 2 mask keys. Return: NULL, or what is wrong (static or in @text). */
const char *hop_options_check(const struct hop_options *options, char *text, size_t size);

/** hop_options_keep() - what a hop that runs does not change stays in @new as in @old; a difference
 * that somebody may wait for is a warning. */
void hop_options_keep(
	const struct hop_options *old, struct hop_options *new, struct reload_report *report);

#endif
