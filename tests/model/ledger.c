#include "tests/model/ledger.h"

#include "chain/wire_datagram.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_SENT_MAX   16384 /* per app and direction */
#define N_ASKERS_MAX 128
#define N_REQUESTS   4096
#define N_NUMBERS    (1u << 16)
#define COPIES_MS    30000 /* how long a copy of a request is obeyed */

struct track {
	uint32_t n_sent;
	uint16_t len[N_SENT_MAX];
	uint8_t n_delivered[N_SENT_MAX];
};

/* An address that sent something to a hop. */
struct asker {
	struct place place;
	uint64_t n_in, n_out;
	bool is_first;    /* to present some request */
	bool has_request; /* presented one while it was to be obeyed */
	bool has_block;   /* sent what looks like a block with an assigned id */
};

struct request {
	uint8_t bytes[WIRE_REQUEST_MAX];
	size_t len;
	struct {
		uint32_t process; /* of the hop; 0 = never came */
		uint64_t at_ms;
		struct place place;
		bool is_shown; /* somebody has shown the id */
		bool is_bound; /* and it was the one at @place */
	} first[NETWORK_NODES];
	uint64_t fid; /* what the hop calls the epoch; 0 = not answered */
};

struct number {
	uint64_t key, content; /* key: 0 = free */
};

struct ledger {
	char broken[200];
	struct track tracks[LEDGER_APPS][2];
	uint64_t n_delivered[2];
	struct request *requests;
	size_t n_requests;
	struct asker askers[NETWORK_NODES][N_ASKERS_MAX];
	unsigned n_askers[NETWORK_NODES];
	uint32_t processes[NETWORK_NODES]; /* starts of each hop */
	struct asker *acting[NETWORK_NODES];
	const struct request *presented[NETWORK_NODES]; /* by who is acting */
	uint64_t hint_s[NETWORK_NODES];                 /* the second that n_hints is of */
	uint32_t n_hints[NETWORK_NODES];                /* to who only showed an id */
	struct number *numbers;                         /* open addressing */
	unsigned n_numbers;
};

struct ledger *ledger_new(void)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);

	ledger->requests = calloc(N_REQUESTS, sizeof *ledger->requests);
	ledger->numbers = calloc(N_NUMBERS, sizeof *ledger->numbers);
	for (unsigned i = 0; i < NETWORK_NODES; i++)
		ledger->processes[i] = 1;
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	free(ledger->requests);
	free(ledger->numbers);
	free(ledger);
}

void ledger_break(struct ledger *ledger, const char *format, ...)
{
	va_list arguments;

	if (ledger->broken[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(ledger->broken, sizeof ledger->broken, format, arguments);
	va_end(arguments);
}

const char *ledger_broken(const struct ledger *ledger)
{
	return ledger->broken[0] != '\0' ? ledger->broken : NULL;
}

/* ---- Payload: app u8, direction u8, number u32, length u16, then bytes that follow from these. */

static void print_payload(uint8_t app, bool is_up, uint32_t number, uint8_t *to, size_t len)
{
	struct dice dice = { (uint64_t)app << 56 ^ (uint64_t)is_up << 48 ^ number };

	to[0] = app;
	to[1] = is_up;
	memcpy(to + 2, &number, 4);
	to[6] = (uint8_t)(len >> 8);
	to[7] = (uint8_t)len;
	for (size_t i = LEDGER_PAYLOAD_MIN; i < len; i += 8) {
		uint64_t word = dice_roll(&dice);
		memcpy(to + i, &word, len - i < 8 ? len - i : 8);
	}
}

uint32_t ledger_write(struct ledger *ledger, uint8_t app, bool is_up, uint8_t *to, size_t len)
{
	struct track *track = &ledger->tracks[app][is_up];
	uint32_t number = track->n_sent;

	if (number == N_SENT_MAX - 1)
		abort();
	track->len[track->n_sent++] = (uint16_t)len;
	print_payload(app, is_up, number, to, len);
	return number;
}

int64_t ledger_deliver(struct ledger *ledger, uint8_t app, bool is_up, struct bytes data)
{
	struct track *track = &ledger->tracks[app][is_up];
	const char *way = is_up ? "at the target" : "at the client";
	uint8_t expected[UINT16_MAX];
	uint32_t number;

	if (data.len < LEDGER_PAYLOAD_MIN || data.ptr[1] != is_up) {
		ledger_break(ledger, "delivered %s: never sent, %zu bytes", way, data.len);
		return -1;
	}
	if (data.ptr[0] != app) {
		ledger_break(ledger, "delivered %s: of another flow", way);
		return -1;
	}
	memcpy(&number, data.ptr + 2, 4);
	if (number >= track->n_sent || track->len[number] != data.len) {
		ledger_break(ledger, "delivered %s: never sent so, number %u", way, number);
		return -1;
	}
	print_payload(app, is_up, number, expected, data.len);
	if (memcmp(expected, data.ptr, data.len) != 0) {
		ledger_break(ledger, "delivered %s: damaged, number %u", way, number);
		return -1;
	}
	if (track->n_delivered[number]++ != 0) {
		ledger_break(ledger, "delivered %s: twice, number %u", way, number);
		return -1;
	}
	ledger->n_delivered[is_up]++;
	return number;
}

uint32_t ledger_n_written(const struct ledger *ledger, uint8_t app, bool is_up)
{
	return ledger->tracks[app][is_up].n_sent;
}

void ledger_demand_all(struct ledger *ledger, uint8_t app, bool is_up, uint32_t from)
{
	const struct track *track = &ledger->tracks[app][is_up];

	for (uint32_t i = from; i < track->n_sent; i++)
		if (track->n_delivered[i] == 0)
			ledger_break(ledger, "lost without a fault: number %u %s", i,
				is_up ? "up" : "down");
}

uint64_t ledger_n_delivered(const struct ledger *ledger, bool is_up)
{
	return ledger->n_delivered[is_up];
}

/* ---- Hops. */

void ledger_ask(struct ledger *ledger, struct bytes request)
{
	struct request *r = &ledger->requests[ledger->n_requests];

	if (ledger->n_requests == N_REQUESTS) {
		ledger_break(ledger, "a storm of requests");
		return;
	}
	memcpy(r->bytes, request.ptr, request.len);
	r->len = request.len;
	ledger->n_requests++;
}

static struct request *find_request(const struct ledger *ledger, struct bytes data)
{
	for (size_t i = ledger->n_requests; i-- > 0;) {
		struct request *r = &ledger->requests[i];
		if (data.len >= r->len && memcmp(r->bytes, data.ptr, r->len) == 0)
			return r;
	}
	return NULL;
}

bool ledger_is_request(const struct ledger *ledger, struct bytes data)
{
	return find_request(ledger, data) != NULL;
}

void ledger_respond(struct ledger *ledger, const uint8_t r[WIRE_REQUEST], uint64_t fid)
{
	for (size_t i = ledger->n_requests; i-- > 0;) {
		if (memcmp(ledger->requests[i].bytes, r, WIRE_REQUEST) != 0)
			continue;
		if (ledger->requests[i].fid != 0)
			ledger_break(ledger, "a request gets two answers");
		ledger->requests[i].fid = fid;
		return;
	}
	ledger_break(ledger, "an answer to what nobody asked");
}

/* The one who was first has proved that it got the answer. */
static void bind_epoch(
	struct ledger *ledger, uint8_t hop, const struct packet *packet, uint64_t fid)
{
	for (size_t i = ledger->n_requests; i-- > 0;) {
		struct request *r = &ledger->requests[i];
		if (r->fid != fid || r->first[hop].process != ledger->processes[hop])
			continue;
		/* Where another may have been earlier, nobody knows. */
		if (!r->first[hop].is_shown)
			r->first[hop].is_bound = !packet->is_damaged &&
						 place_is_equal(r->first[hop].place, packet->from);
		r->first[hop].is_shown = true;
		return;
	}
}

static bool is_stale(
	const struct ledger *ledger, const struct request *r, uint8_t hop, uint64_t now_ms)
{
	if (r->first[hop].process == 0)
		return false;
	return r->first[hop].process != ledger->processes[hop] ||
	       now_ms - r->first[hop].at_ms > COPIES_MS + 50;
}

bool ledger_is_stale(const struct ledger *ledger, uint8_t hop, struct bytes data, uint64_t now_ms)
{
	const struct request *r = find_request(ledger, data);

	return r != NULL && is_stale(ledger, r, hop, now_ms);
}

void ledger_restart(struct ledger *ledger, uint8_t hop)
{
	ledger->processes[hop]++;
	ledger->n_askers[hop] = 0;
	ledger->n_hints[hop] = 0;
}

static struct asker *find_asker(struct ledger *ledger, uint8_t hop, struct place place)
{
	for (unsigned i = 0; i < ledger->n_askers[hop]; i++)
		if (place_is_equal(ledger->askers[hop][i].place, place))
			return &ledger->askers[hop][i];
	return NULL;
}

void ledger_receive(struct ledger *ledger, uint8_t hop, const struct packet *packet,
	const struct wire_mask *mask, uint64_t now_ms)
{
	struct asker *asker = find_asker(ledger, hop, packet->from);
	struct bytes data = { packet->data, packet->len };
	struct request *r = find_request(ledger, data);
	struct wire_up block;

	if (asker == NULL) {
		if (ledger->n_askers[hop] == N_ASKERS_MAX)
			abort();
		asker = &ledger->askers[hop][ledger->n_askers[hop]++];
		*asker = (struct asker){ .place = packet->from };
	}
	ledger->acting[hop] = asker;
	ledger->presented[hop] = r;
	asker->n_in += packet->len;
	if (r != NULL && !is_stale(ledger, r, hop, now_ms)) {
		asker->has_request = true;
		if (r->first[hop].process == 0) {
			r->first[hop].process = ledger->processes[hop];
			r->first[hop].at_ms = now_ms;
			r->first[hop].place = packet->from;
			asker->is_first = true;
		}
	}
	if (r == NULL && packet->len >= 2 * WIRE_BLOCK &&
		wire_up_decode(mask, packet->data, &block) && (block.flags & WIRE_UP_PROV) == 0) {
		asker->has_block = true;
		bind_epoch(ledger, hop, packet, block.fid);
	}
}

void ledger_received(struct ledger *ledger, uint8_t hop)
{
	ledger->acting[hop] = NULL;
}

static void count_hint(struct ledger *ledger, uint8_t hop, uint32_t n_flows, uint64_t now_ms)
{
	if (ledger->hint_s[hop] != now_ms / 1000)
		ledger->n_hints[hop] = 0;
	ledger->hint_s[hop] = now_ms / 1000;
	if (++ledger->n_hints[hop] > n_flows)
		ledger_break(ledger, "hop %u answers ids %u times in a second", hop,
			ledger->n_hints[hop]);
}

void ledger_answer(struct ledger *ledger, uint8_t hop, struct place to, size_t len,
	uint32_t n_flows, uint64_t now_ms)
{
	struct asker *asker = find_asker(ledger, hop, to);

	if (asker == NULL || (!asker->has_request && !asker->has_block)) {
		ledger_break(ledger, "hop %u sends %zu bytes to a stranger (node %u)", hop, len,
			to.node);
		return;
	}
	const struct request *r = ledger->presented[hop];
	if (asker == ledger->acting[hop] && r != NULL && r->first[hop].is_bound &&
		!place_is_equal(r->first[hop].place, to))
		ledger_break(
			ledger, "hop %u answers a copy of what is proved (node %u)", hop, to.node);
	asker->n_out += len;
	if (asker->has_request && asker->has_block)
		return; /* may have proved itself */
	if (!asker->has_request)
		count_hint(ledger, hop, n_flows, now_ms);
	if (asker->n_out > asker->n_in * (asker->is_first ? 3 : 1))
		ledger_break(ledger,
			"hop %u amplifies: %llu bytes to node %u port %u, which sent %llu%s", hop,
			(unsigned long long)asker->n_out, to.node, to.port,
			(unsigned long long)asker->n_in, asker->is_first ? " (first)" : "");
}

void ledger_forward(struct ledger *ledger, uint8_t hop)
{
	const struct asker *asker = ledger->acting[hop];

	const struct request *r = ledger->presented[hop];

	if (asker == NULL)
		return;
	if (!asker->has_request)
		ledger_break(
			ledger, "hop %u forwards for a stranger (node %u)", hop, asker->place.node);
	if (r != NULL && !place_is_equal(r->first[hop].place, asker->place))
		ledger_break(ledger, "hop %u forwards a copy for another (node %u)", hop,
			asker->place.node);
}

/* ---- Packet numbers. */

static uint64_t mix(uint64_t hash, struct bytes data)
{
	for (size_t i = 0; i < data.len; i++)
		hash = (hash ^ data.ptr[i]) * UINT64_C(0x100000001b3);
	return hash;
}

void ledger_seal(struct ledger *ledger, const uint8_t key[32], uint64_t number, struct bytes aad,
	struct bytes plain)
{
	uint64_t name = mix(mix(UINT64_C(0xcbf29ce484222325), bytes_of(key, 32)),
				bytes_of((const uint8_t *)&number, sizeof number)) |
			1;
	uint64_t content = mix(mix(UINT64_C(0xcbf29ce484222325), aad), plain);
	uint32_t i = (uint32_t)(name >> 40) % N_NUMBERS;

	if (ledger->n_numbers == N_NUMBERS / 2)
		return;
	while (ledger->numbers[i].key != 0 && ledger->numbers[i].key != name)
		i = (i + 1) % N_NUMBERS;
	if (ledger->numbers[i].key == name && ledger->numbers[i].content != content)
		ledger_break(ledger, "packet number %llu is used twice under a key",
			(unsigned long long)number);
	ledger->n_numbers += ledger->numbers[i].key == 0;
	ledger->numbers[i] = (struct number){ name, content };
}
