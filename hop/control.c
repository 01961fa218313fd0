#include "hop/control.h"

#include "common/json_text.h"

#include <inttypes.h>
#include <stdlib.h>

struct hop_control {
	struct hop_worker *worker;
	const struct hop_doors *doors;
	struct reload *reload;
	struct admin *admin;
	uint64_t start_ms;
};

static void on_reload(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct hop_control *control = owner;
	(void)request;
	control_reload(exchange, control->reload);
}

static void put_listeners(FILE *to, const struct hop_control *control)
{
	const struct hop_generation *g = control->worker->generation;
	char text[ADDR_TEXT_MAX];
	fputs("\"listeners\":[", to);
	for (size_t i = 0; i < g->options.n_listen; i++) {
		struct addr at = g->options.listen[i].addr;
		if (addr_is_port(&at))
			at.port = hop_doors_port(control->doors, g->sites[i]);
		fputs(i > 0 ? ",{\"addr\":" : "{\"addr\":", to);
		json_text_put(to, addr_print(&at, text));
		fprintf(to, ",\"udp\":%s}", g->options.listen[i].takes_udp ? "true" : "false");
	}
	fputs("]", to);
}

static void on_status(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct hop_control *control = owner;
	const struct hop_worker *w = control->worker;
	char *json = NULL;
	size_t size;
	FILE *to = open_memstream(&json, &size);
	(void)request;
	if (to != NULL) {
		control_put_head(
			to, "hop", loop_now_ms(w->loop) - control->start_ms, w->options->n_workers);
		put_listeners(to, control);
		fprintf(to, ",\"connections\":%" PRIu32 ",\"users\":%zu}",
			atomic_load(&w->connections->n), w->options->n_users);
		(void)fclose(to);
	}
	admin_answer(exchange, 200, json);
}

int hop_control_new(struct hop_worker *worker, const struct hop_doors *doors, struct reload *reload,
	struct hop_control **ret)
{
	static const struct admin_route routes[] = {
		{ "GET", "/v1/status", on_status },
		{ "POST", "/v1/reload", on_reload },
	};
	*ret = NULL;
	if (worker->options->control.path == NULL)
		return 0;
	struct hop_control *control = calloc(1, sizeof *control);
	if (control == NULL)
		return ERR_NOMEM;
	*control = (struct hop_control){
		.worker = worker,
		.doors = doors,
		.reload = reload,
		.start_ms = loop_now_ms(worker->loop),
	};
	int error = control_open(&worker->options->control, worker->loop, routes,
		sizeof routes / sizeof *routes, control, &control->admin);
	if (error != 0 || control->admin == NULL) {
		free(control);
		return error;
	}
	*ret = control;
	return 0;
}

void hop_control_free(struct hop_control *control)
{
	if (control == NULL)
		return;
	admin_free(control->admin);
	free(control);
}
