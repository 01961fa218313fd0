#include "config/read_routes.h"

#include "config/field.h"
#include "config/read_list.h"
#include "config/suggest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The rules while they are read. */
struct route_file {
	const struct read_uses *uses;
	struct access_options *options;
	struct route_rule *rule; /* the one that is read now */
	const char **users;      /* all that any listener knows, for suggestions; owned */
	size_t n_users, n_lists;
};

static bool tell_memory(struct document *d, const struct json *value, const void *memory)
{
	if (memory == NULL)
		document_error(d, value, DOCUMENT_VALUE, "out of memory");
	return memory != NULL;
}

static void read_rule_name(struct document *d, const struct json *value, void *to)
{
	struct route_file *file = to;
	struct route_rule *rule = file->rule;
	if (!field_name(d, value, &rule->name))
		return;
	for (const struct route_rule *r = file->options->rules; r < rule; r++) {
		if (r->name == NULL || strcmp(r->name, rule->name) != 0)
			continue;
		document_error(
			d, value, DOCUMENT_VALUE, "the rule at line %u has this name too", r->line);
		return;
	}
}

static struct domain_set *domains_of(
	struct document *d, const struct json *value, struct route_rule *rule)
{
	if (rule->domains == NULL)
		rule->domains = domain_set_new();
	tell_memory(d, value, rule->domains);
	return rule->domains;
}

static struct cidr_set *cidrs_of(
	struct document *d, const struct json *value, struct route_rule *rule)
{
	if (rule->cidrs == NULL)
		rule->cidrs = cidr_set_new();
	tell_memory(d, value, rule->cidrs);
	return rule->cidrs;
}

static void read_domain(struct document *d, const struct json *value, void *to)
{
	char why[READ_LIST_WHY_MAX];
	struct domain_set *set = domains_of(d, value, ((struct route_file *)to)->rule);
	const char *text = field_text(d, value, "a domain like \"*.example.org\"");
	if (set != NULL && text != NULL &&
		!read_list_domain(bytes_of(text, strlen(text)), set, why))
		document_error(d, value, DOCUMENT_VALUE, "%s", why);
}

static void read_domains(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of domains", 1, read_domain, to);
}

static void read_cidr(struct document *d, const struct json *value, void *to)
{
	char why[READ_LIST_WHY_MAX];
	struct cidr_set *set = cidrs_of(d, value, ((struct route_file *)to)->rule);
	const char *text = field_text(d, value, "a network like \"10.0.0.0/8\"");
	if (set != NULL && text != NULL && !read_list_cidr(bytes_of(text, strlen(text)), set, why))
		document_error(d, value, DOCUMENT_VALUE, "%s", why);
}

static void read_cidrs(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of networks", 1, read_cidr, to);
}

static bool is_list_room(struct document *d, const struct json *value, struct route_file *file)
{
	if (file->n_lists++ < READ_LISTS_MAX)
		return true;
	document_error(d, value, DOCUMENT_VALUE, "more than %d list files", READ_LISTS_MAX);
	return false;
}

/* The path of a list file that can be read. */
static bool find_list(struct document *d, const struct json *value, char **ret)
{
	if (!field_path(d, value, ret))
		return false;
	if (access(*ret, R_OK) == 0)
		return true;
	document_error(d, value, DOCUMENT_VALUE, "cannot open %s: %s", *ret, strerror(errno));
	return false;
}

static void read_domains_path(struct document *d, const struct json *value, void *to)
{
	char *path = NULL;
	struct report *report = d->report;
	struct domain_set *set = domains_of(d, value, ((struct route_file *)to)->rule);
	if (set != NULL && is_list_room(d, value, to) && find_list(d, value, &path))
		read_list_domains(path, report, set);
	free(path);
}

static void read_cidrs_path(struct document *d, const struct json *value, void *to)
{
	char *path = NULL;
	struct report *report = d->report;
	struct cidr_set *set = cidrs_of(d, value, ((struct route_file *)to)->rule);
	if (set != NULL && is_list_room(d, value, to) && find_list(d, value, &path))
		read_list_cidrs(path, report, set);
	free(path);
}

static void read_files(struct document *d, const struct json *value, field_fn *read, void *to)
{
	((struct route_file *)to)->n_lists = 0;
	if (json_type(value) == JSON_ARRAY)
		field_each(d, value, "an array of paths", 1, read, to);
	else if (field_is(d, value, JSON_STRING, "a path, or an array of paths"))
		read(d, value, to);
}

static void read_domains_file(struct document *d, const struct json *value, void *to)
{
	read_files(d, value, read_domains_path, to);
}

static void read_cidrs_file(struct document *d, const struct json *value, void *to)
{
	read_files(d, value, read_cidrs_path, to);
}

static bool parse_port(const char **at, uint16_t *ret)
{
	uint32_t port = 0;
	const char *start = *at;
	for (; **at >= '0' && **at <= '9' && *at - start < 6; (*at)++)
		port = 10 * port + (uint32_t)(**at - '0');
	*ret = (uint16_t)port;
	return *at > start && port >= 1 && port <= UINT16_MAX;
}

static bool parse_ports(const char *text, struct route_ports *ret)
{
	if (!parse_port(&text, &ret->low) || *text++ != '-')
		return false;
	return parse_port(&text, &ret->high) && *text == '\0' && ret->low <= ret->high;
}

static bool read_port_range(struct document *d, const struct json *value, struct route_ports *ret)
{
	char shown[64];
	uint32_t port;
	if (json_type(value) == JSON_NUMBER) {
		if (!field_integer(d, value, 1, UINT16_MAX, &port))
			return false;
		*ret = (struct route_ports){ (uint16_t)port, (uint16_t)port };
		return true;
	}
	const char *text = field_text(d, value, "a port like 22, or \"8000-8999\"");
	if (text == NULL)
		return false;
	if (parse_ports(text, ret))
		return true;
	document_error(d, value, DOCUMENT_VALUE,
		"\"%s\" is not a range of ports; expected something like 22 or \"8000-8999\"",
		report_quote(text, shown, sizeof shown));
	return false;
}

static void read_port(struct document *d, const struct json *value, void *to)
{
	struct route_rule *rule = ((struct route_file *)to)->rule;
	struct route_ports ports;
	if (!read_port_range(d, value, &ports))
		return;
	if (rule->n_ports == READ_PORTS_MAX) {
		document_error(
			d, value, DOCUMENT_VALUE, "more than %d ranges of ports", READ_PORTS_MAX);
		return;
	}
	struct route_ports *list = reallocarray(rule->ports, rule->n_ports + 1, sizeof *list);
	if (!tell_memory(d, value, list))
		return;
	rule->ports = list;
	list[rule->n_ports++] = ports;
}

static void read_ports(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of ports", 1, read_port, to);
}

static void read_rule_from(struct document *d, const struct json *value, void *to)
{
	field_sources(d, value, &((struct route_file *)to)->rule->from);
}

static bool is_among(const char *text, const char *const *among, size_t n)
{
	size_t i = 0;
	while (i < n && strcmp(among[i], text) != 0)
		i++;
	return i < n;
}

/* @value is one of @known, which are called @what: adds it to a list. */
static void add_known(struct document *d, const struct json *value, const char *what,
	const char *const *known, size_t n_known, char ***list, size_t *n)
{
	char shown[64];
	const char *text = field_text(d, value, "a name");
	if (text == NULL)
		return;
	if (!is_among(text, known, n_known)) {
		const char *meant = suggest(text, known, n_known);
		report_quote(text, shown, sizeof shown);
		if (meant != NULL)
			document_error(d, value, DOCUMENT_VALUE,
				"no %s named \"%s\"; did you mean \"%s\"?", what, shown, meant);
		else
			document_error(d, value, DOCUMENT_VALUE, "no %s named \"%s\"", what, shown);
		return;
	}
	if (*n == READ_NAMES_MAX) {
		document_error(d, value, DOCUMENT_VALUE, "more than %d names", READ_NAMES_MAX);
		return;
	}
	char **longer = reallocarray(*list, *n + 1, sizeof *longer);
	if (!tell_memory(d, value, longer))
		return;
	*list = longer;
	longer[*n] = strdup(text);
	if (tell_memory(d, value, longer[*n]))
		++*n;
}

static void read_rule_user(struct document *d, const struct json *value, void *to)
{
	struct route_file *file = to;
	add_known(d, value, "user of a listener", file->users, file->n_users, &file->rule->users,
		&file->rule->n_users);
}

static void read_rule_users(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of users", 1, read_rule_user, to);
}

static void read_rule_listener(struct document *d, const struct json *value, void *to)
{
	struct route_file *file = to;
	const struct access_options *o = file->options;
	const char **names = calloc(o->n_listen + 1, sizeof *names);
	size_t n = 0;
	if (!tell_memory(d, value, names))
		return;
	for (size_t i = 0; i < o->n_listen; i++) {
		if (o->listen[i].name != NULL)
			names[n++] = o->listen[i].name;
	}
	add_known(d, value, "listener", names, n, &file->rule->listeners, &file->rule->n_listeners);
	free(names);
}

static void read_rule_listeners(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of listeners' names", 1, read_rule_listener, to);
}

static void read_protocol(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "tcp", "udp", "socks", "http" };
	static const unsigned meant[] = { ROUTE_TCP, ROUTE_UDP, ROUTE_SOCKS, ROUTE_HTTP };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct route_file *)to)->rule->protocols |= meant[i];
}

static void read_protocols(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of protocols", 1, read_protocol, to);
}

static void read_rule_use(struct document *d, const struct json *value, void *to)
{
	struct route_file *file = to;
	if (json_type(value) == JSON_STRING && strcmp(json_string(value), READ_USE_BLOCK) == 0)
		return;
	read_use(d, value, file->uses, &file->rule->use);
}

/* A rule without conditions matches everything: nothing behind it is ever asked. */
static void check_always(struct document *d, const struct json *object)
{
	if (json_next(object) == NULL)
		return;
	for (const struct json *m = json_first(object); m != NULL; m = json_next(m)) {
		const char *name = json_name(m);
		if (strcmp(name, "name") != 0 && strcmp(name, "use") != 0 &&
			strcmp(name, "$comment") != 0)
			return;
	}
	document_error(d, object, DOCUMENT_OPENER,
		"this rule has no condition and matches everything: rules after this one are "
		"never reached");
}

static struct route_rule *add_rule(
	struct document *d, const struct json *object, struct access_options *o)
{
	if (o->n_rules == READ_ROUTES_MAX) {
		document_error(d, object, DOCUMENT_OPENER, "more than %d rules", READ_ROUTES_MAX);
		return NULL;
	}
	struct route_rule *rules = reallocarray(o->rules, o->n_rules + 1, sizeof *rules);
	if (!tell_memory(d, object, rules))
		return NULL;
	o->rules = rules;
	rules[o->n_rules] = (struct route_rule){ .line = (uint32_t)document_line(d, object) };
	return &rules[o->n_rules++];
}

static void read_rule(struct document *d, const struct json *object, void *to)
{
	static const struct field fields[] = {
		{ "name", read_rule_name, false },
		{ "domains", read_domains, false },
		{ "domains_file", read_domains_file, false },
		{ "cidrs", read_cidrs, false },
		{ "cidrs_file", read_cidrs_file, false },
		{ "ports", read_ports, false },
		{ "from", read_rule_from, false },
		{ "users", read_rule_users, false },
		{ "listeners", read_rule_listeners, false },
		{ "protocols", read_protocols, false },
		{ "use", read_rule_use, true },
	};
	struct route_file *file = to;
	file->rule = add_rule(d, object, file->options);
	if (file->rule == NULL || !field_object(d, object, fields, COUNT(fields), file))
		return;
	if (file->rule->domains != NULL)
		domain_set_trim(file->rule->domains);
	if (file->rule->cidrs != NULL)
		cidr_set_finish(file->rule->cidrs);
	check_always(d, object);
}

static const char **all_users(const struct access_options *o, size_t *ret_n)
{
	size_t n = 0;
	for (size_t i = 0; i < o->n_listen; i++)
		n += o->listen[i].n_users;
	const char **names = calloc(n + 1, sizeof *names);
	*ret_n = 0;
	for (size_t i = 0; names != NULL && i < o->n_listen; i++) {
		for (size_t j = 0; j < o->listen[i].n_users; j++)
			names[(*ret_n)++] = o->listen[i].users[j].name;
	}
	return names;
}

void read_routes(struct document *d, const struct read_uses *uses, struct access_options *options)
{
	struct route_file file = { .uses = uses, .options = options };
	const struct json *routes = json_member(d->root, "routes");
	if (routes == NULL)
		return;
	file.users = all_users(options, &file.n_users);
	if (tell_memory(d, routes, file.users))
		field_each(d, routes, "an array of rules", 0, read_rule, &file);
	free(file.users);
}
