#include "chain/lib_report.h"

#include "chain/hopchain.h"

#include <stdlib.h>

struct report *lib_report_new(void)
{
	return report_new("chain");
}

static int print(struct report *report, char **ret_text)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return ERR_NOMEM;
	report_print(report, to);
	if (fclose(to) != 0) {
		free(text);
		return ERR_NOMEM;
	}
	*ret_text = text;
	return HOPCHAIN_INVALID;
}

int lib_report_end(struct report *report, char **ret_text)
{
	int error = report_n_errors(report) > 0 ? HOPCHAIN_INVALID : 0;
	if (error != 0 && ret_text != NULL)
		error = print(report, ret_text);
	report_free(report);
	return error;
}
