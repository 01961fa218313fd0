/* List files of rules: whatever is in one, each entry it gives is found again, and each error has a
 * place. */
#include "config/read_list.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A list of the words of @text that are entries by themselves: all of them are in the set. */
static void check_domains(struct bytes text, const struct domain_set *set)
{
	char name[256];
	for (size_t i = 0; i < text.len; i++) {
		size_t end = i;
		while (end < text.len && strchr(" \t\r\n#;", text.ptr[end]) == NULL)
			end++;
		struct domain_set *one = domain_set_new();
		if (one == NULL)
			abort();
		if (end > i && end - i < sizeof name && text.ptr[i] != '*' && text.ptr[i] != '.' &&
			text.ptr[end - 1] != '.' && (i == 0 || text.ptr[i - 1] == '\n') &&
			(end == text.len || text.ptr[end] == '\n') &&
			domain_set_add(one, bytes_of(text.ptr + i, end - i)) == 0) {
			memcpy(name, text.ptr + i, end - i);
			name[end - i] = '\0';
			if (!domain_set_has(set, name))
				abort();
		}
		domain_set_free(one);
		i = end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = bytes_of(data, size);
	struct domain_set *domains = domain_set_new();
	struct cidr_set *cidrs = cidr_set_new();
	struct report *report = report_new("fuzz");
	struct report *other = report_new("fuzz");
	if (domains == NULL || cidrs == NULL || report == NULL || other == NULL)
		abort();
	if (read_list_domains_text("list", text, report, domains))
		check_domains(text, domains);
	else if (report_n_errors(report) == 0)
		abort();
	if (!read_list_cidrs_text("list", text, other, cidrs) && report_n_errors(other) == 0)
		abort();
	cidr_set_finish(cidrs);
	domain_set_trim(domains);
	if (domain_set_count(domains) > size || cidr_set_count(cidrs) > 2 * size)
		abort();
	domain_set_free(domains);
	cidr_set_free(cidrs);
	report_free(report);
	report_free(other);
	return 0;
}
