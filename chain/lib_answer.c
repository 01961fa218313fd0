#include "chain/lib_state.h"
#include "common/record.h"

#include <stdio.h>

const char *lib_sock_print(const union addr_sock *from, char to[LIB_SOCK_MAX])
{
	char text[ADDR_TEXT_MAX];
	addr_sock_print(from, text);
	snprintf(to, LIB_SOCK_MAX, "%.*s", LIB_SOCK_MAX - 1, text);
	return to;
}

const char *lib_cipher_name(uint8_t cipher)
{
	return cipher != RECORD_NONE ? record_cipher_name((enum record_cipher)cipher) : NULL;
}

void lib_answers_set(struct lib_answers *to, const struct chain_answers *from,
	const struct hopchain_chain *chain)
{
	to->n = from->n_answers;
	for (size_t i = 0; i < from->n_answers; i++) {
		const struct chain_answer *a = &from->hops[i];
		to->list[i] = (struct hopchain_answer){
			.hop = (unsigned)i + 1,
			.address = chain->candidates[i][0].address,
			.at_us = a->at_us,
			.resolve_us = a->resolve_us,
			.connect_us = a->connect_us,
			.n_tries = a->tries,
			.dialled =
				a->has_address ? lib_sock_print(&a->address, to->dialled[i]) : NULL,
			.has_clock = a->has_clock,
			.clock_offset_ms = a->clock_offset_ms,
			.software = a->software[0] != '\0' ? a->software : NULL,
			.cipher = lib_cipher_name(a->cipher),
		};
	}
}
