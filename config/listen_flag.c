#include "config/listen_flag.h"

#include "config/address.h"
#include "config/read_logins.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct scheme {
	const char *text;
	unsigned transports, protocols;
	enum access_capture capture;
};

static const struct scheme schemes[] = {
	{ "tcp://", ACCESS_TCP, 0, ACCESS_NO_CAPTURE },
	{ "udp://", ACCESS_UDP, 0, ACCESS_NO_CAPTURE },
	{ "socks5://", ACCESS_TCP, GREETING_SOCKS, ACCESS_NO_CAPTURE },
	{ "http://", ACCESS_TCP, GREETING_HTTP, ACCESS_NO_CAPTURE },
	{ "redirect://", ACCESS_TCP, 0, ACCESS_REDIRECT },
	{ "tproxy://", ACCESS_TCP | ACCESS_UDP, 0, ACCESS_TPROXY },
};
static const struct scheme no_scheme = { "", ACCESS_TCP | ACCESS_UDP, 0, ACCESS_NO_CAPTURE };

const char *listen_flag_proxy_name(unsigned protocols)
{
	if (protocols == GREETING_SOCKS)
		return "socks5";
	return protocols == GREETING_HTTP ? "http" : "auto";
}

/* Return: NULL after cli_wrong(). */
static const struct scheme *find_scheme(const struct cli *cli, const char *text)
{
	const char *end = strstr(text, "://");
	if (end == NULL)
		return &no_scheme;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		if (strncmp(text, schemes[i].text, strlen(schemes[i].text)) == 0)
			return &schemes[i];
	}
	cli_wrong(cli,
		"--listen: tcp://, udp://, socks5://, http://, redirect:// and tproxy:// are "
		"known, not \"%.*s://\"",
		end - text > 20 ? 20 : (int)(end - text), text);
	return NULL;
}

static bool read_from(const struct cli *cli, const char *list, struct netset *set)
{
	char why[ADDRESS_WHY_MAX];
	char *copy = strdup(list), *rest = copy;
	bool is_good = copy != NULL;
	for (char *word = strsep(&rest, ","); word != NULL && is_good; word = strsep(&rest, ",")) {
		is_good = address_add_source(word, set, why);
		if (!is_good)
			cli_wrong(cli, "--from: %s", why);
	}
	free(copy);
	return is_good;
}

static bool read_to(const struct cli *cli, const char *to, struct access_listener *l)
{
	char why[ADDRESS_WHY_MAX];
	return address_parse(to, ADDRESS_TARGET, &l->to, why) || cli_wrong(cli, "--to: %s", why);
}

/* A target makes it a plain forward; without one the client says where to. */
static bool choose_target(const struct cli *cli, const struct listen_flags *flags, const char *text,
	const struct scheme *scheme, struct access_listener *l)
{
	l->transports = scheme->transports;
	l->protocols = scheme->protocols;
	l->capture = scheme->capture;
	if (l->capture != ACCESS_NO_CAPTURE)
		return flags->to == NULL ||
		       cli_wrong(cli,
			       "--listen %s sends each connection where it was going; "
			       "--to is for plain forwards",
			       text);
	if (l->protocols != 0)
		return flags->to == NULL ||
		       cli_wrong(cli,
			       "--listen %s is a proxy, whose clients say where to; "
			       "--to is for plain forwards",
			       text);
	if (flags->to != NULL)
		return read_to(cli, flags->to, l);
	const struct chain_spec *chain = access_options_chain_of(l->use);
	if (chain->has_target) {
		l->to = chain->target;
		return true;
	}
	if (scheme != &no_scheme)
		return cli_wrong(cli,
			"--listen %s needs --to HOST:PORT, or a \"target\" in the "
			"chain file",
			text);
	l->transports = ACCESS_TCP;
	l->protocols = GREETING_SOCKS | GREETING_HTTP;
	return true;
}

static bool take_streams_alone(const struct cli *cli, const char *text, struct access_listener *l)
{
	l->transports &= ACCESS_TCP;
	return l->transports != 0 ||
	       cli_wrong(cli, "--listen %s: it takes connections, not datagrams", text);
}

static void check_open(const char *text, const struct access_listener *l, struct report *report)
{
	char door[ADDR_TEXT_MAX];
	if (l->is_open || l->needs_user || l->addr.kind == ADDR_UNIX ||
		!address_is_anybody(&l->from))
		return;
	report_add_plain(report,
		"--listen %s accepts any source without users: anyone who reaches %s could "
		"use your chain; set %sa narrower --from, or pass --open",
		text, address_print_door(&l->addr, door),
		l->protocols != 0 ? "--users-file or " : "");
}

enum cli_exit listen_flag_read(const struct cli *cli, const struct listen_flags *flags,
	const char *text, const struct chain_upstream_spec *use, struct report *report,
	struct access_listener *ret)
{
	char why[ADDRESS_WHY_MAX];
	const struct scheme *scheme = find_scheme(cli, text);
	if (scheme == NULL)
		return CLI_USAGE;
	ret->use = use;
	ret->is_open = flags->is_open;
	if (!address_parse(text + strlen(scheme->text), ADDRESS_LISTEN, &ret->addr, why)) {
		cli_wrong(cli, "--listen: %s", why);
		return CLI_USAGE;
	}
	if ((flags->from != NULL && !read_from(cli, flags->from, &ret->from)) ||
		!choose_target(cli, flags, text, scheme, ret))
		return CLI_USAGE;
	if (flags->users_file != NULL && ret->protocols == 0) {
		cli_wrong(cli,
			"--users-file is for proxies; --listen %s is a plain forward, which "
			"asks nobody",
			text);
		return CLI_USAGE;
	}
	if (flags->users_file != NULL) {
		ret->needs_user = true;
		if (!read_logins_file(flags->users_file, report, &ret->users, &ret->n_users))
			return CLI_CONFIG;
	}
	if (!access_capture_can_be_at(ret->capture, &ret->addr)) {
		cli_wrong(cli, "--listen %s: " ACCESS_CAPTURE_PLACES, text);
		return CLI_USAGE;
	}
	if ((ret->addr.kind == ADDR_UNIX || ret->addr.kind == ADDR_STDIO) &&
		!take_streams_alone(cli, text, ret))
		return CLI_USAGE;
	check_open(text, ret, report);
	return CLI_OK;
}
