#include "chain/cli_doctor.h"
#include "config/document.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

/* Everybody may write, and it is no folder like /tmp, where only owners may replace files. */
static bool is_writable(const char *path)
{
	struct stat s;
	return stat(path, &s) == 0 && (s.st_mode & S_IWOTH) != 0 && (s.st_mode & S_ISVTX) == 0;
}

static void warn(struct cli_findings *to, const char *section, const char *path, const char *what)
{
	char remedy[256];
	struct cli_finding f = {
		.section = section, .level = CLI_FINDING_WARNING, .remedy = remedy
	};
	snprintf(remedy, sizeof remedy, "chmod o-w %s", path);
	cli_findings_add(to, &f, "%s: everybody on this machine may %s", path, what);
}

/* Return: whether something was found. */
static bool look_at(struct cli_findings *to, const char *section, const char *path)
{
	char *copy = strdup(path);
	const char *folder = copy != NULL ? dirname(copy) : ".";
	bool is_found = is_writable(path);
	if (is_found)
		warn(to, section, path, "change it");
	if (is_writable(folder)) {
		warn(to, section, folder, "replace what is in it");
		is_found = true;
	}
	free(copy);
	return is_found;
}

/* "…; run: chmod 600 me.key", "…; hint: …": what to do. Return: where it begins, or NULL. */
static const char *find_remedy(const char *text, size_t *ret_len)
{
	static const char *const marks[] = { "; run: ", "; hint: " };
	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
		const char *at = strstr(text, marks[i]);
		if (at == NULL)
			continue;
		*ret_len = (size_t)(at - text);
		return at + strlen(marks[i]);
	}
	*ret_len = strlen(text);
	return NULL;
}

static void add_error(struct cli_findings *to, const char *path, const char *text)
{
	char standard[300];
	size_t len;
	const char *remedy = find_remedy(text, &len);
	struct cli_finding f = { .section = "file",
		.level = CLI_FINDING_PROBLEM,
		.exit_code = CLI_CONFIG,
		.remedy = remedy != NULL ? remedy : standard };
	snprintf(standard, sizeof standard, "chain check %s shows the place", path);
	cli_findings_add(to, &f, "%.*s", (int)len, text);
}

/* One problem for each error; the source lines below it are left out. */
static void add_report(struct cli_findings *to, const char *path, const char *report)
{
	for (const char *line = report; *line != '\0';) {
		size_t len = strcspn(line, "\n");
		char *text = line[0] != ' ' ? strndup(line, len) : NULL;
		if (text != NULL)
			add_error(to, path, text);
		free(text);
		line += len + (line[len] == '\n');
	}
}

static bool look_at_keys(struct cli_findings *to, struct document *document, size_t *ret_n)
{
	bool is_found = false;
	const struct json *hops = json_member(document->root, "hops");
	const struct json *hop = hops != NULL ? json_first(hops) : NULL;
	*ret_n = 0;
	for (; hop != NULL; hop = json_next(hop)) {
		const struct json *key = json_member(hop, "key_file");
		char *path = key != NULL ? document_path(document, key) : NULL;
		*ret_n += path != NULL;
		if (path != NULL && look_at(to, "keys", path))
			is_found = true;
		free(path);
	}
	return is_found;
}

static void add_keys(struct cli_findings *to, size_t n)
{
	struct cli_finding f = { .section = "keys" };
	cli_findings_add(to, &f, "%zu key file%s, readable by %s owner alone", n, n == 1 ? "" : "s",
		n == 1 ? "its" : "their");
}

void cli_doctor_chain_file(struct cli_findings *to, const char *path, const char *report)
{
	struct cli_finding f = { .section = "file" };
	size_t n_keys = 0;
	if (report != NULL) {
		add_report(to, path, report);
		return;
	}
	if (!look_at(to, "file", path))
		cli_findings_add(to, &f, "%s is right", path);
	struct report *none = report_new("chain");
	struct document *document = none != NULL ? document_open(path, none) : NULL;
	if (document != NULL && !look_at_keys(to, document, &n_keys) && n_keys > 0)
		add_keys(to, n_keys);
	document_free(document);
	report_free(none);
}

void cli_doctor_key_files(struct cli_findings *to, const struct cli_words *hops)
{
	bool is_found = false;
	for (size_t i = 0; i < hops->n_words; i++) {
		const char *path;
		char *address = cli_split(hops->words[i], &path);
		if (address != NULL && look_at(to, "keys", path))
			is_found = true;
		free(address);
	}
	if (!is_found)
		add_keys(to, hops->n_words);
}
