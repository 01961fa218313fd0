#ifndef CONFIG_TPROXY_RULES_H
#define CONFIG_TPROXY_RULES_H
/*
 * Does: the command "access tproxy-rules": prints the firewall and routing rules that give
 * connections of others to a transparent listener. Runs nothing. Knows: nft, iptables, ip. Never
 * knows: listeners that run.
 */
#include "config/cli.h"

extern const struct cli_command tproxy_rules_row;

#endif
