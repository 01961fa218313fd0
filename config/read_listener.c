#include "config/read_listener.h"

#include "config/address.h"
#include "config/field.h"
#include "config/read_limits.h"
#include "config/read_logins.h"
#include "config/suggest.h"

#include <stdlib.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One listener while it is read. */
struct listener_file {
	const struct read_uses *uses;
	struct access_listener *listener;
};

static void tell_no_chain(
	struct document *d, const struct json *value, const struct read_uses *uses)
{
	char shown[64];
	const char *meant = suggest(json_string(value), uses->names, uses->n);
	report_quote(json_string(value), shown, sizeof shown);
	if (meant == NULL) {
		document_error(d, value, DOCUMENT_VALUE, "no chain named \"%s\"", shown);
		return;
	}
	size_t i = 0;
	while (uses->names[i] != meant)
		i++;
	if (uses->members[i] == NULL)
		document_error(d, value, DOCUMENT_VALUE,
			"no chain named \"%s\"; did you mean \"%s\"?", shown, meant);
	else
		document_error(d, value, DOCUMENT_VALUE,
			"no chain named \"%s\"; did you mean \"%s\"? (defined at line %zu)", shown,
			meant, document_line(d, uses->members[i]));
}

bool read_use(struct document *d, const struct json *value, const struct read_uses *uses,
	const struct chain_upstream_spec **ret)
{
	const char *name = field_text(d, value, "the name of a chain");
	if (name == NULL)
		return false;
	for (size_t i = 0; i < uses->n; i++) {
		if (strcmp(uses->names[i], name) == 0) {
			*ret = uses->upstreams[i];
			return *ret != NULL;
		}
	}
	tell_no_chain(d, value, uses);
	return false;
}

static void read_listen_chain(struct document *d, const struct json *value, void *to)
{
	struct listener_file *l = to;
	read_use(d, value, l->uses, &l->listener->use);
}

static void read_listen_name(struct document *d, const struct json *value, void *to)
{
	field_name(d, value, &((struct listener_file *)to)->listener->name);
}

static void read_listen_addr(struct document *d, const struct json *value, void *to)
{
	field_listen(d, value, &((struct listener_file *)to)->listener->addr);
}

static void read_type(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "auto", "socks5", "http", "tcp", "udp", "redirect",
		"tproxy" };
	static const struct {
		unsigned transports, protocols;
		enum access_capture capture;
	} meant[] = {
		{ ACCESS_TCP, GREETING_SOCKS | GREETING_HTTP, ACCESS_NO_CAPTURE },
		{ ACCESS_TCP, GREETING_SOCKS, ACCESS_NO_CAPTURE },
		{ ACCESS_TCP, GREETING_HTTP, ACCESS_NO_CAPTURE },
		{ ACCESS_TCP, 0, ACCESS_NO_CAPTURE },
		{ ACCESS_UDP, 0, ACCESS_NO_CAPTURE },
		{ ACCESS_TCP, 0, ACCESS_REDIRECT },
		{ ACCESS_TCP | ACCESS_UDP, 0, ACCESS_TPROXY },
	};
	struct access_listener *l = ((struct listener_file *)to)->listener;
	size_t i;
	if (!field_word(d, value, words, COUNT(words), &i))
		return;
	l->transports = meant[i].transports;
	l->protocols = meant[i].protocols;
	l->capture = meant[i].capture;
}

static void read_to(struct document *d, const struct json *value, void *to)
{
	field_target(d, value, &((struct listener_file *)to)->listener->to);
}

static void read_from(struct document *d, const struct json *value, void *to)
{
	field_sources(d, value, &((struct listener_file *)to)->listener->from);
}

static void read_open(struct document *d, const struct json *value, void *to)
{
	field_bool(d, value, &((struct listener_file *)to)->listener->is_open);
}

static void read_users_file(struct document *d, const struct json *value, void *to)
{
	struct access_listener *l = ((struct listener_file *)to)->listener;
	struct report *report = d->report;
	char *path = NULL;
	l->needs_user = true;
	if (!field_path(d, value, &path))
		return;
	if (access(path, R_OK) < 0)
		document_error(
			d, value, DOCUMENT_VALUE, "cannot open %s: %s", path, strerror(errno));
	else if (l->users == NULL && !read_logins_file(path, report, &l->users, &l->n_users))
		l->users = NULL;
	free(path);
}

static void read_proxies(struct document *d, const struct json *value, void *to)
{
	field_sources(d, value, &((struct listener_file *)to)->listener->proxies);
}

static void read_send_proxy(struct document *d, const struct json *value, void *to)
{
	field_bool(d, value, &((struct listener_file *)to)->listener->sends_proxy);
}

static void read_mode(struct document *d, const struct json *value, void *to)
{
	field_mode(d, value, &((struct listener_file *)to)->listener->mode);
}

static void read_listen_limits(struct document *d, const struct json *value, void *to)
{
	read_listener_limits(d, value, ((struct listener_file *)to)->listener);
}

/* A target makes it a plain forward; without one, and without a type, the client says where to. */
static void complete_target(
	struct document *d, const struct json *object, struct access_listener *l)
{
	const struct json *own = json_member(object, "to");
	if (l->protocols != 0 && own != NULL) {
		document_error(d, own, DOCUMENT_NAME,
			"the clients of a proxy say where to; \"to\" is for plain forwards");
	} else if (l->capture != ACCESS_NO_CAPTURE && own != NULL) {
		document_error(d, own, DOCUMENT_NAME,
			"each connection goes where it was going; \"to\" is for plain forwards");
	} else if (l->protocols != 0 || l->capture != ACCESS_NO_CAPTURE || own != NULL ||
		   l->use == NULL) {
		return;
	} else if (access_options_chain_of(l->use)->has_target) {
		l->to = access_options_chain_of(l->use)->target;
	} else if (json_member(object, "type") != NULL) {
		document_error(d, object, DOCUMENT_OPENER,
			"missing \"to\", and its chain has no \"target\"");
	} else {
		l->transports = ACCESS_TCP;
		l->protocols = GREETING_SOCKS | GREETING_HTTP;
	}
}

/* What a listener does not say, its chain may: the only chain, and the chain's target. */
static void complete(struct document *d, const struct json *object, struct access_listener *l,
	const struct read_uses *uses)
{
	if (json_member(object, "chain") == NULL) {
		if (uses->n_chains == 1)
			l->use = uses->upstreams[0];
		else
			document_error(d, object, DOCUMENT_OPENER, "missing \"chain\"");
	}
	complete_target(d, object, l);
	if (l->addr.kind == ADDR_UNIX && l->transports == ACCESS_UDP)
		document_error(d, json_member(object, "addr"), DOCUMENT_VALUE,
			"a socket file takes connections, not datagrams");
	else if (l->addr.kind == ADDR_UNIX)
		l->transports = ACCESS_TCP;
}

static void check_capture(
	struct document *d, const struct json *object, const struct access_listener *l)
{
	if (!access_capture_can_be_at(l->capture, &l->addr))
		document_error(
			d, json_member(object, "addr"), DOCUMENT_VALUE, ACCESS_CAPTURE_PLACES);
}

static void check_users(
	struct document *d, const struct json *object, const struct access_listener *l)
{
	const struct json *users = json_member(object, "users_file");
	if (users != NULL && l->protocols == 0)
		document_error(d, users, DOCUMENT_NAME,
			"users are for proxies; a plain forward asks nobody");
}

static void check_open(struct document *d, const struct json *object,
	const struct access_listener *l, const struct read_uses *uses)
{
	char pointer[64], door[ADDR_TEXT_MAX];
	const struct json *from = json_member(object, "from");
	if (l->is_open || uses->is_open || l->addr.kind == ADDR_UNIX ||
		json_member(object, "users_file") != NULL)
		return;
	if (address_is_anybody(&l->proxies))
		document_error_bare(d, json_member(object, "proxy_protocol"), DOCUMENT_VALUE,
			"%s lets any source say who it is, without users: anyone who reaches %s "
			"could use your chain; set a narrower \"proxy_protocol\", or \"open\": "
			"true",
			document_pointer(d, object, pointer, sizeof pointer),
			address_print_door(&l->addr, door));
	if (!address_is_anybody(&l->from))
		return;
	document_error_bare(d, from, DOCUMENT_VALUE,
		"%s accepts any source without users: anyone who reaches %s could use your "
		"chain; set %sa narrower \"from\", or \"open\": true, or pass --open",
		document_pointer(d, object, pointer, sizeof pointer),
		address_print_door(&l->addr, door), l->protocols != 0 ? "\"users_file\" or " : "");
}

void read_listener(struct document *d, const struct json *object, const struct read_uses *uses,
	struct access_options *o)
{
	static const struct field fields[] = {
		{ "name", read_listen_name, false },
		{ "addr", read_listen_addr, true },
		{ "type", read_type, false },
		{ "to", read_to, false },
		{ "chain", read_listen_chain, false },
		{ "from", read_from, false },
		{ "open", read_open, false },
		{ "users_file", read_users_file, false },
		{ "mode", read_mode, false },
		{ "proxy_protocol", read_proxies, false },
		{ "send_proxy", read_send_proxy, false },
		{ "limits", read_listen_limits, false },
	};
	struct access_listener *listen = reallocarray(o->listen, o->n_listen + 1, sizeof *listen);
	if (listen == NULL) {
		document_error(d, object, DOCUMENT_OPENER, "out of memory");
		return;
	}
	o->listen = listen;
	listen = &listen[o->n_listen++];
	*listen = (struct access_listener){ .transports = ACCESS_TCP | ACCESS_UDP };
	struct listener_file l = { .uses = uses, .listener = listen };
	if (!field_object(d, object, fields, COUNT(fields), &l))
		return;
	complete(d, object, listen, uses);
	check_users(d, object, listen);
	check_capture(d, object, listen);
	read_listener_limits_check(d, object, listen);
	check_open(d, object, listen, uses);
	listen->is_open = listen->is_open || uses->is_open;
}
