#include "config/tproxy_rules.h"

#include "access/options.h"
#include "config/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TABLE        "hopchain"

static const struct cli_option options[] = {
	{ "listen", 0, "ADDR", "What", "where access listens: as its --tproxy", NULL },
	{ "redirect", 0, NULL, NULL, "for its --redirect instead: connections alone", NULL },
	{ "local", 0, NULL, NULL, "programs of this host, too", NULL },
	{ "mark", 0, "N", NULL, "of access's own sockets, left alone", "26723" },
	{ "nft", 0, NULL, "How", "commands of nftables; the default", NULL },
	{ "iptables", 0, NULL, NULL, "commands of iptables", NULL },
	{ "undo", 0, NULL, NULL, "what takes it all back", NULL },
};
static const struct cli cli = {
	.program = "access tproxy-rules",
	.head = "Usage: access tproxy-rules --listen ADDR [options]\n"
		"Print the rules that give connections of others to a transparent listener.\n"
		"Nothing is changed: read them, then run them as root.\n"
		"\n"
		"  access tproxy-rules --listen :12345 | sudo sh\n"
		"  access tproxy-rules --listen :12345 --undo | sudo sh\n",
	.foot = "See also: man access (TRANSPARENT)",
	.options = options,
	.n_options = COUNT(options),
};

struct wish {
	struct addr at;
	uint32_t mark;
	bool has_at, is_redirect, is_local, is_iptables, is_undo;
};

static bool read_mark(const char *text, uint32_t *ret)
{
	char *end;
	bool is_hex = strncmp(text, "0x", 2) == 0;
	const char *digits = is_hex ? text + 2 : text;
	size_t n = strspn(digits, is_hex ? "0123456789abcdefABCDEF" : "0123456789");
	if (n == 0 || n > 10 || digits[n] != '\0')
		return false;
	unsigned long long value = strtoull(digits, &end, is_hex ? 16 : 10);
	if (value == 0 || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool on_option(size_t i, const char *argument, void *owner)
{
	char why[ADDRESS_WHY_MAX];
	struct wish *w = owner;
	const char *name = options[i].name;
	if (strcmp(name, "listen") == 0) {
		w->has_at = true;
		if (!address_parse(argument, ADDRESS_LISTEN, &w->at, why))
			return cli_wrong(&cli, "--listen: %s", why);
		return (addr_is_port(&w->at) && w->at.port != 0) ||
		       cli_wrong(&cli, "--listen needs a port that is known: \":12345\"");
	}
	if (strcmp(name, "mark") == 0)
		return read_mark(argument, &w->mark) ||
		       cli_wrong(&cli, "--mark needs a number from 1 to 4294967295");
	w->is_redirect |= strcmp(name, "redirect") == 0;
	w->is_local |= strcmp(name, "local") == 0;
	w->is_iptables |= strcmp(name, "iptables") == 0;
	w->is_undo |= strcmp(name, "undo") == 0;
	return true;
}

static bool has_ip4(const struct wish *w)
{
	return w->at.kind != ADDR_IP6;
}

static bool has_ip6(const struct wish *w)
{
	return w->at.kind != ADDR_IP4;
}

/* Packets with the mark of the rules, which is that of our sockets and 1 more, come to this host
 * although they go elsewhere. Its number is that of the routing table, too. */
static uint32_t route_mark(const struct wish *w)
{
	return w->mark == UINT32_MAX ? w->mark - 1 : w->mark + 1;
}

static void print_routes(const struct wish *w)
{
	const char *verb = w->is_undo ? "del" : "add";
	static const char *const families[] = { "-4", "-6" };
	printf("# what the rules mark is delivered here, wherever it goes\n");
	for (size_t i = 0; i < 2; i++) {
		if (!(i == 0 ? has_ip4(w) : has_ip6(w)))
			continue;
		printf("ip %s rule %s fwmark %" PRIu32 " lookup %" PRIu32 "\n", families[i], verb,
			route_mark(w), route_mark(w));
		printf("ip %s route %s local default dev lo table %" PRIu32 "\n", families[i], verb,
			route_mark(w));
	}
}

static void print_nft_exceptions(const struct wish *w, bool is_output)
{
	printf("\t\t# access's own connections: else they would come back to it\n"
	       "\t\tmeta mark %" PRIu32 " return\n"
	       "\t\t# what goes to this host itself, and to no single host\n"
	       "\t\tfib daddr type { local, broadcast, anycast, multicast } return\n"
	       "\t\tip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } return\n"
	       "\t\tip6 daddr { ::/128, ::1/128, fe80::/10, ff00::/8 } return\n"
	       "\t\t# answers in connections that come from elsewhere\n"
	       "\t\tct direction reply return\n",
		w->mark);
	if (!has_ip4(w) || !has_ip6(w))
		printf("\t\t# the listener has one family\n\t\tmeta nfproto != %s return\n",
			has_ip4(w) ? "ipv4" : "ipv6");
	(void)is_output;
}

static void print_nft_tproxy(const struct wish *w)
{
	char ip[ADDR_TEXT_MAX];
	bool is_any = w->at.kind == ADDR_NONE;
	addr_print(&w->at, ip);
	printf("\tchain prerouting {\n"
	       "\t\ttype filter hook prerouting priority mangle; policy accept;\n");
	print_nft_exceptions(w, false);
	printf("\t\tmeta l4proto { tcp, udp } tproxy %sto ", is_any       ? ""
							     : has_ip4(w) ? "ip "
									  : "ip6 ");
	if (is_any)
		printf(":%u", w->at.port);
	else
		printf("%s", ip);
	printf(" meta mark set %" PRIu32 " accept\n\t}\n", route_mark(w));
	if (!w->is_local)
		return;
	printf("\t# programs of this host: marked, so that they are routed to prerouting\n"
	       "\tchain output {\n"
	       "\t\ttype route hook output priority mangle; policy accept;\n");
	print_nft_exceptions(w, true);
	printf("\t\tmeta l4proto { tcp, udp } meta mark set %" PRIu32 "\n\t}\n", route_mark(w));
}

static void print_nft_redirect(const struct wish *w)
{
	static const char *const hooks[] = { "prerouting", "output" };
	for (size_t i = 0; i < (w->is_local ? 2 : 1); i++) {
		printf("\tchain %s {\n\t\ttype nat hook %s priority -100; policy accept;\n",
			hooks[i], hooks[i]);
		print_nft_exceptions(w, i == 1);
		printf("\t\tmeta l4proto tcp redirect to :%u\n\t}\n", w->at.port);
	}
}

static void print_nft(const struct wish *w)
{
	if (w->is_undo) {
		printf("nft delete table inet " TABLE "\n");
		return;
	}
	printf("nft -f - <<'END'\ntable inet " TABLE " {\n");
	if (w->is_redirect)
		print_nft_redirect(w);
	else
		print_nft_tproxy(w);
	printf("}\nEND\n");
}

static void print_iptables_exceptions(const struct wish *w, const char *tool, const char *table)
{
	static const char *const types[] = { "LOCAL", "BROADCAST", "MULTICAST" };
	bool is_ip4 = strcmp(tool, "iptables") == 0;
	printf("# access's own connections: else they would come back to it\n");
	printf("%s -t %s -A HOPCHAIN -m mark --mark %" PRIu32 " -j RETURN\n", tool, table, w->mark);
	printf("# what goes to this host itself, and to no single host\n");
	for (size_t i = 0; i < COUNT(types); i++) {
		if (is_ip4 || i != 1)
			printf("%s -t %s -A HOPCHAIN -m addrtype --dst-type %s -j RETURN\n", tool,
				table, types[i]);
	}
	printf("%s -t %s -A HOPCHAIN -d %s -j RETURN\n", tool, table,
		is_ip4 ? "127.0.0.0/8" : "fe80::/10");
	printf("# answers in connections that come from elsewhere\n"
	       "%s -t %s -A HOPCHAIN -m conntrack --ctdir REPLY -j RETURN\n",
		tool, table);
}

static void print_iptables_tproxy(const struct wish *w, const char *tool, const char *table)
{
	static const char *const protocols[] = { "tcp", "udp" };
	char ip[INET6_ADDRSTRLEN + 12] = "";
	if (w->at.kind == ADDR_IP4 || w->at.kind == ADDR_IP6) {
		char text[ADDR_TEXT_MAX];
		addr_print(&w->at, text);
		char *colon = strrchr(text, ':');
		*colon = '\0';
		bool has_brackets = *text == '[';
		text[strlen(text) - has_brackets] = '\0';
		snprintf(ip, sizeof ip, " --on-ip %.45s", text + has_brackets);
	}
	for (size_t i = 0; i < 2; i++)
		printf("%s -t %s -A HOPCHAIN -p %s -j TPROXY%s --on-port %u --tproxy-mark %" PRIu32
		       "\n",
			tool, table, protocols[i], ip, w->at.port, route_mark(w));
}

static void print_iptables_local(const struct wish *w, const char *tool)
{
	printf("# programs of this host: marked, so that they are routed to PREROUTING\n");
	for (size_t i = 0; i < 2; i++)
		printf("%s -t mangle -A OUTPUT -p %s -m mark ! --mark %" PRIu32
		       " -m addrtype ! --dst-type LOCAL -m conntrack --ctdir ORIGINAL"
		       " -j MARK --set-mark %" PRIu32 "\n",
			tool, i == 0 ? "tcp" : "udp", w->mark, route_mark(w));
}

static void print_iptables_undo(const struct wish *w, const char *tool, const char *table)
{
	printf("%s -t %s -D PREROUTING -j HOPCHAIN\n", tool, table);
	if (w->is_local && w->is_redirect)
		printf("%s -t %s -D OUTPUT -j HOPCHAIN\n", tool, table);
	for (size_t i = 0; w->is_local && !w->is_redirect && i < 2; i++)
		printf("%s -t mangle -D OUTPUT -p %s -m mark ! --mark %" PRIu32
		       " -m addrtype ! --dst-type LOCAL -m conntrack --ctdir ORIGINAL"
		       " -j MARK --set-mark %" PRIu32 "\n",
			tool, i == 0 ? "tcp" : "udp", w->mark, route_mark(w));
	printf("%s -t %s -F HOPCHAIN\n%s -t %s -X HOPCHAIN\n", tool, table, tool, table);
}

static void print_iptables(const struct wish *w, const char *tool)
{
	const char *table = w->is_redirect ? "nat" : "mangle";
	if (w->is_undo) {
		print_iptables_undo(w, tool, table);
		return;
	}
	printf("%s -t %s -N HOPCHAIN\n", tool, table);
	print_iptables_exceptions(w, tool, table);
	if (w->is_redirect)
		printf("%s -t %s -A HOPCHAIN -p tcp -j REDIRECT --to-ports %u\n", tool, table,
			w->at.port);
	else
		print_iptables_tproxy(w, tool, table);
	printf("%s -t %s -A PREROUTING -j HOPCHAIN\n", tool, table);
	if (w->is_local && w->is_redirect)
		printf("%s -t %s -A OUTPUT -j HOPCHAIN\n", tool, table);
	else if (w->is_local)
		print_iptables_local(w, tool);
}

static void print_rules(const struct wish *w)
{
	char text[ADDR_TEXT_MAX];
	printf("# %s%s: %s\n", w->is_undo ? "takes back: " : "",
		w->is_redirect ? "connections to" : "connections and datagrams to",
		address_print(&w->at, text));
	if (!w->is_redirect)
		print_routes(w);
	if (!w->is_iptables) {
		print_nft(w);
		return;
	}
	if (has_ip4(w))
		print_iptables(w, "iptables");
	if (has_ip6(w))
		print_iptables(w, "ip6tables");
}

static enum cli_exit run(int argc, char **argv)
{
	struct wish w = { .mark = ACCESS_MARK };
	int n_rest = 0;
	switch (cli_parse(&cli, argc, argv, on_option, &w, &n_rest)) {
	case CLI_WRONG:
		return CLI_USAGE;
	case CLI_HELPED:
		return CLI_OK;
	case CLI_GOOD:
		break;
	}
	if (n_rest > 0)
		cli_wrong(&cli, "unexpected argument \"%.60s\"", argv[argc - n_rest]);
	else if (!w.has_at)
		cli_wrong(&cli, "needs --listen ADDR");
	else
		print_rules(&w);
	return n_rest > 0 || !w.has_at ? CLI_USAGE : CLI_OK;
}

const struct cli_command tproxy_rules_row = {
	"tproxy-rules",
	"print firewall rules for transparent listeners",
	&cli,
	NULL,
	run,
};
