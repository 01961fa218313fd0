#include "chain/wire_key.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
}
TestSuite(wire_key, .init = set_up);

#define TEXT                                                                                       \
	"hc1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+"                                          \
	"AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2enw=="

static enum wire_key_error parse(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1); /* without NUL: a sanitizer sees a byte too many */
	struct wire_key *key = NULL;
	memcpy(copy, text, len);
	enum wire_key_error error = wire_key_parse(bytes_of(copy, len), &key);
	cr_expect_eq(error == WIRE_KEY_OK, key != NULL);
	wire_key_free(key);
	free(copy);
	return error;
}

Test(wire_key, one_line_is_a_credential_with_or_without_its_line_feed)
{
	cr_expect_eq(strlen(TEXT), WIRE_CREDENTIAL_TEXT);
	cr_expect_eq(parse(TEXT, WIRE_CREDENTIAL_TEXT), WIRE_KEY_OK);
	cr_expect_eq(parse(TEXT "\n", WIRE_CREDENTIAL_TEXT + 1), WIRE_KEY_OK);
	cr_expect_eq(parse(TEXT "\n\n", WIRE_CREDENTIAL_TEXT + 2), WIRE_KEY_LONG);
	cr_expect_eq(parse(TEXT "\r\n", WIRE_CREDENTIAL_TEXT + 2), WIRE_KEY_LONG);
	cr_expect_eq(parse("\n" TEXT, WIRE_CREDENTIAL_TEXT + 1), WIRE_KEY_NO_PREFIX);
	cr_expect_eq(parse(TEXT "\n" TEXT, 2 * WIRE_CREDENTIAL_TEXT + 1), WIRE_KEY_LONG);
}

Test(wire_key, every_cut_is_refused)
{
	for (size_t len = 0; len < WIRE_CREDENTIAL_TEXT; len++) {
		cr_expect_eq(parse(TEXT, len), len < 4 ? WIRE_KEY_NO_PREFIX : WIRE_KEY_SHORT, "%zu",
			len);
	}
}

Test(wire_key, a_character_outside_the_alphabet_is_refused_anywhere)
{
	static const char bad[] = "-_ \n\t.=\x80\xff";
	for (size_t at = 4; at < WIRE_CREDENTIAL_TEXT - 2; at++) {
		for (const char *c = bad; *c != '\0'; c++) {
			char text[] = TEXT;
			text[at] = *c;
			cr_expect_eq(parse(text, WIRE_CREDENTIAL_TEXT), WIRE_KEY_BAD_BASE64,
				"'%c' at %zu", *c, at);
		}
	}
}

Test(wire_key, the_last_group_has_no_bits_to_spare)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int n = 0;
	for (const char *c = alphabet; *c != '\0'; c++) {
		char text[] = TEXT;
		text[4 + 85] = *c; /* the 86th character */
		bool is_good = strchr("AQgw", *c) != NULL;
		cr_expect_eq(parse(text, WIRE_CREDENTIAL_TEXT),
			is_good ? WIRE_KEY_OK : WIRE_KEY_BAD_BASE64, "%c", *c);
		n += is_good;
	}
	cr_expect_eq(n, 4);
}

Test(wire_key, weak_credentials_are_refused)
{
	static const struct {
		uint8_t mask, user;
		enum wire_key_error error;
	} rows[] = { { 0, 1, WIRE_KEY_ZERO }, { 1, 0, WIRE_KEY_ZERO }, { 0, 0, WIRE_KEY_ZERO },
		{ 1, 1, WIRE_KEY_SAME }, { 1, 2, WIRE_KEY_OK } };
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t credential[WIRE_CREDENTIAL];
		struct wire_key *key = NULL;
		memset(credential, rows[i].mask, 32);
		memset(credential + 32, rows[i].user, 32);
		cr_expect_eq(wire_key_new(credential, &key), rows[i].error);
		wire_key_free(key);
	}
	wire_key_free(NULL);
}

Test(wire_key, generated_credentials_differ_and_parse)
{
	char a[WIRE_CREDENTIAL_TEXT + 1], b[WIRE_CREDENTIAL_TEXT + 1];
	struct wire_key *x, *y;
	wire_key_generate(NULL, a);
	wire_key_generate(NULL, b);
	cr_expect_eq(strlen(a), WIRE_CREDENTIAL_TEXT);
	cr_expect_str_neq(a, b);
	cr_assert_eq(wire_key_parse(bytes_of(a, strlen(a)), &x), WIRE_KEY_OK);
	cr_assert_eq(wire_key_parse(bytes_of(b, strlen(b)), &y), WIRE_KEY_OK);
	cr_expect_arr_neq(x->kid, y->kid, WIRE_KID);
	cr_expect_arr_neq(x->mask->id, y->mask->id, 16);
	wire_key_free(x);
	wire_key_free(y);
}

Test(wire_key, users_of_one_hop_share_its_mask)
{
	char a[WIRE_CREDENTIAL_TEXT + 1], b[WIRE_CREDENTIAL_TEXT + 1];
	uint8_t mask[32] = { 1, 2, 3 }, salt[16] = { 9 }, hidden[8], seen[8];
	struct wire_key *x, *y;
	wire_key_generate(mask, a);
	wire_key_generate(mask, b);
	cr_assert_eq(wire_key_parse(bytes_of(a, strlen(a)), &x), WIRE_KEY_OK);
	cr_assert_eq(wire_key_parse(bytes_of(b, strlen(b)), &y), WIRE_KEY_OK);
	cr_expect_arr_eq(x->mask->id, y->mask->id, 16);
	cr_expect_arr_neq(x->kid, y->kid, WIRE_KID);
	wire_mask_kid(x->mask, salt, x->kid, hidden);
	cr_expect_arr_neq(hidden, x->kid, 8);
	wire_mask_kid(y->mask, salt, hidden, seen);
	cr_expect_arr_eq(seen, x->kid, 8, "either user's mask shows it");
	wire_key_free(x);
	wire_key_free(y);
}

Test(wire_key, keys_of_one_user_all_differ)
{
	struct wire_key *k;
	cr_assert_eq(wire_key_parse(bytes_of(TEXT, WIRE_CREDENTIAL_TEXT), &k), WIRE_KEY_OK);
	const uint8_t *keys[] = { k->rq, k->rx, k->rs, k->rt, k->e2e, k->u0, k->dn,
		k->mask->kid_key, k->mask->up_key };
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		for (size_t j = 0; j < i; j++)
			cr_expect_arr_neq(keys[i], keys[j], SEAL_KEY);
	wire_key_free(k);
}
