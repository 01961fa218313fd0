#include "chain/lib_state.h"

static enum hopchain_stage stage_of(enum chain_stage stage)
{
	switch (stage) {
	case CHAIN_RESOLVE:
		return HOPCHAIN_RESOLVE;
	case CHAIN_DIAL:
		return HOPCHAIN_DIAL;
	case CHAIN_ANSWER:
		return HOPCHAIN_ANSWER;
	case CHAIN_STATUS:
		return HOPCHAIN_STATUS;
	case CHAIN_PAYLOAD:
		return HOPCHAIN_PAYLOAD;
	case CHAIN_SETUP:
		break;
	}
	return HOPCHAIN_SETUP;
}

void lib_error_set(struct lib_error *to, const struct chain_error *from)
{
	bool is_here = from->stage == CHAIN_SETUP;
	to->error = (struct hopchain_error){
		.stage = stage_of(from->stage),
		.hop = is_here ? 0 : from->hop,
		.n_hops = from->n_hops,
		.code = from->code,
		.status = from->status,
		.detail = from->detail,
		.elapsed_ms = from->elapsed_ms,
		.slug = chain_error_slug(from),
		.exit_code = chain_error_exit_code(from),
		.text = chain_error_print(from, to->text, sizeof to->text),
	};
}
