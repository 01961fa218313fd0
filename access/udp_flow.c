#include "access/udp_flow.h"

#include "access/flow_log.h"
#include "access/udp_forward.h"

#include <stddef.h>

#define REST_MS  5000 /* quiet for so long: let go of what can be made again */
#define PORT_DNS 53

static void cool(struct warm *warm)
{
	struct access_flow *f =
		(struct access_flow *)((char *)warm - offsetof(struct access_flow, warm));
	chain_carrier_rest(&f->way.carrier);
}

void access_flow_hot_init(struct warm_list *hot, struct loop *loop, uint32_t max)
{
	warm_list_init(hot, loop, max, REST_MS, cool);
}

uint32_t access_flow_answered(struct access_flow *f)
{
	if (f->is_answered)
		return 0;
	f->is_answered = true;
	chain_carrier_report(&f->way.carrier, NULL);
	return f->target.port == PORT_DNS ? ACCESS_FLOW_DNS_MS : ACCESS_FLOW_IDLE_MS;
}

void access_flow_let_go(struct access_flow *f, const char *end)
{
	if (!access_flow_way_is_open(&f->way))
		return;
	access_flow_log_end(f, end);
	warm_remove(f->hot, &f->warm);
	access_flow_way_close(&f->way);
	access_charges_return(&f->charges);
}
