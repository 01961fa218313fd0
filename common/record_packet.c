#include "common/record_packet.h"

#include "common/record_cipher.h"
#include "common/seal.h"

#include <assert.h>
#include <openssl/evp.h>

#define IV          12
#define NUMBER_BITS 48
#define TAG         RECORD_PACKET_TAG

void record_packet_init(struct record_packet *packet, enum record_cipher cipher,
	const uint8_t secret[32], const char ctx[8], bool is_sealing)
{
	uint8_t iv[16];
	static_assert(sizeof packet->iv == IV, "nonce of every cipher");
	memset(packet, 0, sizeof *packet);
	seal_kdf(secret, ctx, 1, packet->key, sizeof packet->key);
	seal_kdf(secret, ctx, 2, iv, sizeof iv);
	memcpy(packet->iv, iv, sizeof packet->iv);
	seal_wipe(iv, sizeof iv);
	packet->cipher = (uint8_t)cipher;
	packet->is_sealing = is_sealing;
}

void record_packet_deinit(struct record_packet *packet)
{
	record_packet_rest(packet);
	seal_wipe(packet, sizeof *packet);
}

void record_packet_rest(struct record_packet *packet)
{
	EVP_CIPHER_CTX_free(packet->context); /* wipes its key */
	packet->context = NULL;
}

/* The context with the key in it. */
static int make_context(struct record_packet *p)
{
	const EVP_CIPHER *cipher = record_cipher_fetched((enum record_cipher)p->cipher);
	if (cipher == NULL)
		return ERR_CRYPTO;
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	if (context == NULL)
		return ERR_NOMEM;
	if (EVP_CipherInit_ex2(context, cipher, p->key, NULL, p->is_sealing, NULL) != 1) {
		EVP_CIPHER_CTX_free(context);
		return ERR_CRYPTO;
	}
	p->context = context;
	return 0;
}

/* nonce = iv XOR (six zero bytes ‖ number u48); then the AAD. */
static bool begin(struct record_packet *p, uint64_t number, const uint8_t *aad)
{
	uint8_t nonce[IV];
	int n = 0;
	memcpy(nonce, p->iv, IV);
	for (int i = 0; i < NUMBER_BITS / 8; i++)
		nonce[IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
	return EVP_CipherInit_ex2(p->context, NULL, NULL, nonce, -1, NULL) == 1 &&
	       EVP_CipherUpdate(p->context, NULL, &n, aad, RECORD_PACKET_AAD) == 1;
}

int record_packet_seal(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes plain, uint8_t *to)
{
	int n = 0, error = packet->context == NULL ? make_context(packet) : 0;
	assert(packet->is_sealing && number >> NUMBER_BITS == 0);
	if (error != 0)
		return error;
	EVP_CIPHER_CTX *c = packet->context;
	if (!begin(packet, number, aad) ||
		(plain.len > 0 && EVP_CipherUpdate(c, to, &n, plain.ptr, (int)plain.len) != 1) ||
		EVP_CipherFinal_ex(c, to + plain.len, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, to + plain.len) != 1)
		return ERR_CRYPTO;
	return (int)(plain.len + TAG);
}

static int unseal(struct record_packet *p, uint64_t number, const uint8_t *aad,
	struct bytes ciphertext, uint8_t *to)
{
	EVP_CIPHER_CTX *c = p->context;
	uint8_t tag[TAG];
	int n = 0;
	memcpy(tag, ciphertext.ptr + ciphertext.len, TAG);
	if (!begin(p, number, aad) ||
		(ciphertext.len > 0 &&
			EVP_CipherUpdate(c, to, &n, ciphertext.ptr, (int)ciphertext.len) != 1) ||
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
		return ERR_CRYPTO;
	return EVP_CipherFinal_ex(c, to + ciphertext.len, &n) == 1 ? 0 : ERR_BAD_RECORD;
}

int record_packet_open(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes sealed, uint8_t *to)
{
	assert(!packet->is_sealing && number >> NUMBER_BITS == 0);
	if (sealed.len < TAG)
		return ERR_BAD_RECORD;
	struct bytes ciphertext = bytes_of(sealed.ptr, sealed.len - TAG);
	int error = packet->context == NULL ? make_context(packet) : 0;
	if (error == 0)
		error = unseal(packet, number, aad, ciphertext, to);
	if (error == 0)
		return (int)ciphertext.len;
	seal_wipe(to, ciphertext.len); /* what did not authenticate is not shown */
	return error;
}
