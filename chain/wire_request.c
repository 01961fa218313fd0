#include "chain/wire_request.h"

#include <assert.h>

/* docs/protocol.md 2.2: R on the wire. */
#define AT_MKID     WIRE_SALT
#define AT_SEALED   (AT_MKID + WIRE_KID) /* what is before it is the nonce */
#define AT_TAG      (WIRE_REQUEST - SEAL_TAG)
#define PLAIN       (WIRE_REQUEST - AT_SEALED - SEAL_TAG)
#define AAD         8
#define WIRE_VER    1
#define NAME_INLINE 15 /* longer names travel in the extension */
#define RESUME_SIZE (16 + 4 + 8 + 1 + 16)
#define FLAGS_KNOWN 0x07ff

enum { /* offsets in the plaintext; also the details of BAD_REQUEST and UNSUPPORTED (2.5) */
	AT_VER = 0,
	AT_CMD = 1,
	AT_FLAGS = 2,
	AT_TIME = 4,
	AT_EXT_LEN = 12,
	AT_TIMEOUT = 14,
	AT_ATYP = 16,
	AT_PROTO = 17,
	AT_PORT = 18,
	AT_ADDR = 20,
	AT_FID = 36,
	AT_ZERO_1 = 44,
	AT_EPH = 48,
	AT_ZERO_2 = 80,
	AT_EXTENSION = 88,
};
#define ADDR_SIZE (AT_FID - AT_ADDR)

static_assert(AT_SEALED == SEAL_NONCE, "R[0:24] is the nonce");
static_assert(AT_EXTENSION == PLAIN && AT_ZERO_2 + 8 == PLAIN, "the plaintext of R");
static_assert(sizeof(struct wire_request_plain) == PLAIN, "the plaintext of R");
static_assert(AT_EPH + SEAL_CURVE == AT_ZERO_2 && ADDR_SIZE == 1 + NAME_INLINE, "fields of R");

/* A row of T1. "Must" flags are set, "may" flags may be; all others are clear. */
struct legal {
	uint8_t cmd;
	uint8_t transports, atyps, protos; /* bit i = value i */
	bool has_offer;                    /* at least one of the three, else none */
	uint16_t must, may;
};
#define BIT(i)     (1u << (i))
#define TCP        BIT(WIRE_TCP)
#define UDP        BIT(WIRE_UDP)
#define NOWHERE    BIT(WIRE_ATYP_NONE)
#define REVERSE    BIT(WIRE_ATYP_REVERSE)
#define ADDRESS    (BIT(WIRE_ATYP_IP4) | BIT(WIRE_ATYP_NAME) | BIT(WIRE_ATYP_IP6))
#define STREAM     (BIT(0) | BIT(2)) /* proto tcp, mptcp */
#define DATAGRAM   BIT(1)
#define NO_PROTO   BIT(0)
#define SEALED     (WIRE_EXIT | WIRE_E2E)
#define RESUMING   (SEALED | WIRE_RESUMABLE | WIRE_EXT)
#define EXT_TRACE  (WIRE_EXT | WIRE_TRACE)
#define FS_EXT     (WIRE_FS | WIRE_EXT)
#define FS_ALL     (WIRE_FS | EXT_TRACE)
#define FS_ALL_RES (FS_ALL | WIRE_RESUMABLE)

static const struct legal t1[] = {
	{ WIRE_CONNECT, TCP, ADDRESS | REVERSE, STREAM, false, 0, EXT_TRACE },
	{ WIRE_CONNECT, TCP, ADDRESS | REVERSE, STREAM, true, SEALED, FS_ALL_RES },
	{ WIRE_CONNECT, TCP, ADDRESS | REVERSE, STREAM, false, WIRE_EXIT, EXT_TRACE },
	{ WIRE_CMD_UDP, UDP, ADDRESS, DATAGRAM, false, 0, EXT_TRACE },
	{ WIRE_CMD_UDP, TCP | UDP, ADDRESS, DATAGRAM, true, SEALED, FS_ALL },
	{ WIRE_CMD_UDP, TCP | UDP, NOWHERE, DATAGRAM, true, SEALED | WIRE_OPEN_UDP, FS_ALL },
	{ WIRE_ECHO, TCP | UDP, NOWHERE, NO_PROTO, false, 0, EXT_TRACE },
	{ WIRE_NOOP, TCP, NOWHERE, NO_PROTO, false, 0, WIRE_KEEP },
	{ WIRE_REV_REGISTER, TCP, REVERSE, NO_PROTO, true, SEALED, FS_EXT },
	{ WIRE_REV_ACCEPT, TCP, REVERSE, NO_PROTO, true, SEALED, FS_EXT },
	{ WIRE_RESUME, TCP, NOWHERE, NO_PROTO, true, RESUMING, WIRE_FS },
	{ WIRE_MEASURE, TCP, NOWHERE, NO_PROTO, true, SEALED, FS_ALL },
	{ WIRE_MEASURE, TCP, NOWHERE, NO_PROTO, false, WIRE_EXIT, EXT_TRACE },
};
#define N_T1 (sizeof t1 / sizeof t1[0])

static bool has_bit(uint8_t set, unsigned i)
{
	return i < 8 && (set & BIT(i)) != 0;
}

static bool are_flags_legal(const struct legal *l, uint16_t flags)
{
	uint16_t may = (uint16_t)(l->may | (l->has_offer ? WIRE_OFFERS : 0));
	return (flags & l->must) == l->must && (flags & ~(l->must | may)) == 0 &&
	       (!l->has_offer || (flags & WIRE_OFFERS) != 0);
}

/* The row of T1 for these flags, or NULL. */
static const struct legal *find_legal(uint8_t cmd, uint16_t flags, enum wire_transport transport)
{
	for (size_t i = 0; i < N_T1; i++) {
		if (t1[i].cmd == cmd && has_bit(t1[i].transports, transport) &&
			are_flags_legal(&t1[i], flags))
			return &t1[i];
	}
	return NULL;
}

/* Line 9. Middle hops of a chain of datagrams over tcp are CONNECT. */
static bool is_known(uint8_t cmd, uint16_t flags, enum wire_transport transport)
{
	if (cmd == WIRE_CMD_UDP && transport == WIRE_TCP && (flags & WIRE_EXIT) == 0)
		return false;
	for (size_t i = 0; i < N_T1; i++) {
		if (t1[i].cmd == cmd && has_bit(t1[i].transports, transport))
			return true;
	}
	return false;
}

static bool has_name(const struct wire_request *r)
{
	return r->atyp == WIRE_ATYP_NAME || r->atyp == WIRE_ATYP_REVERSE;
}

static bool is_zero(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] != 0)
			return false;
	}
	return true;
}

static void fill_aad(uint8_t aad[AAD], enum wire_transport transport)
{
	static_assert(sizeof "hc1 rq" + 1 == AAD, "text, a zero byte, the transport");
	memcpy(aad, "hc1 rq", sizeof "hc1 rq");
	aad[AAD - 1] = (uint8_t)transport;
}

/* ---- entries of extensions ---- */

void wire_tlvs_init(struct wire_tlvs *tlvs, struct bytes ext)
{
	memset(tlvs, 0, sizeof *tlvs);
	wire_reader_init(&tlvs->from, ext);
}

/* What holds for an entry of any type. */
static bool is_entry_good(struct wire_tlvs *t, uint8_t type, struct bytes value)
{
	uint64_t *seen = &t->seen[type / 64], bit = UINT64_C(1) << type % 64;
	if (t->from.failed || (*seen & bit) != 0)
		return false;
	*seen |= bit;
	if (type == WIRE_TLV_PAD)
		return is_zero(value.ptr, value.len);
	return value.len > 0 || type >= WIRE_TLV_IGNORED;
}

bool wire_tlvs_next(struct wire_tlvs *tlvs, uint8_t *ret_type, struct bytes *ret_value)
{
	if (tlvs->is_broken || wire_left(&tlvs->from) == 0)
		return false;
	uint8_t type = wire_u8(&tlvs->from);
	struct bytes value = wire_bytes(&tlvs->from, wire_u16(&tlvs->from));
	tlvs->is_broken = !is_entry_good(tlvs, type, value);
	if (tlvs->is_broken)
		return false;
	*ret_type = type;
	*ret_value = value;
	return true;
}

static void put_header(struct wire_writer *w, uint8_t type, size_t len)
{
	w->failed = w->failed || len > WIRE_EXT_MAX;
	wire_put_u8(w, type);
	wire_put_u16(w, (uint16_t)len);
}

void wire_tlv_put(struct wire_writer *w, uint8_t type, struct bytes value)
{
	put_header(w, type, value.len);
	wire_put_bytes(w, value.ptr, value.len);
}

void wire_tlv_put_padding(struct wire_writer *w, size_t len)
{
	put_header(w, WIRE_TLV_PAD, len);
	wire_put_zeros(w, len);
}

void wire_tlv_put_sock(struct wire_writer *w, uint8_t type, const union addr_sock *sock)
{
	bool is_ip4 = sock->any.sa_family == AF_INET;
	struct bytes ip =
		is_ip4 ? bytes_of(&sock->ip4.sin_addr, 4) : bytes_of(&sock->ip6.sin6_addr, 16);
	w->failed = w->failed || (!is_ip4 && sock->any.sa_family != AF_INET6);
	put_header(w, type, 1 + ip.len + 2);
	wire_put_u8(w, is_ip4 ? WIRE_ATYP_IP4 : WIRE_ATYP_IP6);
	wire_put_bytes(w, ip.ptr, ip.len);
	wire_put_u16(w, addr_sock_port(sock));
}

bool wire_tlv_read_sock(struct bytes value, union addr_sock *ret)
{
	struct wire_reader r;
	union addr_sock sock = { .any.sa_family = AF_UNSPEC };
	wire_reader_init(&r, value);
	uint8_t atyp = wire_u8(&r);
	memset(&sock, 0, sizeof sock);
	if (atyp == WIRE_ATYP_IP4) {
		sock.ip4.sin_family = AF_INET;
		wire_copy(&r, &sock.ip4.sin_addr, 4);
	} else if (atyp == WIRE_ATYP_IP6) {
		sock.ip6.sin6_family = AF_INET6;
		wire_copy(&r, &sock.ip6.sin6_addr, 16);
	} else {
		return false;
	}
	addr_sock_set_port(&sock, wire_u16(&r));
	if (r.failed || wire_left(&r) > 0)
		return false;
	*ret = sock;
	return true;
}

/* ---- encode ---- */

static void put_resume(struct wire_writer *w, const struct wire_resume *resume)
{
	put_header(w, WIRE_TLV_RESUME, RESUME_SIZE);
	wire_put_bytes(w, resume->id, sizeof resume->id);
	wire_put_u32(w, resume->epoch);
	wire_put_u64(w, resume->rx);
	wire_put_u8(w, resume->flags);
	wire_put_bytes(w, resume->mac, sizeof resume->mac);
}

/* Return: bytes of the extension, 0 = none, or ERR_INVAL. */
static int put_ext(const struct wire_request *r, uint8_t ext[WIRE_EXT_MAX])
{
	struct wire_writer w;
	size_t name = has_name(r) ? strlen(r->to.name) : 0;
	wire_writer_init(&w, ext, WIRE_EXT_MAX);
	if (name > NAME_INLINE)
		wire_tlv_put(&w, WIRE_TLV_NAME, bytes_of(r->to.name, name));
	if (r->has_padding)
		wire_tlv_put_padding(&w, r->n_padding);
	if (r->has_resume)
		put_resume(&w, &r->resume);
	if (r->has_client)
		wire_tlv_put_sock(&w, WIRE_TLV_CLIENT, &r->client);
	return w.failed ? ERR_INVAL : (int)wire_written(&w);
}

static void put_addr(struct wire_writer *w, const struct wire_request *r)
{
	size_t name = has_name(r) ? strlen(r->to.name) : 0;
	size_t used = 0;
	if (r->atyp == WIRE_ATYP_IP4 || r->atyp == WIRE_ATYP_IP6) {
		used = r->atyp == WIRE_ATYP_IP4 ? 4 : 16;
		wire_put_bytes(w, r->to.ip, used);
	} else if (name > 0 && name <= NAME_INLINE) {
		used = 1 + name;
		wire_put_u8(w, (uint8_t)name);
		wire_put_bytes(w, r->to.name, name);
	}
	wire_put_zeros(w, ADDR_SIZE - used);
}

static void put_plain(
	const struct wire_request *r, uint16_t ext_len, struct wire_request_plain *plain)
{
	struct wire_writer w;
	wire_writer_init(&w, plain->bytes, sizeof plain->bytes);
	wire_put_u8(&w, WIRE_VER);
	wire_put_u8(&w, r->cmd);
	wire_put_u16(&w, (uint16_t)((r->flags & ~WIRE_EXT) | (ext_len > 0 ? WIRE_EXT : 0)));
	wire_put_u64(&w, r->time_ms);
	wire_put_u16(&w, ext_len);
	wire_put_u16(&w, r->timeout);
	wire_put_u8(&w, r->atyp);
	wire_put_u8(&w, r->proto);
	wire_put_u16(&w, r->to.port);
	put_addr(&w, r);
	wire_put_u64(&w, r->fid);
	wire_put_zeros(&w, AT_EPH - AT_ZERO_1);
	wire_put_bytes(&w, r->eph, sizeof r->eph);
	wire_put_zeros(&w, PLAIN - AT_ZERO_2);
	assert(!w.failed && wire_written(&w) == PLAIN);
}

static bool is_kind_right(const struct wire_request *r)
{
	switch (r->to.kind) {
	case ADDR_NONE:
		return r->atyp == WIRE_ATYP_NONE;
	case ADDR_IP4:
		return r->atyp == WIRE_ATYP_IP4;
	case ADDR_IP6:
		return r->atyp == WIRE_ATYP_IP6;
	case ADDR_NAME:
		return has_name(r);
	case ADDR_UNIX:
	case ADDR_SYSTEMD:
	case ADDR_STDIO:
		break;
	}
	return false;
}

/* What the hop would say: there is one definition of a legal request, and it is the decoder's. */
static bool is_legal(
	const struct wire_request_plain *plain, struct bytes ext, enum wire_transport transport)
{
	struct wire_request r;
	uint16_t ext_len;
	uint8_t detail;
	return wire_request_check(plain, transport, &r, &ext_len, &detail) == STATUS_OK &&
	       wire_request_check_ext(ext, &r, &detail) == STATUS_OK;
}

int wire_request_encode(const struct wire_request *request, enum wire_transport transport,
	const struct wire_key *key, const uint8_t salt[WIRE_SALT], uint8_t to[WIRE_REQUEST_MAX])
{
	uint8_t ext[WIRE_EXT_MAX], aad[AAD];
	struct wire_request_plain plain;
	int ext_len = put_ext(request, ext);
	if (ext_len < 0 || !is_kind_right(request))
		return ERR_INVAL;
	struct bytes ext_plain = bytes_of(ext, (size_t)ext_len);
	put_plain(request, (uint16_t)ext_len, &plain);
	if (!is_legal(&plain, ext_plain, transport))
		return ERR_INVAL;
	memcpy(to, salt, WIRE_SALT);
	wire_mask_kid(key->mask, salt, key->kid, to + AT_MKID);
	fill_aad(aad, transport);
	seal_aead(key->rq, to, bytes_of(aad, AAD), bytes_of(plain.bytes, PLAIN), to + AT_SEALED);
	if (ext_len == 0)
		return WIRE_REQUEST;
	seal_aead(key->rx, to, bytes_of(to + AT_TAG, SEAL_TAG), ext_plain, to + WIRE_REQUEST);
	return WIRE_REQUEST + (int)WIRE_EXT_SEALED(ext_len);
}

/* ---- decode ---- */

bool wire_request_is_last(const struct wire_request *r)
{
	return r->cmd != WIRE_CONNECT || (r->flags & WIRE_EXIT);
}

void wire_request_kid(
	const uint8_t r[WIRE_REQUEST], const struct wire_mask *mask, uint8_t kid[WIRE_KID])
{
	wire_mask_kid(mask, r, r + AT_MKID, kid);
}

bool wire_request_open(const uint8_t r[WIRE_REQUEST], enum wire_transport transport,
	const struct wire_key *key, struct wire_request_plain *ret)
{
	uint8_t aad[AAD];
	fill_aad(aad, transport);
	return seal_aead_open(key->rq, r, bytes_of(aad, AAD),
		bytes_of(r + AT_SEALED, WIRE_REQUEST - AT_SEALED), ret->bytes);
}

uint64_t wire_request_time(const struct wire_request_plain *plain)
{
	struct wire_reader r;
	wire_reader_init(&r, bytes_of(plain->bytes + AT_TIME, 8));
	return wire_u64(&r);
}

static void read_plain(
	const struct wire_request_plain *plain, struct wire_request *to, uint16_t *ret_ext_len)
{
	struct wire_reader r;
	memset(to, 0, sizeof *to);
	wire_reader_init(&r, bytes_of(plain->bytes + AT_CMD, PLAIN - AT_CMD));
	to->cmd = wire_u8(&r);
	to->flags = wire_u16(&r);
	to->time_ms = wire_u64(&r);
	*ret_ext_len = wire_u16(&r);
	to->timeout = wire_u16(&r);
	to->atyp = wire_u8(&r);
	to->proto = wire_u8(&r);
	to->to.port = wire_u16(&r);
	wire_bytes(&r, ADDR_SIZE);
	to->fid = wire_u64(&r);
	wire_bytes(&r, AT_EPH - AT_ZERO_1);
	wire_copy(&r, to->eph, sizeof to->eph);
	wire_bytes(&r, PLAIN - AT_ZERO_2);
	assert(!r.failed && wire_left(&r) == 0);
}

/* Line 8. Return: offset of the first wrong field, or 0. */
static uint8_t find_reserved(
	const struct wire_request_plain *plain, const struct wire_request *r, uint16_t ext_len)
{
	if ((r->flags & ~FLAGS_KNOWN) != 0)
		return AT_FLAGS;
	if (ext_len > WIRE_EXT_MAX || ((r->flags & WIRE_EXT) != 0) != (ext_len > 0))
		return AT_EXT_LEN;
	if (!is_zero(plain->bytes + AT_ZERO_1, AT_EPH - AT_ZERO_1))
		return AT_ZERO_1;
	return is_zero(plain->bytes + AT_ZERO_2, PLAIN - AT_ZERO_2) ? 0 : AT_ZERO_2;
}

/* Inline, or zeros where NAME brings it: then kind stays NONE. Whether the bytes are a name is for
 * line 12; until then they must not look like a shorter one. */
static bool read_inline_name(const uint8_t addr[ADDR_SIZE], struct addr *to)
{
	size_t len = addr[0];
	if (len > NAME_INLINE || !is_zero(addr + 1 + len, NAME_INLINE - len))
		return false;
	if (len == 0)
		return true;
	to->kind = ADDR_NAME;
	if (addr_name_is_valid(bytes_of(addr + 1, len)))
		memcpy(to->name, addr + 1, len);
	return true;
}

/* Return: false if @addr is not the one canonical encoding (2.4). */
static bool read_addr(const uint8_t addr[ADDR_SIZE], uint8_t atyp, struct addr *to)
{
	switch (atyp) {
	case WIRE_ATYP_IP4:
		to->kind = ADDR_IP4;
		memcpy(to->ip, addr, 4);
		return is_zero(addr + 4, ADDR_SIZE - 4);
	case WIRE_ATYP_IP6:
		to->kind = ADDR_IP6;
		memcpy(to->ip, addr, 16);
		return true;
	case WIRE_ATYP_NAME:
	case WIRE_ATYP_REVERSE:
		return read_inline_name(addr, to);
	default:
		return is_zero(addr, ADDR_SIZE);
	}
}

/* Line 10. Return: offset of the first wrong field, or 0. */
static uint8_t find_illegal(
	const uint8_t addr[ADDR_SIZE], enum wire_transport transport, struct wire_request *r)
{
	const struct legal *l = find_legal(r->cmd, r->flags, transport);
	if (l == NULL)
		return AT_FLAGS;
	if (!has_bit(l->atyps, r->atyp))
		return AT_ATYP;
	if (!has_bit(l->protos, r->proto))
		return AT_PROTO;
	if ((r->to.port != 0) != has_bit(ADDRESS, r->atyp))
		return AT_PORT;
	if (!read_addr(addr, r->atyp, &r->to))
		return AT_ADDR;
	if (transport == WIRE_UDP && r->fid == 0)
		return AT_FID;
	return ((r->flags & WIRE_FS) != 0) == is_zero(r->eph, sizeof r->eph) ? AT_EPH : 0;
}

enum wire_status wire_request_check(const struct wire_request_plain *plain,
	enum wire_transport transport, struct wire_request *ret, uint16_t *ret_ext_len,
	uint8_t *ret_detail)
{
	read_plain(plain, ret, ret_ext_len);
	*ret_detail = DETAIL_NONE;
	if (plain->bytes[AT_VER] != WIRE_VER)
		return STATUS_VERSION;
	*ret_detail = find_reserved(plain, ret, *ret_ext_len);
	if (*ret_detail != 0)
		return STATUS_BAD_REQUEST;
	if (!is_known(ret->cmd, ret->flags, transport)) {
		*ret_detail = AT_CMD;
		return STATUS_UNSUPPORTED;
	}
	*ret_detail = find_illegal(plain->bytes + AT_ADDR, transport, ret);
	return *ret_detail == 0 ? STATUS_OK : STATUS_BAD_REQUEST;
}

bool wire_request_open_ext(const uint8_t r[WIRE_REQUEST], const struct wire_key *key,
	struct bytes sealed, uint8_t *ext)
{
	return seal_aead_open(key->rx, r, bytes_of(r + AT_TAG, SEAL_TAG), sealed, ext);
}

static bool read_name(struct bytes value, struct wire_request *r)
{
	if (!has_name(r) || r->to.kind != ADDR_NONE)
		return false;
	if (value.len <= NAME_INLINE || !addr_name_is_valid(value))
		return false;
	r->to.kind = ADDR_NAME;
	memcpy(r->to.name, value.ptr, value.len);
	r->to.name[value.len] = '\0';
	return true;
}

static bool read_resume(struct bytes value, struct wire_request *r)
{
	struct wire_reader w;
	if (r->cmd != WIRE_RESUME || value.len != RESUME_SIZE)
		return false;
	wire_reader_init(&w, value);
	wire_copy(&w, r->resume.id, sizeof r->resume.id);
	r->resume.epoch = wire_u32(&w);
	r->resume.rx = wire_u64(&w);
	r->resume.flags = wire_u8(&w);
	wire_copy(&w, r->resume.mac, sizeof r->resume.mac);
	r->has_resume = true;
	return (r->resume.flags & ~1) == 0; /* docs/protocol.md 3.3: the other bits are 0 */
}

static bool read_entry(uint8_t type, struct bytes value, struct wire_request *r)
{
	switch (type) {
	case WIRE_TLV_NAME:
		return read_name(value, r);
	case WIRE_TLV_PAD:
		r->has_padding = true;
		r->n_padding = (uint16_t)value.len;
		return true;
	case WIRE_TLV_RESUME:
		return read_resume(value, r);
	case WIRE_TLV_CLIENT:
		r->has_client = true;
		return (r->cmd == WIRE_CONNECT || r->cmd == WIRE_CMD_UDP) &&
		       wire_tlv_read_sock(value, &r->client);
	default:
		return type >= WIRE_TLV_IGNORED;
	}
}

enum wire_status wire_request_check_ext(
	struct bytes ext, struct wire_request *request, uint8_t *ret_detail)
{
	struct wire_tlvs tlvs;
	struct bytes value;
	uint8_t type;
	wire_tlvs_init(&tlvs, ext);
	*ret_detail = AT_EXTENSION;
	while (wire_tlvs_next(&tlvs, &type, &value)) {
		if (!read_entry(type, value, request))
			return STATUS_BAD_REQUEST;
	}
	if (tlvs.is_broken || (request->cmd == WIRE_RESUME && !request->has_resume))
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_ADDR;
	if (has_name(request) && request->to.name[0] == '\0')
		return STATUS_BAD_REQUEST;
	*ret_detail = DETAIL_NONE;
	return STATUS_OK;
}
