#include "common/seal_password.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* 64 MiB and 2 passes: 60 ms of one core (2 x 2.4 GHz; 100 to 140 ms when both are busy). Half of
 * the memory takes half of the time, of us and of who guesses. */
#define N_PASSES   crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEMORY     crypto_pwhash_MEMLIMIT_INTERACTIVE
#define MEMORY_KIB (MEMORY / 1024)
#define DEARER_MAX 4 /* times ours: what a users file may make us spend */
#define PREFIX     "$argon2id$"

static_assert(SEAL_PASSWORD_TEXT == crypto_pwhash_STRBYTES, "libsodium's, with NUL");

int seal_password_hash(const char *password, char to[SEAL_PASSWORD_TEXT])
{
	int error = crypto_pwhash_str_alg(
		to, password, strlen(password), N_PASSES, MEMORY, crypto_pwhash_ALG_ARGON2ID13);
	return error == 0 ? 0 : ERR_NOMEM;
}

/* The number after @name in the list "m=65536,t=2,p=1" of a text in form; 0 if there is none. */
static unsigned long parameter(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at != NULL ? strtoul(at + strlen(name), NULL, 10) : 0;
}

bool seal_password_is_hash(const char *text)
{
	if (strlen(text) >= SEAL_PASSWORD_TEXT || strncmp(text, PREFIX, strlen(PREFIX)) != 0)
		return false;
	if (crypto_pwhash_str_needs_rehash(text, N_PASSES, MEMORY) < 0) /* reads all of it */
		return false;
	unsigned long kib = parameter(text, "$m="), n_passes = parameter(text, ",t=");
	return kib > 0 && n_passes > 0 && kib <= DEARER_MAX * MEMORY_KIB &&
	       n_passes <= DEARER_MAX * N_PASSES * MEMORY_KIB / kib;
}

bool seal_password_check(const char *hash, const char *password)
{
	return crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
}
