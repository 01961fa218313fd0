#include "access/connection.h"

#include "access/transparent.h"
#include "common/loop.h"

#include <inttypes.h>
#include <stdio.h>

#define LOG_MODULE "access"
#include "common/log.h"

struct access_worker *access_connection_worker(const struct access_connection *connection)
{
	return connection->ingress->worker;
}

static void log_blocked(const struct access_connection *connection, const struct addr *target)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], label[ROUTE_LABEL_MAX];
	LOG_LIMITED(LOG_LEVEL_INFO, "blocked conn=%u.%" PRIu32 " from=%s rule=%s target=%s",
		access_connection_worker(connection)->i_worker, connection->id,
		addr_sock_print(&connection->peer, from),
		route_rule_label(connection->ingress->all->rules, connection->rule, label),
		addr_print(target, to));
}

struct chain_error access_connection_blocked(
	const struct access_connection *connection, const struct addr *target)
{
	return access_ingress_blocked(connection->ingress, connection->rule, target);
}

int access_connection_open(struct access_connection *connection, const struct access_wish *wish,
	chain_attempt_fn *on_done, void *owner, struct chain_attempt **ret)
{
	const struct route_rule *rule;
	struct route_query query = {
		.target = wish->target,
		.source = &connection->peer,
		.user = wish->user,
		.listener = connection->ingress->options->name,
		.protocol = wish->protocol,
	};
	struct chain_attempt_options options = {
		.purpose = CHAIN_TO_TARGET, .target = wish->target, .source = &connection->peer
	};
	if (connection->ingress->options->sends_proxy && connection->peer.any.sa_family != AF_UNIX)
		options.client = &connection->peer;
	struct chain_upstream *upstream = access_ingress_route(connection->ingress, &query, &rule);
	connection->is_routed = true;
	connection->rule = rule;
	connection->use = upstream != NULL ? chain_upstream_spec_of(upstream) : NULL;
	if (upstream == NULL) {
		log_blocked(connection, wish->target);
		return ERR_DENIED;
	}
	if (connection->ingress->options->capture != ACCESS_NO_CAPTURE &&
		transparent_comes_back(connection->use, wish->target))
		return -ELOOP;
	if (!access_charges_take_lookup(connection->charges, connection->ingress, &connection->peer,
		    upstream, wish->target))
		return ERR_AGAIN;
	return chain_attempt_start(upstream, &options, on_done, owner, ret);
}

void access_connection_log_failed(
	const struct access_connection *connection, const struct chain_error *error)
{
	char text[512], quoted[600];
	if (connection->is_routed && connection->use == NULL)
		return;
	access_connection_worker(connection)->has_failed = true;
	LOG_WARNING("failed conn=%u.%" PRIu32 " hop=%u stage=%s status=%s why=%s",
		access_connection_worker(connection)->i_worker, connection->id, error->hop,
		chain_stage_name(error->stage), chain_error_slug(error),
		log_quote(chain_error_print(error, text, sizeof text), quoted, sizeof quoted));
}

void access_connection_log_request(const struct access_connection *connection, unsigned i_request,
	const struct addr *target, unsigned status, uint64_t n_up, uint64_t n_down)
{
	const struct access_worker *worker = access_connection_worker(connection);
	char to[ADDR_TEXT_MAX];
	if (!worker->options->logs_connections)
		return;
	LOG_INFO("request conn=%u.%" PRIu32 " n=%u target=%s status=%u up=%" PRIu64
		 " down=%" PRIu64,
		worker->i_worker, connection->id, i_request, addr_print(target, to), status, n_up,
		n_down);
}

void access_connection_log_end(const struct access_connection *connection, const char *told,
	const char *end, uint64_t n_up, uint64_t n_down)
{
	const struct access_worker *worker = access_connection_worker(connection);
	const struct access_listener *listener = connection->ingress->options;
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], forward[ADDR_TEXT_MAX + 8];
	char use[ACCESS_USE_MAX] = "";
	if (!worker->options->logs_connections)
		return;
	if (told == NULL && listener->protocols != 0)
		told = "protocol=- user=- target=-";
	if (told == NULL) {
		snprintf(forward, sizeof forward, "target=%s", addr_print(&listener->to, to));
		told = forward;
	}
	if (connection->is_routed)
		access_ingress_tell_use(
			connection->ingress, connection->use, connection->rule, use);
	LOG_INFO("closed conn=%u.%" PRIu32 " from=%s %s%s up=%" PRIu64 " down=%" PRIu64
		 " age_ms=%" PRIu64 " end=%s",
		worker->i_worker, connection->id, addr_sock_print(&connection->peer, from), told,
		use, n_up, n_down, loop_now_ms(worker->loop) - connection->start_ms, end);
}
