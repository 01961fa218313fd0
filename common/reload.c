#include "common/reload.h"

#include "common/work.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOG_MODULE "reload"
#include "common/log.h"

enum phase {
	PHASE_IDLE,
	PHASE_LOAD,
	PHASE_PREPARE,
	PHASE_COMMIT,
	PHASE_CANCEL,
};
#define PHASE_BITS 3 /* of an order; above them its number */

/* Somebody who waits for the outcome. */
struct wish {
	struct wish *prev, *next;
	reload_done_fn *fn; /* or NULL */
	void *owner;
};

struct seat {
	struct loop *loop;
	void *worker;
	unsigned heeded; /* the last order; own thread only */
};

struct reload {
	const struct reload_ops *ops;
	void *owner;
	unsigned n_workers;
	/* Worker 0's. */
	enum phase phase;
	bool is_stopped;
	struct wish *wishes; /* for the next reload */
	struct wish *served; /* of this one */
	uint64_t start_us;
	/* Of the thread that loads until it has ended, then of all workers while they prepare. */
	void *next;
	struct reload_report report;
	pthread_mutex_t mutex; /* of report while workers prepare */
	/* What worker 0 asks of the others, and how many have yet to do it. */
	_Atomic unsigned order, n_behind;
	_Atomic bool has_failed;
	struct seat seats[];
};

void reload_report_fail(struct reload_report *report, const char *format, ...)
{
	va_list args;
	if (report->text != NULL)
		return;
	va_start(args, format);
	if (vasprintf(&report->text, format, args) < 0)
		report->text = NULL;
	va_end(args);
}

void reload_report_warn(struct reload_report *report, const char *format, ...)
{
	char *line = NULL, *lines = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	va_end(args);
	if (line == NULL || asprintf(&lines, "%s%s\n",
				    report->warnings != NULL ? report->warnings : "", line) < 0)
		lines = NULL;
	free(line);
	if (lines == NULL)
		return;
	free(report->warnings);
	report->warnings = lines;
}

static void log_lines(enum log_level level, const char *lines)
{
	char quoted[1024];
	while (lines != NULL && *lines != '\0') {
		size_t len = strcspn(lines, "\n");
		char *line = strndup(lines, len);
		if (*lines != ' ') /* what the file says there is for people */
			LOG_AT(level, "reload why=%s", log_quote(line, quoted, sizeof quoted));
		free(line);
		lines += len + (lines[len] == '\n');
	}
}

void reload_report_log(const struct reload_report *report)
{
	log_lines(LOG_LEVEL_WARNING, report->warnings);
	if (report->is_done) {
		LOG_NOTICE("reloaded %s took_ms=%.1f",
			report->summary != NULL ? report->summary : "", report->took_us / 1000.0);
		return;
	}
	LOG_ERROR("reload failed, nothing changed took_ms=%.1f", report->took_us / 1000.0);
	log_lines(LOG_LEVEL_ERROR, report->text);
}

static void clear_report(struct reload_report *report)
{
	free(report->text);
	free(report->findings);
	free(report->summary);
	free(report->warnings);
	*report = (struct reload_report){ 0 };
}

int reload_new(unsigned n_workers, const struct reload_ops *ops, void *owner, struct reload **ret)
{
	struct reload *reload = calloc(1, sizeof *reload + n_workers * sizeof reload->seats[0]);
	if (reload == NULL)
		return ERR_NOMEM;
	reload->ops = ops;
	reload->owner = owner;
	reload->n_workers = n_workers;
	pthread_mutex_init(&reload->mutex, NULL);
	*ret = reload;
	return 0;
}

static void free_wishes(struct wish **list)
{
	struct wish *wish, *next;
	DL_FOREACH_SAFE (*list, wish, next) {
		DL_DELETE(*list, wish);
		free(wish);
	}
}

void reload_free(struct reload *reload)
{
	if (reload == NULL)
		return;
	if (reload->next != NULL)
		reload->ops->end(reload->owner, reload->next, &reload->report);
	clear_report(&reload->report);
	free_wishes(&reload->wishes);
	free_wishes(&reload->served);
	pthread_mutex_destroy(&reload->mutex);
	free(reload);
}

void reload_join(struct reload *reload, unsigned i, struct loop *loop, void *worker)
{
	reload->seats[i].loop = loop;
	reload->seats[i].worker = worker;
}

void reload_stop(struct reload *reload)
{
	reload->is_stopped = true;
}

/* ---- Each worker ---- */

static void prepare(struct reload *reload, unsigned i)
{
	struct reload_report report = { 0 };
	if (reload->ops->prepare(reload->seats[i].worker, reload->next, &report) != 0)
		atomic_store(&reload->has_failed, true);
	pthread_mutex_lock(&reload->mutex);
	if (reload->report.text == NULL) {
		reload->report.text = report.text;
		report.text = NULL;
	}
	pthread_mutex_unlock(&reload->mutex);
	clear_report(&report);
}

static void do_phase(struct reload *reload, unsigned i, enum phase phase)
{
	if (phase == PHASE_PREPARE)
		prepare(reload, i);
	else if (phase == PHASE_COMMIT)
		reload->ops->commit(reload->seats[i].worker);
	else if (phase == PHASE_CANCEL)
		reload->ops->cancel(reload->seats[i].worker);
}

/* ---- Worker 0 ---- */

static int begin(struct reload *reload);

static void tell(struct reload *reload)
{
	struct wish *wish;
	while ((wish = reload->served) != NULL) {
		DL_DELETE(reload->served, wish);
		if (wish->fn != NULL && !reload->is_stopped)
			wish->fn(&reload->report, wish->owner);
		free(wish);
	}
}

static void end(struct reload *reload, bool is_done)
{
	void *next = reload->next;
	reload->next = NULL;
	reload->phase = PHASE_IDLE;
	reload->report.is_done = is_done;
	reload->report.took_us = (uint32_t)(loop_clock_us() - reload->start_us);
	reload->ops->end(reload->owner, next, &reload->report);
	tell(reload);
	clear_report(&reload->report);
	if (reload->wishes == NULL || reload->is_stopped || begin(reload) == 0)
		return;
	reload_report_fail(&reload->report, "%s", err_text(ERR_NOMEM));
	DL_CONCAT(reload->served, reload->wishes);
	reload->wishes = NULL;
	tell(reload);
	clear_report(&reload->report);
}

/* Asks the others for @phase. Return: false if there are none. */
static bool ask(struct reload *reload, enum phase phase)
{
	unsigned number = (atomic_load(&reload->order) >> PHASE_BITS) + 1;
	reload->phase = phase;
	if (reload->n_workers == 1)
		return false;
	atomic_store(&reload->n_behind, reload->n_workers - 1);
	atomic_store(&reload->order, number << PHASE_BITS | (unsigned)phase);
	for (unsigned i = 1; i < reload->n_workers; i++)
		loop_wake(reload->seats[i].loop);
	return true;
}

/* All have done what they were asked for. */
static void go_on(struct reload *reload)
{
	while (reload->phase == PHASE_PREPARE) {
		enum phase next = atomic_load(&reload->has_failed) ? PHASE_CANCEL : PHASE_COMMIT;
		do_phase(reload, 0, next);
		if (ask(reload, next))
			return;
	}
	if (reload->phase == PHASE_COMMIT || reload->phase == PHASE_CANCEL)
		end(reload, reload->phase == PHASE_COMMIT);
}

static void on_loaded(bool has_run, void *owner)
{
	struct reload *reload = owner;
	(void)has_run;
	if (reload->is_stopped)
		return; /* what was read is freed at the end */
	if (reload->next == NULL) {
		end(reload, false);
		return;
	}
	prepare(reload, 0);
	if (atomic_load(&reload->has_failed)) { /* the others need not hear of it */
		do_phase(reload, 0, PHASE_CANCEL);
		end(reload, false);
		return;
	}
	if (!ask(reload, PHASE_PREPARE))
		go_on(reload);
}

static void load(void *owner)
{
	struct reload *reload = owner;
	reload->next = reload->ops->load(reload->owner, &reload->report);
}

static int begin(struct reload *reload)
{
	struct work *work; /* goes on to its end, whatever comes */
	int error = work_start(reload->seats[0].loop, load, on_loaded, reload, &work);
	if (error != 0)
		return error;
	DL_CONCAT(reload->served, reload->wishes);
	reload->wishes = NULL;
	reload->phase = PHASE_LOAD;
	reload->start_us = loop_clock_us();
	atomic_store(&reload->has_failed, false);
	return 0;
}

int reload_start(struct reload *reload, reload_done_fn *fn, void *owner)
{
	if (reload->is_stopped)
		return ERR_AGAIN;
	struct wish *wish = calloc(1, sizeof *wish);
	if (wish == NULL)
		return ERR_NOMEM;
	wish->fn = fn;
	wish->owner = owner;
	DL_APPEND(reload->wishes, wish);
	if (reload->phase == PHASE_IDLE && begin(reload) != 0) {
		DL_DELETE(reload->wishes, wish);
		free(wish);
		return ERR_NOMEM;
	}
	return 0;
}

void reload_heed(struct reload *reload, unsigned i)
{
	struct seat *seat = &reload->seats[i];
	if (i == 0) {
		if (reload->phase >= PHASE_PREPARE && atomic_load(&reload->n_behind) == 0)
			go_on(reload);
		return;
	}
	unsigned order = atomic_load(&reload->order);
	if (order == seat->heeded)
		return;
	seat->heeded = order;
	do_phase(reload, i, (enum phase)(order & ((1u << PHASE_BITS) - 1)));
	if (atomic_fetch_sub(&reload->n_behind, 1) == 1)
		loop_wake(reload->seats[0].loop);
}
