#include "chain/flow_link.h"

#include "common/loop.h"

#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define ADDRESSES_MAX 4
#define MTU           1500 /* of a link nothing is known about */
#define REOPEN_MS     1000 /* a socket is replaced at most this often */
#define IP4_HEADERS   28
#define IP6_HEADERS   48

struct flow_link {
	struct chain_client *client;
	struct udp_io *io;
	struct addr target;
	const struct flow_link_ops *ops;
	void *owner;
	struct resolve_query *query; /* of the target's name, then of hop 1's */
	struct udp *udp;             /* NULL before on_ready, and where there is no way */
	union addr_sock addresses[ADDRESSES_MAX]; /* of hop 1 */
	uint8_t n_addresses, i_address, n_tried;
	bool is_heard, finds_hop;
	uint32_t resolve_us; /* of hop 1's name */
	uint64_t start_ms, opened_at_ms, looked_up_us, n_errors;
};

/* Whom the socket is connected to. */
static const struct addr *peer_of(const struct flow_link *l)
{
	const struct chain_spec *spec = chain_client_spec(l->client);
	return spec->n_hops > 0 ? &spec->hops[0].addr : &l->target;
}

static unsigned hop_of(const struct flow_link *l)
{
	return chain_client_spec(l->client)->n_hops > 0 ? 1 : 0;
}

static uint64_t now_of(const struct flow_link *l)
{
	return loop_now_ms(chain_client_loop(l->client));
}

static void fail(
	struct flow_link *l, enum chain_stage stage, unsigned hop, int code, const struct addr *at)
{
	struct chain_error error = {
		.stage = stage,
		.hop = (uint8_t)hop,
		.n_hops = (uint8_t)chain_client_spec(l->client)->n_hops,
		.code = code,
		.elapsed_ms = (uint32_t)(now_of(l) - l->start_ms),
		.address = *at,
	};
	l->ops->on_fail(&error, l->owner);
}

static void on_packet(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct flow_link *l = owner;
	(void)udp;
	l->ops->on_packet(packet->data, packet->len, l->owner);
}

static void next_address(struct flow_link *l)
{
	l->i_address = (uint8_t)((l->i_address + 1) % l->n_addresses);
}

static int open_socket(struct flow_link *l);

/* A refused port is a hint: the flow itself notices a dead hop. A way that is gone (another network
 * here) needs another socket, a hop never heard of perhaps its other address. */
static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	struct flow_link *l = owner;
	bool has_other = !l->is_heard && l->n_addresses > 1;
	(void)udp;
	l->n_errors++;
	LOG_DEBUG("udp to the first address error=%s mtu=%zu", err_name(error), mtu);
	if (l->ops->on_error != NULL) {
		l->ops->on_error(error, l->owner);
		return;
	}
	if (error == -EMSGSIZE || (error == -ECONNREFUSED && !has_other) ||
		now_of(l) - l->opened_at_ms < REOPEN_MS)
		return;
	udp_close(l->udp);
	l->udp = NULL;
	if (has_other)
		next_address(l);
	if (open_socket(l) != 0)
		LOG_DEBUG("udp to the first address: no way");
}

/* Connects to the first address there is a way to, beginning with the present one. */
static int open_socket(struct flow_link *l)
{
	static const struct udp_ops ops = { .on_packet = on_packet, .on_error = on_error };
	int error = ERR_NO_ADDRESS;
	l->opened_at_ms = now_of(l);
	l->n_tried++;
	for (unsigned i = 0; i < l->n_addresses; i++) {
		struct udp_options options = { .connect = &l->addresses[l->i_address] };
		error = udp_open(l->io, &options, &ops, l, &l->udp);
		if (error == 0)
			return 0;
		next_address(l);
	}
	return error;
}

static void begin(struct flow_link *l)
{
	int error = open_socket(l);
	if (error == 0)
		l->ops->on_ready(&l->target, l->owner);
	else
		fail(l, CHAIN_DIAL, hop_of(l), error, peer_of(l));
}

static void on_hop_found(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct flow_link *l = owner;
	const struct addr *hop = peer_of(l);
	l->query = NULL;
	l->resolve_us = (uint32_t)(loop_clock_us() - l->looked_up_us);
	if (error == 0 && n == 0)
		error = ERR_NO_ADDRESS;
	if (error != 0) {
		fail(l, CHAIN_RESOLVE, hop_of(l), error, hop);
		return;
	}
	for (size_t i = 0; i < n && i < ADDRESSES_MAX; i++) {
		l->addresses[i] = addresses[i];
		addr_sock_set_port(&l->addresses[i], hop->port);
		l->n_addresses++;
	}
	begin(l);
}

static int look_up(struct flow_link *l, const char *name, resolve_fn *fn)
{
	struct resolver *resolver = chain_client_resolver(l->client);
	if (resolver == NULL)
		return ERR_NO_ADDRESS;
	return resolve_start(
		resolver, name, chain_client_spec(l->client)->connect_timeout_ms, fn, l, &l->query);
}

static void find_hop(struct flow_link *l)
{
	const struct addr *hop = peer_of(l);
	if (addr_to_sock(hop, &l->addresses[0]) == 0) {
		l->n_addresses = 1;
		begin(l);
		return;
	}
	l->finds_hop = true;
	l->looked_up_us = loop_clock_us();
	int error = look_up(l, hop->name, on_hop_found);
	if (error != 0)
		fail(l, CHAIN_RESOLVE, hop_of(l), error, hop);
}

static void on_target_found(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct flow_link *l = owner;
	uint16_t port = l->target.port;
	l->query = NULL;
	if (error == 0 && n == 0)
		error = ERR_NO_ADDRESS;
	if (error != 0) {
		fail(l, CHAIN_RESOLVE, 0, error, &l->target);
		return;
	}
	addr_from_sock(&addresses[0], &l->target);
	l->target.port = port;
	find_hop(l);
}

int flow_link_new(struct chain_client *client, struct udp_io *io, const struct addr *target,
	const struct flow_link_ops *ops, void *owner, struct flow_link **ret)
{
	struct flow_link *l = calloc(1, sizeof *l);
	if (l == NULL)
		return ERR_NOMEM;
	l->client = client;
	l->io = io;
	l->target = *target;
	l->ops = ops;
	l->owner = owner;
	l->start_ms = now_of(l);
	*ret = l;
	return 0;
}

void flow_link_free(struct flow_link *link)
{
	if (link == NULL)
		return;
	if (link->query != NULL)
		resolve_cancel(link->query);
	udp_close(link->udp);
	free(link);
}

void flow_link_start(struct flow_link *link)
{
	int error = 0;
	if (hop_of(link) == 0 || !chain_client_spec(link->client)->resolves_locally ||
		link->target.kind != ADDR_NAME || chain_client_resolver(link->client) == NULL) {
		find_hop(link);
		return;
	}
	error = look_up(link, link->target.name, on_target_found);
	if (error != 0)
		fail(link, CHAIN_RESOLVE, 0, error, &link->target);
}

void flow_link_send(struct flow_link *link, struct bytes datagram)
{
	if (link->udp == NULL && now_of(link) - link->opened_at_ms >= REOPEN_MS)
		(void)!open_socket(link); /* there may be a way again */
	if (link->udp != NULL)
		udp_send(link->udp, NULL, NULL, datagram, bytes_of(NULL, 0));
}

void flow_link_is_heard(struct flow_link *link)
{
	link->is_heard = true;
}

size_t flow_link_mtu(const struct flow_link *link, bool *ret_is_ip6)
{
	size_t path = link->udp != NULL ? udp_path_max(link->udp) : 0;
	*ret_is_ip6 = link->addresses[link->i_address].any.sa_family == AF_INET6;
	return path > 0 ? path + (*ret_is_ip6 ? IP6_HEADERS : IP4_HEADERS) : MTU;
}

uint64_t flow_link_n_errors(const struct flow_link *link)
{
	return link->n_errors;
}

bool flow_link_next(struct flow_link *link)
{
	if (link->n_tried >= link->n_addresses)
		return false;
	udp_close(link->udp);
	link->udp = NULL;
	next_address(link);
	return open_socket(link) == 0;
}

void flow_link_late(const struct flow_link *link, struct chain_error *ret)
{
	const struct chain_spec *spec = chain_client_spec(link->client);
	*ret = (struct chain_error){
		.stage = CHAIN_RESOLVE,
		.hop = (uint8_t)(link->finds_hop ? hop_of(link) : 0),
		.n_hops = (uint8_t)spec->n_hops,
		.code = ERR_DNS_TIMEOUT,
		.elapsed_ms = (uint32_t)(now_of(link) - link->start_ms),
		.address = link->finds_hop ? *peer_of(link) : link->target,
	};
}

const union addr_sock *flow_link_address(const struct flow_link *link)
{
	return link->n_addresses > 0 ? &link->addresses[link->i_address] : NULL;
}

uint32_t flow_link_resolve_us(const struct flow_link *link)
{
	return link->resolve_us;
}
