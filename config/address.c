#include "config/address.h"

#include "config/report.h"
#include "config/suggest.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX  80
#define SRV_PREFIX "srv:"

static const char *const class_words[] = { "any", "loopback", "unspecified", "private",
	"link-local", "metadata", "multicast", "reserved", "own", "local" };
#define N_CLASS_WORDS (sizeof class_words / sizeof class_words[0])

__attribute__((format(printf, 2, 3))) static bool refuse(
	char why[ADDRESS_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, ADDRESS_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static bool is_digits(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool refuse_no_port(const char *shown, enum address_role role, char *why)
{
	if (role == ADDRESS_HOP)
		return refuse(why,
			"\"%s\" has no port; hint: hops usually listen on 7000: \"%s:7000\"", shown,
			shown);
	return refuse(why, "\"%s\" has no port; expected something like \"%s:%s\"", shown, shown,
		role == ADDRESS_LISTEN ? "7000" : "22");
}

static bool refuse_name(const char *shown, enum address_role role, char *why)
{
	if (role != ADDRESS_LISTEN)
		return refuse(why, "\"%s\" is not a host name or IP address with a port", shown);
	if (is_digits(shown))
		return refuse(why, "\"%s\" has no host part; did you mean \":%s\"?", shown, shown);
	return refuse(why,
		"\"%s\" is not an address of this host; expected \":PORT\", an IP address with a "
		"port, \"unix:/PATH\" or \"systemd:NAME\"",
		shown);
}

bool address_parse(
	const char *text, enum address_role role, struct addr *ret, char why[ADDRESS_WHY_MAX])
{
	char shown[SHOWN_MAX];
	const char *colon = strrchr(text, ':');
	enum addr_parse_error error =
		role == ADDRESS_LISTEN ? addr_parse_listen(text, ret) : addr_parse_dial(text, ret);
	report_quote(text, shown, sizeof shown);
	switch (error) {
	case ADDR_OK:
		return true;
	case ADDR_EMPTY:
		if (*text == '\0')
			return refuse(why, "the address is empty");
		return refuse(why, "\"%s\" has no host; expected HOST:PORT", shown);
	case ADDR_NO_PORT:
		return refuse_no_port(shown, role, why);
	case ADDR_BAD_PORT:
		report_quote(colon != NULL ? colon + 1 : text, shown, sizeof shown);
		return refuse(why, "\"%s\" is not a port number", shown);
	case ADDR_PORT_RANGE:
		report_quote(colon != NULL ? colon + 1 : text, shown, sizeof shown);
		return refuse(why, "port %s is out of range (%d to 65535)", shown,
			role == ADDRESS_LISTEN ? 0 : 1);
	case ADDR_AMBIGUOUS_IP6:
		return refuse(why, "\"%s\" is ambiguous; write \"[%.*s]:%s\"", shown,
			(int)(colon - text), text, colon + 1);
	case ADDR_BAD_IP6:
		return refuse(why, "\"%s\" has a malformed IPv6 address", shown);
	case ADDR_BAD_PATH:
		return refuse(why,
			"\"%s\" needs an absolute path of at most %d bytes: \"unix:/PATH\"", shown,
			ADDR_PATH_MAX);
	case ADDR_BAD_SYSTEMD:
		return refuse(why,
			"\"%s\" needs the name of a socket unit: \"systemd:NAME\", as in its "
			"FileDescriptorName=",
			shown);
	case ADDR_BAD_NAME:
		break;
	}
	return refuse_name(shown, role, why);
}

static bool parse_srv(const char *name, struct addr *ret, char why[ADDRESS_WHY_MAX])
{
	char shown[SHOWN_MAX];
	size_t len = strlen(name);
	if (len > 0 && name[len - 1] == '.')
		len--;
	report_quote(name, shown, sizeof shown);
	if (name[0] != '_' || !addr_name_is_valid(bytes_of(name, len)))
		return refuse(why,
			"\"srv:%s\" names no SRV records; expected something like "
			"\"srv:_hop._tcp.example.net\", without a port",
			shown);
	*ret = (struct addr){ .kind = ADDR_NAME };
	memcpy(ret->name, name, len);
	return true;
}

bool address_parse_hop(
	const char *text, struct addr *ret, bool *ret_is_srv, char why[ADDRESS_WHY_MAX])
{
	*ret_is_srv = strncmp(text, SRV_PREFIX, strlen(SRV_PREFIX)) == 0;
	if (*ret_is_srv)
		return parse_srv(text + strlen(SRV_PREFIX), ret, why);
	return address_parse(text, ADDRESS_HOP, ret, why);
}

const char *address_print(const struct addr *addr, char to[ADDR_TEXT_MAX])
{
	if (addr->kind != ADDR_NONE)
		return addr_print(addr, to);
	snprintf(to, ADDR_TEXT_MAX, ":%u", addr->port);
	return to;
}

const char *address_print_door(const struct addr *addr, char to[ADDR_TEXT_MAX])
{
	if (!addr_is_port(addr))
		return addr_print(addr, to);
	snprintf(to, ADDR_TEXT_MAX, "port %u", addr->port);
	return to;
}

/* "loopbak" would be a rule about a host of that name, and a deny rule that denies nothing. */
static const char *almost_class(const char *name)
{
	if (strchr(name, '.') != NULL)
		return NULL;
	return suggest(name, class_words, N_CLASS_WORDS);
}

static bool refuse_last(struct netset *set, char *why, const char *meant)
{
	char shown[SHOWN_MAX];
	report_quote(set->rules[set->n_rules - 1].text, shown, sizeof shown);
	if (meant != NULL)
		return refuse(
			why, "\"%s\" is not a known class; did you mean \"%s\"?", shown, meant);
	return refuse(why,
		"\"%s\" is not a source; expected an IP address, a CIDR or one of loopback, "
		"private, local, any",
		shown);
}

bool address_add_target(const char *text, struct netset *set, char why[ADDRESS_WHY_MAX])
{
	char shown[SHOWN_MAX];
	int error = netset_add(set, text);
	report_quote(text, shown, sizeof shown);
	if (error == ERR_NOMEM)
		return refuse(why, "out of memory");
	if (error != 0)
		return refuse(why,
			"\"%s\" is not a target; expected something like \"*:443\", "
			"\"10.0.0.0/8:22\", \"*.example.org\" or \"loopback\"",
			shown);
	const struct net_rule *rule = &set->rules[set->n_rules - 1];
	const char *meant = rule->kind == NET_NAME ? almost_class(rule->name) : NULL;
	return meant == NULL || refuse_last(set, why, meant);
}

bool address_add_source(const char *text, struct netset *set, char why[ADDRESS_WHY_MAX])
{
	char shown[SHOWN_MAX];
	int error = netset_add(set, text);
	report_quote(text, shown, sizeof shown);
	if (error == ERR_NOMEM)
		return refuse(why, "out of memory");
	if (error != 0)
		return refuse(why,
			"\"%s\" is not a source; expected an IP address, a CIDR or one of "
			"loopback, private, local, any",
			shown);
	const struct net_rule *rule = &set->rules[set->n_rules - 1];
	if (rule->kind == NET_NAME)
		return refuse_last(set, why, almost_class(rule->name));
	if (rule->port_low != 1 || rule->port_high != UINT16_MAX)
		return refuse(why, "\"%s\": a rule about sources has no port", shown);
	return true;
}

bool address_is_anybody(const struct netset *set)
{
	for (size_t i = 0; i < set->n_rules; i++) {
		const struct net_rule *rule = &set->rules[i];
		if (rule->kind == NET_ANY || (rule->kind == NET_CIDR && rule->prefix_bits == 0))
			return true;
	}
	return false;
}

bool address_check_server(const char *text, char why[ADDRESS_WHY_MAX])
{
	struct addr addr;
	uint8_t ip[16];
	char shown[SHOWN_MAX];
	if (inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1)
		return true;
	if (addr_parse_dial(text, &addr) == ADDR_OK && addr.kind != ADDR_NAME)
		return true;
	return refuse(why,
		"\"%s\" is not a DNS server; expected an IP address like \"127.0.0.1:53\"",
		report_quote(text, shown, sizeof shown));
}
