#include "common/json_text.h"

#include "common/utf8.h"

#include <string.h>

static void put_ascii(FILE *to, unsigned char c)
{
	static const unsigned char named[] = "b\bf\fn\nr\rt\t";
	for (size_t i = 0; i + 1 < sizeof named; i += 2) {
		if (c == named[i + 1]) {
			fprintf(to, "\\%c", named[i]);
			return;
		}
	}
	if (c < 0x20 || c == 0x7f)
		fprintf(to, "\\u%04x", c);
	else
		fprintf(to, c == '"' || c == '\\' ? "\\%c" : "%c", c);
}

void json_text_put(FILE *to, const char *text)
{
	if (text == NULL) {
		fputs("null", to);
		return;
	}
	fputc('"', to);
	for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
		n = utf8_length((const unsigned char *)text, left);
		if (n == 1)
			put_ascii(to, (unsigned char)*text);
		else if (n == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0)
			fprintf(to, "\\u00%02x",
				(unsigned char)text[1]); /* C1: a terminal may obey */
		else if (n > 1)
			(void)fwrite(text, 1, n, to);
		else
			fputs("\\ufffd", to);
		n += n == 0;
	}
	fputc('"', to);
}
