#include "config/key_file.h"

#include "config/file.h"
#include "config/report.h"

#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX     4096 /* a key file has 93 bytes; more is read only to say what is wrong */
#define ECHOED_MAX   16   /* longest wrong key that is shown: a slip, not half of a key */
#define PREFIX       "hc1:"
#define N_CHARACTERS (WIRE_CREDENTIAL_TEXT - 4)

__attribute__((format(printf, 2, 3))) static void explain(char *why, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, KEY_WHY_MAX, format, args);
	va_end(args);
}

/* systemd gives a unit its credentials through an ACL on a private folder; the ACL's mask then
 * shows as group permission. */
static bool is_credential(const char *path)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	size_t len = folder != NULL ? strlen(folder) : 0;
	return len > 0 && strncmp(path, folder, len) == 0 && path[len] == '/';
}

bool key_file_is_private(const char *path, const struct stat *stat, char why[KEY_WHY_MAX])
{
	unsigned others = is_credential(path) ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;
	if (!S_ISREG(stat->st_mode) || (stat->st_mode & others) == 0)
		return true;
	explain(why, "%s: mode %04o lets others read this secret; run: chmod 600 %s", path,
		(unsigned)stat->st_mode & 07777, path);
	return false;
}

int key_file_load(const char *path, char *to, size_t size, char why[KEY_WHY_MAX])
{
	struct stat stat;
	size_t len = 0;
	int fd = file_open(path), error = fd < 0 ? fd : 0;
	if (error == 0 && fstat(fd, &stat) < 0)
		error = -errno;
	bool is_private = error == 0 && key_file_is_private(path, &stat, why);
	if (error != 0) {
		explain(why, "cannot open %s: %s", path, file_error_text(error));
	} else if (is_private) {
		error = file_read(fd, to, size, &len);
		if (error != 0)
			explain(why, "cannot read %s: %s", path, file_error_text(error));
	}
	if (fd >= 0)
		close(fd);
	return is_private && error == 0 ? (int)len : -1;
}

static size_t trimmed(const char *text, size_t len)
{
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	return len;
}

/* @where begins the sentence: "hop1.key:1: ", or nothing. */
static struct wire_key *parse(struct bytes text, const char *where, const char *echo, char *why)
{
	struct wire_key *key = NULL;
	size_t len = trimmed((const char *)text.ptr, text.len);
	switch (wire_key_parse(text, &key)) {
	case WIRE_KEY_OK:
		return key;
	case WIRE_KEY_NO_PREFIX:
		explain(why,
			"%s%s is not a key; keys are 64 random bytes made by 'chain keygen' "
			"(\"hc1:\" and %d characters)",
			where, echo, N_CHARACTERS);
		break;
	case WIRE_KEY_SHORT:
		explain(why,
			"%s%zu of %d characters after \"hc1:\"; was the end cut off when copying?",
			where, len > strlen(PREFIX) ? len - strlen(PREFIX) : 0, N_CHARACTERS);
		break;
	case WIRE_KEY_LONG:
		explain(why, "%smore than %d characters after \"hc1:\"; a key is one line, alone",
			where, N_CHARACTERS);
		break;
	case WIRE_KEY_BAD_BASE64:
		explain(why,
			"%sthe %d characters after \"hc1:\" are not a key; was one changed when "
			"copying?",
			where, N_CHARACTERS);
		break;
	case WIRE_KEY_ZERO:
		explain(why, "%sa key of zeros is refused; make one with 'chain keygen'", where);
		break;
	case WIRE_KEY_SAME:
		explain(why, "%sboth halves are the same; make a key with 'chain keygen'", where);
		break;
	case WIRE_KEY_NOMEM:
		explain(why, "%sout of memory", where);
		break;
	}
	return NULL;
}

struct wire_key *key_file_read(const char *path, char why[KEY_WHY_MAX])
{
	char text[FILE_MAX], where[KEY_WHY_MAX / 2];
	int len = key_file_load(path, text, sizeof text, why);
	if (len < 0)
		return NULL;
	snprintf(where, sizeof where, "%s:1: ", path);
	struct wire_key *key = parse(bytes_of(text, (size_t)len), where, "this", why);
	seal_wipe(text, sizeof text);
	return key;
}

struct wire_key *key_text_read(const char *text, char why[KEY_WHY_MAX])
{
	char shown[ECHOED_MAX + 1], echo[ECHOED_MAX + 3];
	size_t len = strlen(text);
	report_quote(text, shown, sizeof shown);
	snprintf(echo, sizeof echo, "\"%s\"", shown);
	return parse(bytes_of(text, len), "", len > ECHOED_MAX ? "this" : echo, why);
}
