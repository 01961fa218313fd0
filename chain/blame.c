#include "chain/blame.h"

#include "chain/wire_status.h"

static const struct chain_blame nobody = { .is_final = true };

/* What hop @k says about the next one, which it was to dial. */
static struct chain_blame of_next(uint8_t k, enum chain_fault fault)
{
	return (struct chain_blame){
		.hop = (uint8_t)(k + 1), .fault = fault, .n_alive = k, .is_link = true
	};
}

static struct chain_blame of_itself(uint8_t k, enum chain_fault fault)
{
	return (struct chain_blame){
		.hop = k, .fault = fault, .n_alive = fault == CHAIN_FAULT_DEAD ? k - 1 : k
	};
}

/* Of hop @k of @n. The exit dials the target: what it says of that is final. */
static struct chain_blame of_status(uint8_t k, uint8_t n, uint8_t status)
{
	struct chain_blame target = { .n_alive = k, .is_final = true };
	switch (status) {
	case STATUS_LIMIT:
	case STATUS_RATE:
		return of_itself(k, CHAIN_FAULT_BUSY);
	case STATUS_UNSUPPORTED: /* another may know the command, the address type, the cipher */
		return of_itself(k, CHAIN_FAULT_NONE);
	case STATUS_DENIED_CMD:
		return target;
	case STATUS_RESOLVE_FAIL:
	case STATUS_RESOLVE_TIMEOUT:
	case STATUS_RESOLVE_TEMP:
	case STATUS_REFUSED:
	case STATUS_NET_UNREACH:
	case STATUS_HOST_UNREACH:
	case STATUS_TIMEOUT:
	case STATUS_RESET:
	case STATUS_NO_FAMILY:
	case STATUS_REV_UNKNOWN:
	case STATUS_REV_NO_IDLE:
	case STATUS_REV_GONE:
		return k < n ? of_next(k, CHAIN_FAULT_DEAD) : target;
	case STATUS_DENIED_POLICY:
	case STATUS_DENIED_LOOPBACK:
	case STATUS_DENIED_PRIVATE:
	case STATUS_DENIED_PORT:
		return k < n ? of_next(k, CHAIN_FAULT_NONE) : target;
	default:
		return of_itself(k, CHAIN_FAULT_DEAD);
	}
}

struct chain_blame chain_blame_of(const struct chain_error *error)
{
	if (error->hop == 0 || error->n_hops == 0)
		return nobody;
	switch (error->stage) {
	case CHAIN_RESOLVE:
	case CHAIN_DIAL:
	case CHAIN_ANSWER:
		return of_itself(error->hop, CHAIN_FAULT_DEAD);
	case CHAIN_STATUS:
		return of_status(error->hop, error->n_hops, error->status);
	case CHAIN_PAYLOAD:
	case CHAIN_SETUP:
		return nobody;
	}
	return nobody;
}
