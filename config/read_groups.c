#include "config/read_groups.h"

#include "config/field.h"
#include "config/read_strategy.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One group while it is read. */
struct group_file {
	const struct read_uses *uses;
	struct chain_upstream_spec *spec;
	struct chain_member member; /* the one that is read now */
	size_t n_chains;            /* the first of uses: no groups among them */
	bool is_wrong;
};

bool read_group_name(struct document *d, const struct json *value, const struct read_uses *uses)
{
	const char *name = json_name(value);
	if (!field_is_name(name)) {
		document_error(d, value, DOCUMENT_NAME,
			"this is not a name; names have up to 63 of a-z, 0-9 and '-' inside");
		return false;
	}
	if (strcmp(name, READ_USE_DIRECT) == 0 || strcmp(name, READ_USE_BLOCK) == 0) {
		document_error(d, value, DOCUMENT_NAME,
			"this name is reserved: \"%s\" is what rules and listeners may use without "
			"a chain",
			name);
		return false;
	}
	for (size_t i = 0; i < uses->n; i++) {
		if (strcmp(uses->names[i], name) != 0 || uses->members[i] == NULL)
			continue;
		document_error(d, value, DOCUMENT_NAME,
			"the chain at line %zu has this name too; chains and groups share theirs",
			document_line(d, uses->members[i]));
		return false;
	}
	return true;
}

static bool is_group(const struct group_file *g, const char *name)
{
	for (size_t i = g->n_chains; i < g->uses->n; i++) {
		if (strcmp(g->uses->names[i], name) == 0)
			return true;
	}
	return false;
}

static void read_member_use(struct document *d, const struct json *value, void *to)
{
	struct group_file *g = to;
	const struct chain_upstream_spec *use = NULL;
	struct read_uses chains = *g->uses;
	chains.n = g->n_chains;
	g->member.chain = NULL;
	if (json_type(value) == JSON_STRING && is_group(g, json_string(value)))
		document_error(d, value, DOCUMENT_VALUE,
			"\"%s\" is a group; a group has chains only", json_string(value));
	else if (read_use(d, value, &chains, &use))
		g->member.chain = access_options_chain_of(use);
}

static void read_member_weight(struct document *d, const struct json *value, void *to)
{
	read_weight(d, value, &((struct group_file *)to)->member.weight);
}

static void add_member(struct document *d, const struct json *value, struct group_file *g)
{
	struct chain_upstream_spec *spec = g->spec;
	if (g->member.chain == NULL) {
		g->is_wrong = true;
		return;
	}
	for (size_t i = 0; i < spec->n_members; i++) {
		if (spec->members[i].chain != g->member.chain)
			continue;
		document_error(d, value, DOCUMENT_VALUE,
			"this chain is in the group already; a \"weight\" makes it count more");
		return;
	}
	if (spec->n_members == CHAIN_CANDIDATES_MAX) {
		document_error(
			d, value, DOCUMENT_VALUE, "more than %d chains", CHAIN_CANDIDATES_MAX);
		return;
	}
	struct chain_member *members =
		reallocarray(spec->members, spec->n_members + 1, sizeof *members);
	if (members == NULL) {
		document_error(d, value, DOCUMENT_VALUE, "out of memory");
		g->is_wrong = true;
		return;
	}
	spec->members = members;
	members[spec->n_members++] = g->member;
}

static void read_member(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "use", read_member_use, true },
		{ "weight", read_member_weight, false },
	};
	struct group_file *g = to;
	g->member = (struct chain_member){ .weight = 1 };
	if (json_type(value) == JSON_OBJECT)
		field_object(d, value, fields, COUNT(fields), g);
	else if (field_is(d, value, JSON_STRING, "the name of a chain, or an object with \"use\""))
		read_member_use(d, value, g);
	add_member(d, value, g);
}

static void read_any(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of chains", 1, read_member, to);
}

static void read_group_strategy(struct document *d, const struct json *value, void *to)
{
	read_strategy(d, value, &((struct group_file *)to)->spec->strategy);
}

static void read_group_fails(struct document *d, const struct json *value, void *to)
{
	read_max_fails(d, value, &((struct group_file *)to)->spec->max_fails);
}

static void read_group_retry(struct document *d, const struct json *value, void *to)
{
	read_retry_after(d, value, &((struct group_file *)to)->spec->retry_after_ms);
}

static bool read_one_group(struct document *d, const struct json *value, struct group_file *g)
{
	static const struct field fields[] = {
		{ "any", read_any, true },
		{ "strategy", read_group_strategy, false },
		{ "max_fails", read_group_fails, false },
		{ "retry_after", read_group_retry, false },
	};
	return field_object(d, value, fields, COUNT(fields), g) && !g->is_wrong &&
	       g->spec->n_members > 0;
}

/* Return: the group, or NULL: it is wrong, or there is no memory. */
static struct chain_upstream_spec *read_group(
	struct document *d, const struct json *value, const struct read_uses *uses, size_t n_chains)
{
	struct group_file g = { .uses = uses, .n_chains = n_chains };
	g.spec = calloc(1, sizeof *g.spec);
	if (g.spec != NULL)
		g.spec->name = strdup(json_name(value));
	if (g.spec == NULL || g.spec->name == NULL) {
		document_error(d, value, DOCUMENT_NAME, "out of memory");
		chain_upstream_spec_free(g.spec);
		return NULL;
	}
	g.spec->strategy = READ_STRATEGY_DEFAULT;
	if (read_one_group(d, value, &g))
		return g.spec;
	chain_upstream_spec_free(g.spec);
	return NULL;
}

static void add_group(struct document *d, const struct json *value, struct read_uses *uses,
	size_t n_chains, struct access_options *options)
{
	bool has_name = read_group_name(d, value, uses);
	struct chain_upstream_spec *group = read_group(d, value, uses, n_chains);
	size_t i = uses->n;
	if (has_name) {
		uses->names[i] = json_name(value);
		uses->members[i] = value;
		uses->upstreams[i] = NULL;
		uses->n++;
	}
	if (has_name && group != NULL && access_options_add_group(options, group)) {
		uses->upstreams[i] = group;
		return;
	}
	if (has_name && group != NULL)
		document_error(d, value, DOCUMENT_NAME, "out of memory");
	chain_upstream_spec_free(group);
}

void read_groups(struct document *d, struct read_uses *uses, struct access_options *options)
{
	size_t n_chains = uses->n;
	const struct json *groups = json_member(d->root, "groups");
	if (groups == NULL || !field_is(d, groups, JSON_OBJECT, "an object of groups"))
		return;
	for (const struct json *v = json_first(groups); v != NULL; v = json_next(v)) {
		if (uses->n == n_chains + READ_GROUPS_MAX) {
			document_error(d, v, DOCUMENT_NAME, "more than %d groups", READ_GROUPS_MAX);
			return;
		}
		add_group(d, v, uses, n_chains, options);
	}
}
