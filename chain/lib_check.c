#include "chain/hopchain.h"
#include "chain/lib_report.h"
#include "chain/lib_state.h"
#include "config/read_chain.h"

#include <stdlib.h>

int hopchain_chain_check_json(const char *path, char **ret_document)
{
	size_t n = 0, size = 0;
	char *text = NULL;
	int error = lib_start();
	if (error != 0)
		return error;
	struct report *report = lib_report_new();
	FILE *to = open_memstream(&text, &size);
	if (report == NULL || to == NULL) {
		report_free(report);
		if (to != NULL)
			(void)fclose(to);
		free(text);
		return ERR_NOMEM;
	}
	chain_spec_free(read_chain_file(path, report));
	fputc('[', to);
	report_print_json(report, strcmp(path, "-") == 0 ? "stdin" : path, &n, to);
	fputs(n > 0 ? "\n]\n" : "]\n", to);
	bool is_good = report_n_errors(report) == 0;
	report_free(report);
	if (fclose(to) != 0) {
		free(text);
		return ERR_NOMEM;
	}
	*ret_document = text;
	return is_good ? 0 : HOPCHAIN_INVALID;
}
