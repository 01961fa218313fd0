#include "chain/wire_response.h"

#include <assert.h>

/* docs/protocol.md 2.5: S on the wire. */
#define PLAIN       (WIRE_RESPONSE - SEAL_NONCE - SEAL_TAG)
#define AT_TAG      (WIRE_RESPONSE - SEAL_TAG)
#define R_HEAD      SEAL_NONCE /* R[0:24] */
#define AAD         (R_HEAD + SEAL_TAG)
#define WIRE_VER    1
#define CIPHER_MAX  3
#define GRANT_SIZE  (16 + 4 + 2) /* TLV 3 in the answer to CONNECT */
#define STATE_SIZE  (8 + 1)      /* to RESUME */
#define FLAGS_KNOWN (WIRE_S_EXT | WIRE_S_E2E | WIRE_S_FS | WIRE_S_KEEP | WIRE_S_RESUMABLE)

static_assert(PLAIN == 1 + 1 + 1 + 1 + 2 + 1 + 1 + 4 + 4 + 8 + SEAL_CURVE, "the plaintext of S");
static_assert(AAD == 40, "S is bound to R");

static void fill_aad(uint8_t aad[AAD], const uint8_t r[WIRE_REQUEST])
{
	memcpy(aad, r, R_HEAD);
	memcpy(aad + R_HEAD, r + WIRE_REQUEST - SEAL_TAG, SEAL_TAG);
}

static bool has(unsigned flags, unsigned flag)
{
	return (flags & flag) != 0;
}

/* What holds whatever was asked. */
static bool keeps_own_rules(const struct wire_response *s)
{
	bool has_eph = !seal_is_zero(s->eph, sizeof s->eph);
	if ((s->flags & ~FLAGS_KNOWN) != 0 || s->cipher > CIPHER_MAX)
		return false;
	if (s->status != STATUS_OK)
		return (s->flags & ~WIRE_S_EXT) == 0 && s->cipher == 0 && !has_eph;
	return has(s->flags, WIRE_S_E2E) == (s->cipher != 0) && has(s->flags, WIRE_S_FS) == has_eph;
}

/* ---- encode ---- */

static void put_resume(struct wire_writer *w, const struct wire_response *s)
{
	uint8_t value[GRANT_SIZE];
	struct wire_writer v;
	wire_writer_init(&v, value, sizeof value);
	if (s->has_resume_grant) {
		wire_put_bytes(&v, s->resume_id, sizeof s->resume_id);
		wire_put_u32(&v, s->resume_ring);
		wire_put_u16(&v, s->resume_detach_s);
	} else {
		wire_put_u64(&v, s->resume_rx);
		wire_put_u8(&v, s->resume_flags);
	}
	wire_tlv_put(w, WIRE_TLV_RESUME, bytes_of(value, wire_written(&v)));
}

static bool is_printable(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

static void put_software(struct wire_writer *w, const struct wire_response *s)
{
	size_t len = strnlen(s->software, sizeof s->software);
	for (size_t i = 0; i < len; i++)
		w->failed = w->failed || !is_printable((uint8_t)s->software[i]);
	w->failed = w->failed || len > WIRE_SOFTWARE_MAX;
	if (len > 0)
		wire_tlv_put(w, WIRE_TLV_SOFTWARE, bytes_of(s->software, len));
}

/* Return: bytes of the extension, 0 = none, or ERR_INVAL. */
static int put_ext(const struct wire_response *s, uint8_t ext[WIRE_EXT_MAX])
{
	struct wire_writer w;
	size_t text = strnlen(s->text, sizeof s->text);
	wire_writer_init(&w, ext, WIRE_EXT_MAX);
	if (text > WIRE_TEXT_MAX)
		return ERR_INVAL;
	if (text > 0)
		wire_tlv_put(&w, WIRE_TLV_TEXT, bytes_of(s->text, text));
	if (s->has_padding)
		wire_tlv_put_padding(&w, s->n_padding);
	if (s->has_resume_grant || s->has_resume_state)
		put_resume(&w, s);
	if (s->has_address)
		wire_tlv_put_sock(&w, WIRE_TLV_ADDR, &s->address);
	put_software(&w, s);
	return w.failed ? ERR_INVAL : (int)wire_written(&w);
}

static void put_plain(const struct wire_response *s, uint16_t ext_len, uint8_t plain[PLAIN])
{
	struct wire_writer w;
	wire_writer_init(&w, plain, PLAIN);
	wire_put_u8(&w, WIRE_VER);
	wire_put_u8(&w, s->status);
	wire_put_u8(&w, s->detail);
	wire_put_u8(&w, (uint8_t)((s->flags & ~WIRE_S_EXT) | (ext_len > 0 ? WIRE_S_EXT : 0)));
	wire_put_u16(&w, ext_len);
	wire_put_u8(&w, s->cipher);
	wire_put_u8(&w, s->tries);
	wire_put_u32(&w, s->resolve_us);
	wire_put_u32(&w, s->connect_us);
	wire_put_u64(&w, s->val);
	wire_put_bytes(&w, s->eph, sizeof s->eph);
	assert(!w.failed && wire_written(&w) == PLAIN);
}

static bool is_encodable(const struct wire_response *s)
{
	unsigned n_resume = (unsigned)s->has_resume_grant + (unsigned)s->has_resume_state;
	return keeps_own_rules(s) && n_resume == (has(s->flags, WIRE_S_RESUMABLE) ? 1 : 0);
}

int wire_response_encode(const struct wire_response *response, const uint8_t r[WIRE_REQUEST],
	const struct wire_key *key, const uint8_t nonce[SEAL_NONCE], uint8_t to[WIRE_RESPONSE_MAX])
{
	uint8_t ext[WIRE_EXT_MAX], plain[PLAIN], aad[AAD];
	int ext_len = put_ext(response, ext);
	if (ext_len < 0 || !is_encodable(response))
		return ERR_INVAL;
	put_plain(response, (uint16_t)ext_len, plain);
	fill_aad(aad, r);
	memcpy(to, nonce, SEAL_NONCE);
	seal_aead(key->rs, to, bytes_of(aad, AAD), bytes_of(plain, PLAIN), to + SEAL_NONCE);
	if (ext_len == 0)
		return WIRE_RESPONSE;
	seal_aead(key->rt, to, bytes_of(to + AT_TAG, SEAL_TAG), bytes_of(ext, (size_t)ext_len),
		to + WIRE_RESPONSE);
	return WIRE_RESPONSE + (int)WIRE_EXT_SEALED(ext_len);
}

/* ---- decode ---- */

/* Return: ver. */
static uint8_t read_plain(
	const uint8_t plain[PLAIN], struct wire_response *s, uint16_t *ret_ext_len)
{
	struct wire_reader r;
	memset(s, 0, sizeof *s);
	wire_reader_init(&r, bytes_of(plain, PLAIN));
	uint8_t ver = wire_u8(&r);
	s->status = wire_u8(&r);
	s->detail = wire_u8(&r);
	s->flags = wire_u8(&r);
	*ret_ext_len = wire_u16(&r);
	s->cipher = wire_u8(&r);
	s->tries = wire_u8(&r);
	s->resolve_us = wire_u32(&r);
	s->connect_us = wire_u32(&r);
	s->val = wire_u64(&r);
	wire_copy(&r, s->eph, sizeof s->eph);
	assert(!r.failed && wire_left(&r) == 0);
	return ver;
}

static bool was_offered(uint8_t cipher, uint16_t flags)
{
	static const uint16_t offers[CIPHER_MAX + 1] = { 0, WIRE_OFFER_AES_128_GCM,
		WIRE_OFFER_AES_256_GCM, WIRE_OFFER_CHACHA20_POLY1305 };
	return cipher == 0 || has(flags, offers[cipher]);
}

/* What holds as the answer to @r. */
static bool answers(const struct wire_response *s, const struct wire_request *r)
{
	if (s->status != STATUS_OK)
		return true;
	if (has(s->flags, WIRE_S_E2E) != has(r->flags, WIRE_E2E) ||
		has(s->flags, WIRE_S_FS) != has(r->flags, WIRE_FS))
		return false;
	if (has(s->flags, WIRE_S_KEEP) && !has(r->flags, WIRE_KEEP))
		return false;
	if (has(s->flags, WIRE_S_RESUMABLE) && !has(r->flags, WIRE_RESUMABLE))
		return false;
	if (r->cmd == WIRE_RESUME && !has(s->flags, WIRE_S_RESUMABLE))
		return false;
	return was_offered(s->cipher, r->flags);
}

enum wire_response_verdict wire_response_open(const uint8_t s[WIRE_RESPONSE],
	const uint8_t r[WIRE_REQUEST], const struct wire_request *request,
	const struct wire_key *key, struct wire_response *ret, uint16_t *ret_ext_len)
{
	uint8_t plain[PLAIN], aad[AAD];
	struct bytes sealed = bytes_of(s + SEAL_NONCE, WIRE_RESPONSE - SEAL_NONCE);
	fill_aad(aad, r);
	if (!seal_aead_open(key->rs, s, bytes_of(aad, AAD), sealed, plain))
		return WIRE_RESPONSE_FORGED;
	uint8_t ver = read_plain(plain, ret, ret_ext_len);
	if (ver != WIRE_VER || *ret_ext_len > WIRE_EXT_MAX ||
		has(ret->flags, WIRE_S_EXT) != (*ret_ext_len > 0))
		return WIRE_RESPONSE_BROKEN;
	return keeps_own_rules(ret) && answers(ret, request) ? WIRE_RESPONSE_OK
							     : WIRE_RESPONSE_BROKEN;
}

/* One character of UTF-8 (RFC 3629) from @from. Return: its bytes, 0 if they are none. */
static size_t read_character(struct bytes from, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800,
		0x10000 }; /* shorter forms exist below */
	uint8_t first = from.ptr[0];
	size_t len = first < 0x80   ? 1
		     : first < 0xc0 ? 0
		     : first < 0xe0 ? 2
		     : first < 0xf0 ? 3
		     : first < 0xf8 ? 4
				    : 0;
	uint32_t c = len == 1 ? first : first & (0x7fu >> len);
	if (len == 0 || len > from.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((from.ptr[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (from.ptr[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

/* Controls, and what turns or hides the text beside it: an operator must not write to a client's
 * terminal. */
static bool is_shown(uint32_t c)
{
	return c >= 0x20 && (c < 0x7f || c > 0x9f) && (c < 0x200b || c > 0x200f) &&
	       (c < 0x2028 || c > 0x202e) && (c < 0x2060 || c > 0x206f) && c != 0xfeff;
}

static bool read_text(struct bytes value, struct wire_response *s)
{
	char *to = s->text;
	if (value.len > WIRE_TEXT_MAX)
		return false;
	while (value.len > 0) {
		uint32_t c = 0;
		size_t len = read_character(value, &c), taken = len > 0 ? len : 1;
		if (len > 0 && is_shown(c)) {
			memcpy(to, value.ptr, len);
			to += len;
		} else {
			*to++ = '?';
		}
		value = bytes_of(value.ptr + taken, value.len - taken);
	}
	*to = '\0';
	return true;
}

/* No rule breaks the chain here: what is no name of a program is as if it were not there. */
static void read_software(
	struct bytes value, const struct wire_request *request, struct wire_response *s)
{
	if (value.len > WIRE_SOFTWARE_MAX || !has(request->flags, WIRE_TRACE))
		return;
	for (size_t i = 0; i < value.len; i++)
		s->software[i] = is_printable(value.ptr[i]) ? (char)value.ptr[i] : '?';
	s->software[value.len] = '\0';
}

static bool read_resume(
	struct bytes value, const struct wire_request *request, struct wire_response *s)
{
	struct wire_reader r;
	if (!has(s->flags, WIRE_S_RESUMABLE))
		return false;
	wire_reader_init(&r, value);
	if (request->cmd == WIRE_CONNECT) {
		s->has_resume_grant = true;
		wire_copy(&r, s->resume_id, sizeof s->resume_id);
		s->resume_ring = wire_u32(&r);
		s->resume_detach_s = wire_u16(&r);
	} else {
		s->has_resume_state = true;
		s->resume_rx = wire_u64(&r);
		s->resume_flags = wire_u8(&r);
	}
	return !r.failed && wire_left(&r) == 0 && (s->resume_flags & ~1) == 0;
}

static bool read_entry(
	uint8_t type, struct bytes value, const struct wire_request *r, struct wire_response *s)
{
	switch (type) {
	case WIRE_TLV_TEXT:
		return read_text(value, s);
	case WIRE_TLV_PAD:
		s->has_padding = true;
		s->n_padding = (uint16_t)value.len;
		return true;
	case WIRE_TLV_RESUME:
		return read_resume(value, r, s);
	case WIRE_TLV_ADDR:
		s->has_address = true;
		return has(r->flags, WIRE_TRACE) && wire_tlv_read_sock(value, &s->address);
	case WIRE_TLV_SOFTWARE:
		read_software(value, r, s);
		return true;
	default:
		return type >= WIRE_TLV_IGNORED;
	}
}

static enum wire_response_verdict read_ext(
	struct bytes ext, const struct wire_request *request, struct wire_response *s)
{
	struct wire_tlvs tlvs;
	struct bytes value;
	uint8_t type;
	wire_tlvs_init(&tlvs, ext);
	while (wire_tlvs_next(&tlvs, &type, &value)) {
		if (!read_entry(type, value, request, s))
			return WIRE_RESPONSE_BROKEN;
	}
	bool has_resume = s->has_resume_grant || s->has_resume_state;
	if (tlvs.is_broken || has_resume != has(s->flags, WIRE_S_RESUMABLE))
		return WIRE_RESPONSE_BROKEN;
	return WIRE_RESPONSE_OK;
}

enum wire_response_verdict wire_response_open_ext(const uint8_t s[WIRE_RESPONSE],
	struct bytes sealed, const struct wire_request *request, const struct wire_key *key,
	struct wire_response *response)
{
	uint8_t ext[WIRE_EXT_MAX];
	if (sealed.len == 0)
		return read_ext(sealed, request, response);
	if (sealed.len <= SEAL_TAG || sealed.len > WIRE_EXT_SEALED(WIRE_EXT_MAX))
		return WIRE_RESPONSE_FORGED;
	if (!seal_aead_open(key->rt, s, bytes_of(s + AT_TAG, SEAL_TAG), sealed, ext))
		return WIRE_RESPONSE_FORGED;
	return read_ext(bytes_of(ext, sealed.len - SEAL_TAG), request, response);
}
