#include "chain/wire_request.h"

#include <assert.h>

/* docs/protocol.md 2.2. R on the wire, and its plaintext. */
#define MKID_AT     WIRE_SALT
#define SEALED_AT   (MKID_AT + WIRE_KID)
#define PLAIN       88
#define NAME_INLINE 15

enum { /* offsets in the plaintext: also the details of BAD_REQUEST and UNSUPPORTED */
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

enum { TLV_NAME = 1, TLV_PAD = 2, TLV_RESUME = 3, TLV_CLIENT = 5, TLV_IGNORED = 0x80 };
#define TLV_HEADER  3
#define RESUME_SIZE 45

static_assert(SEALED_AT + PLAIN + SEAL_TAG == WIRE_REQUEST, "R is 128 bytes");
static_assert(AT_ZERO_2 + 8 == PLAIN && AT_EXTENSION == PLAIN, "plaintext of R is 88 bytes");
static_assert(sizeof(struct wire_request_plain) == PLAIN, "plaintext of R");

/* A row of T1: what a command may look like on a transport. "Must" flags are set, "may" flags may be. */
struct legal {
	uint8_t cmd, transport;
	uint16_t must, may;
	bool needs_offer; /* at least one offer bit; else none */
	uint8_t atyps; /* bit i = atyp i */
};
#define ATYP_BIT(a) (1u << (a))
#define ATYPS_DIAL  (ATYP_BIT(1) | ATYP_BIT(3) | ATYP_BIT(4))

static const struct legal t1[] = {
	{ WIRE_CONNECT, WIRE_TCP, 0, WIRE_EXT | WIRE_TRACE, false, ATYPS_DIAL | ATYP_BIT(5) },
	{ WIRE_CONNECT, WIRE_TCP, WIRE_EXIT | WIRE_E2E, WIRE_FS | WIRE_RESUMABLE | WIRE_EXT | WIRE_TRACE, true,
		ATYPS_DIAL | ATYP_BIT(5) },
	{ WIRE_CONNECT, WIRE_TCP, WIRE_EXIT, WIRE_EXT | WIRE_TRACE, false, ATYPS_DIAL | ATYP_BIT(5) },
	{ WIRE_CMD_UDP, WIRE_UDP, 0, WIRE_EXT | WIRE_TRACE, false, ATYPS_DIAL },
	{ WIRE_CMD_UDP, WIRE_UDP, WIRE_EXIT | WIRE_E2E, WIRE_FS | WIRE_EXT | WIRE_TRACE, true, ATYPS_DIAL },
	{ WIRE_CMD_UDP, WIRE_UDP, WIRE_EXIT | WIRE_E2E | WIRE_OPEN_UDP, WIRE_FS | WIRE_EXT | WIRE_TRACE, true,
		ATYP_BIT(0) },
	{ WIRE_CMD_UDP, WIRE_TCP, WIRE_EXIT | WIRE_E2E, WIRE_FS | WIRE_EXT | WIRE_TRACE, true, ATYPS_DIAL },
	{ WIRE_CMD_UDP, WIRE_TCP, WIRE_EXIT | WIRE_E2E | WIRE_OPEN_UDP, WIRE_FS | WIRE_EXT | WIRE_TRACE, true,
		ATYP_BIT(0) },
	{ WIRE_ECHO, WIRE_TCP, 0, WIRE_EXT | WIRE_TRACE, false, ATYP_BIT(0) },
	{ WIRE_ECHO, WIRE_UDP, 0, WIRE_EXT | WIRE_TRACE, false, ATYP_BIT(0) },
	{ WIRE_NOOP, WIRE_TCP, 0, WIRE_KEEP, false, ATYP_BIT(0) },
	{ WIRE_REV_REGISTER, WIRE_TCP, WIRE_EXIT | WIRE_E2E, WIRE_FS | WIRE_EXT | WIRE_TRACE, true, ATYP_BIT(5) },
	{ WIRE_REV_ACCEPT, WIRE_TCP, WIRE_EXIT | WIRE_E2E, WIRE_FS | WIRE_EXT | WIRE_TRACE, true, ATYP_BIT(5) },
	{ WIRE_RESUME, WIRE_TCP, WIRE_EXIT | WIRE_E2E | WIRE_RESUMABLE | WIRE_EXT, WIRE_FS, true, ATYP_BIT(0) },
};
#define N_T1 (sizeof t1 / sizeof t1[0])

/* The row of T1 with these flags, or NULL. The flags that tell rows of one command apart are EXIT, E2E and
 * OPEN_UDP; what is left over or missing makes the request illegal. */
static const struct legal *find_legal(const struct wire_request *r, enum wire_transport transport)
{
	for (size_t i = 0; i < N_T1; i++) {
		const struct legal *l = &t1[i];
		uint16_t known = (uint16_t)(l->must | l->may | (l->needs_offer ? WIRE_OFFERS : 0));
		if (l->cmd != r->cmd || l->transport != transport)
			continue;
		if ((r->flags & l->must) != l->must || (r->flags & ~known) != 0)
			continue;
		if (l->needs_offer && (r->flags & WIRE_OFFERS) == 0)
			continue;
		return l;
	}
	return NULL;
}

static bool is_known(uint8_t cmd, enum wire_transport transport)
{
	for (size_t i = 0; i < N_T1; i++) {
		if (t1[i].cmd == cmd && t1[i].transport == transport)
			return true;
	}
	return false;
}

static bool dials(uint8_t cmd)
{
	return cmd == WIRE_CONNECT || cmd == WIRE_CMD_UDP;
}

static bool is_proto_legal(const struct wire_request *r)
{
	if (r->cmd == WIRE_CONNECT)
		return r->proto == 0 || r->proto == 2;
	return r->proto == (r->cmd == WIRE_CMD_UDP ? 1 : 0);
}

/* Port 0 exactly where nothing is dialled by address. */
static bool is_port_legal(const struct wire_request *r)
{
	bool has_port = dials(r->cmd) && r->atyp != WIRE_ATYP_REVERSE && r->atyp != WIRE_ATYP_NONE;
	return (r->to.port != 0) == has_port;
}

/* Line 9 and the rest of T1 (line 10) but for the address. */
static enum wire_status check_t1(const struct wire_request *r, enum wire_transport transport, uint8_t *ret_detail)
{
	const struct legal *l = find_legal(r, transport);
	*ret_detail = AT_FLAGS;
	if (l == NULL)
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_ATYP;
	if (r->atyp > 7 || (l->atyps & ATYP_BIT(r->atyp)) == 0)
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_PROTO;
	if (!is_proto_legal(r))
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_PORT;
	if (!is_port_legal(r))
		return STATUS_BAD_REQUEST;
	*ret_detail = 0;
	return STATUS_OK;
}

/* ---- encode ---- */

static void put_tlv(struct wire_writer *w, uint8_t type, const void *value, size_t len)
{
	wire_put_u8(w, type);
	wire_put_u16(w, (uint16_t)len);
	wire_put_bytes(w, value, len);
}

static void put_address_tlv(struct wire_writer *w, uint8_t type, const union addr_sock *at)
{
	bool is_ip4 = at->any.sa_family == AF_INET;
	wire_put_u8(w, type);
	wire_put_u16(w, is_ip4 ? 7 : 19);
	wire_put_u8(w, is_ip4 ? WIRE_ATYP_IP4 : WIRE_ATYP_IP6);
	if (is_ip4)
		wire_put_bytes(w, &at->ip4.sin_addr, 4);
	else
		wire_put_bytes(w, &at->ip6.sin6_addr, 16);
	wire_put_u16(w, addr_sock_port(at));
}

static void put_resume_tlv(struct wire_writer *w, const struct wire_resume *resume)
{
	wire_put_u8(w, TLV_RESUME);
	wire_put_u16(w, RESUME_SIZE);
	wire_put_bytes(w, resume->id, sizeof resume->id);
	wire_put_u32(w, resume->epoch);
	wire_put_u64(w, resume->rx);
	wire_put_u8(w, resume->flags);
	wire_put_bytes(w, resume->mac, sizeof resume->mac);
}

static bool has_name(const struct wire_request *r)
{
	return r->atyp == WIRE_ATYP_NAME || r->atyp == WIRE_ATYP_REVERSE;
}

static size_t put_ext(const struct wire_request *r, uint8_t *ext)
{
	struct wire_writer w;
	size_t name = has_name(r) ? strlen(r->to.name) : 0;
	wire_writer_init(&w, ext, WIRE_EXT_MAX);
	if (name > NAME_INLINE)
		put_tlv(&w, TLV_NAME, r->to.name, name);
	if (r->has_resume)
		put_resume_tlv(&w, &r->resume);
	if (r->has_client)
		put_address_tlv(&w, TLV_CLIENT, &r->client);
	if (r->has_padding) {
		wire_put_u8(&w, TLV_PAD);
		wire_put_u16(&w, r->n_padding);
		wire_put_zeros(&w, r->n_padding);
	}
	return w.failed ? SIZE_MAX : wire_written(&w);
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

static void put_plain(const struct wire_request *r, uint16_t flags, uint16_t ext_len, uint8_t plain[PLAIN])
{
	struct wire_writer w;
	wire_writer_init(&w, plain, PLAIN);
	wire_put_u8(&w, 1);
	wire_put_u8(&w, r->cmd);
	wire_put_u16(&w, flags);
	wire_put_u64(&w, r->time_ms);
	wire_put_u16(&w, ext_len);
	wire_put_u16(&w, r->timeout);
	wire_put_u8(&w, r->atyp);
	wire_put_u8(&w, r->proto);
	wire_put_u16(&w, r->to.port);
	put_addr(&w, r);
	wire_put_u64(&w, r->fid);
	wire_put_u32(&w, 0);
	wire_put_bytes(&w, r->eph, sizeof r->eph);
	wire_put_u64(&w, 0);
	assert(!w.failed && wire_written(&w) == PLAIN);
}

static void fill_aad(uint8_t aad[8], enum wire_transport transport)
{
	memcpy(aad, "hc1 rq", 7);
	aad[7] = (uint8_t)transport;
}

static bool is_encodable(const struct wire_request *r, enum wire_transport transport)
{
	uint8_t detail;
	if (check_t1(r, transport, &detail) != STATUS_OK)
		return false;
	if (has_name(r) && !addr_name_is_valid(bytes_of(r->to.name, strlen(r->to.name))))
		return false;
	if (((r->flags & WIRE_FS) != 0) == seal_is_zero(r->eph, sizeof r->eph))
		return false;
	return (r->flags & WIRE_RESUMABLE && r->cmd == WIRE_RESUME) == r->has_resume && (transport == WIRE_TCP || r->fid != 0);
}

int wire_request_encode(const struct wire_request *request, enum wire_transport transport, const struct wire_key *key,
	const uint8_t salt[WIRE_SALT], uint8_t to[WIRE_REQUEST_MAX])
{
	uint8_t ext[WIRE_EXT_MAX], plain[PLAIN], aad[8];
	struct wire_request r = *request;
	size_t ext_len = put_ext(&r, ext);
	if (ext_len > WIRE_EXT_MAX)
		return ERR_INVAL;
	r.flags = (uint16_t)((r.flags & ~WIRE_EXT) | (ext_len > 0 ? WIRE_EXT : 0));
	if (!is_encodable(&r, transport))
		return ERR_INVAL;
	memcpy(to, salt, WIRE_SALT);
	wire_mask_kid(key->mask, salt, key->kid, to + MKID_AT);
	fill_aad(aad, transport);
	put_plain(&r, r.flags, (uint16_t)ext_len, plain);
	seal_aead(key->rq, to, bytes_of(aad, sizeof aad), bytes_of(plain, PLAIN), to + SEALED_AT);
	seal_wipe(plain, sizeof plain);
	if (ext_len == 0)
		return WIRE_REQUEST;
	seal_aead(key->rx, to, bytes_of(to + WIRE_REQUEST - SEAL_TAG, SEAL_TAG), bytes_of(ext, ext_len), to + WIRE_REQUEST);
	return WIRE_REQUEST + (int)WIRE_EXT_SEALED(ext_len);
}

/* ---- decode ---- */

void wire_request_kid(const uint8_t r[WIRE_REQUEST], const struct wire_mask *mask, uint8_t kid[WIRE_KID])
{
	wire_mask_kid(mask, r, r + MKID_AT, kid);
}

bool wire_request_open(const uint8_t r[WIRE_REQUEST], enum wire_transport transport, const struct wire_key *key,
	struct wire_request_plain *ret)
{
	uint8_t aad[8];
	fill_aad(aad, transport);
	return seal_aead_open(key->rq, r, bytes_of(aad, sizeof aad), bytes_of(r + SEALED_AT, WIRE_REQUEST - SEALED_AT),
		ret->bytes);
}

uint64_t wire_request_time(const struct wire_request_plain *plain)
{
	struct wire_reader r;
	wire_reader_init(&r, bytes_of(plain->bytes + AT_TIME, 8));
	return wire_u64(&r);
}

static bool is_zero(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] != 0)
			return false;
	}
	return true;
}

/* An inline name, or zeros where the NAME TLV carries it. Return: false if not canonical. */
static bool read_name(const uint8_t addr[ADDR_SIZE], struct wire_request *r)
{
	size_t len = addr[0];
	r->to.name[0] = '\0';
	if (len > NAME_INLINE || !is_zero(addr + 1 + len, ADDR_SIZE - 1 - len))
		return false;
	if (len > 0 && !addr_name_is_valid(bytes_of(addr + 1, len)))
		return false;
	memcpy(r->to.name, addr + 1, len);
	r->to.name[len] = '\0';
	r->to.kind = ADDR_NAME;
	return true;
}

/* Canonical address (2.4): exactly one encoding is legal. */
static bool read_addr(const uint8_t addr[ADDR_SIZE], struct wire_request *r)
{
	switch (r->atyp) {
	case WIRE_ATYP_IP4:
		r->to.kind = ADDR_IP4;
		memcpy(r->to.ip, addr, 4);
		return is_zero(addr + 4, ADDR_SIZE - 4);
	case WIRE_ATYP_IP6:
		r->to.kind = ADDR_IP6;
		memcpy(r->to.ip, addr, 16);
		return true;
	case WIRE_ATYP_NAME:
	case WIRE_ATYP_REVERSE:
		return read_name(addr, r);
	default:
		return is_zero(addr, ADDR_SIZE);
	}
}

static void read_plain(const struct wire_request_plain *plain, struct wire_request *r, uint16_t *ext_len)
{
	struct wire_reader w;
	wire_reader_init(&w, bytes_of(plain->bytes + AT_CMD, PLAIN - AT_CMD));
	memset(r, 0, sizeof *r);
	r->cmd = wire_u8(&w);
	r->flags = wire_u16(&w);
	r->time_ms = wire_u64(&w);
	*ext_len = wire_u16(&w);
	r->timeout = wire_u16(&w);
	r->atyp = wire_u8(&w);
	r->proto = wire_u8(&w);
	r->to.port = wire_u16(&w);
	wire_bytes(&w, ADDR_SIZE);
	r->fid = wire_u64(&w);
	wire_u32(&w);
	wire_copy(&w, r->eph, sizeof r->eph);
	assert(!w.failed);
}

/* Line 8. */
static bool check_reserved(const struct wire_request_plain *plain, const struct wire_request *r, uint16_t ext_len,
	uint8_t *ret_detail)
{
	*ret_detail = AT_FLAGS;
	if (r->flags & 0xf800)
		return false;
	*ret_detail = AT_EXT_LEN;
	if (ext_len > WIRE_EXT_MAX || ((r->flags & WIRE_EXT) != 0) != (ext_len > 0))
		return false;
	*ret_detail = AT_ZERO_1;
	if (!is_zero(plain->bytes + AT_ZERO_1, AT_EPH - AT_ZERO_1))
		return false;
	*ret_detail = AT_ZERO_2;
	if (!is_zero(plain->bytes + AT_ZERO_2, PLAIN - AT_ZERO_2))
		return false;
	*ret_detail = 0;
	return true;
}

enum wire_status wire_request_check(const struct wire_request_plain *plain, enum wire_transport transport,
	struct wire_request *ret, uint16_t *ret_ext_len, uint8_t *ret_detail)
{
	*ret_detail = 0;
	*ret_ext_len = 0;
	read_plain(plain, ret, ret_ext_len);
	if (plain->bytes[AT_VER] != 1)
		return STATUS_VERSION;
	if (!check_reserved(plain, ret, *ret_ext_len, ret_detail))
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_CMD;
	if (!is_known(ret->cmd, transport))
		return STATUS_UNSUPPORTED;
	if (transport == WIRE_TCP && ret->cmd == WIRE_CMD_UDP && (ret->flags & WIRE_EXIT) == 0)
		return STATUS_UNSUPPORTED;
	enum wire_status status = check_t1(ret, transport, ret_detail);
	if (status != STATUS_OK)
		return status;
	*ret_detail = AT_ADDR;
	if (!read_addr(plain->bytes + AT_ADDR, ret))
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_FID;
	if (transport == WIRE_UDP && ret->fid == 0)
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_EPH;
	if (((ret->flags & WIRE_FS) != 0) == is_zero(ret->eph, sizeof ret->eph))
		return STATUS_BAD_REQUEST;
	*ret_detail = 0;
	return STATUS_OK;
}

bool wire_request_open_ext(const uint8_t r[WIRE_REQUEST], const struct wire_key *key, struct bytes sealed, uint8_t *ext)
{
	return seal_aead_open(key->rx, r, bytes_of(r + WIRE_REQUEST - SEAL_TAG, SEAL_TAG), sealed, ext);
}

static bool read_name_tlv(struct bytes value, struct wire_request *r)
{
	if (!has_name(r) || r->to.name[0] != '\0')
		return false;
	if (value.len <= NAME_INLINE || value.len > ADDR_NAME_MAX || !addr_name_is_valid(value))
		return false;
	memcpy(r->to.name, value.ptr, value.len);
	r->to.name[value.len] = '\0';
	return true;
}

static bool read_resume_tlv(struct bytes value, struct wire_request *r)
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
	return true;
}

static bool read_client_tlv(struct bytes value, struct wire_request *r)
{
	struct wire_reader w;
	wire_reader_init(&w, value);
	uint8_t atyp = wire_u8(&w);
	if (!dials(r->cmd))
		return false;
	memset(&r->client, 0, sizeof r->client);
	if (atyp == WIRE_ATYP_IP4 && value.len == 7) {
		r->client.ip4.sin_family = AF_INET;
		wire_copy(&w, &r->client.ip4.sin_addr, 4);
	} else if (atyp == WIRE_ATYP_IP6 && value.len == 19) {
		r->client.ip6.sin6_family = AF_INET6;
		wire_copy(&w, &r->client.ip6.sin6_addr, 16);
	} else {
		return false;
	}
	addr_sock_set_port(&r->client, wire_u16(&w));
	r->has_client = true;
	return true;
}

static bool read_tlv(uint8_t type, struct bytes value, struct wire_request *r)
{
	if (type >= TLV_IGNORED)
		return true;
	if (type == TLV_PAD) {
		r->has_padding = true;
		r->n_padding = (uint16_t)value.len;
		return is_zero(value.ptr, value.len);
	}
	if (value.len == 0)
		return false;
	switch (type) {
	case TLV_NAME:
		return read_name_tlv(value, r);
	case TLV_RESUME:
		return read_resume_tlv(value, r);
	case TLV_CLIENT:
		return read_client_tlv(value, r);
	default:
		return false;
	}
}

enum wire_status wire_request_check_ext(struct bytes ext, struct wire_request *request, uint8_t *ret_detail)
{
	struct wire_reader r;
	bool seen[256] = { false };
	*ret_detail = AT_EXTENSION;
	wire_reader_init(&r, ext);
	while (wire_left(&r) > 0) {
		uint8_t type = wire_u8(&r);
		struct bytes value = wire_bytes(&r, wire_u16(&r));
		if (r.failed || seen[type] || !read_tlv(type, value, request))
			return STATUS_BAD_REQUEST;
		seen[type] = true;
	}
	if (r.failed || (request->cmd == WIRE_RESUME && !request->has_resume))
		return STATUS_BAD_REQUEST;
	*ret_detail = AT_ADDR;
	if (has_name(request) && request->to.name[0] == '\0')
		return STATUS_BAD_REQUEST;
	*ret_detail = 0;
	return STATUS_OK;
}
