#include "chain/explain.h"

size_t hopchain_n_statuses(void)
{
	return explain_n_pages();
}

const struct hopchain_status *hopchain_status_at(size_t i)
{
	return explain_page(i);
}

const struct hopchain_status *hopchain_status_find(const char *slug)
{
	return explain_find(slug);
}
