#include "common/err.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <limits.h>
#include <string.h>

Test(err, our_codes_have_their_own_names)
{
	static const struct {
		int code;
		const char *name;
	} rows[] = {
		{ 0, "ok" },
		{ ERR_TRUNCATED, "truncated" },
		{ ERR_BAD_RECORD, "bad-record" },
		{ ERR_CANCELED, "canceled" },
		{ ERR_STALLED, "stalled" },
		{ ERR_CRYPTO, "crypto" },
		{ ERR_NOT_FOUND, "not-found" },
		{ ERR_NO_ADDRESS, "no-address" },
		{ ERR_DNS_TEMPORARY, "dns-temporary" },
		{ ERR_DNS_SERVER, "dns-server" },
		{ ERR_DNS_TIMEOUT, "dns-timeout" },
		{ ERR_DENIED, "denied" },
		{ ERR_IDLE, "idle" },
		{ -ECONNREFUSED, "ECONNREFUSED" },
		{ ERR_AGAIN, "EAGAIN" },
		{ ERR_TIMEOUT, "ETIMEDOUT" },
		{ -EXDEV, "EXDEV" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_str_eq(err_name(rows[i].code), rows[i].name);
}

Test(err, whatever_the_code_there_is_a_name_and_a_text)
{
	static const int odd[] = { 1, 5, INT_MAX, INT_MIN, -4095, -4096, -10000, -10013 };
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		cr_expect_str_eq(err_name(odd[i]), "unknown");
		cr_expect_str_eq(err_text(odd[i]), "unknown error");
	}
	for (int code = 0; code > -140; code--) {
		cr_expect_not_null(err_name(code));
		cr_expect_not_null(err_text(code));
	}
}

Test(err, texts_of_common_errors_are_lower_case_sentences)
{
	static const int common[] = { 0, -ECONNREFUSED, -ECONNRESET, -EPIPE, -ETIMEDOUT,
		-EHOSTUNREACH, -ENETUNREACH, -EMFILE, -ENFILE, -ENOMEM, -EACCES, -EPERM,
		-EADDRINUSE, -EADDRNOTAVAIL, -EAFNOSUPPORT, -ENOENT, ERR_TRUNCATED, ERR_DENIED,
		ERR_DNS_SERVER, ERR_IDLE };
	for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
		const char *text = err_text(common[i]);
		cr_expect(islower(text[0]), "%s", text);
		cr_expect_neq(text[strlen(text) - 1], '.', "%s", text);
	}
}
