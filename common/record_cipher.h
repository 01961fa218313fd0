#ifndef COMMON_RECORD_CIPHER_H
#define COMMON_RECORD_CIPHER_H
/*
 * Does: hands the ciphers that record.c has fetched to the other files that use the library.
 * Knows: the library's name of a cipher. Never knows: keys.
 */
#include "common/record.h"

struct evp_cipher_st; /* OpenSSL's EVP_CIPHER */
/** record_cipher_fetched() - NULL for RECORD_NONE, and before record_start(). */
const struct evp_cipher_st *record_cipher_fetched(enum record_cipher cipher);

#endif
