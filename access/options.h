#ifndef ACCESS_OPTIONS_H
#define ACCESS_OPTIONS_H
/*
 * Does: everything an access server can be told. Knows: units and defaults. Never knows: JSON,
 * flags.
 */
#include "access/greeting.h"
#include "access/logins.h"
#include "access/route.h"
#include "chain/upstream.h"
#include "common/addr.h"
#include "common/control.h"
#include "common/netset.h"

struct systemd_sockets;

/* What a listener takes; a plain forward takes both unless its address says one. */
enum {
	ACCESS_TCP = 1,
	ACCESS_UDP = 2,
};

/* Limits of a listener or of the whole server; 0 = none. Rates are bytes per second of each
 * direction. */
struct access_caps_options {
	uint32_t connects_per_second, connects_per_second_per_source; /* new flows count too */
	uint32_t connections_per_user;
	uint64_t rate, rate_per_source, rate_per_user;
};

#define ACCESS_MARK                                                                                \
	0x6863 /* of our own sockets where others' are captured, unless told otherwise */

/* Connections that go elsewhere, which rules of the kernel give to us. */
enum access_capture {
	ACCESS_NO_CAPTURE,
	ACCESS_REDIRECT, /* TCP */
	ACCESS_TPROXY,   /* TCP and UDP */
};

struct access_listener {
	unsigned transports; /* ACCESS_TCP, ACCESS_UDP or both: on the same port */
	char *name;          /* or NULL; owned */
	struct addr addr;
	unsigned
		protocols; /* GREETING_SOCKS | GREETING_HTTP: the client says where to; 0: to @to */
	struct addr to;    /* target of every connection of a plain forward */
	enum access_capture capture;           /* else the target is where each was going */
	const struct chain_upstream_spec *use; /* one of access_options.upstreams: what no rule
						  sends elsewhere */
	struct netset from;                    /* sources served; empty = loopback and private */
	bool is_open;                          /* any source, said explicitly */
	bool needs_user;                       /* of a proxy: only @users come in */
	struct login *users;                   /* owned */
	size_t n_users;
	uint32_t max_connections, max_connections_per_source; /* 0 = none */
	struct access_caps_options caps;
	uint32_t max_flows;    /* UDP; 0 = the default of udp_forward.h */
	uint32_t mode;         /* of a socket file; 0 = PLACE_MODE */
	struct netset proxies; /* sources whose connections begin with a PROXY header */
	bool sends_proxy;      /* tells the last hop who the client is, for a PROXY header */
};

struct access_options {
	struct access_listener *listen; /* owned */
	size_t n_listen;
	struct chain_spec **chains; /* owned; "direct" (no hops) is the last of them */
	size_t n_chains;
	/* Owned: one for each chain, in their order, then the groups. Names are unique. */
	struct chain_upstream_spec **upstreams;
	size_t n_upstreams;
	struct route_rule *rules; /* owned; the first that matches wins */
	size_t n_rules;
	uint32_t mark; /* of sockets that are opened outwards; 0 = ACCESS_MARK where something
			  is captured, else none */
	const struct systemd_sockets *passed;                 /* or NULL; a reload keeps them */
	char *dns_servers;                                    /* or NULL; owned */
	uint32_t max_connections, max_connections_per_source; /* 0 = none */
	struct access_caps_options caps;                      /* none per user */
	struct control_options control;
	bool logs_connections;
	unsigned n_workers;
	uint32_t drain_ms;
};

#define ACCESS_OPTIONS_DEFAULT                                                                     \
	{                                                                                          \
		.logs_connections = true, .n_workers = 1, .drain_ms = 30000,                       \
	}

/** access_options_add_chain() - takes @chain, and gives it that name, and adds the upstream
 * of it. Return: the
 * upstream, or NULL without memory; @chain is then the caller's. */
struct chain_upstream_spec *access_options_add_chain(
	struct access_options *options, struct chain_spec *chain, const char *name);
/** access_options_add_direct() - adds the chain without hops, "direct", after the last of the
 * others. Return: its upstream, or NULL without memory. */
struct chain_upstream_spec *access_options_add_direct(struct access_options *options);
/** access_options_add_group() - takes @group, unless it returns false: no memory. */
bool access_options_add_group(struct access_options *options, struct chain_upstream_spec *group);
/** access_options_has_choice() - whether not everything goes the same way: there are rules, or
 * listeners of different use. Then a line about a connection tells which. */
bool access_options_has_choice(const struct access_options *options);
/** access_options_chain_of() - the chain that speaks for an upstream where one is asked for: its
 * first. */
const struct chain_spec *access_options_chain_of(const struct chain_upstream_spec *upstream);
/** access_capture_can_be_at() - whether what is captured can come in at @at. Else: why not. */
bool access_capture_can_be_at(enum access_capture capture, const struct addr *at);
#define ACCESS_CAPTURE_PLACES                                                                      \
	"what rules of the kernel redirect comes to a port (with redirect, of systemd too)"
void access_options_deinit(struct access_options *options);

/** access_options_keep() - what a server that runs does not change stays in @new as in @old; a
 * difference that somebody may wait for is a warning. */
void access_options_keep(
	const struct access_options *old, struct access_options *new, struct reload_report *report);

#endif
