#include "chain/hopchain.h"
#include "common/addr.h"
#include "common/err.h"

#include <stdlib.h>

const char *hopchain_version(void)
{
	return HOPCHAIN_VERSION;
}

const char *hopchain_strerror(int error)
{
	return error == HOPCHAIN_INVALID ? "a chain or a target is wrong" : err_text(error);
}

void hopchain_text_free(char *text)
{
	free(text);
}

const char *hopchain_target_check(const char *target)
{
	struct addr addr;
	enum addr_parse_error error = addr_parse_dial(target, &addr);
	return error == ADDR_OK ? NULL : addr_parse_text(error);
}
