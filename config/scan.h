#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H
/*
 * Does: says whether a text is strict JSON, and if not, where and why.
 * Knows: RFC 8259 and our rules (UTF-8, no duplicate names, no \u0000, 64 levels, no comments).
 * Never knows: what the values mean, files.
 */
#include "common/err.h"
#include "common/wire.h"

#define SCAN_DEPTH_MAX 64

/* Part of a text: bytes start..end-1. */
struct span {
	size_t start, end;
};

/** scan_finding_fn - something is wrong at @at; @text is one sentence; it may hold
 * control characters of names. */
typedef void scan_finding_fn(struct span at, const char *text, void *owner);

/**
 * scan_json() - stops at the first error of syntax; goes on after a duplicate name
 * Return: false if the text is not JSON (then @on_finding was told why) or memory ran out.
 */
NODISCARD bool scan_json(struct bytes text, scan_finding_fn *on_finding, void *owner);

#endif
