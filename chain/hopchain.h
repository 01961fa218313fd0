#ifndef HOPCHAIN_H
#define HOPCHAIN_H
/*
 * libhopchain: TCP streams and UDP flows through a chain of hops, on the caller's libuv loop.
 *
 * Does: chains from a file or from structs, clients, streams, flows, measurements, failures that
 * name the hop. Knows: the whole client side. Never knows: hops' own side, listeners.
 *
 * The contract, for everything here:
 *  - One thread: a client and all that is made from it belong to the thread of its libuv loop.
 *    Different clients may live on different loops and threads.
 *  - No callback runs from inside the call that asked for it, nor after the object's last event.
 *  - Functions that can fail return 0 or a negative value: -errno (libuv's UV_E*), or a value that
 *    hopchain_strerror() knows. Failures of a chain are values: struct hopchain_error.
 *  - Structs that the caller fills begin with their size (sizeof): members may be added at the end.
 *    Structs that the library fills are borrowed: valid during the callback or as long as said.
 *    They may grow at the end as well.
 *  - The library writes nothing to stdout or stderr, installs no signal handler, ignores no signal,
 *    and never ends the process. Keys and payload appear in no text.
 *  - After fork() everything belongs to the parent: the child calls nothing here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HOPCHAIN_API       __attribute__((visibility("default")))
#define HOPCHAIN_NODISCARD __attribute__((warn_unused_result))
#else
#define HOPCHAIN_API
#define HOPCHAIN_NODISCARD
#endif

struct uv_loop_s;

/** hopchain_version() - "0.1.0" of the library that runs. Static. */
HOPCHAIN_API const char *hopchain_version(void);
/** hopchain_strerror() - one lower-case sentence for a negative return value. Static. */
HOPCHAIN_API const char *hopchain_strerror(int error);
/** hopchain_text_free() - for texts that are said to be the caller's. NULL ok. */
HOPCHAIN_API void hopchain_text_free(char *text);

/* ---- Chains: which hops, with which keys ---- */

struct hopchain_chain;

/* One hop, as structs. Texts are copied. */
struct hopchain_hop {
	size_t size;          /* sizeof(struct hopchain_hop) */
	const char *address;  /* "HOST:PORT", "[IPV6]:PORT", "srv:NAME" */
	const char *key_file; /* a file with one key, mode 0600; or NULL and: */
	const char *key;      /* "hc1:" and 88 characters; the caller's, who wipes it */
	const char *name;     /* or NULL */
};

enum hopchain_udp {
	HOPCHAIN_UDP_AUTO,     /* datagrams; a stream where none comes through within 3 s */
	HOPCHAIN_UDP_DATAGRAM, /* datagrams on every link */
	HOPCHAIN_UDP_STREAM,   /* framed in a stream */
};

struct hopchain_options {
	size_t size;                     /* sizeof(struct hopchain_options) */
	const struct hopchain_hop *hops; /* 1..16, the first is dialled from here */
	size_t n_hops;
	bool is_header_only;         /* payload is not sealed end to end */
	uint32_t connect_timeout_ms; /* of each hop; 0 = 10,000 */
	enum hopchain_udp udp;
};

/**
 * hopchain_chain_read() - a chain file (chain-file(5)); "-" is standard input. Key files it names
 * are read too; the chain never looks at a file again.
 * @ret_report: on failure the whole report as "chain check" prints it, lines that end in '\n', the
 * caller's; may be NULL. Return: 0, or negative; HOPCHAIN_INVALID = see the report.
 */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_chain_read(
	const char *path, struct hopchain_chain **ret, char **ret_report);
/**
 * hopchain_chain_check_json() - the same check, for programs: *ret_document, the caller's, is a
 * JSON array of {file, line, column, pointer, slug, message, hint}; [] if nothing is wrong. What is
 * not known is null. Return: 0; HOPCHAIN_INVALID, with a document too; other negative values.
 */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_chain_check_json(
	const char *path, char **ret_document);
/** hopchain_chain_new() - the same from structs. @ret_report: as above, one line or more. */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_chain_new(
	const struct hopchain_options *options, struct hopchain_chain **ret, char **ret_report);
/** hopchain_chain_free() - after every client of it has closed; wipes. NULL ok. */
HOPCHAIN_API void hopchain_chain_free(struct hopchain_chain *chain);
#define HOPCHAIN_INVALID (-10100) /* a chain or a target is wrong: a sentence says how */

HOPCHAIN_API size_t hopchain_chain_n_hops(const struct hopchain_chain *chain);
/** hopchain_chain_name() - of the chain, or NULL. hopchain_chain_target() - "HOST:PORT" of the
 * file's "target", or NULL. hopchain_chain_hop_address() - "HOST:PORT" or "srv:NAME" of hop @i,
 * from 1; hopchain_chain_hop_name() - its name, or NULL. All live as long as the chain. */
HOPCHAIN_API const char *hopchain_chain_name(const struct hopchain_chain *chain);
HOPCHAIN_API const char *hopchain_chain_target(const struct hopchain_chain *chain);
HOPCHAIN_API const char *hopchain_chain_hop_address(const struct hopchain_chain *chain, size_t i);
HOPCHAIN_API const char *hopchain_chain_hop_name(const struct hopchain_chain *chain, size_t i);
/* What can stand at a position of a chain: of a group there are several, else one. */
struct hopchain_candidate {
	const char *address; /* "HOST:PORT", or "srv:NAME": SRV records */
	const char *name;    /* or NULL */
	const char *type;    /* "hop"; somebody else's proxy: "socks5", "http". Static */
	unsigned weight;     /* among its group */
};
/** hopchain_chain_n_candidates() - of position @i, from 1. hopchain_chain_candidate() - the one @k,
 * from 1; NULL: there is none; lives as long as the chain. The first one's address and name are
 * also those of hopchain_chain_hop_address() and _name(). hopchain_chain_strategy() - how one of a
 * group is chosen, as in the file: "lowest-rtt" …; NULL: there is no group. Static. */
HOPCHAIN_API size_t hopchain_chain_n_candidates(const struct hopchain_chain *chain, size_t i);
HOPCHAIN_API const struct hopchain_candidate *hopchain_chain_candidate(
	const struct hopchain_chain *chain, size_t i, size_t k);
HOPCHAIN_API const char *hopchain_chain_strategy(const struct hopchain_chain *chain, size_t i);
HOPCHAIN_API bool hopchain_chain_is_header_only(const struct hopchain_chain *chain);
/** hopchain_chain_mtu() - largest UDP payload towards @target ("HOST:PORT") that stays unfragmented
 * over a first link of 1,500 bytes: of a flow's first datagrams, and of all later ones. */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_chain_mtu(const struct hopchain_chain *chain,
	const char *target, size_t *ret_first, size_t *ret_steady);

/** hopchain_target_check() - whether @target is a "HOST:PORT" that a chain can be asked for.
 * Return: NULL, or a sentence like "has no port". Static. */
HOPCHAIN_API const char *hopchain_target_check(const char *target);

/** hopchain_key_generate() - a new key as text, NUL-terminated. @mask_of: a key file of the hop
 * that gets a further user, or NULL for a hop's first. @ret_report: what is wrong with that file,
 * the caller's. The caller wipes @to. */
#define HOPCHAIN_KEY_TEXT 93
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_key_generate(
	const char *mask_of, char to[HOPCHAIN_KEY_TEXT], char **ret_report);

/** hopchain_password_hash() - what a users file of access(1) holds of a password: an argon2id text
 * with its own salt, NUL-terminated. Takes 64 MiB and about 0.1 s: not on a loop. */
#define HOPCHAIN_PASSWORD_TEXT 128
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_password_hash(
	const char *password, char to[HOPCHAIN_PASSWORD_TEXT]);

/* ---- Failures ---- */

enum hopchain_stage {
	HOPCHAIN_RESOLVE =
		1,     /* the first hop's name, here; or the target's, where it is resolved here */
	HOPCHAIN_DIAL, /* the connection to the first hop */
	HOPCHAIN_ANSWER,  /* waiting for a hop's response header */
	HOPCHAIN_STATUS,  /* a hop answered with a status that is not OK */
	HOPCHAIN_PAYLOAD, /* later */
	HOPCHAIN_SETUP,   /* here: memory, descriptors */
};

struct hopchain_error {
	enum hopchain_stage stage;
	unsigned hop;            /* 1..n_hops: which failed or did not answer; 0: this host */
	unsigned n_hops;         /* of the chain */
	int code;                /* negative; 0 at stage STATUS */
	unsigned status, detail; /* stage STATUS: docs/protocol.md 2.6 */
	uint32_t elapsed_ms;     /* since the attempt began */
	const char *slug;        /* "no-answer", "refused", …: hopchain-status(7). Static */
	int exit_code;           /* what the tool "chain" ends with: 1, 5..9 (chain(1)) */
	const char *text; /* one sentence: hop, address, reason, time. Borrowed as the error is */
};

/* What is known of a slug: the one table behind "chain explain" and hopchain-status(7). */
struct hopchain_status {
	const char *slug;
	int code;            /* of docs/protocol.md 2.6, or -1: never on the wire */
	int exit_code;       /* when the last hop says it, or when it happens here */
	const char *summary; /* lower case, no full stop */
	const char *meaning; /* sentences */
	const char *remedy;  /* what to do about it: steps, one a line */
};
HOPCHAIN_API size_t hopchain_n_statuses(void);
/** hopchain_status_at() - in the order of the page, @i < hopchain_n_statuses(). Static. */
HOPCHAIN_API const struct hopchain_status *hopchain_status_at(size_t i);
/** hopchain_status_find() - by slug, or by code as text ("0x23", "35"). NULL: none. Static. */
HOPCHAIN_API const struct hopchain_status *hopchain_status_find(const char *slug);

/* ---- Clients: a chain on a loop ---- */

struct hopchain_client;
/** hopchain_client_open() - borrows @loop and @chain until it has closed. The loop stays alive
 * (uv_run() goes on) only while the client has something under way: an idle client does not hold
 * it. Return: 0, or negative: then, too, the loop must run once more before uv_loop_close(). */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_client_open(
	struct uv_loop_s *loop, const struct hopchain_chain *chain, struct hopchain_client **ret);
typedef void hopchain_closed_fn(void *owner);
/** hopchain_client_close() - ends everything made from it: streams and flows are aborted and get
 * CLOSED, measurements are dropped without a word: touch none afterwards. @on_closed (or NULL) runs
 * last; the client is gone then. Idempotent. The loop must run until then. */
HOPCHAIN_API void hopchain_client_close(
	struct hopchain_client *client, hopchain_closed_fn *on_closed, void *owner);

/* What one hop said while a stream was built or a prefix measured. */
struct hopchain_answer {
	unsigned hop;        /* 1..n */
	const char *address; /* as in the chain */
	uint64_t at_us;      /* when its answer came, since the start; 0: over UDP it was lost or
				overtaken, and nothing below is told */
	uint32_t resolve_us; /* its time to resolve what comes after it: next hop, or target */
	uint32_t connect_us; /* … and to connect to it */
	unsigned n_tries;    /* addresses it tried */
	const char *dialled; /* "IP:PORT" it connected to, or NULL: not told */
	bool has_clock;      /* over UDP: the last hop of a prefix only */
	int64_t clock_offset_ms; /* its clock minus ours, by the middle of the last known round trip
				  */
	const char *software;    /* "hopchain 0.1.0", or NULL: not told */
	const char *cipher;      /* the exit's, "aes-256-gcm" …, or NULL */
};

/* ---- Streams ---- */

struct hopchain_stream;

enum hopchain_event {
	HOPCHAIN_CONNECTED, /* every hop said OK; read and write from now on */
	HOPCHAIN_DATA,      /* bytes, valid during the call; only while reading */
	HOPCHAIN_DRAINED,   /* after a write that asked for a pause: everything went out */
	HOPCHAIN_EOF,       /* once: the other end ended its direction in order; writing goes on */
	HOPCHAIN_FAILED,    /* once: hopchain_stream_error() says why; only CLOSED follows */
	HOPCHAIN_CLOSED,    /* last, exactly once after close or abort: the stream is gone */
};
typedef void hopchain_stream_fn(struct hopchain_stream *stream, enum hopchain_event event,
	const void *data, size_t len, void *owner);

/** hopchain_connect() - a stream to @target ("HOST:PORT") through the whole chain. CONNECTED or
 * FAILED follows. @target NULL: the chain's own. Return: 0; HOPCHAIN_INVALID: not a target; …;
 * then no event comes. */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_connect(struct hopchain_client *client,
	const char *target, hopchain_stream_fn *fn, void *owner, struct hopchain_stream **ret);
/** hopchain_connect_measure() - a stream to the last hop itself: its measuring service
 * (docs/protocol.md 2.3, MEASURE). Write 8 bytes first, big-endian: how many bytes it shall send
 * (UINT64_MAX: until you close). Whatever you write then is counted and dropped. After your
 * shutdown, and its own bytes, it sends how many it counted, 8 bytes big-endian, and ends. */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_connect_measure(struct hopchain_client *client,
	hopchain_stream_fn *fn, void *owner, struct hopchain_stream **ret);
/** hopchain_read_start() - DATA and EOF from now on; reading is off at first. Both idempotent.
 * Stopping is how back-pressure reaches the other end. While it is off no EOF comes; FAILED may. */
HOPCHAIN_API void hopchain_read_start(struct hopchain_stream *stream);
HOPCHAIN_API void hopchain_read_stop(struct hopchain_stream *stream);
/** hopchain_write() - after CONNECTED, before hopchain_shutdown(); else nothing is written. Copies
 * what the kernel does not take at once. Return: true: pause until DRAINED. What goes wrong comes
 * as FAILED. */
HOPCHAIN_API bool hopchain_write(struct hopchain_stream *stream, const void *data, size_t len);
/** hopchain_shutdown() - orderly end of our direction, after all that was written. Idempotent.
 * Return: true if something is still queued: DRAINED follows once it and the end are out. */
HOPCHAIN_API bool hopchain_shutdown(struct hopchain_stream *stream);
/** hopchain_close() - ends both directions now, in order; what is still queued is dropped: to get
 * everything across, shut down and wait for EOF first. hopchain_abort() - so that the other end
 * sees a broken stream. Both lead to CLOSED. Idempotent. */
HOPCHAIN_API void hopchain_close(struct hopchain_stream *stream);
HOPCHAIN_API void hopchain_abort(struct hopchain_stream *stream);
/** hopchain_stream_error() - from FAILED on, until CLOSED has returned; else NULL. */
HOPCHAIN_API const struct hopchain_error *hopchain_stream_error(
	const struct hopchain_stream *stream);
/** hopchain_stream_answers() - of the hops that have answered, in order. Until CLOSED. */
HOPCHAIN_API const struct hopchain_answer *hopchain_stream_answers(
	const struct hopchain_stream *stream, size_t *ret_n);
HOPCHAIN_API void hopchain_stream_set_owner(struct hopchain_stream *stream, void *owner);

/* ---- Flows: UDP ---- */

struct hopchain_flow;

enum hopchain_flow_event {
	HOPCHAIN_FLOW_DATAGRAM, /* one datagram of the target's, valid during the call */
	HOPCHAIN_FLOW_STATUS,   /* a hint of the exit about what was sent: @data is its slug
				   ("port-unreach", "msgsize", …), NUL-terminated. The flow goes on */
	HOPCHAIN_FLOW_FAILED,   /* once: hopchain_flow_error() */
	HOPCHAIN_FLOW_CLOSED,   /* last: the flow is gone */
};
typedef void hopchain_flow_fn(struct hopchain_flow *flow, enum hopchain_flow_event event,
	const void *data, size_t len, void *owner);
/** hopchain_flow_open() - a UDP flow to @target (NULL: the chain's own). Nothing is sent before the
 * first hopchain_flow_send(). */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_flow_open(struct hopchain_client *client,
	const char *target, hopchain_flow_fn *fn, void *owner, struct hopchain_flow **ret);
/** hopchain_flow_send() - one datagram. Return: 0 (sent, or kept while the way is built: at most 4
 * datagrams, 8 KiB); -EMSGSIZE: no datagram carries it; ERR… : the flow has failed. As with any
 * UDP, 0 is no promise. */
HOPCHAIN_API int hopchain_flow_send(struct hopchain_flow *flow, const void *data, size_t len);
/** hopchain_flow_close() - leads to CLOSED. Idempotent. */
HOPCHAIN_API void hopchain_flow_close(struct hopchain_flow *flow);
/** hopchain_flow_error() - from FAILED on, until CLOSED has returned; else NULL. */
HOPCHAIN_API const struct hopchain_error *hopchain_flow_error(const struct hopchain_flow *flow);
/** hopchain_flow_is_stream() - whether its datagrams travel in a stream. */
HOPCHAIN_API bool hopchain_flow_is_stream(const struct hopchain_flow *flow);

/* ---- Probes: one measurement of one prefix of the chain ---- */

struct hopchain_probe_options {
	size_t size;         /* sizeof(struct hopchain_probe_options) */
	unsigned hop;        /* 1..n: up to this hop, which answers; 0: through all to the target */
	const char *target;  /* with hop 0: NULL = the chain's own */
	bool is_udp;         /* over datagrams */
	uint32_t timeout_ms; /* of the whole probe; 0 = what the protocol allows (10 s a hop and 2
				s) */
};
struct hopchain_probe_result {
	const struct hopchain_error *error; /* NULL: the whole prefix answered */
	uint64_t total_us;               /* from the start to the last answer, or to the failure */
	uint32_t resolve_us, connect_us; /* of the first hop, here */
	const char *dialled;             /* first hop, "IP:PORT", or NULL */
	const struct hopchain_answer *answers;
	size_t n_answers;
};
struct hopchain_probe;
typedef void hopchain_probe_fn(const struct hopchain_probe_result *result, void *owner);
/** hopchain_probe_start() - @fn runs exactly once unless cancelled; the probe is gone when it
 * returns. */
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_probe_start(struct hopchain_client *client,
	const struct hopchain_probe_options *options, hopchain_probe_fn *fn, void *owner,
	struct hopchain_probe **ret);
HOPCHAIN_API void hopchain_probe_cancel(struct hopchain_probe *probe);

/* ---- Traces: all prefixes, again and again ---- */

struct hopchain_trace_options {
	size_t size;        /* sizeof(struct hopchain_trace_options) */
	const char *target; /* one more row: the connection to it; NULL: hops only */
	bool is_udp;
	uint32_t n_rounds;    /* 0 = until hopchain_trace_stop() */
	uint32_t interval_ms; /* from round to round; 0 = 1,000. A round that takes longer delays
				 the next */
	uint32_t timeout_ms;  /* of one probe; 0 = 10,000 */
};

/* Times in us. One row a hop, from 1, and one more for the target. Cumulative, as in mtr: from the
 * start of the probe to the answer of this row. */
struct hopchain_row {
	unsigned hop;        /* 1..n; n + 1 = the target */
	const char *address; /* as in the chain; the target's */
	const char *name;    /* or NULL */
	const char *dialled; /* "IP:PORT" last connected to, or NULL */
	uint64_t n_sent, n_lost;
	bool has_times; /* of the rest of this part: at least one answer came */
	uint64_t last_us, best_us, worst_us;
	double avg_us, stddev_us; /* population */
	/* What this row adds to the row before it: the cause of a delay stands in its own row.
	 * Never below 0; the average is of the rounds in which both answered. */
	bool has_own;
	double own_last_us, own_avg_us;
	/* Of that, as told by the hop before it (row 1: seen here), last round: */
	uint32_t resolve_us, connect_us;
	unsigned n_tries;
	bool has_clock;
	int64_t clock_offset_ms;
	const char *software;               /* or NULL; "socks5: foreign, not encrypted" */
	const char *cipher;                 /* target's row over a sealed chain; else NULL */
	const struct hopchain_error *error; /* of its last probe, or NULL */
};
enum hopchain_trace_event {
	HOPCHAIN_TRACE_CHANGED, /* one row has */
	HOPCHAIN_TRACE_ROUND,   /* every probe of a round has ended */
	HOPCHAIN_TRACE_DONE,    /* the last one, or hopchain_trace_stop(): freed when it returns */
};
struct hopchain_trace;
typedef void hopchain_trace_fn(
	struct hopchain_trace *trace, enum hopchain_trace_event event, void *owner);
HOPCHAIN_API HOPCHAIN_NODISCARD int hopchain_trace_start(struct hopchain_client *client,
	const struct hopchain_trace_options *options, hopchain_trace_fn *fn, void *owner,
	struct hopchain_trace **ret);
/** hopchain_trace_rows() - valid until control returns to the loop. */
HOPCHAIN_API const struct hopchain_row *hopchain_trace_rows(
	const struct hopchain_trace *trace, size_t *ret_n);
/** hopchain_trace_n_rounds() - rounds begun. */
HOPCHAIN_API uint64_t hopchain_trace_n_rounds(const struct hopchain_trace *trace);
/** hopchain_trace_reset() - forgets all numbers, goes on. hopchain_trace_pause() - begins no round
 * while paused. */
HOPCHAIN_API void hopchain_trace_reset(struct hopchain_trace *trace);
HOPCHAIN_API void hopchain_trace_pause(struct hopchain_trace *trace, bool is_paused);
/** hopchain_trace_stop() - drops what is under way; DONE follows. Idempotent. */
HOPCHAIN_API void hopchain_trace_stop(struct hopchain_trace *trace);

#ifdef __cplusplus
}
#endif

#endif
