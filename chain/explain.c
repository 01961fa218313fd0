#include "chain/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define N_PARTS 2

static const struct explain_part *part(size_t i)
{
	return i == 0 ? &explain_way : &explain_rule;
}

size_t explain_n_pages(void)
{
	return explain_way.n_pages + explain_rule.n_pages;
}

const struct hopchain_status *explain_page(size_t i)
{
	size_t i_part = 0;
	while (i_part + 1 < N_PARTS && i >= part(i_part)->n_pages)
		i -= part(i_part++)->n_pages;
	return &part(i_part)->pages[i];
}

/* "35", "0x23". Return: -1 if @text is no number of a code. */
static int code_of(const char *text)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return -1;
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	errno = 0;
	unsigned long code = strtoul(text, &end, base);
	return errno == 0 && *end == '\0' && code <= 0xff ? (int)code : -1;
}

const struct hopchain_status *explain_find(const char *slug)
{
	int code = code_of(slug);
	for (size_t i = 0; i < explain_n_pages(); i++) {
		const struct hopchain_status *page = explain_page(i);
		if (code >= 0 ? page->code == code : strcasecmp(page->slug, slug) == 0)
			return page;
	}
	return NULL;
}
