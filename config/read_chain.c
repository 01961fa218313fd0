#include "config/read_chain.h"

#include "config/field.h"
#include "config/read_common.h"
#include "config/read_key.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void read_hop_name(struct document *d, const struct json *value, void *to)
{
	field_name(d, value, &((struct chain_hop *)to)->name);
}

static void read_hop_addr(struct document *d, const struct json *value, void *to)
{
	field_hop(d, value, &((struct chain_hop *)to)->addr);
}

static void set_key(struct chain_hop *hop, struct wire_key *key)
{
	wire_key_free(hop->key);
	hop->key = key;
}

static void read_hop_key_file(struct document *d, const struct json *value, void *to)
{
	set_key(to, read_key_file(d, value));
}

static void read_hop_key(struct document *d, const struct json *value, void *to)
{
	set_key(to, read_key_inline(d, value));
}

static void read_hop_cipher(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "auto", "aes-256-gcm", "chacha20-poly1305" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct chain_hop *)to)->cipher = (enum chain_cipher)i;
}

/* The member that names the key of hop @object. */
static const struct json *key_of(const struct json *object)
{
	const struct json *key = json_member(object, "key_file");
	return key != NULL ? key : json_member(object, "key");
}

/* docs/protocol.md 2.1: a key lives on one hop. */
static void check_same_key(struct document *d, const struct json *hops,
	const struct chain_spec *spec, const struct json *object)
{
	char pointer[64];
	const struct chain_hop *last = &spec->hops[spec->n_hops - 1];
	const struct json *other = json_first(hops);
	for (size_t i = 0; i + 1 < spec->n_hops && last->key != NULL;
		i++, other = json_next(other)) {
		const struct wire_key *key = spec->hops[i].key;
		if (key == NULL || memcmp(key->kid, last->key->kid, WIRE_KID) != 0)
			continue;
		document_error(d, key_of(object), DOCUMENT_VALUE,
			"same key as %s; every hop needs its own (chain keygen)",
			document_pointer(d, other, pointer, sizeof pointer));
		return;
	}
}

static void read_hop(struct document *d, const struct json *object, struct chain_hop *hop)
{
	static const struct field fields[] = {
		{ "name", read_hop_name, false },
		{ "addr", read_hop_addr, true },
		{ "key_file", read_hop_key_file, false },
		{ "key", read_hop_key, false },
		{ "cipher", read_hop_cipher, false },
	};
	static const char *const keys[] = { "key_file", "key" };
	if (field_object(d, object, fields, COUNT(fields), hop))
		read_key_is_one(d, object, keys, COUNT(keys));
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
	if (spec->hops == NULL) {
		document_error(d, value, DOCUMENT_VALUE, "out of memory");
		return;
	}
	for (const struct json *v = json_first(value); v != NULL; v = json_next(v)) {
		read_hop(d, v, &spec->hops[spec->n_hops++]);
		check_same_key(d, value, spec, v);
	}
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
	field_object(document, object, fields, COUNT(fields), spec);
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
