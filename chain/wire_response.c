#include "chain/wire_response.h"

#include <assert.h>

/* docs/protocol.md 2.5. */
#define PLAIN 56
#define AAD   (24 + SEAL_TAG)

enum { TLV_TEXT = 1, TLV_PAD = 2, TLV_RESUME = 3, TLV_ADDR = 6, TLV_IGNORED = 0x80 };
#define GRANT_SIZE 22
#define STATE_SIZE 9
#define FLAGS_KNOWN (WIRE_S_EXT | WIRE_S_E2E | WIRE_S_FS | WIRE_S_KEEP | WIRE_S_RESUMABLE)

static_assert(SEAL_NONCE + PLAIN + SEAL_TAG == WIRE_RESPONSE, "S is 96 bytes");

static void fill_aad(uint8_t aad[AAD], const uint8_t r[WIRE_REQUEST])
{
	memcpy(aad, r, 24);
	memcpy(aad + 24, r + WIRE_REQUEST - SEAL_TAG, SEAL_TAG);
}

/* ---- encode ---- */

static void put_address(struct wire_writer *w, const union addr_sock *at)
{
	bool is_ip4 = at->any.sa_family == AF_INET;
	wire_put_u8(w, TLV_ADDR);
	wire_put_u16(w, is_ip4 ? 7 : 19);
	wire_put_u8(w, is_ip4 ? WIRE_ATYP_IP4 : WIRE_ATYP_IP6);
	if (is_ip4)
		wire_put_bytes(w, &at->ip4.sin_addr, 4);
	else
		wire_put_bytes(w, &at->ip6.sin6_addr, 16);
	wire_put_u16(w, addr_sock_port(at));
}

static void put_resume(struct wire_writer *w, const struct wire_response *s)
{
	wire_put_u8(w, TLV_RESUME);
	if (s->has_resume_grant) {
		wire_put_u16(w, GRANT_SIZE);
		wire_put_bytes(w, s->resume_id, sizeof s->resume_id);
		wire_put_u32(w, s->resume_ring);
		wire_put_u16(w, s->resume_detach_s);
	} else {
		wire_put_u16(w, STATE_SIZE);
		wire_put_u64(w, s->resume_rx);
		wire_put_u8(w, s->resume_flags);
	}
}

static size_t put_ext(const struct wire_response *s, uint8_t *ext)
{
	struct wire_writer w;
	size_t text = strlen(s->text);
	wire_writer_init(&w, ext, WIRE_EXT_MAX);
	if (text > 0) {
		wire_put_u8(&w, TLV_TEXT);
		wire_put_u16(&w, (uint16_t)text);
		wire_put_bytes(&w, s->text, text);
	}
	if (s->has_resume_grant || s->has_resume_state)
		put_resume(&w, s);
	if (s->has_address)
		put_address(&w, &s->address);
	if (s->has_padding) {
		wire_put_u8(&w, TLV_PAD);
		wire_put_u16(&w, s->n_padding);
		wire_put_zeros(&w, s->n_padding);
	}
	return w.failed ? SIZE_MAX : wire_written(&w);
}

int wire_response_encode(const struct wire_response *response, const uint8_t r[WIRE_REQUEST], const struct wire_key *key,
	const uint8_t nonce[SEAL_NONCE], uint8_t to[WIRE_RESPONSE_MAX])
{
	uint8_t ext[WIRE_EXT_MAX], plain[PLAIN], aad[AAD];
	struct wire_writer w;
	size_t ext_len = put_ext(response, ext);
	if (ext_len > WIRE_EXT_MAX)
		return ERR_INVAL;
	wire_writer_init(&w, plain, sizeof plain);
	wire_put_u8(&w, 1);
	wire_put_u8(&w, response->status);
	wire_put_u8(&w, response->detail);
	wire_put_u8(&w, (uint8_t)((response->flags & ~WIRE_S_EXT) | (ext_len > 0 ? WIRE_S_EXT : 0)));
	wire_put_u16(&w, (uint16_t)ext_len);
	wire_put_u8(&w, response->cipher);
	wire_put_u8(&w, response->tries);
	wire_put_u32(&w, response->resolve_us);
	wire_put_u32(&w, response->connect_us);
	wire_put_u64(&w, response->val);
	wire_put_bytes(&w, response->eph, sizeof response->eph);
	assert(!w.failed && wire_written(&w) == PLAIN);
	fill_aad(aad, r);
	memcpy(to, nonce, SEAL_NONCE);
	seal_aead(key->rs, to, bytes_of(aad, AAD), bytes_of(plain, PLAIN), to + SEAL_NONCE);
	if (ext_len == 0)
		return WIRE_RESPONSE;
	seal_aead(key->rt, to, bytes_of(to + WIRE_RESPONSE - SEAL_TAG, SEAL_TAG), bytes_of(ext, ext_len), to + WIRE_RESPONSE);
	return WIRE_RESPONSE + (int)WIRE_EXT_SEALED(ext_len);
}

/* ---- decode ---- */

static void read_plain(const uint8_t plain[PLAIN], struct wire_response *s, uint16_t *ext_len)
{
	struct wire_reader w;
	wire_reader_init(&w, bytes_of(plain + 1, PLAIN - 1));
	memset(s, 0, sizeof *s);
	s->status = wire_u8(&w);
	s->detail = wire_u8(&w);
	s->flags = wire_u8(&w);
	*ext_len = wire_u16(&w);
	s->cipher = wire_u8(&w);
	s->tries = wire_u8(&w);
	s->resolve_us = wire_u32(&w);
	s->connect_us = wire_u32(&w);
	s->val = wire_u64(&w);
	wire_copy(&w, s->eph, sizeof s->eph);
	assert(!w.failed);
}

static bool was_offered(uint8_t cipher, uint16_t flags)
{
	static const uint16_t offers[] = { 0, WIRE_OFFER_AES_128_GCM, WIRE_OFFER_AES_256_GCM, WIRE_OFFER_CHACHA20_POLY1305 };
	return cipher >= 1 && cipher <= 3 && (flags & offers[cipher]);
}

static bool is_set(uint16_t flags, uint16_t bit)
{
	return (flags & bit) != 0;
}

/* The rules behind 2.5's table. */
static bool keeps_rules(const struct wire_response *s, const struct wire_request *r)
{
	bool has_eph = !seal_is_zero(s->eph, sizeof s->eph);
	if (s->status != STATUS_OK)
		return (s->flags & ~WIRE_S_EXT) == 0 && s->cipher == 0 && !has_eph;
	if (is_set(s->flags, WIRE_S_E2E) != is_set(r->flags, WIRE_E2E) || is_set(s->flags, WIRE_S_FS) != is_set(r->flags, WIRE_FS))
		return false;
	if (is_set(s->flags, WIRE_S_KEEP) && !is_set(r->flags, WIRE_KEEP))
		return false;
	if (is_set(s->flags, WIRE_S_RESUMABLE) && !is_set(r->flags, WIRE_RESUMABLE))
		return false;
	if (r->cmd == WIRE_RESUME && !is_set(s->flags, WIRE_S_RESUMABLE))
		return false;
	if (is_set(s->flags, WIRE_S_FS) != has_eph)
		return false;
	return is_set(s->flags, WIRE_S_E2E) ? was_offered(s->cipher, r->flags) : s->cipher == 0;
}

enum wire_response_verdict wire_response_open(const uint8_t s[WIRE_RESPONSE], const uint8_t r[WIRE_REQUEST],
	const struct wire_request *request, const struct wire_key *key, struct wire_response *ret, uint16_t *ret_ext_len)
{
	uint8_t plain[PLAIN], aad[AAD];
	fill_aad(aad, r);
	if (!seal_aead_open(key->rs, s, bytes_of(aad, AAD), bytes_of(s + SEAL_NONCE, WIRE_RESPONSE - SEAL_NONCE), plain))
		return WIRE_RESPONSE_FORGED;
	read_plain(plain, ret, ret_ext_len);
	if (plain[0] != 1 || (ret->flags & ~FLAGS_KNOWN) != 0)
		return WIRE_RESPONSE_BROKEN;
	if (*ret_ext_len > WIRE_EXT_MAX || is_set(ret->flags, WIRE_S_EXT) != (*ret_ext_len > 0))
		return WIRE_RESPONSE_BROKEN;
	return keeps_rules(ret, request) ? WIRE_RESPONSE_OK : WIRE_RESPONSE_BROKEN;
}

static bool read_text(struct bytes value, struct wire_response *s)
{
	if (value.len == 0 || value.len > WIRE_TEXT_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++)
		s->text[i] = value.ptr[i] < 0x20 || value.ptr[i] == 0x7f ? '?' : (char)value.ptr[i];
	s->text[value.len] = '\0';
	return true;
}

static bool read_resume(struct bytes value, const struct wire_request *r, struct wire_response *s)
{
	struct wire_reader w;
	wire_reader_init(&w, value);
	if (!is_set(s->flags, WIRE_S_RESUMABLE))
		return false;
	if (r->cmd == WIRE_CONNECT && value.len == GRANT_SIZE) {
		wire_copy(&w, s->resume_id, sizeof s->resume_id);
		s->resume_ring = wire_u32(&w);
		s->resume_detach_s = wire_u16(&w);
		s->has_resume_grant = true;
		return true;
	}
	if (r->cmd == WIRE_RESUME && value.len == STATE_SIZE) {
		s->resume_rx = wire_u64(&w);
		s->resume_flags = wire_u8(&w);
		s->has_resume_state = true;
		return true;
	}
	return false;
}

static bool read_address(struct bytes value, const struct wire_request *r, struct wire_response *s)
{
	struct wire_reader w;
	wire_reader_init(&w, value);
	uint8_t atyp = wire_u8(&w);
	if (!is_set(r->flags, WIRE_TRACE))
		return false;
	memset(&s->address, 0, sizeof s->address);
	if (atyp == WIRE_ATYP_IP4 && value.len == 7) {
		s->address.ip4.sin_family = AF_INET;
		wire_copy(&w, &s->address.ip4.sin_addr, 4);
	} else if (atyp == WIRE_ATYP_IP6 && value.len == 19) {
		s->address.ip6.sin6_family = AF_INET6;
		wire_copy(&w, &s->address.ip6.sin6_addr, 16);
	} else {
		return false;
	}
	addr_sock_set_port(&s->address, wire_u16(&w));
	s->has_address = true;
	return true;
}

static bool read_tlv(uint8_t type, struct bytes value, const struct wire_request *r, struct wire_response *s)
{
	if (type >= TLV_IGNORED)
		return true;
	switch (type) {
	case TLV_TEXT:
		return read_text(value, s);
	case TLV_PAD:
		s->has_padding = true;
		s->n_padding = (uint16_t)value.len;
		return value.len == 0 || seal_is_zero(value.ptr, value.len);
	case TLV_RESUME:
		return read_resume(value, r, s);
	case TLV_ADDR:
		return read_address(value, r, s);
	default:
		return false;
	}
}

enum wire_response_verdict wire_response_open_ext(const uint8_t s[WIRE_RESPONSE], struct bytes sealed,
	const struct wire_request *request, const struct wire_key *key, struct wire_response *response)
{
	uint8_t ext[WIRE_EXT_MAX];
	bool seen[256] = { false };
	struct wire_reader r;
	size_t len = sealed.ptr == NULL ? 0 : sealed.len - SEAL_TAG;
	if (sealed.ptr != NULL
		&& (sealed.len < SEAL_TAG || len > WIRE_EXT_MAX
			|| !seal_aead_open(key->rt, s, bytes_of(s + WIRE_RESPONSE - SEAL_TAG, SEAL_TAG), sealed, ext)))
		return WIRE_RESPONSE_FORGED;
	wire_reader_init(&r, bytes_of(ext, len));
	while (wire_left(&r) > 0) {
		uint8_t type = wire_u8(&r);
		struct bytes value = wire_bytes(&r, wire_u16(&r));
		if (r.failed || seen[type] || !read_tlv(type, value, request, response))
			return WIRE_RESPONSE_BROKEN;
		seen[type] = true;
	}
	bool needs_resume = is_set(response->flags, WIRE_S_RESUMABLE);
	bool has_resume = response->has_resume_grant || response->has_resume_state;
	return !r.failed && needs_resume == has_resume ? WIRE_RESPONSE_OK : WIRE_RESPONSE_BROKEN;
}
