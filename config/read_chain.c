#include "config/read_chain.h"

#include "config/field.h"
#include "config/read_common.h"
#include "config/read_step.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A key with the JSON object of its hop. */
struct place {
	const struct json *object;
	const struct wire_key *key; /* or NULL */
};

/* The keys of all hops and candidates of @spec, in the order of the file. Return: how many. */
static size_t list_places(const struct json *steps, const struct chain_spec *spec, struct place *to)
{
	size_t n = 0;
	const struct json *step = json_first(steps);
	for (size_t i = 0; i < spec->n_hops; i++, step = json_next(step)) {
		const struct chain_group *group = spec->groups != NULL ? spec->groups[i] : NULL;
		const struct json *candidate = group != NULL && group->n_hops > 0
						       ? json_first(json_member(step, "any"))
						       : NULL;
		for (size_t k = 0; candidate != NULL && k < group->n_hops;
			k++, candidate = json_next(candidate))
			to[n++] = (struct place){ candidate, group->hops[k].key };
		if (group == NULL)
			to[n++] = (struct place){ step, spec->hops[i].key };
	}
	return n;
}

/* The member that names the key of hop @object. */
static const struct json *key_of(const struct json *object)
{
	const struct json *key = json_member(object, "key_file");
	return key != NULL ? key : json_member(object, "key");
}

static void check_same_key(struct document *d, const struct place *places, size_t i)
{
	char pointer[64];
	const struct wire_key *key = places[i].key;
	for (size_t k = 0; k < i && key != NULL; k++) {
		const struct wire_key *other = places[k].key;
		if (other == NULL || memcmp(other->kid, key->kid, WIRE_KID) != 0)
			continue;
		document_error(d, key_of(places[i].object), DOCUMENT_VALUE,
			"same key as %s; every hop needs its own (chain keygen)",
			document_pointer(d, places[k].object, pointer, sizeof pointer));
		return;
	}
}

/* docs/protocol.md 2.1: a key lives on one hop. */
static void check_keys(struct document *d, const struct json *steps, const struct chain_spec *spec)
{
	struct place *places =
		calloc((size_t)CHAIN_HOPS_MAX * CHAIN_CANDIDATES_MAX, sizeof *places);
	if (places == NULL) {
		document_error(d, steps, DOCUMENT_VALUE, "out of memory");
		return;
	}
	size_t n = list_places(steps, spec, places);
	for (size_t i = 1; i < n; i++)
		check_same_key(d, places, i);
	free(places);
}

/* A step of @n into the next place of @spec. Return: false without memory. */
static bool read_position(
	struct document *d, const struct json *object, size_t n, struct chain_spec *spec)
{
	size_t i = spec->n_hops;
	if (!read_step_is_group(object)) {
		spec->n_hops++;
		read_step(d, object, &spec->hops[i]);
		return true;
	}
	if (spec->groups == NULL)
		spec->groups = calloc(n, sizeof(struct chain_group *));
	if (spec->groups == NULL)
		return false;
	spec->groups[i] = read_step_group(d, object);
	if (spec->groups[i] == NULL)
		return false;
	spec->n_hops++;
	if (spec->groups[i]->n_hops > 0)
		spec->hops[i] = spec->groups[i]->hops[0];
	return true;
}

static void read_hops(struct document *d, const struct json *value, void *to)
{
	struct chain_spec *spec = to;
	size_t n = field_count(value);
	if (!field_is(d, value, JSON_ARRAY, "an array of hops") || spec->hops != NULL)
		return;
	if (n < 1 || n > CHAIN_HOPS_MAX) {
		document_error(d, value, DOCUMENT_VALUE, "%zu hops; a chain has 1 to %d", n,
			CHAIN_HOPS_MAX);
		return;
	}
	spec->hops = calloc(n, sizeof *spec->hops);
	bool has_memory = spec->hops != NULL;
	for (const struct json *v = json_first(value); has_memory && v != NULL; v = json_next(v))
		has_memory = read_position(d, v, n, spec);
	if (has_memory)
		check_keys(d, value, spec);
	else
		document_error(d, value, DOCUMENT_VALUE, "out of memory");
}

static void read_chain_name(struct document *d, const struct json *value, void *to)
{
	field_name(d, value, &((struct chain_spec *)to)->name);
}

static void read_connect(struct document *d, const struct json *value, void *to)
{
	field_timeout(d, value, &((struct chain_spec *)to)->connect_timeout_ms);
}

static void read_handshake(struct document *d, const struct json *value, void *to)
{
	field_timeout(d, value, &((struct chain_spec *)to)->handshake_timeout_ms);
}

static void read_idle(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct chain_spec *)to)->idle_timeout_ms);
}

static void read_timeouts(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "connect", read_connect, false },
		{ "handshake", read_handshake, false },
		{ "idle", read_idle, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_payload(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "encrypted", "header-only" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct chain_spec *)to)->is_header_only = i == 1;
}

static void read_dns(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "exit", "local" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct chain_spec *)to)->resolves_locally = i == 1;
}

static void read_udp(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "auto", "datagram", "stream" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct chain_spec *)to)->udp = (enum chain_udp)i;
}

static void read_window(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct chain_spec *)to)->ephemeral_window_ms);
}

static void read_target(struct document *d, const struct json *value, void *to)
{
	struct chain_spec *spec = to;
	if (field_target(d, value, &spec->target))
		spec->has_target = true;
}

/* What no member says alone. */
static void check_whole(struct document *d, const struct json *object,
	const struct chain_spec *spec, size_t n_before)
{
	if (report_n_errors(d->report) != n_before)
		return; /* a step that was not understood may be the one that is missed here */
	if (!spec->is_header_only && !chain_spec_can_seal(spec))
		document_error(d, json_member(object, "hops"), DOCUMENT_VALUE, "%s",
			CHAIN_SPEC_SEALS_NOTHING);
	if (spec->udp == CHAIN_UDP_DATAGRAM && chain_spec_has_foreign(spec))
		document_error(d, json_member(object, "udp"), DOCUMENT_VALUE, "%s",
			CHAIN_SPEC_NO_DATAGRAMS);
}

struct chain_spec *read_chain(struct document *document, const struct json *object)
{
	static const struct field fields[] = {
		{ "$schema", field_ignore, false },
		{ "version", read_version, false },
		{ "name", read_chain_name, false },
		{ "hops", read_hops, true },
		{ "payload", read_payload, false },
		{ "timeouts", read_timeouts, false },
		{ "forward_secrecy_window", read_window, false },
		{ "dns", read_dns, false },
		{ "udp", read_udp, false },
		{ "target", read_target, false },
	};
	static const struct chain_spec standard = CHAIN_SPEC_DEFAULT;
	size_t n_before = report_n_errors(document->report);
	struct chain_spec *spec = malloc(sizeof *spec);
	if (spec == NULL) {
		document_error(document, object, DOCUMENT_OPENER, "out of memory");
		return NULL;
	}
	*spec = standard;
	if (field_object(document, object, fields, COUNT(fields), spec))
		check_whole(document, object, spec, n_before);
	if (report_n_errors(document->report) == n_before)
		return spec;
	chain_spec_free(spec);
	return NULL;
}

struct chain_spec *read_chain_file(const char *path, struct report *report)
{
	size_t n_before = report_n_errors(report);
	struct document *document = document_open(path, report);
	if (document == NULL)
		return NULL;
	struct chain_spec *spec = read_chain(document, document->root);
	document_free(document);
	if (report_n_errors(report) == n_before)
		return spec;
	chain_spec_free(spec); /* a duplicate member does not keep the rest from being read */
	return NULL;
}
