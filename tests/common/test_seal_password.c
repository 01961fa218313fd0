#include "common/seal.h"
#include "common/seal_password.h"

#include <criterion/criterion.h>
#include <string.h>

static void setup(void)
{
	cr_assert_eq(seal_start(), 0);
}

TestSuite(seal_password, .init = setup);

/* The known answer of argon2's authors for "password", "somesalt", 2 passes, 64 MiB. */
static const char foreign[] = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
			      "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

Test(seal_password, right_and_wrong)
{
	char one[SEAL_PASSWORD_TEXT], two[SEAL_PASSWORD_TEXT];
	cr_assert_eq(seal_password_hash("correct horse", one), 0);
	cr_assert_eq(seal_password_hash("correct horse", two), 0);
	cr_assert_str_neq(one, two, "each has its own salt");
	cr_assert(seal_password_is_hash(one));
	cr_assert_eq(strncmp(one, "$argon2id$v=19$m=65536,t=2,p=1$", 31), 0, "%s", one);
	cr_assert(seal_password_check(one, "correct horse"));
	cr_assert(seal_password_check(two, "correct horse"));
	cr_assert_not(seal_password_check(one, "correct hors"));
	cr_assert_not(seal_password_check(one, "correct horse "));
	cr_assert_not(seal_password_check(one, ""));
}

Test(seal_password, other_makers)
{
	cr_assert(seal_password_is_hash(foreign));
	cr_assert(seal_password_check(foreign, "password"));
	cr_assert_not(seal_password_check(foreign, "Password"));
}

#define SALT "$c29tZXNhbHRzb21lc2FsdA$"
#define REST "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"

Test(seal_password, what_is_a_hash)
{
	static const struct {
		const char *text;
		bool is_hash;
	} rows[] = {
		{ "$argon2id$v=19$m=65536,t=2,p=1" SALT REST, true },
		{ "$argon2id$v=19$m=19456,t=2,p=1" SALT REST, true },
		{ "$argon2id$v=19$m=65536,t=3,p=4" SALT REST, true },
		/* four times as dear as ours, and a bit more */
		{ "$argon2id$v=19$m=65536,t=8,p=1" SALT REST, true },
		{ "$argon2id$v=19$m=65536,t=9,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=262144,t=2,p=1" SALT REST, true },
		{ "$argon2id$v=19$m=262144,t=3,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=262145,t=1,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=4194304,t=1,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=8,t=4294967295,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=4294967295,t=4294967295,p=1" SALT REST, false },
		/* other things */
		{ "", false },
		{ "secret", false },
		{ "$argon2id$", false },
		{ "$argon2id$v=19$m=65536,t=2,p=1" SALT, false },
		{ "$argon2id$v=19$m=65536,t=2,p=1$" REST, false },
		{ "$argon2id$v=19$m=65536,t=2,p=1" SALT REST "*", false },
		{ "$argon2id$v=19$m=65536,t=2,p=1" SALT REST " ", false },
		{ " $argon2id$v=19$m=65536,t=2,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=0,t=2,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=65536,t=0,p=1" SALT REST, false },
		{ "$argon2id$v=19$m=65536,t=2,p=0" SALT REST, false },
		{ "$argon2i$v=19$m=65536,t=2,p=1" SALT REST, false },
		{ "$argon2d$v=19$m=65536,t=2,p=1" SALT REST, false },
		{ "$6$saltsalt$abcdef", false },
		{ "$apr1$saltsalt$abcdef", false },
		{ "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", false },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_expect_eq(
			seal_password_is_hash(rows[i].text), rows[i].is_hash, "%s", rows[i].text);
}

Test(seal_password, too_long_is_no_hash)
{
	char text[4096];
	memset(text, 'A', sizeof text);
	memcpy(text, "$argon2id$v=19$m=65536,t=2,p=1" SALT, 54);
	for (size_t len = 54; len < sizeof text; len++) {
		char c = text[len];
		text[len] = '\0';
		if (len >= SEAL_PASSWORD_TEXT)
			cr_expect_not(seal_password_is_hash(text), "%zu", len);
		else
			(void)seal_password_is_hash(text);
		text[len] = c;
	}
}
