#ifndef TESTS_SUPPORT_HEX_H
#define TESTS_SUPPORT_HEX_H
/*
 * Does: hexadecimal text to bytes, and the golden vectors of docs/protocol.md 2.15. Knows: cJSON.
 * Never knows: what a vector means. Whatever is not as expected ends the test.
 */
#include "common/wire.h"

#define HEX_MAX 1400

/* Bytes by value, so that a test needs no free(). */
struct hex {
	uint8_t data[HEX_MAX];
	size_t len;
};

/** hex_of() - bytes of @text; spaces are skipped. */
struct hex hex_of(const char *text);
struct bytes hex_bytes(const struct hex *hex);
/** hex_is() - whether @data is @text in hexadecimal; says on stderr what it was instead. */
bool hex_is(const void *data, size_t len, const char *text);

struct cJSON;
/** vectors_load() - tests/vectors/hc1.json of $HOPCHAIN_SOURCE. The caller frees it with
 * cJSON_Delete(). */
struct cJSON *vectors_load(void);
/** vectors_get() - member @name of @object, which must be there. */
const struct cJSON *vectors_get(const struct cJSON *object, const char *name);
bool vectors_has(const struct cJSON *object, const char *name);
/** vectors_text() - a string that must be there. */
const char *vectors_text(const struct cJSON *object, const char *name);
/** vectors_hex() - the bytes of such a string. */
struct hex vectors_hex(const struct cJSON *object, const char *name);
/** vectors_number() - a number, or its text "0x…"; @missing if there is none. */
uint64_t vectors_number(const struct cJSON *object, const char *name, uint64_t missing);

#endif
