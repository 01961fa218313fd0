#include "tests/model/plant.h"

#include "chain/wire_datagram.h"
#include "common/replay.h"
#include "common/timer.h"
#include "common/window.h"
#include "tests/model/world.h"

#include <stdlib.h>
#include <string.h>

#define N_IDS 64

static struct {
	enum plant plant;
	struct dice dice;
	struct ledger *ledger; /* NULL = no run */
	struct {
		const struct wire_key *key;
		uint64_t fid;
	} ids[N_IDS]; /* of the newest requests */
	unsigned n_ids;
} planted;

const char *plant_name(enum plant plant)
{
	static const char *const names[PLANT_N] = {
		[PLANT_NOTHING] = "nothing",
		[PLANT_WINDOW] = "the window takes every number",
		[PLANT_SOURCE] = "all addresses are equal",
		[PLANT_REPLAY] = "every request is new",
		[PLANT_FLOW_ID] = "any id of a flow will do",
		[PLANT_TIMERS] = "timers never run",
		[PLANT_TAG] = "the tag does not matter",
	};

	return names[plant];
}

void plant_begin(enum plant plant, uint64_t seed, struct ledger *ledger)
{
	memset(&planted, 0, sizeof planted);
	planted.plant = plant;
	planted.dice.state = seed;
	planted.ledger = ledger;
}

void plant_end(void)
{
	memset(&planted, 0, sizeof planted);
}

/* ---- What the linker puts in place of the functions: __wrap_f for f, which is __real_f. */

void __real_seal_random(void *to, size_t len);
void __wrap_seal_random(void *to, size_t len)
{
	uint8_t *at = to;

	if (planted.ledger == NULL) {
		__real_seal_random(to, len);
		return;
	}
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = dice_roll(&planted.dice);
		memcpy(at + i, &word, len - i < 8 ? len - i : 8);
	}
}

int __real_wire_request_encode(const struct wire_request *request, enum wire_transport transport,
	const struct wire_key *key, const uint8_t salt[WIRE_SALT], uint8_t to[WIRE_REQUEST_MAX]);
int __wrap_wire_request_encode(const struct wire_request *request, enum wire_transport transport,
	const struct wire_key *key, const uint8_t salt[WIRE_SALT], uint8_t to[WIRE_REQUEST_MAX])
{
	int n = __real_wire_request_encode(request, transport, key, salt, to);
	unsigned i = planted.n_ids++ % N_IDS;

	if (n > 0 && planted.ledger != NULL)
		ledger_ask(planted.ledger, bytes_of(to, (size_t)n));
	planted.ids[i].key = key;
	planted.ids[i].fid = request->fid;
	return n;
}

int __real_wire_response_encode(const struct wire_response *response, const uint8_t r[WIRE_REQUEST],
	const struct wire_key *key, const uint8_t nonce[SEAL_NONCE], uint8_t to[WIRE_RESPONSE_MAX]);
int __wrap_wire_response_encode(const struct wire_response *response, const uint8_t r[WIRE_REQUEST],
	const struct wire_key *key, const uint8_t nonce[SEAL_NONCE], uint8_t to[WIRE_RESPONSE_MAX])
{
	if (planted.ledger != NULL && response->status == STATUS_OK)
		ledger_respond(planted.ledger, r, response->val);
	return __real_wire_response_encode(response, r, key, nonce, to);
}

bool __real_window_is_fresh(const struct window *window, uint64_t number);
bool __wrap_window_is_fresh(const struct window *window, uint64_t number)
{
	return planted.plant == PLANT_WINDOW || __real_window_is_fresh(window, number);
}

bool __real_window_take(struct window *window, uint64_t number);
bool __wrap_window_take(struct window *window, uint64_t number)
{
	return __real_window_take(window, number) || planted.plant == PLANT_WINDOW;
}

bool __real_addr_sock_is_equal(const union addr_sock *a, const union addr_sock *b);
bool __wrap_addr_sock_is_equal(const union addr_sock *a, const union addr_sock *b)
{
	return planted.plant == PLANT_SOURCE || __real_addr_sock_is_equal(a, b);
}

bool __real_replay_find(struct replay *r, uint64_t owner, const uint8_t salt[REPLAY_SALT]);
bool __wrap_replay_find(struct replay *r, uint64_t owner, const uint8_t salt[REPLAY_SALT])
{
	return planted.plant != PLANT_REPLAY && __real_replay_find(r, owner, salt);
}

enum replay_verdict __real_replay_insert(struct replay *r, uint64_t owner,
	const uint8_t salt[REPLAY_SALT], uint64_t time_ms, uint64_t wall_ms, uint64_t mono_ms);
enum replay_verdict __wrap_replay_insert(struct replay *r, uint64_t owner,
	const uint8_t salt[REPLAY_SALT], uint64_t time_ms, uint64_t wall_ms, uint64_t mono_ms)
{
	if (planted.plant == PLANT_REPLAY)
		return REPLAY_FRESH;
	return __real_replay_insert(r, owner, salt, time_ms, wall_ms, mono_ms);
}

bool __real_wire_down_decode(
	const struct wire_key *key, const uint8_t from[WIRE_BLOCK], struct wire_down *ret);
bool __wrap_wire_down_decode(
	const struct wire_key *key, const uint8_t from[WIRE_BLOCK], struct wire_down *ret)
{
	bool is_block = __real_wire_down_decode(key, from, ret);

	if (planted.plant != PLANT_FLOW_ID)
		return is_block;
	for (unsigned i = planted.n_ids; i-- > 0 && planted.n_ids - i <= N_IDS;) {
		if (planted.ids[i % N_IDS].key != key)
			continue;
		ret->fid = planted.ids[i % N_IDS].fid;
		return true;
	}
	return is_block;
}

void __real_timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms);
void __wrap_timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms)
{
	if (planted.plant != PLANT_TIMERS)
		__real_timer_wheel_run(wheel, now_ms);
}

void __real_flow_client_tick(struct flow_client *flow, uint64_t now_ms, uint64_t wall_ms);
void __wrap_flow_client_tick(struct flow_client *flow, uint64_t now_ms, uint64_t wall_ms)
{
	if (planted.plant != PLANT_TIMERS)
		__real_flow_client_tick(flow, now_ms, wall_ms);
}

int __real_record_packet_seal(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes plain, uint8_t *to);
int __wrap_record_packet_seal(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes plain, uint8_t *to)
{
	if (planted.ledger != NULL)
		ledger_seal(planted.ledger, packet->key, number, bytes_of(aad, RECORD_PACKET_AAD),
			plain);
	return __real_record_packet_seal(packet, number, aad, plain, to);
}

/* Both ciphers are streams: what seals also opens, when nobody looks at the tag. */
static int open_without_tag(const struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes sealed, uint8_t *to)
{
	struct record_packet sealing = *packet;
	size_t len = sealed.len - RECORD_PACKET_TAG;
	uint8_t *twice = malloc(sealed.len);

	sealing.context = NULL;
	sealing.is_sealing = true;
	int n = __real_record_packet_seal(&sealing, number, aad, bytes_of(sealed.ptr, len), twice);
	memcpy(to, twice, len);
	free(twice);
	record_packet_deinit(&sealing);
	return n < 0 ? n : (int)len;
}

int __real_record_packet_open(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes sealed, uint8_t *to);
int __wrap_record_packet_open(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes sealed, uint8_t *to)
{
	int n = __real_record_packet_open(packet, number, aad, sealed, to);

	if (n >= 0 || planted.plant != PLANT_TAG || sealed.len < RECORD_PACKET_TAG)
		return n;
	return open_without_tag(packet, number, aad, sealed, to);
}
