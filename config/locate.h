#ifndef CONFIG_LOCATE_H
#define CONFIG_LOCATE_H
/*
 * Does: finds where in a text a value stands. Knows: the outlines of JSON. Never knows: what the
 * values mean. Only for texts that have passed scan_json().
 */
#include "config/scan.h"

/**
 * locate() - the value that @path leads to: positions among siblings, from 0
 * *ret_name is the member's name, or equal to *ret_value where the value has none.
 * Return: false if there is no such value.
 */
NODISCARD bool locate(struct bytes text, const size_t *path, size_t n_path, struct span *ret_name,
	struct span *ret_value);

#endif
