#ifndef HOP_FLOW_H
#define HOP_FLOW_H
/*
 * Does: the flow rules of a hop without I/O: what a datagram from a client or from upstream leads
 * to (docs/protocol.md 2.10: parsing, accepting R, epochs, amplification, who sends S, status).
 * Knows: the wire, users, the replay store, two clocks it is told. Never knows: sockets, DNS,
 * policy.
 */
#include "chain/wire_datagram.h"
#include "chain/wire_response.h"
#include "common/flow.h"
#include "common/replay.h"
#include "hop/generation.h"

#define HOP_FLOW_IDLE_MS      120000
#define HOP_FLOW_UNREPLIED_MS 30000
#define HOP_FLOW_DNS_MS       10000 /* at the exit, port 53, after the answer */

/** hop_flow_answered_ms() - how long an exit keeps a flow to @port idle once it was answered. */
uint32_t hop_flow_answered_ms(uint16_t port);

struct hop_flows;
struct hop_flow;

/* Where a datagram came from and what must be answered from. */
struct hop_path {
	union addr_sock peer; /* the client's address */
	uint32_t via;         /* the owner's number for the socket and its own address */
};

struct hop_flows_ops {
	/* One datagram, @head ‖ @body, to a client. */
	void (*send_down)(
		const struct hop_path *to, struct bytes head, struct bytes body, void *owner);
	/* One datagram upstream, on the flow's socket. */
	void (*send_up)(struct hop_flow *flow, struct bytes datagram, void *owner);
	/* Line 17: resolve, policy, a socket connected to request->to. The owner answers with
	 * hop_flow_opened(), from inside or later. */
	void (*open)(struct hop_flow *flow, const struct wire_request *request, void *owner);
	/* The flow is gone (idle, replaced, refused, evicted, freed): close its socket, cancel what
	 * open() began, give back what admit() took. @flow is not to be used afterwards. Only of
	 * flows that were admitted. */
	void (*close)(struct hop_flow *flow, const char *why, void *owner);
	/* A new flow of @entry is wanted: quotas. Return: STATUS_OK, LIMIT or RATE. Returned by the
	 * owner in close(). */
	enum wire_status (*admit)(
		struct hop_flow *flow, const struct hop_entry *entry, void *owner);
};

/* Dropped datagrams by reason; all of one worker. */
struct hop_flow_counters {
	uint64_t n_up, n_down;        /* relayed datagrams */
	uint64_t n_junk;              /* too short, no block, no request: strangers */
	uint64_t n_unauthentic;       /* R that does not open, bad extension */
	uint64_t n_clock, n_replayed; /* R outside the window; R known and no copy to be obeyed */
	uint64_t n_quota;             /* replay quota */
	uint64_t n_wrong_source;      /* SHORT from an address the flow is not bound to */
	uint64_t n_forged;            /* exit: tag does not verify */
	uint64_t n_window;            /* exit: number seen or too old */
	uint64_t n_pending;           /* held back while R is processed: more than fit */
	uint64_t n_amplification;     /* would exceed what an unproved address may get */
};

struct hop_flows_options {
	const struct hop_users *users;
	struct hop_generation *generation; /* of @users: flows hold it; or NULL */
	struct replay *replay;
	struct wire_ephemeral *ephemeral;
	uint32_t max_flows;
	const struct hop_flows_ops *ops;
	void *owner;
};
NODISCARD int hop_flows_new(
	const struct hop_flows_options *options, uint64_t now_ms, struct hop_flows **ret);
/** hop_flows_use() - who may begin flows from now on. */
void hop_flows_use(
	struct hop_flows *flows, const struct hop_users *users, struct hop_generation *generation);
/** hop_flows_free() - ends every flow (close() runs). NULL ok. */
void hop_flows_free(struct hop_flows *flows);
void hop_flows_end(struct hop_flows *flows); /* every flow, now */
const struct hop_flow_counters *hop_flows_counters(const struct hop_flows *flows);
uint32_t hop_flows_count(const struct hop_flows *flows);
/** hop_flows_count_open() - without those that only answer copies: what a drain waits for. */
uint32_t hop_flows_count_open(const struct hop_flows *flows);

/** hop_flows_receive() - a datagram from @from; it may be overwritten. */
void hop_flows_receive(struct hop_flows *flows, const struct hop_path *from, uint8_t *datagram,
	size_t len, uint64_t now_ms, uint64_t wall_ms);
/** hop_flow_receive() - a datagram from upstream. May end the flow. */
void hop_flow_receive(
	struct hop_flow *flow, uint8_t *datagram, size_t len, uint64_t now_ms, uint64_t wall_ms);
/** hop_flow_trouble() - an ICMP or local error of the upstream socket: STATUS_PORT_UNREACH,
 * MSGSIZE with @value, 0x2x. */
void hop_flow_trouble(
	struct hop_flow *flow, uint8_t status, uint16_t value, uint64_t now_ms, uint64_t wall_ms);

/* What line 17 led to. */
struct hop_flow_outcome {
	uint8_t status, detail; /* OK: the socket is there */
	uint8_t tries;
	uint32_t resolve_us, connect_us;
	bool has_address;
	union addr_sock address;
};
void hop_flow_opened(struct hop_flow *flow, const struct hop_flow_outcome *outcome, uint64_t now_ms,
	uint64_t wall_ms);

/** hop_flows_shorten() - as flow_table_shorten(): for a hop that is to stop. */
void hop_flows_shorten(struct hop_flows *flows, uint32_t idle_ms, uint64_t now_ms);
/** hop_flows_run() / due_ms() - as flow_table_run(). */
void hop_flows_run(struct hop_flows *flows, uint64_t now_ms);
int hop_flows_due_ms(const struct hop_flows *flows, uint64_t now_ms);

/* For the owner's open(), close() and log. */
void *hop_flow_data(const struct hop_flow *flow); /* the owner's; NULL at first */
void hop_flow_set_data(struct hop_flow *flow, void *data);
const struct hop_entry *hop_flow_entry(const struct hop_flow *flow);
bool hop_flow_is_exit(const struct hop_flow *flow);
/** hop_flow_peer() - the bound address, or the first that presented it. */
const union addr_sock *hop_flow_peer(const struct hop_flow *flow);
void hop_flow_bytes(const struct hop_flow *flow, uint64_t *ret_up, uint64_t *ret_down);

#endif
