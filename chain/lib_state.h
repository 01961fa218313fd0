#ifndef CHAIN_LIB_STATE_H
#define CHAIN_LIB_STATE_H
/*
 * Does: what the files behind hopchain.h share: a chain, a client, and what is made from one.
 * Knows: everything of chain/. Never knows: the tool. Nobody else includes it.
 */
#include "chain/answers.h"
#include "chain/client.h"
#include "chain/error.h"
#include "chain/hopchain.h"
#include "chain/upstream.h"
#include "common/loop.h"
#include "common/udp.h"

#define LIB_TEXT_MAX 1024 /* of a failure's sentence */
#define LIB_SOCK_MAX 80   /* "[IPV6%zone]:PORT" and NUL */

struct hopchain_chain {
	struct chain_spec *spec;
	char *target;                                          /* or NULL */
	struct hopchain_candidate *candidates[CHAIN_HOPS_MAX]; /* of spec->n_hops; with owned
								  addresses */
};

/** lib_start() - what must be there before anything else; once, from any thread. Return: 0,
 * ERR_NOMEM, ERR_CRYPTO. */
NODISCARD int lib_start(void);
/** lib_size_is_good() - whether a struct of the caller's, which begins with its @size, has at least
 * what it had in the first version of the library. */
#define LIB_SIZE_IS_GOOD(options, last_member)                                                     \
	((options)->size >=                                                                        \
		offsetof(__typeof__(*(options)), last_member) + sizeof((options)->last_member))
/** lib_target() - @text, or the chain's own where it is NULL. Return: 0, HOPCHAIN_INVALID. */
NODISCARD int lib_target(const struct hopchain_chain *chain, const char *text, struct addr *ret);

/* --- what is made from a client --- */

struct lib_item;
struct lib_item_ops {
	/** drop() - ends @item because its client closes; it goes later, from the loop. */
	void (*drop)(struct lib_item *item);
	/** tick() - once a second while the client is watched. NULL: not for this kind. Return:
	 * whether it wants more of that. */
	bool (*tick)(struct lib_item *item, uint64_t now_ms);
};
/* Embedded first. While it is in the list the caller's loop is held. */
struct lib_item {
	const struct lib_item_ops *ops;
	struct hopchain_client *client;
	struct lib_item *prev, *next;
	struct task task; /* the item's own: ends it */
};

struct hopchain_client {
	const struct hopchain_chain *chain;
	struct loop *loop;
	struct resolver *resolver;   /* or NULL: nothing of the chain is resolved here */
	struct chain_client *client; /* of the first candidates: what is measured */
	struct chain_member member;  /* of: */
	struct chain_upstream_spec upstream_spec;
	struct chain_upstream *upstream; /* what streams and flows go through */
	struct udp_io *io;               /* NULL until needed */
	struct lib_item *items;
	struct timer watch;
	struct task finish;
	bool is_closing;
	hopchain_closed_fn *on_closed;
	void *owner;
};

/** lib_client_add() - puts @item into the list. */
void lib_client_add(
	struct hopchain_client *client, struct lib_item *item, const struct lib_item_ops *ops);
/** lib_client_remove() - the last thing before @item is freed, from the loop. */
void lib_client_remove(struct lib_item *item);
/** lib_client_io() - sockets for datagrams, made when first asked for. Return: 0, ERR_NOMEM. */
NODISCARD int lib_client_io(struct hopchain_client *client, struct udp_io **ret);
/** lib_client_watch() - ticks from now on, until nobody wants them. */
void lib_client_watch(struct hopchain_client *client);

/* --- values --- */

struct lib_error {
	struct hopchain_error error; /* text points into: */
	char text[LIB_TEXT_MAX];
};
void lib_error_set(struct lib_error *to, const struct chain_error *from);

struct lib_answers {
	size_t n;
	struct hopchain_answer list[CHAIN_HOPS_MAX];
	char dialled[CHAIN_HOPS_MAX][LIB_SOCK_MAX];
};
/** lib_answers_set() - borrows @from and @chain. */
void lib_answers_set(struct lib_answers *to, const struct chain_answers *from,
	const struct hopchain_chain *chain);
/** lib_sock_print() - "IP:PORT". Returns @to. */
const char *lib_sock_print(const union addr_sock *from, char to[LIB_SOCK_MAX]);
/** lib_cipher_name() - NULL for none. Static. */
const char *lib_cipher_name(uint8_t cipher);

#endif
