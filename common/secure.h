#ifndef COMMON_SECURE_H
#define COMMON_SECURE_H
/*
 * Does: a stream whose bytes are sealed records on another stream: data, close_notify,
 * user_canceled, key update (docs/protocol.md 2.8). Knows: records, streams. Never knows: how the
 * secrets came about.
 */
#include "common/record.h"
#include "common/stream.h"

struct secure_options {
	enum record_cipher cipher;
	uint8_t secret_out[32], secret_in[32]; /* of our direction and the peer's */
	uint64_t key_update_records;           /* update our key after so many data records; 0 =
						  RECORD_KEY_UPDATE_SEQ */
};

/**
 * secure_open() - a stream over @lower. Takes @lower: from now on all its events come here and it
 * is closed with this stream. The options are wiped by the caller. EOF = the peer's close_notify.
 * FAILED: ERR_TRUNCATED (FIN without close_notify), ERR_CANCELED, ERR_BAD_RECORD, or @lower's
 * error. Return: 0, ERR_NOMEM, ERR_CRYPTO; then @lower is still the caller's.
 */
NODISCARD int secure_open(
	struct stream *lower, const struct secure_options *options, struct stream **ret);

#endif
