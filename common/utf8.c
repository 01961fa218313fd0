#include "common/utf8.h"

size_t utf8_length(const unsigned char *at, size_t left)
{
	unsigned char c = at[0];
	size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	if (len > left)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	bool is_bad = (c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) ||
		      (c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f);
	return is_bad ? 0 : len;
}
