#ifndef CONFIG_LISTEN_FLAG_H
#define CONFIG_LISTEN_FLAG_H
/*
 * Does: --listen of access, and what else of the command line a listener needs → struct
 * access_listener. Knows: schemes, what may not go together. Never knows: the rest of the command
 * line.
 */
#include "access/options.h"
#include "config/cli.h"
#include "config/report.h"

struct listen_flags {
	const char *to, *from, *users_file; /* or NULL */
	bool is_open;
};

/**
 * listen_flag_read() - fills *ret, which is zeroed, from @text = "[SCHEME://]ADDR"; @use is where
 * it leads. A plain forward where there is a target, in @flags or in its first chain; else a proxy:
 * one of the scheme's protocol, or of all. Return: CLI_OK (with errors in @report: CLI_CONFIG is
 * due), CLI_CONFIG with errors in @report, CLI_USAGE after cli_wrong().
 */
NODISCARD enum cli_exit listen_flag_read(const struct cli *cli, const struct listen_flags *flags,
	const char *text, const struct chain_upstream_spec *use, struct report *report,
	struct access_listener *ret);
/** listen_flag_proxy_name() - "auto", "socks5", "http" for access_listener.protocols. Static. */
const char *listen_flag_proxy_name(unsigned protocols);

#endif
