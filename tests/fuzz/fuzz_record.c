/* Records: the input is opened as it is, which must fail, and sealed: byte 0 chooses the cipher,
 * byte 1 is the type, the rest the content. */
#include "common/record.h"
#include "common/seal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static struct record_key *new_key(uint8_t choice, bool is_sealing)
{
	static const uint8_t secret[SEAL_KEY] = { 1 };
	struct record_key *key = NULL;
	check(record_key_new((enum record_cipher)(1 + choice % 3), secret, "hc1-rec_", is_sealing,
		      &key) == 0);
	return key;
}

/* Garbage does not open, and leaves the key as it was. */
static void open_garbage(struct record_key *key, struct bytes data)
{
	static uint8_t to[RECORD_MAX];
	uint8_t type = 0;
	int length = data.len >= RECORD_HEADER ? record_length(data.ptr) : ERR_BAD_RECORD;
	check(length == ERR_BAD_RECORD || (length >= RECORD_OVERHEAD && length <= RECORD_MAX));
	check(record_open(key, data, to, &type) == ERR_BAD_RECORD);
	if (length > 0 && (size_t)length < data.len)
		check(record_open(key, bytes_of(data.ptr, (size_t)length), to, &type) ==
			ERR_BAD_RECORD);
	check(record_seq(key) == 0);
}

/* With type 0 the content's own last byte that is not 0 becomes the type. */
static void check_opened(
	struct bytes content, uint8_t type, const uint8_t *to, int len, uint8_t ret_type)
{
	size_t left = content.len;
	if (type == 0) {
		while (left > 0 && content.ptr[left - 1] == 0)
			left--;
		if (left == 0) {
			check(len == ERR_BAD_RECORD);
			return;
		}
		type = content.ptr[--left];
	}
	check(len == (int)left && ret_type == type);
	check(left == 0 || memcmp(to, content.ptr, left) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t record[RECORD_MAX], to[RECORD_MAX];
	uint8_t type = 0;
	check(seal_start() == 0 && record_start() == 0);
	if (size < 2 || size - 2 > RECORD_CONTENT_MAX)
		return 0;
	struct record_key *sealing = new_key(data[0], true), *opening = new_key(data[0], false);
	struct bytes content = bytes_of(data + 2, size - 2);
	open_garbage(opening, content);
	int n = record_seal(sealing, (enum record_type)data[1], content, record);
	check(n == (int)(content.len + RECORD_OVERHEAD) && record_length(record) == n);
	record[RECORD_HEADER + data[1] % (n - RECORD_HEADER)] ^= 0x10;
	check(record_open(opening, bytes_of(record, (size_t)n), to, &type) == ERR_BAD_RECORD);
	record[RECORD_HEADER + data[1] % (n - RECORD_HEADER)] ^= 0x10;
	int len = record_open(opening, bytes_of(record, (size_t)n), to, &type);
	check_opened(content, data[1], to, len, type);
	record_key_free(sealing);
	record_key_free(opening);
	return 0;
}
