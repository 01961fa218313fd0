#ifndef HOP_FLOW_STATE_H
#define HOP_FLOW_STATE_H
/*
 * Does: what a flow is made of: its epochs, their handshakes and keys; makes and drops them.
 * Private to hop/flow*.c. Knows: names, keys. Never knows: what a datagram leads to.
 *
 *   flow ─┬─ valid    the epoch whose client proved its address; old: the one before, for 10 s
 *         └─ pending  the newest accepted R; many addresses may have presented it
 *   epoch ─┬─ handshake  R, S, who presented R: while copies of R are obeyed
 *          └─ keys       at the exit
 */
#include "common/pool.h"
#include "common/window.h"
#include "hop/flow.h"

#define FLOW_UNPROVED_FACTOR 3 /* bytes out per byte in, to the first that presented R */
#define FLOW_SOURCES_MAX     4
#define FLOW_PENDING_MS      30000 /* an epoch that nobody proves; also how long R is known */
#define FLOW_OVERLAP_MS      10000 /* the epoch before, provisional ids, phase 0: after the proof */
#define FLOW_HELD_MAX        4     /* datagrams kept while the upstream socket is being made */
#define FLOW_HELD_BYTES      8192
#define FLOW_REST_MS         5000 /* keys of a flow that is quiet for so long fall asleep */
#define FLOW_HOT_MAX         128 /* awake flows that have contexts of the crypto library: 2 KiB each */
#define FLOW_RESPONSE_MAX    1400 /* S and what follows it are one datagram up to here */
#define FLOW_STAMP_BACK_MS   1000 /* an R may be stamped so much before the newest one */

enum flow_name_kind {
	FLOW_BY_CLIENT = 1, /* key id ‖ fid_c */
	FLOW_BY_FID,        /* an epoch's assigned id */
	FLOW_BY_SOURCE,     /* address ‖ port ‖ fid_c: provisional id */
	FLOW_BY_SALT,       /* of an R that may be repeated */
};

/* An address that presented the R of an epoch. */
struct hop_source {
	struct flow_name name; /* FLOW_BY_SOURCE */
	struct hop_path path;
	uint64_t n_in, n_out;
	uint32_t n_copies;    /* R and its copies from here */
	uint32_t n_responses; /* S sent alone to here */
};

struct hop_handshake {
	struct hop_epoch *epoch;
	struct flow_name salt;
	struct timer timer;
	struct hop_source sources[FLOW_SOURCES_MAX];
	unsigned n_sources;
	uint32_t n_arrivals; /* of R, from anywhere */
	uint8_t *r, *s;      /* with extensions; s: NULL until made. Heap if not inside */
	size_t n_r, n_s;
	uint8_t r_inside[WIRE_REQUEST], s_inside[WIRE_RESPONSE];
	uint16_t flags;      /* of R */
	uint8_t cmd, status; /* status: of s */
	uint8_t cipher;
	struct wire_pair *pair; /* FS, until s is made */
	uint8_t ss[SEAL_CURVE];
	struct record_packet phase0; /* exit */
};

/* At the exit, phase 1 of an epoch. What a quiet flow keeps; the rest is made again when it wakes.
 */
struct hop_seal {
	struct hop_keys *keys;    /* awake; NULL = asleep */
	uint8_t up[32], down[32]; /* secrets */
	uint64_t number;          /* next pn down */
	uint64_t next;            /* asleep: every pn up below counts as seen */
	uint8_t cipher;
};

struct hop_keys {
	struct hop_keys *prev, *next; /* in hop_flows.hot or cold */
	struct hop_seal *seal;
	struct record_packet up, down;
	struct window window;
	uint64_t used_ms;
	bool is_hot; /* has the library's contexts */
};

struct hop_epoch {
	struct hop_flow *flow;
	struct flow_name name; /* FLOW_BY_FID */
	uint64_t fid;
	uint64_t stamp_ms, accepted_ms; /* R's own clock; ours */
	uint64_t validated_ms;          /* 0 = pending */
	struct hop_path bound;          /* once validated */
	uint64_t n_in, n_out;           /* of bound, if is_shared */
	bool is_shared; /* others presented R too: S may have gone to one, the proof come in the
			   name of another. The limit stays */
	struct hop_handshake *handshake; /* NULL once R is forgotten */
	struct hop_seal *seal;           /* exit, once S is made */
};

/* Datagrams that wait. For the upstream socket: at a middle hop what is to be forwarded, at the
 * exit a block and what follows. */
struct hop_held {
	uint8_t *bytes[FLOW_HELD_MAX];
	uint16_t len[FLOW_HELD_MAX];
	struct hop_path from[FLOW_HELD_MAX];
	unsigned n;
	size_t n_bytes;
};

enum hop_hint { /* statuses in D, each at most once a second */
	FLOW_HINT_RESETUP,
	FLOW_HINT_PORT,
	FLOW_HINT_SIZE,
	FLOW_HINT_OTHER,
	FLOW_N_HINTS,
};

struct hop_flow {
	struct flow flow;      /* first */
	struct flow_name name; /* FLOW_BY_CLIENT; not of one that only answers */
	struct hop_flows *flows;
	struct hop_generation *generation; /* of @entry; held; or NULL */
	const struct hop_entry *entry;
	void *data; /* the owner's */
	struct hop_epoch *valid, *old, *pending;
	struct hop_held *held; /* up: while the upstream socket is being made */
	struct hop_held *late; /* down: more than the unproved client may get; until it is proved */
	uint64_t fid_c;
	uint64_t n_up, n_down; /* bytes */
	uint64_t number;       /* middle hop: next pn of D */
	uint32_t hint_count;
	uint32_t hinted_s[FLOW_N_HINTS]; /* second of the last one, + 1 */
	uint8_t target[16];              /* hash of what R names */
	uint16_t port;
	bool is_exit;
	bool is_open;   /* the upstream socket is there */
	bool is_answer; /* ECHO or a refusal: no upstream, only its S for copies of R */
	bool is_admitted, has_reply;
};

struct hop_flows {
	struct hop_flows_options options;
	struct flow_table *table;
	struct hop_keys *hot, *cold; /* awake; hot: the longest so first */
	unsigned n_hot;
	uint32_t n_answers; /* flows that only answer */
	struct timer rest;
	struct pool *flow_pool, *epoch_pool, *handshake_pool, *seal_pool, *keys_pool;
	struct hop_flow_counters counters;
	uint64_t now_ms, wall_ms; /* of the call that runs */
	uint8_t *scratch;         /* FLOW_SCRATCH bytes: what is opened or sealed */
};
#define FLOW_SCRATCH (65536 + 64)

/** hop_flow_new() - neither listed nor with an epoch. NULL without memory. */
struct hop_flow *hop_flow_new(struct hop_flows *flows, const struct hop_entry *entry);
/** hop_flow_list() - once it may have a place: another one may lose it. Return: 0, ERR_AGAIN. */
NODISCARD int hop_flow_list(struct hop_flow *flow);
void hop_held_free(struct hop_held *held); /* NULL ok */
/** hop_flow_end() - drops everything, tells the owner, frees. */
void hop_flow_end(struct hop_flow *flow, const char *why);
/** hop_epoch_new() - of a request that was accepted: @r with its extension. Return: NULL without
 * memory. */
struct hop_epoch *hop_epoch_new(
	struct hop_flow *flow, const struct wire_request *request, struct bytes r);
/** hop_epoch_drop() - NULL ok. */
void hop_epoch_drop(struct hop_epoch *epoch);
/** hop_epoch_assign() - gives @epoch its fid: random, unique, low bit other than the validated
 * epoch's. Return: 0, ERR_NOMEM. */
NODISCARD int hop_epoch_assign(struct hop_epoch *epoch);
/** hop_epoch_prove() - the client at @from has shown that it got S: @epoch is the validated one.
 */
void hop_epoch_prove(struct hop_epoch *epoch, const struct hop_path *from);
/** hop_source_find() / add() - @from among those that presented R; NULL: no, or no room. add():
 * with its provisional id, which a newer epoch takes over. */
struct hop_source *hop_source_find(struct hop_handshake *h, const struct hop_path *from);
struct hop_source *hop_source_add(struct hop_handshake *h, const struct hop_path *from);
/** hop_source_print() - the provisional name. Return: its length. */
uint8_t hop_source_print(const union addr_sock *peer, uint64_t fid_c, uint8_t to[FLOW_NAME_MAX]);
/** hop_respond() - makes S from @response. Return: 0, or negative: nothing was made. */
NODISCARD int hop_respond(struct hop_handshake *h, struct wire_response *response);
/** hop_epoch_wake() - the keys of @epoch, which has a seal, awake for the next FLOW_REST_MS at
 * least. NULL without memory. */
struct hop_keys *hop_epoch_wake(struct hop_epoch *epoch);
/** hop_pools_new() / free() - Return: 0, ERR_NOMEM (what was made is freed by free()). */
NODISCARD int hop_pools_new(struct hop_flows *flows);
void hop_pools_free(struct hop_flows *flows);
bool hop_path_is_equal(const struct hop_path *a, const struct hop_path *b);

/* hop/flow_request.c */
/** hop_request_receive() - a datagram that is no block of a flow. */
void hop_request_receive(struct hop_flows *flows, const struct hop_path *from, struct bytes in);

/* hop/flow.c */
/** hop_pass_up() - what follows R or stands in place of it: forwarded by a middle hop, opened by
 * the exit (@rest begins with B_n there), held while there is no socket. */
void hop_pass_up(struct hop_flow *flow, struct hop_epoch *epoch, const struct hop_path *from,
	struct bytes rest);
/** hop_send_response() - S, and @tail behind it, to a source; within its limit. */
void hop_send_response(struct hop_epoch *epoch, struct hop_source *source, struct bytes tail);

#endif
