#include "chain/cli_doctor.h"
#include "chain/cli_prefix.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* docs/protocol.md 2.12: how far a client's clock may be off. */
#define REFUSED_BEHIND_MS 30000
#define REFUSED_AHEAD_MS  10000
#define CLOCK_WARN_MS     5000
#define CLOCK_SPARE_MS    2000 /* so much more, and the hop is silent */
#define REMEDY_MAX        600
#define SOME_TARGET       "192.0.2.1:443" /* any IPv4 address */
#define ETHERNET_MTU      1500

/* "HOST:PORT", "[IPV6]:PORT". Return: false if @host is too small. */
static bool split_address(const char *address, char *host, size_t size, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon == address)
		return false;
	size_t len = (size_t)(colon - address);
	if (address[0] == '[') {
		address++;
		len -= 2;
	}
	if (len >= size)
		return false;
	memcpy(host, address, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return true;
}

static bool is_ip(const char *host)
{
	unsigned char ip[16];
	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void cli_doctor_names(struct cli_findings *to, const struct hopchain_chain *chain)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct cli_finding f = { .section = "dns", .hop = 1 };
	struct addrinfo *list = NULL;
	char host[300];
	const char *port;
	size_t n = 0;
	const char *address = hopchain_chain_hop_address(chain, 1);
	if (strncmp(address, "srv:", strlen("srv:")) == 0 || /* what "hops" says of it is all */
		!split_address(address, host, sizeof host, &port))
		return;
	if (is_ip(host)) {
		cli_findings_add(to, &f, "nothing to resolve here: hop 1 is an IP address");
		return;
	}
	double start = now_ms();
	int error = getaddrinfo(host, port, &hints, &list);
	double took = now_ms() - start;
	if (error != 0) {
		f.level = CLI_FINDING_PROBLEM;
		f.exit_code = CLI_FIRST_HOP;
		f.slug = error == EAI_AGAIN ? "resolve-temp" : "resolve-fail";
		f.remedy = "getent ahosts NAME; cat /etc/resolv.conf; correct \"addr\" of hop 1";
		cli_findings_add(to, &f, "%s: %s after %.0f ms", host, gai_strerror(error), took);
		return;
	}
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		n++;
	freeaddrinfo(list);
	cli_findings_add(to, &f, "%s: %zu address%s in %.1f ms", host, n, n == 1 ? "" : "es", took);
}

static void add_clock(struct cli_findings *to, const struct cli_prefix *p)
{
	struct cli_finding f = { .section = "clock", .hop = p->hop };
	int64_t off = p->clock_offset_ms, size = off < 0 ? -off : off;
	if (!p->has_clock)
		return;
	if (size < CLOCK_WARN_MS) {
		cli_findings_add(to, &f, "hop %u is %lld ms %s this machine", p->hop,
			(long long)size, off < 0 ? "behind" : "ahead of");
		return;
	}
	int64_t refused_ms = off > 0 ? REFUSED_BEHIND_MS : REFUSED_AHEAD_MS;
	f.level = size < refused_ms - CLOCK_SPARE_MS ? CLI_FINDING_WARNING : CLI_FINDING_PROBLEM;
	f.exit_code = CLI_FAILED;
	f.remedy = "timedatectl set-ntp true, here and there";
	cli_findings_add(to, &f, "this machine is %lld s %s hop %u (refused from %lld s)",
		(long long)((size + 500) / 1000), off > 0 ? "behind" : "ahead of", p->hop,
		(long long)refused_ms / 1000);
}

static void add_good_hop(struct cli_findings *to, const struct cli_prefix *p, const char *address)
{
	struct cli_finding f = { .section = "hops", .hop = p->hop };
	cli_findings_add(to, &f,
		"hop %u (%s) answered in %.1f ms, resolved in %.1f ms, connected in %.1f ms%s%s",
		p->hop, address, (double)p->total_us / 1000, (double)p->resolve_us / 1000,
		(double)p->connect_us / 1000, p->software[0] != '\0' ? ": " : "", p->software);
}

/* Sentence and hint of a failure; where it has none, the first step of its page. */
static void add_failed_hop(struct cli_findings *to, const struct cli_prefix *p)
{
	static const char mark[] = "; hint: ";
	char remedy[REMEDY_MAX];
	const char *hint = strstr(p->text, mark);
	const struct hopchain_status *page = hopchain_status_find(p->slug);
	const char *step = hint != NULL ? hint + strlen(mark) : page != NULL ? page->remedy : "";
	struct cli_finding f = { .section = "hops",
		.level = CLI_FINDING_PROBLEM,
		.hop = p->hop,
		.slug = p->slug,
		.exit_code = p->exit_code,
		.remedy = remedy };
	snprintf(remedy, sizeof remedy, "%.*s (chain explain %s)", (int)strcspn(step, "\n"), step,
		p->slug);
	cli_findings_add(to, &f, "%.*s",
		hint != NULL ? (int)(hint - p->text) : (int)strlen(p->text), p->text);
}

static void add_hops(
	struct cli_findings *to, const struct hopchain_chain *chain, const struct cli_prefixes *tcp)
{
	const struct cli_prefix *failed = cli_prefix_first_failed(tcp);
	for (size_t i = 0; i < tcp->n; i++) {
		const struct cli_prefix *p = &tcp->all[i];
		struct cli_finding f = {
			.section = "hops", .level = CLI_FINDING_WARNING, .hop = p->hop
		};
		if (p->is_good)
			add_good_hop(to, p, hopchain_chain_hop_address(chain, p->hop));
		else if (p == failed)
			add_failed_hop(to, p);
		else
			cli_findings_add(to, &f, "hop %u (%s) was not reached, because of hop %u",
				p->hop, hopchain_chain_hop_address(chain, p->hop), failed->hop);
	}
}

/* UDP that does not come through costs speed, not the connection: chains fall back to a stream. */
static void add_udp(
	struct cli_findings *to, const struct cli_prefixes *tcp, const struct cli_prefixes *udp)
{
	const struct cli_prefix *failed = cli_prefix_first_failed(udp);
	char remedy[REMEDY_MAX];
	struct cli_finding f = { .section = "udp" };
	if (failed == NULL) {
		cli_findings_add(to, &f, "datagrams come through all %zu hop%s, in %.1f ms", udp->n,
			udp->n == 1 ? "" : "s", (double)udp->all[udp->n - 1].total_us / 1000);
		return;
	}
	f.level = CLI_FINDING_WARNING;
	f.hop = failed->hop;
	f.slug = failed->slug;
	if (!tcp->all[failed->hop - 1].is_good) {
		cli_findings_add(
			to, &f, "datagrams stop where connections do, at hop %u", failed->hop);
		return;
	}
	f.remedy = remedy;
	snprintf(remedy, sizeof remedy,
		"open the UDP port of hop %u in the firewalls, and let the hop take UDP (its "
		"\"listen\" without \"udp\": false); or \"udp\": \"stream\" in the chain file",
		failed->hop);
	cli_findings_add(to, &f,
		"datagrams do not reach hop %u, or its answers do not come back, though "
		"connections do: %s",
		failed->hop, failed->slug);
}

/* What the kernel has learnt about the path to @address; 0: nothing. */
static int path_mtu(const char *address)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *a = NULL;
	char host[80];
	const char *port;
	int mtu = 0;
	socklen_t size = sizeof mtu;
	if (!split_address(address, host, sizeof host, &port) ||
		getaddrinfo(host, port, &hints, &a) != 0)
		return 0;
	int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_known = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0 &&
			getsockopt(fd, a->ai_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
				a->ai_family == AF_INET6 ? IPV6_MTU : IP_MTU, &mtu, &size) == 0;
	if (fd >= 0)
		close(fd);
	freeaddrinfo(a);
	return is_known ? mtu : 0;
}

static void add_size(struct cli_findings *to, const struct hopchain_chain *chain,
	const struct cli_prefix *first_hop)
{
	struct cli_finding f = { .section = "size" };
	const char *target = hopchain_chain_target(chain);
	size_t first, steady;
	int mtu = first_hop->is_good ? path_mtu(first_hop->dialled) : 0;
	if (hopchain_chain_mtu(chain, target != NULL ? target : SOME_TARGET, &first, &steady) != 0)
		return;
	cli_findings_add(to, &f,
		"datagrams of %zu bytes fit a link of %d, the first ones of a flow %zu", steady,
		ETHERNET_MTU, first);
	if (mtu == 0)
		return;
	f.hop = 1;
	if (mtu >= ETHERNET_MTU) {
		cli_findings_add(to, &f, "the path to hop 1 takes packets of %d bytes", mtu);
		return;
	}
	f.level = CLI_FINDING_WARNING;
	f.remedy = "let programs send smaller datagrams; larger ones travel in fragments";
	cli_findings_add(to, &f, "the path to hop 1 takes packets of %d bytes only: subtract %d",
		mtu, ETHERNET_MTU - mtu);
}

void cli_doctor_way(struct cli_findings *to, const struct hopchain_chain *chain)
{
	struct cli_finding f = {
		.section = "hops", .level = CLI_FINDING_PROBLEM, .exit_code = CLI_FAILED
	};
	struct cli_prefixes tcp, udp;
	int error = cli_prefix_probe(chain, false, &tcp);
	if (error == 0)
		error = cli_prefix_probe(chain, true, &udp);
	if (error != 0) {
		cli_findings_add(to, &f, "cannot be asked: %s", hopchain_strerror(error));
		return;
	}
	for (size_t i = 0; i < tcp.n; i++) {
		if (tcp.all[i].is_good)
			add_clock(to, &tcp.all[i]);
	}
	add_hops(to, chain, &tcp);
	add_udp(to, &tcp, &udp);
	add_size(to, chain, &tcp.all[0]);
}
