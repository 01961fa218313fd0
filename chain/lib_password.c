#include "chain/lib_state.h"
#include "common/seal_password.h"

#include <assert.h>

static_assert(HOPCHAIN_PASSWORD_TEXT == SEAL_PASSWORD_TEXT, "the text and NUL");

int hopchain_password_hash(const char *password, char to[HOPCHAIN_PASSWORD_TEXT])
{
	int error = lib_start();
	return error != 0 ? error : seal_password_hash(password, to);
}
