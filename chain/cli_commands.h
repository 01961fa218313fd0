#ifndef CHAIN_CLI_COMMANDS_H
#define CHAIN_CLI_COMMANDS_H
/*
 * Does: names the commands of the tool "chain", one file each. Knows: arguments, hopchain.h. Never
 * knows: what is behind hopchain.h.
 */
#include "config/cli.h"

extern const struct cli_command cli_connect_command;    /* cli_connect.c */
extern const struct cli_command cli_trace_command;      /* cli_trace.c */
extern const struct cli_command cli_ping_command;       /* cli_ping.c */
extern const struct cli_command cli_speed_command;      /* cli_speed.c */
extern const struct cli_command cli_check_command;      /* cli_check.c */
extern const struct cli_command cli_doctor_command;     /* cli_doctor.c */
extern const struct cli_command cli_explain_command;    /* cli_explain.c */
extern const struct cli_command cli_ssh_config_command; /* cli_ssh_config.c */
extern const struct cli_command cli_keygen_command;     /* cli_keygen.c */
extern const struct cli_command cli_passwd_command;     /* cli_passwd.c */

#endif
