#ifndef ACCESS_GATE_H
#define ACCESS_GATE_H
/*
 * Does: what one listener of one worker accepts: opens its sockets, and hands what comes to
 * sessions and flows. Knows: kinds of sockets. Never knows: chains, what a client says.
 */
#include "access/ingress.h"

struct place;

/* Where a listener is, for all workers. */
struct access_entry {
	struct addr at;      /* with the port that was claimed for several workers */
	struct place *place; /* of what is no port: shared by all workers; else NULL */
};
/** access_entry_open() - before the workers start. Return: 0, -errno. */
NODISCARD int access_entry_open(struct access_entry *entry, const struct access_listener *listener,
	const struct access_options *all);
void access_entry_close(struct access_entry *entry); /* after all its gates. Zeroed ok */

struct access_gate; /* of stdio: begins with one session, and nothing comes after it */
/** access_gate_open() - serves @ingress (borrowed) at @entry (borrowed). Return: 0, -errno. */
NODISCARD int access_gate_open(struct access_ingress *ingress, const struct access_entry *entry,
	bool shares_port, struct access_gate **ret);
/** access_gate_use() - what comes from now on is served by @ingress. */
void access_gate_use(struct access_gate *gate, struct access_ingress *ingress);
uint16_t access_gate_port(const struct access_gate *gate); /* 0 of what is no port */
/** access_gate_share() - as listener_share(). */
void access_gate_share(struct access_gate *gate, bool shares_port);
uint32_t access_gate_count(const struct access_gate *gate); /* flows. NULL ok */
/** access_gate_drain() - takes nothing new; flows end as they become idle. NULL ok. */
void access_gate_drain(struct access_gate *gate);
void access_gate_close(struct access_gate *gate); /* ends all flows. NULL ok */

#endif
