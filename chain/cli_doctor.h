#ifndef CHAIN_CLI_DOCTOR_H
#define CHAIN_CLI_DOCTOR_H
/*
 * Does: what "chain doctor" looks at, one function a section. Knows: this host, hopchain.h. Never
 * knows: options, how findings are shown.
 */
#include "chain/cli_chain.h"
#include "chain/cli_finding.h"

/* cli_doctor_host.c */
void cli_doctor_limits(struct cli_findings *to);
void cli_doctor_cpu(struct cli_findings *to, const struct hopchain_chain *chain);
void cli_doctor_synchronised(struct cli_findings *to);

/* cli_doctor_files.c */
/** cli_doctor_chain_file() - the report of reading @path, or its good end, and who else may write
 * it and the keys it names. */
void cli_doctor_chain_file(struct cli_findings *to, const char *path, const char *report);
/** cli_doctor_key_files() - the keys of --hop ADDR,KEYFILE. */
void cli_doctor_key_files(struct cli_findings *to, const struct cli_words *hops);

/* cli_doctor_way.c */
void cli_doctor_names(struct cli_findings *to, const struct hopchain_chain *chain);
/** cli_doctor_way() - probes over TCP, then over UDP: clocks, hops, udp, size. */
void cli_doctor_way(struct cli_findings *to, const struct hopchain_chain *chain);

#endif
