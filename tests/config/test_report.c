#include "config/read_chain.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* What is wrong with @text, as the elements of a JSON array. Heap. */
static char *json_of(const char *text)
{
	char *out = NULL;
	size_t size = 0, n_before = 0;
	FILE *to = open_memstream(&out, &size);
	struct report *report = report_new("chain");
	struct document *document =
		document_read("chain.json", bytes_of(text, strlen(text)), report);
	struct chain_spec *spec = document != NULL ? read_chain(document, document->root) : NULL;
	report_print_json(report, "chain.json", &n_before, to);
	cr_expect_eq(n_before, report_n_errors(report));
	fclose(to);
	chain_spec_free(spec);
	document_free(document);
	report_free(report);
	return out;
}

static const struct {
	const char *text, *json;
} rows[] = {
	{ "{\"hops\": [],\n \"dns\": 5}",
		"\n  {\"file\": \"chain.json\", \"line\": 1, \"column\": 10, \"pointer\": "
		"\"/hops\", "
		"\"slug\": \"value\", \"message\": \"0 hops; a chain has 1 to 16\", \"hint\": "
		"null},"
		"\n  {\"file\": \"chain.json\", \"line\": 2, \"column\": 9, \"pointer\": \"/dns\", "
		"\"slug\": \"value\", \"message\": \"expected \\\"exit\\\" or \\\"local\\\", found "
		"the number 5\", \"hint\": null}" },
	{ "{\"hops\": [ ]", "\n  {\"file\": \"chain.json\", \"line\": 1, \"column\": 1, "
			    "\"pointer\": null, \"slug\": \"syntax\", \"message\": \"'{' opened "
			    "here is never closed\", \"hint\": null}" },
};

Test(report, findings_are_json)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *json = json_of(rows[i].text);
		cr_expect_str_eq(json, rows[i].json);
		free(json);
	}
}

Test(report, a_hint_is_a_member_of_its_own)
{
	char *json = json_of("{\"hops\": [{\"addr\": \"h.example\", \"key_file\": \"/nowhere\"}]}");
	cr_expect_not_null(
		strstr(json,
			"\"pointer\": \"/hops/0/addr\", \"slug\": \"value\", \"message\": "
			"\"\\\"h.example\\\" has no port\", \"hint\": \"hops usually listen on "
			"7000: \\\"h.example:7000\\\"\"}"),
		"%s", json);
	free(json);
}

Test(report, what_belongs_to_no_file_is_told_of_the_one_that_was_asked_for)
{
	struct report *report = report_new("chain");
	char *out = NULL;
	size_t size = 0, n_before = 1;
	FILE *to = open_memstream(&out, &size);
	struct chain_spec *spec = read_chain_file("/nowhere/\x01\xff.json", report);
	cr_expect_null(spec);
	report_print_json(report, "/nowhere/\x01\xff.json", &n_before, to);
	fclose(to);
	cr_expect_str_eq(out,
		",\n  {\"file\": \"/nowhere/\\u0001\\ufffd.json\", \"line\": null, \"column\": "
		"null, "
		"\"pointer\": null, \"slug\": \"file\", \"message\": \"cannot open "
		"/nowhere/??.json: No such file or directory\", \"hint\": null}");
	free(out);
	report_free(report);
}
