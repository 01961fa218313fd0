/* Responses of a hop that holds the keys: byte 0 is the command asked for, bytes 1 and 2 the flags
 * of R, then the plaintext of S, then its extension. What a client takes is encoded again, and read
 * again. */
#include "chain/wire_response.h"

#include <stdlib.h>

#define PLAIN 56

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wire_key *key;
static const uint8_t r[WIRE_REQUEST], nonce[SEAL_NONCE];

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

/* docs/protocol.md 2.5: S and its extension from any plaintexts. */
static size_t seal(const uint8_t plain[PLAIN], struct bytes ext, uint8_t *to)
{
	uint8_t aad[40] = { 0 };
	memcpy(to, nonce, sizeof nonce);
	seal_aead(key->rs, to, bytes_of(aad, sizeof aad), bytes_of(plain, PLAIN), to + SEAL_NONCE);
	if (ext.len == 0)
		return WIRE_RESPONSE;
	seal_aead(key->rt, to, bytes_of(to + WIRE_RESPONSE - SEAL_TAG, SEAL_TAG), ext,
		to + WIRE_RESPONSE);
	return WIRE_RESPONSE + WIRE_EXT_SEALED(ext.len);
}

static bool decode(const uint8_t *sealed, size_t len, const struct wire_request *request,
	struct wire_response *ret)
{
	uint16_t ext_len = 0;
	enum wire_response_verdict v = wire_response_open(sealed, r, request, key, ret, &ext_len);
	check(v != WIRE_RESPONSE_FORGED);
	size_t rest = ext_len == 0 ? 0 : WIRE_EXT_SEALED((size_t)ext_len);
	if (v != WIRE_RESPONSE_OK || len < WIRE_RESPONSE + rest)
		return false;
	struct bytes ext = bytes_of(rest == 0 ? NULL : sealed + WIRE_RESPONSE, rest);
	return wire_response_open_ext(sealed, ext, request, key, ret) == WIRE_RESPONSE_OK;
}

static void check_response(const struct wire_response *s, const struct wire_request *request)
{
	uint8_t first[WIRE_RESPONSE_MAX], second[WIRE_RESPONSE_MAX];
	struct wire_response again;
	for (const char *c = s->text; *c != '\0'; c++)
		check((unsigned char)*c >= 0x20 && *c != 0x7f);
	for (const char *c = s->software; *c != '\0'; c++)
		check(*c >= 0x20 && *c < 0x7f);
	check(s->software[0] == '\0' || (request->flags & WIRE_TRACE));
	int n = wire_response_encode(s, r, key, nonce, first);
	check(n >= WIRE_RESPONSE && n <= WIRE_RESPONSE_MAX);
	check(decode(first, (size_t)n, request, &again));
	check(wire_response_encode(&again, r, key, nonce, second) == n);
	check(memcmp(first, second, (size_t)n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t sealed[WIRE_RESPONSE_MAX];
	struct wire_request request = { .cmd = 0 };
	struct wire_response s;
	if (key == NULL)
		start();
	if (size < 3 + PLAIN || size > 3 + PLAIN + WIRE_EXT_MAX)
		return 0;
	request.cmd = data[0] % 9;
	request.flags = (uint16_t)(data[1] << 8 | data[2]);
	size_t n = seal(data + 3, bytes_of(data + 3 + PLAIN, size - 3 - PLAIN), sealed);
	if (decode(sealed, n, &request, &s))
		check_response(&s, &request);
	return 0;
}
