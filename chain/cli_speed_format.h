#ifndef CHAIN_CLI_SPEED_FORMAT_H
#define CHAIN_CLI_SPEED_FORMAT_H
/*
 * Does: spans of a speed measurement as lines, and as members of a JSON document. Knows: units.
 * Never knows: measuring.
 */
#include "chain/cli_json.h"
#include "chain/cli_speed_run.h"

/** cli_speed_heading() - what stands above the lines, with '\n'. Static. */
const char *cli_speed_heading(void);
/** cli_speed_line() - "up     0.0 -  1.0 s    112.3 MiB    112.3 MiB/s     942.0 Mbit/s", without
 * '\n'. */
void cli_speed_line(const struct cli_speed_span *span, FILE *to);
/** cli_speed_status() - "chain: up 3.0 s, 2.10 GiB, 716 MiB/s", with '\n'. */
void cli_speed_status(const struct cli_speed_span *span, FILE *to);
/** cli_speed_verdict() - whether what the hop counted is what was sent, as one line. */
void cli_speed_verdict(const struct cli_speed_span *sum, unsigned hop, FILE *to);
/** cli_speed_json() - one object of an array. */
void cli_speed_json(struct cli_json *json, const struct cli_speed_span *span);

#endif
