#include "access/http_way.h"

#include "common/tcp.h"

void http_way_init(struct http_way *way, struct stream *from, struct stream *to,
	struct relay_kit *kit, const struct shaper_set *shapers, enum shaper_lane lane)
{
	*way = (struct http_way){ .relay = { .from = from, .to = to }, .kit = kit };
	if (tcp_is(from)) /* what was cut never looks whole (decisions/0006) */
		tcp_cut_on_death(from);
	if (shapers == NULL || shapers->n == 0)
		return;
	shape_way_init(&way->shape, &kit->line, shapers, lane, &way->relay);
	way->relay.shape = &way->shape;
}

void http_way_aim(struct http_way *way, uint64_t n, bool is_watched)
{
	way->relay.n_left = n;
	way->relay.is_watched = is_watched;
}

void http_way_write(struct http_way *way, struct bytes data)
{
	if (data.len == 0)
		return;
	way->relay.n_bytes += data.len;
	way->is_blocked = stream_write(way->relay.to, data);
}

void http_way_read(struct http_way *way)
{
	if (!way->is_blocked)
		relay_way_read(&way->relay);
}

void http_way_has_read(struct http_way *way, size_t n)
{
	relay_way_copied(&way->relay, n, way->is_blocked);
	if (!way->is_blocked && !way->relay.is_splicing)
		relay_way_read(&way->relay); /* as far as it is aimed now */
}

enum relay_way_step http_way_move(struct http_way *way, bool is_drained, uint64_t *ret_n)
{
	struct relay_way *relay = &way->relay;
	uint64_t n_before = relay->n_left;
	int error;
	*ret_n = 0;
	if (!relay->is_splicing) {
		way->is_blocked = false;
		relay_way_read(relay);
		return RELAY_WAY_ON;
	}
	enum relay_way_step step =
		is_drained ? relay_way_drained(relay, way->kit, &error)
			   : relay_way_data(relay, way->kit, bytes_of(NULL, 0), &error);
	way->is_blocked = relay->pipe != NULL || !tcp_is_drained(relay->to);
	*ret_n = n_before - relay->n_left;
	return step;
}

void http_way_stop(struct http_way *way)
{
	relay_way_pause(&way->relay);
	relay_way_stop(&way->relay, way->kit);
}
