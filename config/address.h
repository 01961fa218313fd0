#ifndef CONFIG_ADDRESS_H
#define CONFIG_ADDRESS_H
/*
 * Does: addresses and rules as people write them, and what is wrong with those that are not.
 * Knows: the address grammar. Never knows: where the text stands.
 */
#include "common/addr.h"
#include "common/netset.h"

#define ADDRESS_WHY_MAX 400

/* What an address is for: decides the hint. */
enum address_role {
	ADDRESS_HOP,
	ADDRESS_TARGET,
	ADDRESS_LISTEN,
};

/** address_parse() - Return: false, with one sentence in @why, if @text is no address of that role.
 */
NODISCARD bool address_parse(
	const char *text, enum address_role role, struct addr *ret, char why[ADDRESS_WHY_MAX]);
/** address_parse_hop() - the same of a hop, which may also be "srv:NAME": then @ret is that name,
 * port 0. */
NODISCARD bool address_parse_hop(
	const char *text, struct addr *ret, bool *ret_is_srv, char why[ADDRESS_WHY_MAX]);
/** address_print() - as addr_print(), but ":7000" where every address is meant. Returns @to. */
const char *address_print(const struct addr *addr, char to[ADDR_TEXT_MAX]);

/** address_print_door() - what clients reach: "port 1080"; of what is passed "systemd:NAME".
 * Returns
 * @to. */
const char *address_print_door(const struct addr *addr, char to[ADDR_TEXT_MAX]);

/** address_add_target() - a rule about targets. A word that is almost a class is refused. */
NODISCARD bool address_add_target(const char *text, struct netset *set, char why[ADDRESS_WHY_MAX]);
/** address_add_source() - a rule about sources: no names, no ports. */
NODISCARD bool address_add_source(const char *text, struct netset *set, char why[ADDRESS_WHY_MAX]);
/** address_is_anybody() - whether @set lets every source in. */
bool address_is_anybody(const struct netset *set);
/** address_check_server() - whether @text is an IP address, with a port or without. */
NODISCARD bool address_check_server(const char *text, char why[ADDRESS_WHY_MAX]);

#endif
