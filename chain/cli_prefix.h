#ifndef CHAIN_CLI_PREFIX_H
#define CHAIN_CLI_PREFIX_H
/*
 * Does: probes every prefix of a chain once, all at the same time, and waits. Knows: hopchain.h,
 * a loop of its own. Never knows: what is done with the answers.
 */
#include "chain/hopchain.h"

#define CLI_PREFIX_TEXT 512
#define CLI_PREFIX_HOPS 16

/* What is known of hop @hop after its probe. */
struct cli_prefix {
	unsigned hop;
	bool is_good;
	/* If not: as in struct hopchain_error. */
	unsigned failed_hop;
	int exit_code;
	const char *slug; /* static */
	char text[CLI_PREFIX_TEXT];
	/* If so: */
	uint64_t total_us;
	uint32_t resolve_us, connect_us; /* of the hop before it, or of this host, to this one */
	bool has_clock;
	int64_t clock_offset_ms;
	char dialled[64], software[64]; /* or "" */
};

/* In order, one for each hop. */
struct cli_prefixes {
	struct cli_prefix all[CLI_PREFIX_HOPS];
	size_t n;
};
/** cli_prefix_probe() - over TCP, 10 s for each; over UDP, twice 3 s. Return: 0, or negative. */
HOPCHAIN_NODISCARD int cli_prefix_probe(
	const struct hopchain_chain *chain, bool is_udp, struct cli_prefixes *ret);
/** cli_prefix_first_failed() - the first that is not good; NULL: all are. Those behind it fail with
 * it. */
const struct cli_prefix *cli_prefix_first_failed(const struct cli_prefixes *prefixes);

#endif
