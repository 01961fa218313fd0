#include "access/flow_log.h"

#include "common/loop.h"

#include <inttypes.h>
#include <string.h>

#define LOG_MODULE "access"
#include "common/log.h"

/* A flow that never had a way has no datagrams. */
static struct chain_datagram_counters counters_of(const struct chain_datagram *datagram)
{
	return datagram != NULL ? chain_datagram_counters(datagram)
				: (struct chain_datagram_counters){ 0 };
}

static const char *via_of(const struct chain_datagram *datagram)
{
	if (datagram == NULL)
		return "none";
	return chain_datagram_is_stream(datagram) ? "stream" : "datagram";
}

static void log_exit(const struct access_flow *f, const char *end)
{
	const struct access_worker *worker = f->way.ingress->worker;
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], use[ACCESS_USE_MAX];
	const struct access_flow_way *way = &f->way;
	const struct route_rule *rule = way->rule;
	struct chain_datagram_counters n = counters_of(f->way.carrier.datagram);
	/* Each datagram of a new source port, or to a new target, can push out a flow. */
	if (strcmp(end, "evicted") == 0)
		LOG_LIMITED(LOG_LEVEL_INFO, "evicted flow=%u.%" PRIu32 " from=%s target=%s",
			worker->i_worker, f->id, addr_sock_print(&f->client, from),
			addr_print(&f->target, to));
	else
		LOG_INFO("closed flow=%u.%" PRIu32 " from=%s target=%s%s up=%" PRIu64
			 " down=%" PRIu64 " age_ms=%" PRIu64 " via=%s end=%s",
			worker->i_worker, f->id, addr_sock_print(&f->client, from),
			addr_print(&f->target, to),
			access_ingress_tell_use(way->ingress,
				rule != NULL ? rule->use : way->ingress->options->use, rule, use),
			n.n_up_bytes, n.n_down_bytes, loop_now_ms(worker->loop) - f->start_ms,
			via_of(f->way.carrier.datagram), end);
}

void access_flow_log_end(const struct access_flow *f, const char *end)
{
	const struct access_worker *worker = f->way.ingress->worker;
	struct chain_datagram_counters n = counters_of(f->way.carrier.datagram);
	if (worker->options->logs_connections)
		log_exit(f, end);
	LOG_DEBUG("datagrams flow=%u.%" PRIu32 " up=%" PRIu64 " down=%" PRIu64 " waiting=%" PRIu64
		  " too_long=%" PRIu64 " junk=%" PRIu64 " forged=%" PRIu64 " replayed=%" PRIu64
		  " refused=%" PRIu64,
		worker->i_worker, f->id, n.n_up, n.n_down, n.n_waiting, n.n_too_long, n.n_junk,
		n.n_forged, n.n_replayed, n.n_refused);
}

void access_flow_log_failure(const struct access_flow *f, const struct chain_error *error)
{
	char text[512], quoted[600];
	LOG_LIMITED(LOG_LEVEL_WARNING,
		"failed flow=%u.%" PRIu32 " hop=%u stage=%s status=%s why=%s",
		f->way.ingress->worker->i_worker, f->id, error->hop, chain_stage_name(error->stage),
		chain_error_slug(error),
		log_quote(chain_error_print(error, text, sizeof text), quoted, sizeof quoted));
}
