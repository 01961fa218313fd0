#ifndef MODEL_LEDGER_H
#define MODEL_LEDGER_H
/*
 * Does: writes down what was sent, what was delivered, who asked hops and what they answered, and
 * says when a rule is broken. Knows: payload, requests as bytes. Never knows: how flows work.
 *
 * The rules: payload is delivered as it was sent, once, to its own flow; a hop sends nothing to who
 * did not ask, at most 3 bytes for one to the first who presented a request, at most as much as it
 * got to others, as long as they have shown no id of a flow, and to who only showed such an id one
 * datagram a second and flow; nothing is forwarded for who presented no request, nor what follows a
 * request for who was not the first to present it; who is first and has shown the epoch's id is the
 * only one whose copies are answered; an answer is made once; no packet number is used twice under
 * a key.
 */
#include "chain/wire_request.h"
#include "tests/model/network.h"

#define LEDGER_APPS 3

struct ledger;
struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);

/** ledger_break() - a rule is broken; the first one counts. */
void ledger_break(struct ledger *ledger, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** ledger_broken() - NULL while all rules hold. */
const char *ledger_broken(const struct ledger *ledger);

/* ---- Payload. */

/** ledger_write() - the next datagram of @app in one direction, @len bytes (at least
 * LEDGER_PAYLOAD_MIN), is sent. Return: its number. */
#define LEDGER_PAYLOAD_MIN 8
uint32_t ledger_write(struct ledger *ledger, uint8_t app, bool is_up, uint8_t *to, size_t len);
/** ledger_deliver() - @data has come out for @app. Return: its number, or -1: a rule is broken. */
int64_t ledger_deliver(struct ledger *ledger, uint8_t app, bool is_up, struct bytes data);
/** ledger_n_written() - how many datagrams of @app were sent. */
uint32_t ledger_n_written(const struct ledger *ledger, uint8_t app, bool is_up);
/** ledger_demand_all() - from number @from on, everything must have been delivered. */
void ledger_demand_all(struct ledger *ledger, uint8_t app, bool is_up, uint32_t from);
uint64_t ledger_n_delivered(const struct ledger *ledger, bool is_up);

/* ---- Hops. */

/** ledger_ask() - the client has sealed @request, with its extension. */
void ledger_ask(struct ledger *ledger, struct bytes request);
/** ledger_respond() - a hop has made its answer to @r: @fid names the epoch. */
void ledger_respond(struct ledger *ledger, const uint8_t r[WIRE_REQUEST], uint64_t fid);
/** ledger_is_request() - whether @data begins with a request that was sealed. */
bool ledger_is_request(const struct ledger *ledger, struct bytes data);
/** ledger_restart() - @hop has forgotten everything but its replay store. */
void ledger_restart(struct ledger *ledger, uint8_t hop);
/** ledger_receive() - @hop gets @packet; until ledger_received() it acts because of it. */
void ledger_receive(struct ledger *ledger, uint8_t hop, const struct packet *packet,
	const struct wire_mask *mask, uint64_t now_ms);
void ledger_received(struct ledger *ledger, uint8_t hop);
/** ledger_answer() - @n_flows: how many @hop has. */
void ledger_answer(struct ledger *ledger, uint8_t hop, struct place to, size_t len,
	uint32_t n_flows, uint64_t now_ms);
void ledger_forward(struct ledger *ledger, uint8_t hop);
/** ledger_is_stale() - whether the request at the head of @data must not be obeyed by @hop. */
bool ledger_is_stale(const struct ledger *ledger, uint8_t hop, struct bytes data, uint64_t now_ms);

/** ledger_seal() - @number is used under @key. */
void ledger_seal(struct ledger *ledger, const uint8_t key[32], uint64_t number, struct bytes aad,
	struct bytes plain);

#endif
