#ifndef CONFIG_ACCESS_FLAGS_H
#define CONFIG_ACCESS_FLAGS_H
/*
 * Does: what an access server was told by its flags, and by the file they name or imply → options.
 * Can be asked again: then the files are read again. Knows: flags, files. Never knows: what is run.
 */
#include "config/daemon.h"
#include "config/listen_flag.h"

struct access_flags {
	struct daemon_flags daemon;
	struct cli_words listen, hops, redirects, tproxies;
	struct listen_flags listener;
	const char *chain;
};

/** access_flags_configure() - fills @o and @log, which hold the defaults. *ret_path: where the file
 * is, heap; NULL if flags alone say what to do. Return: not OK after a message or with errors in
 * @report. */
enum cli_exit access_flags_configure(const struct access_flags *flags, const struct cli *cli,
	struct access_options *o, struct log_options *log, struct report *report, char **ret_path);
/** access_flags_reads_once() - from standard input, or another descriptor: it cannot be read again.
 */
bool access_flags_reads_once(const struct access_flags *flags);
void access_flags_deinit(struct access_flags *flags);

#endif
