#ifndef COMMON_RECORD_CIPHER_H
#define COMMON_RECORD_CIPHER_H
/*
 * Does: hands the ciphers that record.c has fetched to the other files that use the library.
 * Knows: OpenSSL. Never knows: keys.
 */
#include "common/record.h"

#include <openssl/evp.h>

/** record_cipher_fetched() - NULL for RECORD_NONE, and before record_start(). */
const EVP_CIPHER *record_cipher_fetched(enum record_cipher cipher);

#endif
