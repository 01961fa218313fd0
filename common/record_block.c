/* One raw AES-256 block (seal.h): libsodium has none, so it lives beside the library that has. */
#include "common/seal.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* A cipher context is not safe to share, but the keys of a hop's users are shared by its workers. */
struct seal_block {
	pthread_mutex_t lock;
	EVP_CIPHER_CTX *encrypt, *decrypt;
};

static EVP_CIPHER_CTX *new_context(const uint8_t key[SEAL_KEY], int is_encrypting)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	if (context == NULL)
		return NULL;
	if (EVP_CipherInit_ex2(context, EVP_aes_256_ecb(), key, NULL, is_encrypting, NULL) == 1
		&& EVP_CIPHER_CTX_set_padding(context, 0) == 1)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

int seal_block_new(const uint8_t key[SEAL_KEY], struct seal_block **ret)
{
	struct seal_block *b = calloc(1, sizeof *b);
	if (b == NULL)
		return ERR_NOMEM;
	pthread_mutex_init(&b->lock, NULL);
	b->encrypt = new_context(key, 1);
	b->decrypt = new_context(key, 0);
	if (b->encrypt == NULL || b->decrypt == NULL) {
		seal_block_free(b);
		return ERR_NOMEM;
	}
	*ret = b;
	return 0;
}

void seal_block_free(struct seal_block *block)
{
	if (block == NULL)
		return;
	EVP_CIPHER_CTX_free(block->encrypt);
	EVP_CIPHER_CTX_free(block->decrypt);
	pthread_mutex_destroy(&block->lock);
	free(block);
}

static void run(struct seal_block *b, EVP_CIPHER_CTX *context, const uint8_t in[16], uint8_t out[16])
{
	int n = 0;
	pthread_mutex_lock(&b->lock);
	EVP_CipherUpdate(context, out, &n, in, 16);
	pthread_mutex_unlock(&b->lock);
}

void seal_block_encrypt(struct seal_block *block, const uint8_t in[16], uint8_t out[16])
{
	run(block, block->encrypt, in, out);
}

void seal_block_decrypt(struct seal_block *block, const uint8_t in[16], uint8_t out[16])
{
	run(block, block->decrypt, in, out);
}
