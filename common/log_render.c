#include "common/log_render.h"

#include "common/utf8.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

_Static_assert(LOG_OUT_MAX >= 6 * LOG_LINE_MAX + 128, "a line must fit however it is escaped");

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_NOTICE] = { "notice", 5 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};
#define N_LEVELS (sizeof levels / sizeof *levels)

/* The length of a character (RFC 3629) that a terminal shows and does not obey; or 0. */
static size_t printable_len(const char *p, size_t n)
{
	size_t len = utf8_length((const unsigned char *)p, n);
	uint8_t first = (uint8_t)p[0];
	if (len == 1)
		return first >= 0x20 && first != 0x7f;
	return len == 2 && first == 0xc2 && (uint8_t)p[1] < 0xa0 ? 0 : len;
}

void log_out_put(struct log_out *out, const char *from, size_t len)
{
	if (len > LOG_OUT_MAX - out->len)
		len = LOG_OUT_MAX - out->len;
	memcpy(out->data + out->len, from, len);
	out->len += len;
}

static void put_text(struct log_out *out, const char *text)
{
	log_out_put(out, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(
	struct log_out *out, const char *format, ...)
{
	char text[64];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	put_text(out, text);
}

static void put_time(struct log_out *out, uint64_t wall_ms, bool is_local)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[32];
	if (is_local) {
		localtime_r(&seconds, &tm);
		strftime(text, sizeof text, "%H:%M:%S", &tm);
	} else {
		gmtime_r(&seconds, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	}
	put_format(out, "%s.%03u%s", text, (unsigned)(wall_ms % 1000), is_local ? "" : "Z");
}

/* What would control a terminal or break the line becomes \xNN. */
static void put_printable(struct log_out *out, const char *from, size_t len)
{
	while (len > 0) {
		size_t n = printable_len(from, len);
		if (n > 0)
			log_out_put(out, from, n);
		else
			put_format(out, "\\x%02x", (uint8_t)*from);
		n = n > 0 ? n : 1;
		from += n;
		len -= n;
	}
}

static void put_json_bytes(struct log_out *out, const char *from, size_t len)
{
	while (len > 0) {
		size_t n = utf8_length((const unsigned char *)from, len);
		if (n == 0)
			put_text(out, "\xef\xbf\xbd"); /* U+FFFD */
		else if (*from == '"' || *from == '\\')
			put_format(out, "\\%c", *from);
		else if (*from == '\n')
			put_text(out, "\\n");
		else if ((uint8_t)*from < 0x20)
			put_format(out, "\\u%04x", (uint8_t)*from);
		else
			log_out_put(out, from, n);
		n = n > 0 ? n : 1;
		from += n;
		len -= n;
	}
}

static bool is_integer(const char *text, size_t len)
{
	size_t i = len > 1 && text[0] == '-';
	if (len == i || len - i > 20 || (text[i] == '0' && (len - i > 1 || i > 0)))
		return false;
	for (; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

/* A word of a message, or a pair if it has a key. */
struct word {
	const char *text;
	size_t len;     /* all of it */
	size_t key_len; /* 0 = not a pair */
};

static size_t key_len(const char *p, size_t len)
{
	size_t i = 0;
	while (i < len && (isalnum((unsigned char)p[i]) || strchr("_.-", p[i]) != NULL) &&
		p[i] != '\0')
		i++;
	return i > 0 && i < len && p[i] == '=' && (isalpha((unsigned char)p[0]) || p[0] == '_') ? i
												: 0;
}

/* Takes the next word off the message. Return: false at its end. */
static bool next_word(const char **pos, const char *end, struct word *word)
{
	const char *p = *pos;
	while (p < end && *p == ' ')
		p++;
	if (p == end)
		return false;
	word->text = p;
	word->key_len = key_len(p, (size_t)(end - p));
	if (word->key_len > 0 && p + word->key_len + 1 < end && p[word->key_len + 1] == '"') {
		for (p += word->key_len + 2; p < end && *p != '"'; p++)
			if (*p == '\\' && p + 1 < end)
				p++;
		p += p < end;
	}
	while (p < end && *p != ' ')
		p++;
	word->len = (size_t)(p - word->text);
	*pos = p;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reverses log_quote(): @from is what follows the opening quote. Return: the length written. */
static size_t unquote(const char *from, size_t len, char to[LOG_LINE_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < len && from[i] != '"'; i++) {
		char c = from[i];
		if (c == '\\' && i + 1 < len) {
			c = from[++i];
			if (c == 'n') {
				c = '\n';
			} else if (c == 'x' && i + 2 < len && hex_value(from[i + 1]) >= 0 &&
				   hex_value(from[i + 2]) >= 0) {
				c = (char)(hex_value(from[i + 1]) * 16 + hex_value(from[i + 2]));
				i += 2;
			}
		}
		to[n++] = c;
	}
	return n;
}

static void put_json_pair(struct log_out *out, const struct word *word)
{
	static const char *const ours[] = { "ts", "level", "msg", "module" };
	const char *value = word->text + word->key_len + 1;
	size_t len = word->len - word->key_len - 1;
	char plain[LOG_LINE_MAX];

	put_text(out, ",\"");
	log_out_put(out, word->text, word->key_len);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (word->key_len == strlen(ours[i]) &&
			memcmp(word->text, ours[i], word->key_len) == 0)
			put_text(out, "_");
	put_text(out, "\":");
	if (is_integer(value, len)) {
		log_out_put(out, value, len);
		return;
	}
	put_text(out, "\"");
	if (len > 0 && *value == '"')
		put_json_bytes(out, plain, unquote(value + 1, len - 1, plain));
	else
		put_json_bytes(out, value, len);
	put_text(out, "\"");
}

static void render_json(struct log_out *out, const struct log_entry *entry, const char *message)
{
	const char *end = message + entry->len, *pos = message;
	struct word word;
	bool is_first = true;

	put_text(out, "{\"ts\":\"");
	put_time(out, entry->wall_ms, false);
	put_format(out, "\",\"level\":\"%s\",\"msg\":\"", levels[entry->level].name);
	while (next_word(&pos, end, &word)) {
		if (word.key_len > 0)
			continue;
		if (!is_first)
			put_text(out, " ");
		put_json_bytes(out, word.text, word.len);
		is_first = false;
	}
	put_text(out, "\"");
	if (entry->level == LOG_LEVEL_DEBUG)
		put_format(out, ",\"module\":\"%.40s\"", entry->module);
	for (pos = message; next_word(&pos, end, &word);)
		if (word.key_len > 0)
			put_json_pair(out, &word);
	put_text(out, "}\n");
}

void log_render(struct log_out *out, enum log_format format, bool is_tty,
	const struct log_entry *entry, const char *message)
{
	if (format == LOG_FORMAT_JSON) {
		render_json(out, entry, message);
		return;
	}
	if (format == LOG_FORMAT_JOURNAL) {
		put_format(out, "<%d>", levels[entry->level].priority);
	} else {
		put_time(out, entry->wall_ms, is_tty);
		put_format(out, " %-5s ", levels[entry->level].name);
	}
	if (entry->level == LOG_LEVEL_DEBUG)
		put_format(out, "%.40s: ", entry->module);
	put_printable(out, message, entry->len);
	put_text(out, "\n");
}

bool log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < N_LEVELS; i++)
		if (strcmp(text, levels[i].name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	return false;
}

bool log_format_parse(const char *text, enum log_format *ret)
{
	static const char *const names[] = {
		[LOG_FORMAT_AUTO] = "auto",
		[LOG_FORMAT_TEXT] = "text",
		[LOG_FORMAT_JSON] = "json",
		[LOG_FORMAT_JOURNAL] = "journal",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum log_format)i;
			return true;
		}
	return false;
}

const char *log_quote(const char *text, char *to, size_t size)
{
	size_t n_text = text != NULL ? strlen(text) : 0, n = 0;
	bool is_plain = n_text > 0 && !is_integer(text, n_text);

	if (size == 0)
		return to;
	if (text == NULL) {
		snprintf(to, size, "-");
		return to;
	}
	for (size_t i = 0, len; i < n_text && is_plain; i += len) {
		len = printable_len(text + i, n_text - i);
		is_plain = len > 0 && strchr(" \"\\", text[i]) == NULL;
	}
	size_t quote = is_plain ? 0 : 1;
	if (!is_plain && size > 2)
		to[n++] = '"';
	for (size_t i = 0, len; size > 2 && i < n_text; i += len) {
		char piece[8];
		len = printable_len(text + i, n_text - i);
		if (len == 0)
			snprintf(piece, sizeof piece, "\\x%02x", (uint8_t)text[i]);
		else
			snprintf(piece, sizeof piece, "%s%.*s",
				text[i] == '"' || text[i] == '\\' ? "\\" : "", (int)len, text + i);
		len = len > 0 ? len : 1;
		if (n + strlen(piece) + quote >= size)
			break;
		memcpy(to + n, piece, strlen(piece));
		n += strlen(piece);
	}
	if (!is_plain && size > 2)
		to[n++] = '"';
	to[n] = '\0';
	return to;
}
