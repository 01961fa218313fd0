#include "chain/explain.h"

#include "chain/wire_status.h"

/* What a hop does not permit, does not understand, or cannot do. */
static const struct hopchain_status pages[] = {
	{
		.slug = "denied-policy",
		.code = STATUS_DENIED_POLICY,
		.exit_code = 8,
		.summary = "a rule of that hop's operator",
		.meaning =
			"A rule of that hop's operator excludes the target: \"deny\", or an "
			"\"allow\" list it is not on (\"operator's rule\"). That hop's own "
			"\"targets\" apply to all its users, those of a user to this user alone; "
			"\"deny\" wins. A middle hop is asked in the same way whether it may go "
			"to the next hop. Where no hop is named but \"rule NAME blocks\", it is "
			"one of the \"routes\" of access itself.",
		.remedy = "The log of that hop names target and rule: journalctl -u hop | grep "
			  "denied.\n"
			  "Add it to \"targets\": {\"allow\": [\"*.example.org:443\"]} in "
			  "hop.json, or "
			  "hop --allow; or take it from \"deny\". Then hop check "
			  "/etc/hopchain/hop.json, and restart the hop.\n"
			  "Of a rule of access: access explain HOST:PORT says which, and where it "
			  "stands.",
	},
	{
		.slug = "denied-loopback",
		.code = STATUS_DENIED_LOOPBACK,
		.exit_code = 8,
		.summary = "an address of the hop itself",
		.meaning = "The target is the hop's own machine: \"loopback\", an \"unspecified "
			   "address\" (0.0.0.0), or \"own address\", which is any address of that "
			   "host. No hop goes there unless told to: services that listen on "
			   "loopback count on being alone. A name that resolves there is refused "
			   "as well.",
		.remedy =
			"If that is what you want: allow the class by name: \"targets\": "
			"{\"allow\": [\"loopback\"]} in hop.json, or hop --allow loopback; for the "
			"other two \"unspecified\" and \"own\". Write the port with it: "
			"\"loopback:22\".\n"
			"If not: the target's name resolves to 127.0.0.1 at that hop. getent "
			"ahosts NAME there.",
	},
	{
		.slug = "denied-private",
		.code = STATUS_DENIED_PRIVATE,
		.exit_code = 8,
		.summary = "an address that is not public",
		.meaning =
			"The target's address is not public, and the hop's rules do not let "
			"this class pass. The words in brackets say which: \"private\" (10/8, "
			"172.16/12, 192.168/16, 100.64/10, fc00::/7), \"link-local\", \"metadata "
			"service\" (169.254.169.254 and its like, where clouds hand out "
			"credentials), \"multicast or broadcast\", \"reserved\", \"embedded IPv4 "
			"address\" (IPv6 that hides an IPv4 address).",
		.remedy = "Allow the class by name: \"targets\": {\"allow\": [\"private\"]} in "
			  "hop.json, or hop --allow private; likewise link-local, metadata, "
			  "multicast, reserved. Narrower is better: \"10.0.0.0/8:22\".\n"
			  "metadata: think twice. Who may go there may act as that machine.",
	},
	{
		.slug = "denied-port",
		.code = STATUS_DENIED_PORT,
		.exit_code = 8,
		.summary = "a port that is not allowed",
		.meaning =
			"That hop's rules allow the host but not the port (\"operator's rule\").",
		.remedy = "The log of that hop names the rule: journalctl -u hop | grep denied.\n"
			  "Add the port: \"targets\": {\"allow\": [\"*.example.org:443\", "
			  "\"*.example.org:8000-8999\"]}.",
	},
	{
		.slug = "denied-cmd",
		.code = STATUS_DENIED_CMD,
		.exit_code = 8,
		.summary = "a command this user may not use",
		.meaning = "This user may use that hop, but not for this: for instance connections "
			   "but no UDP, or no measuring.",
		.remedy = "Ask the hop's operator to permit the command for your user.",
	},
	{
		.slug = "limit",
		.code = STATUS_LIMIT,
		.exit_code = 8,
		.summary = "too many connections of this user",
		.meaning = "That hop has as many connections or UDP flows as it is allowed: of "
			   "this user, or of the whole hop. Nothing is wrong with this one.",
		.remedy = "End what is not needed; the hop logs every end (end=).\n"
			  "Raise \"limits\": {\"connections\": …, \"flows\": …} of the user, or of "
			  "the "
			  "whole hop, in hop.json.\n"
			  "Flows end after 2 minutes of silence; many short ones (DNS) need a "
			  "higher \"flows\".",
	},
	{
		.slug = "rate",
		.code = STATUS_RATE,
		.exit_code = 8,
		.summary = "too many new connections a second",
		.meaning = "This user opens more connections or flows a second than that hop "
			   "grants.",
		.remedy = "Try again after a second.\n"
			  "Raise \"limits\": {\"connects_per_second\": …} of the user in hop.json.",
	},
	{
		.slug = "bad-request",
		.code = STATUS_BAD_REQUEST,
		.exit_code = 8,
		.summary = "our header is malformed",
		.meaning = "That hop opened our header, so the key is right, and found it "
			   "malformed. This is an error of one of the two programs.",
		.remedy = "Compare the versions: chain version here, hop version there. Update "
			  "the older one.\n"
			  "If they are equal, report it, with the sentence as it stands in the "
			  "log.",
	},
	{
		.slug = "version",
		.code = STATUS_VERSION,
		.exit_code = 8,
		.summary = "the hop speaks another version",
		.meaning = "That hop has our key and speaks another version of the protocol.",
		.remedy = "Compare the versions: chain version here, hop version there. Update "
			  "the older one.",
	},
	{
		.slug = "unsupported",
		.code = STATUS_UNSUPPORTED,
		.exit_code = 8,
		.summary = "the hop does not do this",
		.meaning = "That hop is older or smaller than what it is asked for: a command, a "
			   "kind of address, or an option it does not have, or none of the offered "
			   "ciphers.",
		.remedy = "Compare the versions: chain version here, hop version there. Update "
			  "the hop.\n"
			  "Of a cipher: take \"cipher\" out of the chain file.",
	},
	{
		.slug = "clock-skew",
		.code = STATUS_CLOCK_SKEW,
		.exit_code = 8,
		.summary = "the clocks differ too much",
		.meaning = "That hop and this machine disagree about the time by more than the hop "
			   "accepts (30 s behind, 10 s ahead). Hops of today do not say it: they "
			   "stay silent, see no-answer.",
		.remedy = "timedatectl status on both; timedatectl set-ntp true.\n"
			  "chain doctor shows by how much each hop that answers is off.",
	},
	{
		.slug = "rev-unknown",
		.code = STATUS_REV_UNKNOWN,
		.exit_code = 8,
		.summary = "no reverse hop of that name is registered",
		.meaning = "No hop behind NAT of that name is registered at the hop that says it. "
			   "Reverse hops are in the protocol and not in this version.",
		.remedy = "Use the hop's address instead of its name.",
	},
	{
		.slug = "rev-no-idle",
		.code = STATUS_REV_NO_IDLE,
		.exit_code = 8,
		.summary = "the reverse hop had no connection to lend",
		.meaning = "The reverse hop is registered and had no connection to lend. Not in "
			   "this version.",
		.remedy = "Try again.",
	},
	{
		.slug = "rev-gone",
		.code = STATUS_REV_GONE,
		.exit_code = 8,
		.summary = "the reverse hop did not take the connection",
		.meaning = "The reverse hop was registered and did not take the connection. Not in "
			   "this version.",
		.remedy = "Try again; look whether that machine is on.",
	},
	{
		.slug = "resume-unknown",
		.code = STATUS_RESUME_UNKNOWN,
		.exit_code = 8,
		.summary = "no such session to resume",
		.meaning = "The hop does not know the session that shall go on: it waited too "
			   "long, or was restarted. Resumable sessions are in the protocol and not "
			   "in this version.",
		.remedy = "Begin anew.",
	},
	{
		.slug = "resume-stale",
		.code = STATUS_RESUME_STALE,
		.exit_code = 8,
		.summary = "a newer attempt to resume came first",
		.meaning = "Another attempt to go on with the same session came first. Not in this "
			   "version.",
		.remedy = "None: the session goes on there.",
	},
	{
		.slug = "resume-gap",
		.code = STATUS_RESUME_GAP,
		.exit_code = 8,
		.summary = "bytes of the session are lost",
		.meaning = "The hop has no longer all the bytes that the session needs to go on "
			   "without a hole. Not in this version.",
		.remedy = "Begin anew.",
	},
	{
		.slug = "msgsize",
		.code = STATUS_MSGSIZE,
		.exit_code = 8,
		.summary = "a datagram too large for the path",
		.meaning = "A UDP datagram is too large for a link of the chain, or for the one to "
			   "the target. Said of one datagram; the flow goes on. Each hop costs 16 "
			   "bytes, and the seal 16.",
		.remedy = "chain doctor shows the largest payload that fits; let the program send "
			  "no more (dig +bufsize=1232, WireGuard MTU).\n"
			  "\"udp\": \"stream\" in the chain file carries large datagrams in a TCP "
			  "stream.",
	},
	{
		.slug = "port-unreach",
		.code = STATUS_PORT_UNREACH,
		.exit_code = 8,
		.summary = "no program takes datagrams there",
		.meaning =
			"The target's machine answered a UDP datagram with \"port unreachable\": "
			"it is there, and no program takes datagrams on that port. The flow "
			"goes on; something may listen later.",
		.remedy = "On the target: ss -lun 'sport = :PORT'. Correct the port, or start the "
			  "program.",
	},
	{
		.slug = "resetup",
		.code = STATUS_RESETUP,
		.exit_code = 8,
		.summary = "the flow must be set up again",
		.meaning = "A hop has lost what it knew of a UDP flow, mostly by a restart, and "
			   "asks for the request again. The client does that by itself, and a few "
			   "datagrams may be lost.",
		.remedy = "None. If it appears all the time, that hop restarts, or its \"limits\": "
			  "{\"flows\": …} is too small: journalctl -u hop.",
	},
	{
		.slug = "internal",
		.code = STATUS_INTERNAL,
		.exit_code = 8,
		.summary = "an error inside the hop",
		.meaning = "An error inside the hop, or a status that this program does not know; "
			   "then its number is in the sentence.",
		.remedy = "Read the log of that hop at that time.\n"
			  "Compare the versions: chain version here, hop version there. Update "
			  "the older one.",
	},
	{
		.slug = "ok",
		.code = STATUS_OK,
		.exit_code = 0,
		.summary = "connected",
		.meaning = "Every hop answered and the last one is connected to the target.",
		.remedy = "None.",
	},
};

const struct explain_part explain_rule = { pages, sizeof pages / sizeof pages[0] };
