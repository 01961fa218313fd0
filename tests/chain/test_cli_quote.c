#include "chain/cli_quote.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(cli_quote, a_word_is_quoted_for_ssh_and_for_the_shell)
{
	static const struct {
		const char *text, *quoted;
	} cases[] = {
		{ "", "" },
		{ "/home/me/chain.json", "/home/me/chain.json" },
		{ "a b", "a\\ b" },
		{ "50%", "50%%" },
		{ "%h%%", "%%h%%%%" },
		{ "it's", "it\\'s" },
		{ "\"", "\\\"" },
		{ "\\", "\\\\" },
		{ "$HOME", "\\$HOME" },
		{ "a\tb", "a\\\tb" },
		{ "#;&|<>()*?[]{}!~^`", "\\#\\;\\&\\|\\<\\>\\(\\)\\*\\?\\[\\]\\{\\}\\!\\~\\^\\`" },
		{ "\xc3\xbc", "\xc3\xbc" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *quoted = cli_quote_word(cases[i].text);
		cr_assert_str_eq(quoted, cases[i].quoted, "case %zu: %s", i, quoted);
		free(quoted);
	}
}

Test(cli_quote, a_line_break_has_no_quotes)
{
	cr_assert_null(cli_quote_word("a\nb"));
	cr_assert_null(cli_quote_word("a\r"));
}

Test(cli_quote, patterns_stand_as_they_are)
{
	static const char *const good[] = { "*", "host", "*.corp.example", "10.9.?", "!not.this",
		"2001:db8::1", "[::1]", "\xc3\xbc.example" };
	static const char *const bad[] = { "", " ", "a b", "a\tb", "a\nb", "\"a\"", "'a'", "#a",
		"a\\b", "\x7f" };
	for (size_t i = 0; i < COUNT(good); i++)
		cr_assert(cli_quote_is_pattern(good[i]), "%s", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		cr_assert_not(cli_quote_is_pattern(bad[i]), "case %zu", i);
}
