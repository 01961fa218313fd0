#include "chain/request.h"

#include "common/record.h"

#define SPREAD_MS 500 /* each header's time is off by up to this much (docs/protocol.md 2.12) */

static uint16_t offers(enum chain_cipher cipher)
{
	switch (cipher) {
	case CHAIN_CIPHER_AES_256_GCM:
		return WIRE_OFFER_AES_256_GCM;
	case CHAIN_CIPHER_CHACHA20_POLY1305:
		return WIRE_OFFER_CHACHA20_POLY1305;
	case CHAIN_CIPHER_AUTO:
		break;
	}
	return record_has_aes() ? WIRE_OFFERS : WIRE_OFFER_CHACHA20_POLY1305;
}

static uint8_t atyp_of(const struct addr *a)
{
	switch (a->kind) {
	case ADDR_IP4:
		return WIRE_ATYP_IP4;
	case ADDR_IP6:
		return WIRE_ATYP_IP6;
	case ADDR_NAME:
		return WIRE_ATYP_NAME;
	case ADDR_NONE:
	case ADDR_UNIX:
	case ADDR_SYSTEMD:
	case ADDR_STDIO:
		break;
	}
	return WIRE_ATYP_NONE;
}

void chain_request_fill(const struct chain_spec *spec, size_t i, const struct addr *target,
	uint64_t wall_ms, struct wire_request *ret)
{
	bool is_exit = i + 1 == spec->n_hops;
	uint16_t spread;
	seal_random(&spread, sizeof spread);
	*ret = (struct wire_request){
		.time_ms = wall_ms - SPREAD_MS + spread % (2 * SPREAD_MS + 1),
		.timeout = (uint16_t)(spec->connect_timeout_ms / 100),
		.to = is_exit ? *target : spec->hops[i + 1].addr,
	};
	ret->atyp = atyp_of(&ret->to);
}

void chain_request_hurry(uint64_t left_ms, struct wire_request *request)
{
	uint64_t budget = left_ms * 4 / 5 / 100;
	if (left_ms > 0 && budget < request->timeout)
		request->timeout = (uint16_t)(budget > 0 ? budget : 1);
}

void chain_request_seal(
	struct wire_request *request, enum chain_cipher cipher, const struct wire_pair *pair)
{
	request->flags |= (uint16_t)(WIRE_E2E | offers(cipher));
	if (pair == NULL)
		return;
	request->flags |= WIRE_FS;
	memcpy(request->eph, wire_pair_public(pair), sizeof request->eph);
}
