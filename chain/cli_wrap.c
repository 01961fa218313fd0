#include "chain/cli_wrap.h"

#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH     80
#define WIDTH_MIN 40
#define WIDTH_MAX 100

size_t cli_wrap_width(void)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return WIDTH;
	if (size.ws_col < WIDTH_MIN)
		return WIDTH_MIN;
	return size.ws_col > WIDTH_MAX ? WIDTH_MAX : size.ws_col;
}

/* Columns count characters, not bytes. */
static size_t n_columns(const char *text, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

void cli_wrap(FILE *to, const char *text, size_t column, const char *indent, size_t width)
{
	bool is_begun = false;
	for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
		size_t len = strcspn(text, " "), n = n_columns(text, len);
		if (is_begun && column + 1 + n > width) {
			fprintf(to, "\n%s", indent);
			column = n_columns(indent, strlen(indent));
		} else if (is_begun) {
			fputc(' ', to);
			column++;
		}
		(void)fwrite(text, 1, len, to);
		column += n;
		is_begun = true;
		text += len;
	}
	fputc('\n', to);
}
