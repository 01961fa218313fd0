#include "hop/target.h"

#define LOG_MODULE "hop"
#include "common/log.h"

static struct policy policy_of(const struct target_check *c)
{
	return (struct policy){
		.user_allow = c->user->has_allow ? &c->user->allow : NULL,
		.user_deny = &c->user->deny,
		.allow = &c->options->allow,
		.deny = &c->options->deny,
		.local = c->local,
	};
}

static void keep_refusal(struct target_check *c, const struct policy_verdict *verdict)
{
	char target[ADDR_TEXT_MAX];
	if (c->refusal.status != STATUS_OK)
		return;
	c->refusal = *verdict;
	LOG_LIMITED(LOG_LEVEL_NOTICE, "denied user=%s target=%s status=%s rule=\"%s\"",
		c->user->name, addr_print(c->to, target),
		wire_status_find((uint8_t)verdict->status)->slug, verdict->rule);
}

bool target_check_name(struct target_check *check)
{
	if (check->to->kind != ADDR_NAME)
		return true;
	struct policy policy = policy_of(check);
	struct policy_verdict verdict =
		policy_check_name(&policy, check->to->name, check->to->port);
	if (verdict.status == STATUS_OK)
		return true;
	keep_refusal(check, &verdict);
	return false;
}

int target_filter(const union addr_sock *address, void *check)
{
	struct target_check *c = check;
	struct policy policy = policy_of(c);
	struct policy_verdict verdict =
		policy_check(&policy, c->to->kind == ADDR_NAME ? c->to->name : NULL, address);
	if (verdict.status == STATUS_OK)
		return 0;
	keep_refusal(c, &verdict);
	return (int)verdict.status;
}

uint64_t target_timeout_ms(const struct hop_options *options, uint16_t wanted)
{
	uint64_t wanted_ms = (uint64_t)wanted * 100;
	return wanted_ms > 0 && wanted_ms < options->dial_timeout_ms ? wanted_ms
								     : options->dial_timeout_ms;
}
