#include "config/cli_argument.h"

#include <string.h>

/* @text without what says that it is optional or repeatable. */
static struct bytes strip(const char *text)
{
	size_t len = strlen(text);
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len > 3 && memcmp(text + len - 3, "...", 3) == 0)
		len -= 3;
	return (struct bytes){ (const uint8_t *)text, len };
}

static bool is_word(struct bytes text)
{
	size_t i = 0;
	while (i < text.len && ((text.ptr[i] >= 'a' && text.ptr[i] <= 'z') || text.ptr[i] == '-' ||
				       (text.ptr[i] >= '0' && text.ptr[i] <= '9')))
		i++;
	return text.len > 0 && i == text.len;
}

bool cli_argument_word(const char **rest, struct bytes *ret)
{
	while (**rest != '\0') {
		const char *begin = *rest + strspn(*rest, "|[] ");
		size_t len = strcspn(begin, "|[] ");
		*rest = begin + len;
		*ret = (struct bytes){ (const uint8_t *)begin, len };
		if (is_word(*ret))
			return true;
	}
	return false;
}

static bool is(struct bytes text, const char *name)
{
	return text.len == strlen(name) && memcmp(text.ptr, name, text.len) == 0;
}

enum cli_argument cli_argument(const char *text)
{
	static const struct {
		const char *name;
		enum cli_argument kind;
	} names[] = {
		{ "FILE", CLI_ARGUMENT_FILE },
		{ "KEYFILE", CLI_ARGUMENT_FILE },
		{ "DIR", CLI_ARGUMENT_DIR },
		{ "NAME,KEYFILE", CLI_ARGUMENT_PAIR },
		{ "ADDR,KEYFILE", CLI_ARGUMENT_PAIR },
		{ "SLUG", CLI_ARGUMENT_SLUG },
		{ "COMMAND", CLI_ARGUMENT_COMMAND },
	};
	struct bytes word;
	if (text == NULL)
		return CLI_ARGUMENT_NONE;
	struct bytes name = strip(text);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (is(name, names[i].name))
			return names[i].kind;
	}
	return cli_argument_word(&text, &word) ? CLI_ARGUMENT_WORDS : CLI_ARGUMENT_FREE;
}
