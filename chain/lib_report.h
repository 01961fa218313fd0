#ifndef CHAIN_LIB_REPORT_H
#define CHAIN_LIB_REPORT_H
/*
 * Does: the report of what is wrong as a text for the library's caller. Knows: report.h. Never
 * knows: what was read.
 */
#include "config/report.h"

/** lib_report_new() - Return: NULL without memory. */
NODISCARD struct report *lib_report_new(void);
/** lib_report_end() - frees @report. *ret_text (may be NULL): its lines, if there are any, the
 * caller's; else NULL. Return: 0 if it is empty, HOPCHAIN_INVALID, ERR_NOMEM. */
NODISCARD int lib_report_end(struct report *report, char **ret_text);

#endif
