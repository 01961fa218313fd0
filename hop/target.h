#ifndef HOP_TARGET_H
#define HOP_TARGET_H
/*
 * Does: judges the target of one request: its name before DNS, each address after; tells the log
 * once and remembers the first refusal, which is what the client hears. Knows: policy, the user.
 * Never knows: sockets, how the target is reached (TCP, UDP).
 */
#include "hop/options.h"
#include "hop/policy.h"

struct target_check {
	const struct hop_options *options;
	const struct local_addresses *local;
	const struct hop_user *user;
	const struct addr *to;         /* as asked for */
	struct policy_verdict refusal; /* the first; status STATUS_OK = none yet */
};

/** target_check_name() - before anything is looked up. Return: false if the name is refused, see
 * refusal; a literal always passes. */
NODISCARD bool target_check_name(struct target_check *check);
/** target_filter() - a dial_filter_fn; @check is a struct target_check. Return: 0 lets @address
 * (with its port) through, else the status. */
int target_filter(const union addr_sock *address, void *check);
/** target_timeout_ms() - the budget for resolving and connecting: what the client wants
 * (wire_request.timeout), at most the hop's. */
uint64_t target_timeout_ms(const struct hop_options *options, uint16_t wanted);

#endif
