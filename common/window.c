#include "common/window.h"

#include <stddef.h>
#include <string.h>

#define WORD_BITS 64
#define N_WORDS   (WINDOW_SIZE / WORD_BITS + 1)

/* The words are a ring over the numbers: number n is bit n % 64 of word (n / 64) % N_WORDS. The one
 * word more than WINDOW_SIZE needs lets whole words be cleared as the highest number enters them:
 * what is still told apart never shares a word with them. */

static uint64_t *word_of(struct window *window, uint64_t number)
{
	return &window->bits[number / WORD_BITS % N_WORDS];
}

static uint64_t bit_of(uint64_t number)
{
	return UINT64_C(1) << (number % WORD_BITS);
}

void window_start(struct window *window, uint64_t next)
{
	memset(window->bits, 0xff, sizeof window->bits);
	window->next = 0;
	if (next == 0)
		memset(window->bits, 0, sizeof window->bits);
	else
		window->next = next;
	/* The rest of the highest number's word is still to come. */
	for (uint64_t number = next; next > 0 && number % WORD_BITS != 0; number++)
		*word_of(window, number) &= ~bit_of(number);
}

bool window_is_fresh(const struct window *window, uint64_t number)
{
	if (number >= window->next)
		return number != UINT64_MAX; /* there is no next one */
	if (window->next - 1 - number > WINDOW_SIZE)
		return false;
	return (window->bits[number / WORD_BITS % N_WORDS] & bit_of(number)) == 0;
}

/* Clears the words between that of the highest number and that of @number, and the latter. */
static void advance(struct window *window, uint64_t number)
{
	uint64_t last = number / WORD_BITS;
	uint64_t word = window->next == 0 ? 0 : (window->next - 1) / WORD_BITS;

	if (last - word >= N_WORDS) {
		memset(window->bits, 0, sizeof window->bits);
	} else {
		while (word < last)
			window->bits[++word % N_WORDS] = 0;
	}
	window->next = number + 1;
}

bool window_take(struct window *window, uint64_t number)
{
	if (!window_is_fresh(window, number))
		return false;
	if (number >= window->next)
		advance(window, number);
	*word_of(window, number) |= bit_of(number);
	return true;
}
