/* What the scanner lets through is a tree whose every value can be located; what it refuses has a
 * place inside the text. Then the readers of all three files meet the text. */
#include "config/document.h"
#include "config/json.h"
#include "config/locate.h"
#include "config/read_chain.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
	size_t size, n_findings;
};

static void on_finding(struct span at, const char *text, void *owner)
{
	struct state *state = owner;
	assert(at.start <= at.end && at.start <= state->size && text[0] != '\0');
	state->n_findings++;
}

static void locate_all(const struct json *root, const struct json *value, struct bytes text)
{
	size_t path[SCAN_DEPTH_MAX], n_path = 0;
	char pointer[256];
	struct span name, at;
	bool is_found =
		json_find(root, value, path, SCAN_DEPTH_MAX, &n_path, pointer, sizeof pointer) &&
		locate(text, path, n_path, &name, &at);
	assert(is_found);
	assert(at.start < at.end && at.end <= text.len && name.start <= at.start);
	if (json_type(value) == JSON_STRING)
		assert(text.ptr[at.start] == '"' && text.ptr[at.end - 1] == '"');
	if (json_type(value) != JSON_ARRAY && json_type(value) != JSON_OBJECT)
		return;
	for (const struct json *v = json_first(value); v != NULL; v = json_next(v))
		locate_all(root, v, text);
}

static void read_it(struct bytes text)
{
	struct report *report = report_new("fuzz");
	assert(report != NULL);
	struct document *document = document_read("fuzz.json", text, report);
	if (document != NULL)
		chain_spec_free(read_chain(document, document->root));
	document_free(document);
	char *shown = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&shown, &size);
	assert(to != NULL);
	report_print(report, to);
	fclose(to);
	free(shown);
	report_free(report);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return seal_start();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state state = { .size = size };
	struct bytes text = bytes_of(data, size);
	if (size > 8192)
		return 0;
	bool is_good = scan_json(text, on_finding, &state);
	assert(is_good || state.n_findings > 0);
	if (is_good) {
		struct json *root = json_parse(text);
		assert(root != NULL);
		locate_all(root, root, text);
		json_free(root);
	}
	read_it(text);
	return 0;
}
