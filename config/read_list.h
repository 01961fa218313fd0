#ifndef CONFIG_READ_LIST_H
#define CONFIG_READ_LIST_H
/*
 * Does: files with one domain or one network on each line → sets. Blank lines, CRLF, and what
 * follows '#' or ';' do not matter; a list of domains may have the form of a hosts file, "0.0.0.0
 * NAME…". Knows: lines. Never knows: what the set is for.
 */
#include "access/cidr_set.h"
#include "access/domain_set.h"
#include "config/report.h"

#define READ_LIST_SIZE_MAX (64u << 20) /* bytes of a file */
#define READ_LIST_WHY_MAX  300

/** read_list_domains(), read_list_cidrs() - adds what is in the file. Return: false;
 * then @report knows what is wrong, with file and line. */
bool read_list_domains(const char *path, struct report *report, struct domain_set *set);
bool read_list_cidrs(const char *path, struct report *report, struct cidr_set *set);
/** read_list_domains_text(), read_list_cidrs_text() - the same from a text; @path is what errors
 * show. */
bool read_list_domains_text(
	const char *path, struct bytes text, struct report *report, struct domain_set *set);
bool read_list_cidrs_text(
	const char *path, struct bytes text, struct report *report, struct cidr_set *set);

/** read_list_domain(), read_list_cidr() - one entry. Return: false, with a sentence in @why. */
bool read_list_domain(struct bytes text, struct domain_set *set, char why[READ_LIST_WHY_MAX]);
bool read_list_cidr(struct bytes text, struct cidr_set *set, char why[READ_LIST_WHY_MAX]);

#endif
