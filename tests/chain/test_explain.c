#include "chain/error.h"
#include "chain/explain.h"
#include "chain/wire_status.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const client_words[] = { "no-answer", "not-a-hop", "not-a-proxy",
	"login-refused", "lost" };

Test(explain, every_status_of_the_wire_has_its_page)
{
	for (unsigned code = 0; code < 256; code++) {
		const struct wire_status_row *row = wire_status_find((uint8_t)code);
		char number[8], hex[8];
		if (!wire_status_is_known((uint8_t)code))
			continue;
		snprintf(number, sizeof number, "%u", code);
		snprintf(hex, sizeof hex, "0x%02X", code);
		const struct hopchain_status *page = hopchain_status_find(row->slug);
		cr_assert_not_null(page, "%s", row->slug);
		cr_expect_eq(page->code, code, "%s", row->slug);
		cr_expect_str_eq(page->summary, row->text, "%s", row->slug);
		cr_expect_eq(hopchain_status_find(number), page, "%s", number);
		cr_expect_eq(hopchain_status_find(hex), page, "%s", hex);
	}
}

Test(explain, every_page_is_of_a_status_or_a_word_of_the_client)
{
	size_t n_client = sizeof client_words / sizeof client_words[0], n_found = 0;
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *page = hopchain_status_at(i);
		cr_expect_eq(hopchain_status_find(page->slug), page, "%s twice", page->slug);
		if (page->code >= 0) {
			cr_expect(wire_status_is_known((uint8_t)page->code), "%s", page->slug);
			continue;
		}
		for (size_t j = 0; j < n_client; j++)
			n_found += strcmp(client_words[j], page->slug) == 0;
	}
	cr_expect_eq(n_found, n_client);
}

/* An error of which chain_error_slug() is @page's. */
static struct chain_error error_of(const struct hopchain_status *page)
{
	struct chain_error e = { .hop = 2, .n_hops = 2, .stage = CHAIN_STATUS };
	if (page->code >= 0) {
		e.status = (uint8_t)page->code;
	} else if (strcmp(page->slug, "lost") == 0) {
		e.stage = CHAIN_PAYLOAD;
	} else {
		e.stage = CHAIN_ANSWER;
		if (strcmp(page->slug, "not-a-hop") == 0)
			e.seen[0] = 'S';
		if (strcmp(page->slug, "not-a-proxy") == 0 ||
			strcmp(page->slug, "login-refused") == 0) {
			e.foreign = "socks5";
			e.code = page->slug[0] == 'n' ? ERR_BAD_RECORD : -EACCES;
		}
	}
	return e;
}

Test(explain, exit_codes_are_those_of_errors)
{
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *page = hopchain_status_at(i);
		struct chain_error e = error_of(page);
		cr_expect_str_eq(chain_error_slug(&e), page->slug);
		if (page->code == STATUS_OK)
			cr_expect_eq(page->exit_code, 0);
		else
			cr_expect_eq(page->exit_code, chain_error_exit_code(&e), "%s", page->slug);
	}
}

Test(explain, every_error_has_a_page)
{
	static const int codes[] = { ERR_NOT_FOUND, ERR_NO_ADDRESS, ERR_DNS_TIMEOUT,
		ERR_DNS_TEMPORARY, ERR_DNS_SERVER, -ECONNREFUSED, -ENETUNREACH, -EHOSTUNREACH,
		-ETIMEDOUT, -ECONNRESET, -EPIPE, -EAFNOSUPPORT, -EMFILE, ERR_NOMEM, ERR_TRUNCATED };
	static const enum chain_stage stages[] = { CHAIN_RESOLVE, CHAIN_DIAL, CHAIN_ANSWER,
		CHAIN_PAYLOAD, CHAIN_SETUP };
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		for (size_t j = 0; j < sizeof stages / sizeof stages[0]; j++) {
			struct chain_error e = {
				.hop = 1, .n_hops = 1, .code = codes[i], .stage = stages[j]
			};
			cr_expect_not_null(hopchain_status_find(chain_error_slug(&e)), "%s",
				chain_error_slug(&e));
		}
	}
}

Test(explain, details_are_explained_under_their_status)
{
	for (unsigned code = 0; code < 256; code++) {
		if (!wire_status_is_known((uint8_t)code))
			continue;
		const struct hopchain_status *page =
			hopchain_status_find(wire_status_find((uint8_t)code)->slug);
		cr_assert_not_null(page);
		for (unsigned detail = 0; detail < 256; detail++) {
			const char *text = wire_detail_text((uint8_t)code, (uint8_t)detail);
			bool is_family = (code & 0xf0) == 0x10 || code == STATUS_LOCAL;
			bool is_denied =
				(code == STATUS_DENIED_LOOPBACK && detail <= 3) ||
				(code == STATUS_DENIED_PRIVATE && detail >= 4 &&
					detail < DETAIL_DENIED_RULE) ||
				(code == STATUS_DENIED_POLICY && detail == DETAIL_DENIED_RULE);
			if (text == NULL || (!is_family && !is_denied))
				continue;
			if ((code & 0xf0) == 0x10)
				cr_expect(strstr(hopchain_status_find("resolve-fail")->meaning,
						  text) != NULL ||
						  strstr(hopchain_status_find("resolve-temp")
								  ->meaning,
							  text) != NULL ||
						  strstr(hopchain_status_find("resolve-timeout")
								  ->meaning,
							  text) != NULL,
					"%s", text);
			else
				cr_expect_not_null(
					strstr(page->meaning, text), "%s: %s", page->slug, text);
		}
	}
}

Test(explain, pages_are_sentences)
{
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *page = hopchain_status_at(i);
		size_t len = strlen(page->remedy);
		cr_expect_not(isupper((unsigned char)page->summary[0]), "%s", page->slug);
		cr_expect_neq(page->summary[strlen(page->summary) - 1], '.', "%s", page->slug);
		cr_expect_eq(page->meaning[strlen(page->meaning) - 1], '.', "%s", page->slug);
		cr_expect_eq(page->remedy[len - 1], '.', "%s", page->slug);
		cr_expect_null(strchr(page->meaning, '\n'), "%s", page->slug);
		cr_expect_null(strstr(page->remedy, "  "), "%s", page->slug);
	}
}

Test(explain, what_is_no_slug_is_not_found)
{
	static const char *const words[] = { "", "nothing", "0x", "256", "35x", "-1", "0x99",
		"refuse", "153" };
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		cr_expect_null(hopchain_status_find(words[i]), "%s", words[i]);
	cr_expect_str_eq(hopchain_status_find("NO-Answer")->slug, "no-answer");
	cr_expect_str_eq(hopchain_status_find("35")->slug, "timeout");
	cr_expect_str_eq(hopchain_status_find("0x23")->slug, "timeout");
}
