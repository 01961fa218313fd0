#ifndef TESTS_SUPPORT_HOPS_H
#define TESTS_SUPPORT_HOPS_H
/*
 * Does: a chain of real hops on the test's own loop, TCP and UDP on one port each, and a client of
 * it. Knows: hop/, chain/. Never knows: what is asked of them.
 */
#include "chain/client.h"
#include "common/listener.h"
#include "hop/datagram.h"

#define HOPS_MAX 16

struct hops_hop {
	struct hop_options options;
	struct hop_user user;
	struct hop_user_key user_key;
	struct hop_worker worker;
	struct quota connections;
	struct rate handshakes;
	struct listener *listener;
	struct hop_datagrams *datagrams;
	unsigned n_accepted;
};

struct hops {
	struct loop *loop;
	size_t n;
	struct hops_hop hop[HOPS_MAX];
	struct chain_hop spec_hops[HOPS_MAX];
	struct chain_spec spec;
	struct resolver *resolver; /* NULL before hops_rename() */
	struct chain_client *client;
	struct udp_io *io; /* the client's */
};

/* hops_open() - loop, @n hops, and a client of all of them. hops_close() - waits until every charge
 * of every hop came back. */
void hops_open(struct hops *hops, size_t n);
void hops_close(struct hops *hops);
/* hops_stop() - hop @i, from 1, listens no more. */
void hops_stop(struct hops *hops, size_t i);
/* hops_restart() - it listens again, where it did. */
void hops_restart(struct hops *hops, size_t i);
/* hops_spoil() - the client gets a wrong key for hop @i, from 1. */
void hops_spoil(struct hops *hops, size_t i);
/* hops_rename() - hop 1 by a name that the client asks the DNS server @server for. */
void hops_rename(struct hops *hops, const char *name, const char *server);
/* hops_turn() - a while. */
void hops_turn(struct hops *hops, uint64_t ms);

#endif
