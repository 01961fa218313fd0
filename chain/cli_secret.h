#ifndef CHAIN_CLI_SECRET_H
#define CHAIN_CLI_SECRET_H
/*
 * Does: reads a password: on a terminal asked for twice and not shown, else one line of standard
 * input. Knows: terminals, signals. Never knows: what it is for.
 */
#include "config/cli.h"

#define CLI_SECRET_TEXT 256 /* with NUL; SOCKS5 carries 255 bytes (RFC 1929) */

/** cli_secret_read() - @whose: "ann", for the question. @to gets at least one byte, no control
 * characters; the caller wipes it in any case. Return: CLI_OK; CLI_FAILED after a message on
 * stderr. A signal ends the process as ever, after the terminal was put in order. */
NODISCARD enum cli_exit cli_secret_read(const char *whose, char to[CLI_SECRET_TEXT]);

#endif
