#include "common/control.h"

#include "common/json_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "admin"
#include "common/log.h"

void control_options_deinit(struct control_options *options)
{
	free(options->path);
	*options = (struct control_options){ 0 };
}

int control_open(const struct control_options *options, struct loop *loop,
	const struct admin_route *routes, size_t n_routes, void *owner, struct admin **ret)
{
	char path[256];
	*ret = NULL;
	if (options->path == NULL)
		return 0;
	log_quote(options->path, path, sizeof path);
	int error = admin_new(loop, options->path, options->mode, routes, n_routes, owner, ret);
	if (error == 0) {
		LOG_INFO("operators may ask at socket=%s", path);
		return 0;
	}
	if (!options->is_named) {
		LOG_NOTICE("no admin socket socket=%s error=%s%s", path, err_name(error),
			error == -EADDRINUSE ? " why=\"another instance has it: --admin-socket\""
					     : "");
		return 0;
	}
	LOG_ERROR("cannot open the admin socket socket=%s error=%s why=\"%s\"", path,
		err_name(error), err_text(error));
	return error;
}

/* ---- Reload ---- */

static void put_lines(FILE *to, const char *lines)
{
	const char *comma = "";
	fputc('[', to);
	while (lines != NULL && *lines != '\0') {
		size_t len = strcspn(lines, "\n");
		char *line = strndup(lines, len);
		fputs(comma, to);
		json_text_put(to, line);
		free(line);
		comma = ",";
		lines += len + (lines[len] == '\n');
	}
	fputc(']', to);
}

static void put_report(FILE *to, const struct reload_report *report)
{
	if (report->is_done) {
		fputs("{\"reloaded\":true,\"summary\":", to);
		json_text_put(to, report->summary);
		fputs(",\"warnings\":", to);
		put_lines(to, report->warnings);
	} else {
		fputs("{\"error\":{\"slug\":\"configuration\",\"message\":"
		      "\"nothing was changed\"},\"text\":",
			to);
		json_text_put(to, report->text);
		fprintf(to, ",\"findings\":[%s]", report->findings != NULL ? report->findings : "");
	}
	fprintf(to, ",\"took_ms\":%.1f}", report->took_us / 1000.0);
}

static void on_reloaded(const struct reload_report *report, void *owner)
{
	struct admin_exchange *exchange = owner;
	char *json = NULL;
	size_t size;
	FILE *to = open_memstream(&json, &size);
	if (to != NULL) {
		put_report(to, report);
		(void)fclose(to);
	}
	admin_answer(exchange, report->is_done ? 200 : 422, json);
}

void control_reload(struct admin_exchange *exchange, struct reload *reload)
{
	if (reload_start(reload, on_reloaded, exchange) != 0)
		admin_refuse(exchange, 503, "stopping", "the server is about to end");
}

void control_put_head(FILE *to, const char *program, uint64_t uptime_ms, unsigned n_workers)
{
	fprintf(to,
		"{\"program\":\"%s\",\"version\":\"%s\",\"uptime_ms\":%" PRIu64 ",\"workers\":%u,",
		program, HOPCHAIN_VERSION, uptime_ms, n_workers);
}
