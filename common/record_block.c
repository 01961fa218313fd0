/* One raw AES-256 block (seal.h): libsodium has none, so it lives beside the library that has. */
#include "common/seal.h"

#include <openssl/evp.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#define N_LANES    8
#define CACHE_LINE 64

/* A cipher context serves one thread at a time, but the keys of a hop are shared by its workers. So
 * each thread takes the context out of its lane, uses it and puts it back; a lane that is empty
 * (first use, or another thread of the same lane is at work) gets a context of its own. No thread
 * waits. */
struct lane {
	alignas(CACHE_LINE) _Atomic(EVP_CIPHER_CTX *) encrypt;
	_Atomic(EVP_CIPHER_CTX *) decrypt;
};

struct seal_block {
	struct lane lanes[N_LANES];
	uint8_t key[SEAL_KEY];
};

/* The lane of the calling thread: threads are numbered as they come. */
static unsigned my_lane(void)
{
	static _Atomic unsigned n_threads;
	static _Thread_local unsigned number; /* 0 = none yet */
	if (number == 0)
		number = 1 + atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed);
	return number % N_LANES;
}

static EVP_CIPHER_CTX *new_context(const uint8_t key[SEAL_KEY], int is_encrypting)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	if (context == NULL)
		return NULL;
	if (EVP_CipherInit_ex2(context, EVP_aes_256_ecb(), key, NULL, is_encrypting, NULL) == 1 &&
		EVP_CIPHER_CTX_set_padding(context, 0) == 1)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

static _Atomic(EVP_CIPHER_CTX *) *slot_of(struct seal_block *b, unsigned i, int is_encrypting)
{
	return is_encrypting ? &b->lanes[i].encrypt : &b->lanes[i].decrypt;
}

int seal_block_new(const uint8_t key[SEAL_KEY], struct seal_block **ret)
{
	struct seal_block *b = aligned_alloc(CACHE_LINE, sizeof *b);
	if (b == NULL)
		return ERR_NOMEM;
	memset(b, 0, sizeof *b);
	memcpy(b->key, key, sizeof b->key);
	unsigned mine = my_lane();
	atomic_init(&b->lanes[mine].encrypt, new_context(key, 1));
	atomic_init(&b->lanes[mine].decrypt, new_context(key, 0));
	if (b->lanes[mine].encrypt == NULL || b->lanes[mine].decrypt == NULL) {
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
	for (unsigned i = 0; i < N_LANES; i++) {
		EVP_CIPHER_CTX_free(block->lanes[i].encrypt); /* wipes its key */
		EVP_CIPHER_CTX_free(block->lanes[i].decrypt);
	}
	seal_wipe(block, sizeof *block);
	free(block);
}

/* Without memory for one more context the lanes are searched until another thread has put its back:
 * seal_block_new() made one, and a context once made stays in a lane. */
static EVP_CIPHER_CTX *take(struct seal_block *b, unsigned mine, int is_encrypting)
{
	EVP_CIPHER_CTX *context = atomic_exchange_explicit(
		slot_of(b, mine, is_encrypting), NULL, memory_order_acquire);
	if (context == NULL)
		context = new_context(b->key, is_encrypting);
	for (unsigned i = 0; context == NULL; i = (i + 1) % N_LANES)
		context = atomic_exchange_explicit(
			slot_of(b, i, is_encrypting), NULL, memory_order_acquire);
	return context;
}

static void run(struct seal_block *b, int is_encrypting, const uint8_t in[16], uint8_t out[16])
{
	int n = 0;
	unsigned mine = my_lane();
	EVP_CIPHER_CTX *context = take(b, mine, is_encrypting);
	EVP_CipherUpdate(context, out, &n, in, 16);
	context = atomic_exchange_explicit(
		slot_of(b, mine, is_encrypting), context, memory_order_acq_rel);
	EVP_CIPHER_CTX_free(context); /* NULL, unless two threads of one lane met */
}

void seal_block_encrypt(struct seal_block *block, const uint8_t in[16], uint8_t out[16])
{
	run(block, 1, in, out);
}

void seal_block_decrypt(struct seal_block *block, const uint8_t in[16], uint8_t out[16])
{
	run(block, 0, in, out);
}
