#include "chain/dialled.h"

void chain_dialled_note(const struct dial_result *result, struct chain_answers *answers)
{
	answers->resolve_us = result->resolve_us;
	answers->connect_us = result->connect_us;
	answers->tries = result->n_tries;
	answers->has_address = result->n_tries > 0;
	answers->address = result->address;
}

/* No socket could be made: nobody else is at fault. */
static bool is_local(int code)
{
	return code == -EMFILE || code == -ENFILE || code == ERR_NOMEM || code == -ENOBUFS;
}

void chain_dialled_fail(const struct dial_result *result, struct chain_error *ret)
{
	ret->code = result->is_resolving ? ERR_DNS_TIMEOUT : result->error;
	if (is_local(result->error))
		ret->stage = CHAIN_SETUP;
	else if (result->n_tries == 0) /* the name is what failed */
		ret->stage = CHAIN_RESOLVE;
	else
		ret->stage = CHAIN_DIAL;
}
