#include "config/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define WORD_MAX 48

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	for (size_t j = 0; j <= n_b; j++)
		before[j] = last[j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		now[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			size_t replaced = last[j - 1] + !is_same(a[i - 1], b[j - 1]);
			now[j] = least(replaced, 1 + least(last[j], now[j - 1]));
			if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) &&
				is_same(a[i - 2], b[j - 1]))
				now[j] = least(now[j], before[j - 2] + 1);
		}
		size_t *oldest = before;
		before = last;
		last = now;
		now = oldest;
	}
	return last[n_b];
}

const char *suggest(const char *word, const char *const *among, size_t n)
{
	size_t len = strlen(word), best = 1 + (len >= 4) + (len >= 8);
	const char *found = NULL;
	if (len < 2 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(among[i]);
		if (other > WORD_MAX)
			continue;
		size_t d = distance(word, len, among[i], other);
		if (d < best || (d == best && found == NULL)) {
			best = d;
			found = among[i];
		}
	}
	return found;
}
