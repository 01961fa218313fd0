#include "chain/explain.h"

#include "chain/wire_status.h"

/* What was heard, or not; names; connections. */
static const struct hopchain_status pages[] = {
	{
		.slug = "no-answer",
		.code = EXPLAIN_NO_CODE,
		.exit_code = 7,
		.summary = "the hop took the connection and said nothing that answers our header",
		.meaning = "This program says it, of the first hop that did not answer. The hop "
			   "before it did connect (its time is in the sentence), so an address and "
			   "a port are right and something listens there. A hop answers only what "
			   "it can open: to a wrong key, an unknown or expired user, a header that "
			   "was seen before, or a clock that is more than 30 s behind or 10 s "
			   "ahead of its own, it stays silent on purpose, so that strangers learn "
			   "nothing. From here all of these look alike, and like a program that is "
			   "no hop at all and waits. \"wrong key, or not one of ours\" after an "
			   "answer came means: something answered, and it was not sealed with this "
			   "key.",
		.remedy = "On that hop, read why: journalctl -u hop --since -5min | grep rejected "
			  "(or wherever its log goes). reason=unknown-key: the key of your chain "
			  "file is not a user there. reason=expired-key: its not_before or "
			  "not_after excludes today. reason=clock: the line says by how much. "
			  "reason=replayed: somebody sends old headers again.\n"
			  "No line at all: your connection did not reach that hop. Compare the "
			  "address in the chain file with its \"listening addr=\" line; ask chain "
			  "explain not-a-hop.\n"
			  "Clocks: chain doctor shows how far each hop that answers is off; "
			  "timedatectl set-ntp true puts this machine right.\n"
			  "A new key: chain keygen -o hop2.key on the hop, hop --user me,hop2.key "
			  "there, and the same file here under \"key_file\".",
	},
	{
		.slug = "not-a-hop",
		.code = EXPLAIN_NO_CODE,
		.exit_code = 7,
		.summary = "the first bytes that came are those of another protocol",
		.meaning =
			"This program says it. It connected, and before or instead of an answer "
			"it read text: \"SSH-2.0\" is an ssh server, \"HTTP/\" a web server or an "
			"HTTP proxy, \"220\" a mail or FTP server. A hop never speaks first.",
		.remedy = "Put the port of the hop, not that of the other server, into \"addr\" of "
			  "the chain file; hops usually listen on 7000.\n"
			  "On that machine: ss -ltnp shows which program has which port.\n"
			  "A proxy or login page in between answers for everybody: try from "
			  "another network.",
	},
	{
		.slug = "login-refused",
		.code = EXPLAIN_NO_CODE,
		.exit_code = 7,
		.summary = "a foreign proxy refused our login, or wants one",
		.meaning = "This program says it, of a step of the chain that is somebody else's "
			   "proxy (\"type\": \"socks5\" or \"http\"). The proxy was reached and "
			   "speaks its protocol. It took neither the user and password of the "
			   "chain file nor a client without them. Over HTTP this is status 407 or "
			   "401. A "
			   "proxy that lets in certain addresses only may answer the same.",
		.remedy = "Compare user and password of this step in the chain file with what the "
			  "proxy's operator gave you; an account may have expired.\n"
			  "Try them without a chain: curl -x socks5h://USER@HOST:PORT "
			  "https://example.org (http:// for an HTTP proxy) asks for the password.\n"
			  "A password goes to the proxy as it is: only hops that stand before it "
			  "hide it from the network between.",
	},
	{
		.slug = "not-a-proxy",
		.code = EXPLAIN_NO_CODE,
		.exit_code = 7,
		.summary = "what answered does not speak the foreign proxy's protocol",
		.meaning =
			"This program says it, of a step of the chain that is somebody else's "
			"proxy. Something took the connection, and what it answered is not "
			"SOCKS version 5, or not the head of an HTTP answer. An HTTP proxy that "
			"is asked in SOCKS closes or sends an HTTP error; a hop that is asked in "
			"SOCKS says nothing at all.",
		.remedy = "Compare type and port of this step with those of the proxy: 1080 is "
			  "usually SOCKS, 3128 and 8080 are usually HTTP.\n"
			  "A proxy that wants TLS first cannot be a step.\n"
			  "A SOCKS4 proxy cannot be a step either: ask for its SOCKS5 port.",
	},
	{
		.slug = "lost",
		.code = EXPLAIN_NO_CODE,
		.exit_code = 9,
		.summary = "the connection broke after every hop had said OK",
		.meaning = "This program says it. The stream stood and then ended without its "
			   "orderly end: a hop or the target's connection was reset, a hop was "
			   "stopped, a network vanished, or a sealed record was damaged on its "
			   "way. The end of a stream that comes without a seal is never taken for "
			   "a clean end, so a cut file cannot pass for a whole one.",
		.remedy = "Run it again; if it happens again after the same time, something on "
			  "the way forgets quiet connections: let the program send keepalives "
			  "(ssh: ServerAliveInterval 30), or raise \"timeouts\": {\"idle\": …} of "
			  "chain file and hops.\n"
			  "chain trace --chain FILE -c 60 shows which hop loses answers.\n"
			  "On the hops: journalctl -u hop | grep closed, and look at end=.",
	},
	{
		.slug = "resolve-fail",
		.code = STATUS_RESOLVE_FAIL,
		.exit_code = 8,
		.summary = "no such name, or a name without address",
		.meaning = "The name does not exist, or it has no address. Who says it: \"hop 1 "
			   "(…)\" is this machine, about the first hop's name; \"hop 2 could not "
			   "reach …\" is hop 2, about the name of hop 3 or of the target. Target "
			   "names are resolved by the last hop unless the chain file says \"dns\": "
			   "\"local\". The words in brackets: \"no such name\"; \"the name has no "
			   "address\" (it exists, perhaps with other records).",
		.remedy =
			"On the machine that says it: getent ahosts NAME. Correct the name, or "
			"its record.\n"
			"A name that only your network knows (*.lan): \"dns\": \"local\" in the "
			"chain file resolves targets here.\n"
			"Other servers for a hop: \"dns\": {\"servers\": [\"192.0.2.53\"]} in its "
			"hop.json.",
	},
	{
		.slug = "resolve-timeout",
		.code = STATUS_RESOLVE_TIMEOUT,
		.exit_code = 8,
		.summary = "no answer from its DNS servers",
		.meaning =
			"None of the DNS servers of that machine answered in time (\"timeout\"). "
			"The name itself may be right. Who says it is as in resolve-fail.",
		.remedy = "On the machine that says it: cat /etc/resolv.conf, then dig NAME "
			  "@SERVER for each.\n"
			  "A firewall that lets port 53 out only to one server: name that in "
			  "\"dns\": {\"servers\": […]} of hop.json or access.json.\n"
			  "A slow server: \"timeouts\": {\"connect\": \"20s\"} in the chain file "
			  "gives "
			  "each hop longer to resolve and connect.",
	},
	{
		.slug = "resolve-temp",
		.code = STATUS_RESOLVE_TEMP,
		.exit_code = 8,
		.summary = "its DNS servers failed for now",
		.meaning =
			"A DNS server of that machine answered that it cannot tell just now "
			"(\"server failure\", \"try again\"): often its own upstream is down, or "
			"DNSSEC does not validate. Who says it is as in resolve-fail.",
		.remedy = "Try again after a minute.\n"
			  "On the machine that says it: dig NAME; \"status: SERVFAIL\" that goes "
			  "away with dig +cd NAME is DNSSEC: tell the owner of the name.",
	},
	{
		.slug = "refused",
		.code = STATUS_REFUSED,
		.exit_code = 8,
		.summary = "nothing listens there",
		.meaning = "The machine is there and answered that no program takes connections on "
			   "this port, or a firewall answers so. \"hop 1 (…): refused\" is seen "
			   "here; \"hop 1 could not reach hop 2 (…)\" is seen by hop 1. Of the "
			   "target, the last hop says it: the chain is fine.",
		.remedy = "Is it running there? systemctl status hop; ss -ltn 'sport = :7000'.\n"
			  "Does it listen on that address? A hop with --listen 127.0.0.1:7000 is "
			  "only there for its own machine; --listen :7000 is there for all.\n"
			  "Compare the port with \"addr\" in the chain file.",
	},
	{
		.slug = "net-unreach",
		.code = STATUS_NET_UNREACH,
		.exit_code = 8,
		.summary = "no route to that network",
		.meaning = "The machine that says it has no route to that network: no default "
			   "route, or IPv6 without a connection to the IPv6 Internet.",
		.remedy = "On the machine that says it: ip route get ADDRESS.\n"
			  "An IPv6 address and no IPv6 there: use a name with an IPv4 address, or "
			  "the IPv4 address.",
	},
	{
		.slug = "host-unreach",
		.code = STATUS_HOST_UNREACH,
		.exit_code = 8,
		.summary = "that host cannot be reached",
		.meaning = "A router, or the last network itself, reported that nobody answers for "
			   "this address: the machine is off, or a firewall rejects.",
		.remedy = "On the machine that says it: ping ADDRESS; ip neigh show ADDRESS says "
			  "FAILED for a machine of the same network that is off.\n"
			  "Look at the firewalls between the two.",
	},
	{
		.slug = "timeout",
		.code = STATUS_TIMEOUT,
		.exit_code = 8,
		.summary = "no answer in time",
		.meaning =
			"Nothing came back within the time for resolving and connecting (10 s, "
			"or \"timeouts\": {\"connect\": …} of the chain file). Silence means: the "
			"machine is off, a firewall drops packets, or answers take another way "
			"and are dropped there. All addresses of the name were tried. Of \"no "
			"answer\" after a connection chain explain no-answer tells.",
		.remedy =
			"On the machine that says it: nc -vz HOST PORT, and on the other one "
			"tcpdump -ni any port PORT: do the packets arrive?\n"
			"Open the hop's port, TCP and UDP, in the firewall there and in that of "
			"the provider.\n"
			"A far or slow target: \"timeouts\": {\"connect\": \"30s\"} in the chain "
			"file; the hop's own \"timeouts\": {\"connect\": …} is the most it grants.",
	},
	{
		.slug = "reset",
		.code = STATUS_RESET,
		.exit_code = 8,
		.summary = "reset while connecting",
		.meaning = "Something accepted or answered and then broke the connection at once: "
			   "a full queue, a load balancer without a server behind it, or a filter "
			   "that resets what it does not like.",
		.remedy = "Try again: if it happens now and then, the other end is overloaded.\n"
			  "If always: nc -vz HOST PORT from another machine. If that works, a "
			  "filter on the way resets this one.",
	},
	{
		.slug = "local",
		.code = STATUS_LOCAL,
		.exit_code = 8,
		.summary = "the hop itself is short of something",
		.meaning =
			"Who says it was short of something of its own. A hop's word is in "
			"brackets: \"out of file descriptors\", \"out of local ports\", \"out of "
			"memory\", \"the hop's system does not permit it\" (a firewall rule on "
			"output, or a sandbox). Without a hop in the sentence it is this "
			"program: \"local: cannot set up the chain\", exit code 1.",
		.remedy = "Descriptors: LimitNOFILE= of the unit (ours has 1048576), ulimit -n in "
			  "a shell; chain doctor shows what is left here.\n"
			  "Local ports: ss -s; sysctl net.ipv4.ip_local_port_range widens the "
			  "range.\n"
			  "Permission: nft list ruleset, and RestrictAddressFamilies= and "
			  "IPAddressDeny= of the unit.",
	},
	{
		.slug = "no-family",
		.code = STATUS_NO_FAMILY,
		.exit_code = 8,
		.summary = "no IPv4 or IPv6 there as the address needs",
		.meaning = "The address is IPv6 and the machine that says it has no IPv6, or the "
			   "same with IPv4.",
		.remedy = "On the machine that says it: ip -6 address; ip -4 address.\n"
			  "Use an address of the other family, or a name that has both.",
	},
};

const struct explain_part explain_way = { pages, sizeof pages / sizeof pages[0] };
