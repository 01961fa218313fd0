#include "common/resolve_srv.h"

#include <ares.h>
#include <stdlib.h>

#define N_HEADER_REST 4 /* of a message: numbers of records that are not answers */
#define TYPE_SRV      33
#define CLASS_IN      1

/* A record, without its name. */
struct record {
	uint16_t type, class;
	uint32_t ttl_s;
	struct bytes data;
};

/* The name at the reader's place, in text that ares_free_string() frees; NULL, with @r failed, if
 * there is none that ends within @r. */
static char *read_name(struct bytes message, struct wire_reader *r)
{
	char *name = NULL;
	long len = 0;
	if (r->failed || wire_left(r) == 0 ||
		ares_expand_name(r->pos, message.ptr, (int)message.len, &name, &len) !=
			ARES_SUCCESS) {
		r->failed = true;
		return NULL;
	}
	wire_bytes(r, (size_t)len);
	if (!r->failed)
		return name;
	ares_free_string(name);
	return NULL;
}

static void skip_name(struct bytes message, struct wire_reader *r)
{
	ares_free_string(read_name(message, r));
}

static struct record read_record(struct bytes message, struct wire_reader *r)
{
	struct record record = { 0 };
	skip_name(message, r);
	record.type = wire_u16(r);
	record.class = wire_u16(r);
	record.ttl_s = wire_u32(r);
	record.data = wire_bytes(r, wire_u16(r));
	if (record.ttl_s > INT32_MAX) /* RFC 2181, 8 */
		record.ttl_s = 0;
	return record;
}

/* Return: whether @data names a service of a host; @r failed, if it is malformed. */
static bool read_service(struct bytes message, struct wire_reader *r, struct resolve_srv *ret)
{
	*ret = (struct resolve_srv){ 0 };
	ret->priority = wire_u16(r);
	ret->weight = wire_u16(r);
	ret->port = wire_u16(r);
	char *name = read_name(message, r);
	if (name == NULL)
		return false;
	size_t len = strlen(name);
	bool is_host = ret->port != 0 && addr_name_is_valid(bytes_of(name, len));
	if (is_host)
		memcpy(ret->name, name, len + 1);
	ares_free_string(name);
	return is_host;
}

/* Return: the number of answers. */
static unsigned skip_to_answers(struct bytes message, struct wire_reader *r)
{
	wire_u32(r); /* id, flags */
	unsigned n_questions = wire_u16(r), n_answers = wire_u16(r);
	wire_bytes(r, N_HEADER_REST);
	for (unsigned i = 0; i < n_questions && !r->failed; i++) {
		skip_name(message, r);
		wire_u32(r); /* type, class */
	}
	return n_answers;
}

int resolve_srv_parse(struct bytes answer, struct resolve_srv *records, size_t max, size_t *ret_n,
	uint32_t *ret_ttl_s)
{
	struct wire_reader r;
	uint32_t ttl_s = UINT32_MAX;
	size_t n = 0;
	wire_reader_init(&r, answer);
	unsigned n_answers = skip_to_answers(answer, &r);
	for (unsigned i = 0; i < n_answers && !r.failed; i++) {
		struct record record = read_record(answer, &r);
		if (r.failed)
			break;
		ttl_s = record.ttl_s < ttl_s ? record.ttl_s : ttl_s; /* an alias counts, too */
		if (record.type != TYPE_SRV || record.class != CLASS_IN || n == max)
			continue;
		struct wire_reader data;
		wire_reader_init(&data, record.data);
		if (read_service(answer, &data, &records[n]))
			n++;
		r.failed = data.failed;
	}
	*ret_n = n;
	*ret_ttl_s = ttl_s;
	if (r.failed)
		return ERR_DNS_SERVER;
	return n > 0 ? 0 : ERR_NO_ADDRESS;
}

/* Those without weight come first among equals: RFC 2782 lets them win only where the lot is 0. */
static int compare(const void *a, const void *b)
{
	const struct resolve_srv *x = a, *y = b;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return (x->weight > 0) - (y->weight > 0);
}

/* Moves record @i to the front; the others keep their order. */
static void move_to_front(struct resolve_srv *records, size_t i)
{
	struct resolve_srv moved = records[i];
	memmove(records + 1, records, i * sizeof records[0]);
	records[0] = moved;
}

static void order_equals(
	struct resolve_srv *records, size_t n, resolve_random_fn *draw, void *owner)
{
	for (; n > 1; records++, n--) {
		uint32_t sum = 0, so_far = 0;
		size_t i = 0;
		for (size_t k = 0; k < n; k++)
			sum += records[k].weight;
		uint32_t lot = draw(sum, owner);
		while (i + 1 < n && so_far + records[i].weight < lot)
			so_far += records[i++].weight;
		move_to_front(records, i);
	}
}

void resolve_srv_order(struct resolve_srv *records, size_t n, resolve_random_fn *draw, void *owner)
{
	if (n < 2)
		return;
	qsort(records, n, sizeof records[0], compare);
	for (size_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n && records[end].priority == records[first].priority;)
			end++;
		order_equals(records + first, end - first, draw, owner);
	}
}
