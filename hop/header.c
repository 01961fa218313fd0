#include "hop/header.h"

#include "common/record.h"

#include <assert.h>
#include <stdlib.h>

#define PROTO_MPTCP 2 /* docs/protocol.md 2.2, proto */

void hop_header_init(struct hop_header *header)
{
	*header = (struct hop_header){ .n_in = 0 };
}

void hop_header_deinit(struct hop_header *header)
{
	free(header->sealed);
	free(header->request);
	hop_header_init(header);
}

static size_t total(const struct hop_header *h)
{
	return h->ext_len == 0 ? WIRE_REQUEST : WIRE_REQUEST + WIRE_EXT_SEALED((size_t)h->ext_len);
}

size_t hop_header_wants(const struct hop_header *header)
{
	return total(header) - header->n_in;
}

static enum hop_header_step silent(struct hop_header *h, enum hop_header_reason reason)
{
	h->reason = reason;
	return HOP_HEADER_SILENT;
}

static enum hop_header_step refuse(struct hop_header *h, uint8_t status, uint8_t detail)
{
	h->status = status;
	h->detail = detail;
	return HOP_HEADER_REFUSED;
}

/* docs/protocol.md 2.8, Cipher. */
uint8_t hop_header_cipher(uint16_t flags)
{
	if (record_has_aes() && (flags & WIRE_OFFER_AES_128_GCM))
		return RECORD_AES_128_GCM;
	if (record_has_aes() && (flags & WIRE_OFFER_AES_256_GCM))
		return RECORD_AES_256_GCM;
	if (flags & WIRE_OFFER_CHACHA20_POLY1305)
		return RECORD_CHACHA20_POLY1305;
	if (flags & WIRE_OFFER_AES_128_GCM)
		return RECORD_AES_128_GCM;
	return flags & WIRE_OFFER_AES_256_GCM ? RECORD_AES_256_GCM : RECORD_NONE;
}

/* Line 13: what this hop does not do. */
static enum hop_header_step check_implemented(struct hop_header *h)
{
	const struct wire_request *r = h->request;
	if (r->cmd == WIRE_REV_REGISTER || r->cmd == WIRE_REV_ACCEPT || r->cmd == WIRE_RESUME)
		return refuse(h, STATUS_UNSUPPORTED, 1);
	if (r->flags & WIRE_OPEN_UDP)
		return refuse(h, STATUS_UNSUPPORTED, 2);
	if (r->atyp == WIRE_ATYP_REVERSE)
		return refuse(h, STATUS_UNSUPPORTED, 16);
	if (r->proto == PROTO_MPTCP)
		return refuse(h, STATUS_UNSUPPORTED, 17);
	if ((r->flags & WIRE_E2E) == 0)
		return HOP_HEADER_OK;
	h->cipher = hop_header_cipher(r->flags);
	return h->cipher != RECORD_NONE ? HOP_HEADER_OK : refuse(h, STATUS_UNSUPPORTED, 2);
}

static enum hop_header_step check_extension(struct hop_header *h, struct bytes ext)
{
	uint8_t detail = 0;
	enum wire_status status = wire_request_check_ext(ext, h->request, &detail);
	if (status != STATUS_OK)
		return refuse(h, (uint8_t)status, detail);
	return check_implemented(h);
}

/* Lines 11 and 12. */
static enum hop_header_step on_extension(struct hop_header *h)
{
	uint8_t ext[WIRE_EXT_MAX];
	struct bytes sealed = bytes_of(h->sealed, WIRE_EXT_SEALED((size_t)h->ext_len));
	if (!wire_request_open_ext(h->r, h->entry->key->key, sealed, ext))
		return silent(h, HOP_REASON_FORGED_EXTENSION);
	return check_extension(h, bytes_of(ext, h->ext_len));
}

/* Lines 4 and 6, with the words for the log. */
static enum hop_header_step check_fresh(struct hop_header *h, struct replay *replay,
	uint64_t time_ms, uint64_t wall_ms, uint64_t mono_ms)
{
	switch (replay_insert(replay, h->entry->kid, h->r, time_ms, wall_ms, mono_ms)) {
	case REPLAY_FRESH:
		return HOP_HEADER_OK;
	case REPLAY_SEEN:
		return silent(h, HOP_REASON_REPLAYED);
	case REPLAY_FULL:
		return silent(h, HOP_REASON_QUOTA);
	case REPLAY_OLD:
	case REPLAY_EARLY:
		break;
	}
	h->skew_ms = (int64_t)(time_ms - wall_ms);
	return silent(h, HOP_REASON_CLOCK);
}

static enum hop_header_step check_block(
	struct hop_header *h, const struct wire_request_plain *plain)
{
	uint8_t detail = 0;
	uint16_t ext_len = 0;
	h->request = calloc(1, sizeof *h->request);
	if (h->request == NULL)
		return refuse(h, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
	enum wire_status status =
		wire_request_check(plain, WIRE_TCP, h->request, &ext_len, &detail);
	if (status != STATUS_OK)
		return refuse(h, (uint8_t)status, detail);
	if (ext_len == 0)
		return check_extension(h, bytes_of(NULL, 0));
	h->sealed = malloc(WIRE_EXT_SEALED((size_t)ext_len));
	if (h->sealed == NULL)
		return refuse(h, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
	h->ext_len = ext_len;
	return HOP_HEADER_MORE;
}

/* Lines 1 to 10. */
static enum hop_header_step on_block(struct hop_header *h, const struct hop_header_context *context,
	uint64_t wall_ms, uint64_t mono_ms)
{
	struct wire_request_plain plain;
	switch (hop_users_find(context->users, h->r, wall_ms, &h->entry)) {
	case USERS_FOUND:
		break;
	case USERS_UNKNOWN:
		return silent(h, HOP_REASON_UNKNOWN_KEY);
	case USERS_EXPIRED:
		return silent(h, HOP_REASON_EXPIRED_KEY);
	}
	if (replay_find(context->replay, h->entry->kid, h->r))
		return silent(h, HOP_REASON_REPLAYED);
	if (!wire_request_open(h->r, WIRE_TCP, h->entry->key->key, &plain))
		return silent(h, HOP_REASON_FORGED);
	enum hop_header_step step =
		check_fresh(h, context->replay, wire_request_time(&plain), wall_ms, mono_ms);
	return step == HOP_HEADER_OK ? check_block(h, &plain) : step;
}

enum hop_header_step hop_header_feed(struct hop_header *header,
	const struct hop_header_context *context, struct bytes in, uint64_t wall_ms,
	uint64_t mono_ms)
{
	assert(in.len <= hop_header_wants(header));
	uint8_t *to = header->ext_len == 0 ? header->r + header->n_in
					   : header->sealed + header->n_in - WIRE_REQUEST;
	memcpy(to, in.ptr, in.len);
	header->n_in += in.len;
	if (hop_header_wants(header) > 0)
		return HOP_HEADER_MORE;
	return header->ext_len == 0 ? on_block(header, context, wall_ms, mono_ms)
				    : on_extension(header);
}

const char *hop_header_reason_name(enum hop_header_reason reason)
{
	switch (reason) {
	case HOP_REASON_UNKNOWN_KEY:
		return "unknown-key";
	case HOP_REASON_EXPIRED_KEY:
		return "expired-key";
	case HOP_REASON_FORGED:
		return "forged";
	case HOP_REASON_FORGED_EXTENSION:
		return "forged-extension";
	case HOP_REASON_REPLAYED:
		return "replayed";
	case HOP_REASON_QUOTA:
		return "replay-quota";
	case HOP_REASON_CLOCK:
		return "clock";
	}
	return "?";
}
