#include "config/read_logins.h"

#include "common/seal.h"
#include "common/seal_password.h"
#include "config/key_file.h"

#include <stdlib.h>

#define KEY_PREFIX "hc1" /* "hc1:…" is a key of a hop: nobody shall be told to replace that */
#define TOLD_MAX   100   /* errors; nobody reads more, and each is looked up in the whole text */

/* One file while it is read. */
struct reading {
	char *text;           /* what was read is masked behind the name */
	struct source source; /* the same */
	struct report *report;
	unsigned n_wrong;
	struct login *list; /* owned */
	struct span *names; /* where they stand; owned */
	size_t n, n_room;
};

static void wrong(struct reading *r, struct span at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void wrong(struct reading *r, struct span at, const char *format, ...)
{
	struct report_place place = { .source = &r->source, .at = at, .slug = "value" };
	va_list args;
	va_start(args, format);
	report_add_list(r->report, &place, format, args);
	va_end(args);
	r->n_wrong++;
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._@+-", c) != NULL);
}

static bool is_key(const char *name, size_t len)
{
	return len == strlen(KEY_PREFIX) && memcmp(name, KEY_PREFIX, len) == 0;
}

bool read_logins_is_name(const char *text, size_t len)
{
	size_t n = 0;
	while (n < len && is_name_character(text[n]))
		n++;
	return len > 0 && len <= READ_LOGINS_NAME_MAX && n == len && text[0] != '-' &&
	       !is_key(text, len);
}

static bool make_room(struct reading *r)
{
	if (r->n < r->n_room)
		return true;
	size_t n = r->n_room > 0 ? 2 * r->n_room : 16;
	struct login *list = reallocarray(r->list, n, sizeof *list);
	if (list != NULL)
		r->list = list;
	struct span *names = reallocarray(r->names, n, sizeof *names);
	if (names != NULL)
		r->names = names;
	if (list == NULL || names == NULL)
		return false;
	r->n_room = n;
	return true;
}

/* Takes both texts, NULL among them: out of memory. */
static bool add(struct reading *r, char *name, char *hash, struct span at)
{
	if (name == NULL || hash == NULL || !make_room(r)) {
		free(name);
		free(hash);
		wrong(r, at, "out of memory");
		return false;
	}
	r->list[r->n] = (struct login){ .name = name, .hash = hash };
	r->names[r->n++] = at;
	return true;
}

static bool parse_hash(const char *text, size_t len, char to[SEAL_PASSWORD_TEXT])
{
	if (len >= SEAL_PASSWORD_TEXT)
		return false;
	memcpy(to, text, len);
	to[len] = '\0';
	return strlen(to) == len && seal_password_is_hash(to);
}

/* @start..@end is a line of a user. Return: false to stop. */
static bool read_user_line(struct reading *r, size_t start, size_t end)
{
	char *text = r->text + start, hash[SEAL_PASSWORD_TEXT];
	size_t len = end - start;
	const char *colon = memchr(text, ':', len);
	size_t name_len = colon != NULL ? (size_t)(colon - text) : 0;
	bool is_name = read_logins_is_name(text, name_len), is_a_key = is_key(text, name_len);
	bool is_hash = colon != NULL && parse_hash(colon + 1, len - name_len - 1, hash);
	size_t shown = is_name || is_a_key ? name_len + 1 : 0;
	memset(text + shown, '*', len - shown);
	struct span name = { start, start + name_len }, rest = { start + shown, end };
	if (colon == NULL)
		wrong(r, rest, "expected NAME:HASH; chain passwd makes such lines");
	else if (is_a_key)
		wrong(r, rest, "this is a key of a hop, not a line NAME:HASH of a users file");
	else if (!is_name)
		wrong(r, rest,
			"what is before the first ':' is not a user name; names have up to %d of "
			"letters, digits and . _ @ + -",
			READ_LOGINS_NAME_MAX);
	else if (!is_hash)
		wrong(r, rest,
			"this is not an argon2id hash, or one that costs too much; make one with: "
			"chain passwd %s %.*s",
			r->source.path, (int)name_len, text);
	else if (r->n == LOGINS_MAX)
		wrong(r, name, "more than %d users", LOGINS_MAX);
	else
		return add(r, strndup(text, name_len), strdup(hash), name);
	return r->n < LOGINS_MAX && r->n_wrong < TOLD_MAX;
}

static void read_lines(struct reading *r)
{
	const char *text = r->text;
	size_t len = r->source.text.len, next = 0;
	bool goes_on = true;
	for (size_t start = 0; goes_on && start < len; start = next) {
		const char *newline = memchr(text + start, '\n', len - start);
		size_t end = newline != NULL ? (size_t)(newline - text) : len;
		next = end + 1;
		if (end > start && text[end - 1] == '\r')
			end--;
		size_t blank = start;
		while (blank < end && (text[blank] == ' ' || text[blank] == '\t'))
			blank++;
		if (blank < end && text[start] != '#')
			goes_on = read_user_line(r, start, end);
	}
}

static int by_name(const void *a, const void *b, void *owner)
{
	const struct reading *r = owner;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = strcmp(r->list[x].name, r->list[y].name);
	return order != 0 ? order : (x > y) - (x < y);
}

static void refuse_doubles(struct reading *r)
{
	size_t *order = calloc(r->n + 1, sizeof *order);
	if (order == NULL) {
		wrong(r, (struct span){ 0, 0 }, "out of memory");
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		order[i] = i;
	qsort_r(order, r->n, sizeof *order, by_name, r);
	for (size_t i = 1; i < r->n && r->n_wrong < TOLD_MAX; i++) {
		const char *name = r->list[order[i]].name;
		if (strcmp(r->list[order[i - 1]].name, name) != 0)
			continue;
		wrong(r, r->names[order[i]], "there are two users \"%s\"; the other is in line %zu",
			name, report_line(r->source.text, r->names[order[i - 1]].start));
	}
	free(order);
}

static bool load(const char *path, char *to, struct report *report, struct bytes *ret)
{
	char why[KEY_WHY_MAX];
	int len = key_file_load(path, to, READ_LOGINS_FILE_MAX + 1, why);
	if (len < 0)
		report_add_plain(report, "%s", why);
	else if (len > READ_LOGINS_FILE_MAX)
		report_add_plain(report, "%s is longer than %d bytes; no users file is", path,
			READ_LOGINS_FILE_MAX);
	else
		*ret = bytes_of(to, (size_t)len);
	return len >= 0 && len <= READ_LOGINS_FILE_MAX;
}

/* Changes @text. */
static bool read_text(const char *path, char *text, size_t len, struct report *report,
	struct login **ret, size_t *ret_n)
{
	struct reading r = { .text = text,
		.source = { .path = path, .text = bytes_of(text, len) },
		.report = report };
	read_lines(&r);
	refuse_doubles(&r);
	free(r.names);
	if (r.n_wrong > 0) {
		read_logins_free(r.list, r.n);
		return false;
	}
	*ret = r.list;
	*ret_n = r.n;
	return true;
}

bool read_logins_text(const char *path, struct bytes text, struct report *report,
	struct login **ret, size_t *ret_n)
{
	char *copy = malloc(text.len + 1);
	if (copy == NULL) {
		report_add_plain(report, "out of memory");
		return false;
	}
	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	bool is_good = read_text(path, copy, text.len, report, ret, ret_n);
	seal_wipe(copy, text.len);
	free(copy);
	return is_good;
}

bool read_logins_file(const char *path, struct report *report, struct login **ret, size_t *ret_n)
{
	struct bytes text;
	char *to = malloc(READ_LOGINS_FILE_MAX + 1); /* what is not touched costs nothing */
	if (to == NULL) {
		report_add_plain(report, "out of memory");
		return false;
	}
	bool is_good = load(path, to, report, &text);
	if (is_good) {
		is_good = read_text(path, to, text.len, report, ret, ret_n);
		seal_wipe(to, text.len);
	}
	free(to);
	return is_good;
}

void read_logins_free(struct login *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].name);
		free(list[i].hash);
	}
	free(list);
}
