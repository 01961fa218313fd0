#ifndef CONFIG_DAEMON_H
#define CONFIG_DAEMON_H
/*
 * Does: what hop and access have in common before they run: options for log, workers and drain, the
 * place of the configuration file, the rights of the process. Knows: flags. Never knows: what is
 * run.
 */
#include "common/reload.h"
#include "config/cli.h"
#include "config/read_common.h"

/* Flags both programs have. NULL: not given. */
struct daemon_flags {
	const char *config;
	const char *workers, *drain;
	const char *log_level, *log_format;
	const char *admin_socket;
};

/** daemon_flags_take() - the flag @name if it is one of these. Return: false if it is none. */
NODISCARD bool daemon_flags_take(
	struct daemon_flags *flags, const char *name, const char *argument);
/** daemon_flags_apply() - over what the file said. Return: false after a message. */
NODISCARD bool daemon_flags_apply(const struct daemon_flags *flags, const struct cli *cli,
	unsigned *n_workers, uint32_t *drain_ms, struct log_options *log);

/**
 * daemon_find_config() - @named, else $HOPCHAIN_CONFIG, else the user's FILE, else /etc's
 * @file: "hop.json". Files that were named are taken even if they do not exist; the others only if
 * they do. Return: heap; NULL if there is none.
 */
NODISCARD char *daemon_find_config(const char *named, const char *file);

/** daemon_start() - libraries, descriptors, no core dumps, no new privileges. Return: false after a
 * message. Call it before anything that touches keys. */
NODISCARD bool daemon_start(const char *program);
/** daemon_start_log() - Return: false after a message. */
NODISCARD bool daemon_start_log(const char *program, const struct log_options *log);

/** daemon_admin() - the flag over what the file said; without either, where "@program.sock" can be:
 * $XDG_RUNTIME_DIR/hopchain, else /run/hopchain if it is there. Return: false after a message. */
NODISCARD bool daemon_admin(const struct daemon_flags *flags, const struct cli *cli,
	const char *program, struct control_options *control);
/** daemon_admin_find() - where the @program that runs is asked; heap. Return: NULL after a message.
 */
NODISCARD char *daemon_admin_find(const struct cli *cli, const char *program, const char *named);
/** daemon_reload_command() - the command "reload" of @program: asks the one that runs. */
enum cli_exit daemon_reload_command(
	const struct cli *cli, const char *program, int argc, char **argv);
/* Its options. */
#define DAEMON_SOCKET_OPTIONS                                                                      \
	{                                                                                          \
		"admin-socket", 0, "PATH", NULL, "where it listens for operators", NULL            \
	}

/* What a program that reloads keeps of its log's options. */
struct daemon_reload {
	struct log_options now, next;
};
/** daemon_reload_compare() - warns about what holds only after a restart. */
void daemon_reload_compare(const struct daemon_reload *reload, struct reload_report *to);
/** daemon_reload_use() - what can change while the program runs, does. */
void daemon_reload_use(struct daemon_reload *reload);
/** daemon_reload_tell() - what is wrong, for people and for programs; @report NULL: no memory.
 * Return: false. */
bool daemon_reload_tell(struct report *report, const char *path, struct reload_report *to);
/** daemon_reload_stdin() - it cannot be read again. */
enum cli_exit daemon_reload_stdin(struct report *report);

/* The options of the command "check". */
#define DAEMON_CHECK_OPTIONS                                                                       \
	{                                                                                          \
		"json", 0, NULL, NULL, "an array of what is wrong, for editors", NULL              \
	}
/** daemon_check_fn - reads the file into @report; if it is good, says so in @text. */
typedef void daemon_check_fn(const char *path, struct report *report, char *text, size_t size);
/** daemon_check() - the command "check" of @program: finds its file (@program.json), hands it to
 * @fn, and prints what is wrong, or what @fn said. */
enum cli_exit daemon_check(
	const struct cli *cli, const char *program, int argc, char **argv, daemon_check_fn *fn);

#endif
