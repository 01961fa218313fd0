/* Requests as a hop finds them once R is open: byte 0 chooses the transport, then the plaintext of
 * R, then its extension. What a hop takes is encoded again, and read again. */
#include "chain/wire_request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wire_key *key;
static const uint8_t salt[WIRE_SALT];

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static void start(void)
{
	uint8_t credential[WIRE_CREDENTIAL] = { 1 };
	credential[SEAL_KEY] = 2;
	check(seal_start() == 0);
	check(wire_key_new(credential, &key) == WIRE_KEY_OK);
}

static bool decode(const struct wire_request_plain *plain, struct bytes ext,
	enum wire_transport transport, struct wire_request *ret)
{
	uint16_t ext_len;
	uint8_t detail = 0xff;
	enum wire_status status = wire_request_check(plain, transport, ret, &ext_len, &detail);
	if (status == STATUS_OK && ext.len >= ext_len)
		status = wire_request_check_ext(bytes_of(ext.ptr, ext_len), ret, &detail);
	else if (status == STATUS_OK)
		return false;
	bool has_detail = status == STATUS_BAD_REQUEST || status == STATUS_UNSUPPORTED;
	check(has_detail ? detail >= 1 && detail <= 88 : detail == 0);
	return status == STATUS_OK;
}

static void check_request(const struct wire_request *r, enum wire_transport transport)
{
	uint8_t first[WIRE_REQUEST_MAX], second[WIRE_REQUEST_MAX], ext[WIRE_EXT_MAX];
	struct wire_request_plain plain;
	struct wire_request again;
	check((r->to.kind == ADDR_NAME) == (r->to.name[0] != '\0'));
	check(r->to.kind != ADDR_NAME ||
		addr_name_is_valid(bytes_of(r->to.name, strlen(r->to.name))));
	int n = wire_request_encode(r, transport, key, salt, first);
	check(n >= WIRE_REQUEST && n <= WIRE_REQUEST_MAX);
	check(wire_request_open(first, transport, key, &plain));
	size_t sealed = (size_t)n - WIRE_REQUEST;
	if (sealed > 0)
		check(wire_request_open_ext(
			first, key, bytes_of(first + WIRE_REQUEST, sealed), ext));
	check(decode(&plain, bytes_of(ext, sealed > 0 ? sealed - SEAL_TAG : 0), transport, &again));
	check(wire_request_encode(&again, transport, key, salt, second) == n);
	check(memcmp(first, second, (size_t)n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_request_plain plain;
	struct wire_request r;
	if (key == NULL)
		start();
	if (size < 1 + sizeof plain.bytes)
		return 0;
	enum wire_transport transport = data[0] & 1 ? WIRE_TCP : WIRE_UDP;
	size_t at = 1 + sizeof plain.bytes;
	memcpy(plain.bytes, data + 1, sizeof plain.bytes);
	if (decode(&plain, bytes_of(data + at, size - at), transport, &r))
		check_request(&r, transport);
	return 0;
}
