#include "config/read_list.h"

#include "config/file.h"
#include "config/suggest.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOLD_MAX  20 /* errors of one file */
#define SHOWN_MAX 80
#define ENTRY_MAX 300 /* longer than any entry that is right */

/* One file while it is read. */
struct reading {
	struct source source;
	struct report *report;
	struct domain_set *domains; /* or NULL: a list of networks */
	struct cidr_set *cidrs;
	unsigned n_wrong;
};

__attribute__((format(printf, 2, 3))) static bool refuse(
	char why[READ_LIST_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, READ_LIST_WHY_MAX, format, args);
	va_end(args);
	return false;
}

/* Without control characters, for a message. */
static const char *show(struct bytes text, char to[SHOWN_MAX])
{
	char copy[SHOWN_MAX];
	size_t len = text.len < sizeof copy - 1 ? text.len : sizeof copy - 1;
	for (size_t i = 0; i < len; i++)
		copy[i] = text.ptr[i] != '\0' ? (char)text.ptr[i] : '?';
	copy[len] = '\0';
	return report_quote(copy, to, SHOWN_MAX);
}

static bool is_address(struct bytes text)
{
	char copy[INET6_ADDRSTRLEN + 16];
	uint8_t ip[16];
	if (text.len >= sizeof copy)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	copy[strcspn(copy, "%")] = '\0';
	return inet_pton(AF_INET, copy, ip) == 1 || inet_pton(AF_INET6, copy, ip) == 1;
}

bool read_list_domain(struct bytes text, struct domain_set *set, char why[READ_LIST_WHY_MAX])
{
	char shown[SHOWN_MAX];
	switch (domain_set_add(set, text)) {
	case 0:
		return true;
	case ERR_NOMEM:
		return refuse(why, "out of memory");
	case -ENOSPC:
		return refuse(why, "more than %d domains in one rule", DOMAIN_SET_MAX);
	default:
		break;
	}
	if (is_address(text))
		return refuse(why, "\"%s\" is an address; addresses belong into \"cidrs\"",
			show(text, shown));
	return refuse(why,
		"\"%s\" is not a domain; expected \"example.org\", \"*.example.org\" (all below "
		"it) or \".example.org\" (both)",
		show(text, shown));
}

static bool refuse_cidr(struct bytes text, const char *copy, char why[READ_LIST_WHY_MAX])
{
	static const char *const words[] = { "any", "local", "loopback", "private", "link-local",
		"metadata", "multicast", "reserved", "unspecified" };
	char shown[SHOWN_MAX];
	const char *meant = suggest(copy, words, sizeof words / sizeof words[0]);
	show(text, shown);
	if (meant != NULL)
		return refuse(why, "\"%s\" is not a network; did you mean \"%s\"?", shown, meant);
	return refuse(why,
		"\"%s\" is not a network; expected an IP address, a CIDR or one of any, local, "
		"loopback, private, link-local",
		shown);
}

static bool add_rules(struct bytes text, const char *copy, const struct netset *rules,
	struct cidr_set *set, char why[READ_LIST_WHY_MAX])
{
	char shown[SHOWN_MAX];
	for (size_t i = 0; i < rules->n_rules; i++) {
		const struct net_rule *rule = &rules->rules[i];
		if (rule->kind != NET_NAME &&
			(rule->port_low != 1 || rule->port_high != UINT16_MAX))
			return refuse(
				why, "\"%s\": ports belong into \"ports\"", show(text, shown));
		int error = cidr_set_add(set, rule);
		if (error == ERR_INVAL)
			return refuse_cidr(text, copy, why);
		if (error == -ENOSPC)
			return refuse(why, "more than %d networks in one rule", CIDR_SET_MAX);
		if (error != 0)
			return refuse(why, "out of memory");
	}
	return true;
}

bool read_list_cidr(struct bytes text, struct cidr_set *set, char why[READ_LIST_WHY_MAX])
{
	char copy[ENTRY_MAX];
	struct netset rules;
	if (text.len >= sizeof copy || memchr(text.ptr, '\0', text.len) != NULL)
		return refuse_cidr(text, "", why);
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	netset_init(&rules);
	int error = netset_add(&rules, copy);
	bool is_good = error == 0 && add_rules(text, copy, &rules, set, why);
	if (error == ERR_NOMEM)
		refuse(why, "out of memory");
	else if (error != 0)
		refuse_cidr(text, copy, why);
	netset_deinit(&rules);
	return is_good;
}

static void tell(struct reading *r, struct bytes at, const char *why)
{
	size_t start = (size_t)(at.ptr - r->source.text.ptr);
	struct report_place place = {
		.source = &r->source, .at = { start, start + at.len }, .slug = "value"
	};
	report_add(r->report, &place, "%s", why);
	r->n_wrong++;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of @line, which loses it; empty at the end. */
static struct bytes next_word(struct bytes *line)
{
	size_t start = 0;
	while (start < line->len && is_blank(line->ptr[start]))
		start++;
	size_t end = start;
	while (end < line->len && !is_blank(line->ptr[end]))
		end++;
	struct bytes word = bytes_of(line->ptr + start, end - start);
	*line = bytes_of(line->ptr + end, line->len - end);
	return word;
}

/* What hosts files say about this host itself, and of no use in a rule. */
static bool is_own_name(struct bytes word)
{
	static const char *const names[] = { "localhost", "localhost.localdomain", "local",
		"broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix",
		"ip6-allnodes", "ip6-allrouters", "ip6-allhosts" };
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strlen(names[i]) == word.len && memcmp(names[i], word.ptr, word.len) == 0)
			return true;
	}
	return is_address(word);
}

static void add_entry(struct reading *r, struct bytes word)
{
	char why[READ_LIST_WHY_MAX];
	bool is_good = r->domains != NULL ? read_list_domain(word, r->domains, why)
					  : read_list_cidr(word, r->cidrs, why);
	if (!is_good)
		tell(r, word, why);
}

static void read_line(struct reading *r, struct bytes line)
{
	struct bytes word = next_word(&line), more = next_word(&line);
	if (word.len == 0)
		return;
	if (more.len == 0) {
		add_entry(r, word);
		return;
	}
	if (r->domains == NULL || !is_address(word)) {
		tell(r, more,
			r->domains != NULL ? "expected one domain on a line, or ADDRESS NAME…"
					   : "expected one network on a line");
		return;
	}
	for (; more.len > 0 && r->n_wrong < TOLD_MAX; more = next_word(&line)) {
		if (!is_own_name(more))
			add_entry(r, more);
	}
}

static bool read_lines(struct reading *r)
{
	struct bytes left = r->source.text;
	if (left.len >= 3 && memcmp(left.ptr, "\xef\xbb\xbf", 3) == 0)
		left = bytes_of(left.ptr + 3, left.len - 3);
	while (left.len > 0 && r->n_wrong < TOLD_MAX) {
		const uint8_t *newline = memchr(left.ptr, '\n', left.len);
		size_t len = newline != NULL ? (size_t)(newline - left.ptr) : left.len, end = 0;
		while (end < len && left.ptr[end] != '#' && left.ptr[end] != ';')
			end++;
		read_line(r, bytes_of(left.ptr, end));
		len += newline != NULL;
		left = bytes_of(left.ptr + len, left.len - len);
	}
	return r->n_wrong == 0;
}

bool read_list_domains_text(
	const char *path, struct bytes text, struct report *report, struct domain_set *set)
{
	struct reading r = { .source = { path, text }, .report = report, .domains = set };
	return read_lines(&r);
}

bool read_list_cidrs_text(
	const char *path, struct bytes text, struct report *report, struct cidr_set *set)
{
	struct reading r = { .source = { path, text }, .report = report, .cidrs = set };
	return read_lines(&r);
}

static bool load(const char *path, struct report *report, uint8_t *to, size_t *ret_len)
{
	int fd = file_open(path);
	if (fd < 0) {
		report_add_plain(report, "cannot open %s: %s", path, file_error_text(fd));
		return false;
	}
	int error = file_read(fd, to, READ_LIST_SIZE_MAX + 1, ret_len);
	close(fd);
	if (error != 0)
		report_add_plain(report, "cannot read %s: %s", path, file_error_text(error));
	else if (*ret_len > READ_LIST_SIZE_MAX)
		report_add_plain(report, "%s: larger than %u MiB", path, READ_LIST_SIZE_MAX >> 20);
	return error == 0 && *ret_len <= READ_LIST_SIZE_MAX;
}

static bool read_file(struct reading *r)
{
	size_t len = 0;
	uint8_t *text = malloc(READ_LIST_SIZE_MAX + 1); /* what is not touched costs nothing */
	if (text == NULL) {
		report_add_plain(r->report, "%s: out of memory", r->source.path);
		return false;
	}
	bool is_good = load(r->source.path, r->report, text, &len);
	if (is_good) {
		r->source.text = bytes_of(text, len);
		is_good = read_lines(r);
	}
	free(text);
	return is_good;
}

bool read_list_domains(const char *path, struct report *report, struct domain_set *set)
{
	struct reading r = { .source = { .path = path }, .report = report, .domains = set };
	return read_file(&r);
}

bool read_list_cidrs(const char *path, struct report *report, struct cidr_set *set)
{
	struct reading r = { .source = { .path = path }, .report = report, .cidrs = set };
	return read_file(&r);
}
