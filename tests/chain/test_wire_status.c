#include "chain/wire_status.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

/* docs/protocol.md 2.6. */
static const struct {
	uint8_t code;
	const char *slug, *rfc9209;
	uint8_t socks;
} expected[] = {
	{ 0x00, "ok", NULL, 0 },
	{ 0x01, "limit", "connection_limit_reached", 1 },
	{ 0x02, "rate", "connection_limit_reached", 1 },
	{ 0x10, "resolve-fail", "dns_error", 4 },
	{ 0x11, "resolve-timeout", "dns_timeout", 4 },
	{ 0x12, "resolve-temp", "dns_error", 4 },
	{ 0x20, "refused", "connection_refused", 5 },
	{ 0x21, "net-unreach", "destination_ip_unroutable", 3 },
	{ 0x22, "host-unreach", "destination_unavailable", 4 },
	{ 0x23, "timeout", "connection_timeout", 4 },
	{ 0x24, "reset", "connection_terminated", 1 },
	{ 0x25, "local", "proxy_internal_error", 1 },
	{ 0x26, "no-family", "destination_ip_unroutable", 8 },
	{ 0x30, "denied-policy", "destination_ip_prohibited", 2 },
	{ 0x31, "denied-loopback", "proxy_loop_detected", 2 },
	{ 0x32, "denied-private", "destination_ip_prohibited", 2 },
	{ 0x33, "denied-port", "destination_ip_prohibited", 2 },
	{ 0x34, "denied-cmd", NULL, 7 },
	{ 0x40, "bad-request", "proxy_internal_error", 1 },
	{ 0x41, "version", NULL, 1 },
	{ 0x42, "unsupported", NULL, 1 },
	{ 0x43, "clock-skew", NULL, 1 },
	{ 0x50, "rev-unknown", "destination_not_found", 4 },
	{ 0x51, "rev-no-idle", "destination_unavailable", 4 },
	{ 0x52, "rev-gone", "destination_unavailable", 4 },
	{ 0x60, "resume-unknown", NULL, 1 },
	{ 0x61, "resume-stale", NULL, 1 },
	{ 0x62, "resume-gap", NULL, 1 },
	{ 0x70, "msgsize", NULL, 1 },
	{ 0x71, "port-unreach", NULL, 1 },
	{ 0x72, "resetup", NULL, 1 },
	{ 0x7f, "internal", "proxy_internal_error", 1 },
};
#define N (sizeof expected / sizeof expected[0])

Test(wire_status, every_code_has_its_names)
{
	for (size_t i = 0; i < N; i++) {
		const struct wire_status_row *row = wire_status_find(expected[i].code);
		cr_expect_eq(row->code, expected[i].code);
		cr_expect_str_eq(row->slug, expected[i].slug);
		cr_expect_eq(row->socks_reply, expected[i].socks, "%s", row->slug);
		cr_expect_eq(wire_status_socks_reply(row->code, 0), expected[i].socks);
		cr_expect_eq(row->rfc9209 == NULL, expected[i].rfc9209 == NULL, "%s", row->slug);
		if (row->rfc9209 != NULL && expected[i].rfc9209 != NULL)
			cr_expect_str_eq(row->rfc9209, expected[i].rfc9209);
	}
}

Test(wire_status, an_unknown_code_is_shown_as_internal)
{
	size_t n_known = 0;
	for (unsigned code = 0; code < 256; code++) {
		const struct wire_status_row *row = wire_status_find((uint8_t)code);
		cr_assert_not_null(row);
		if (wire_status_is_known((uint8_t)code))
			n_known++;
		else
			cr_expect_eq(row->code, STATUS_INTERNAL);
	}
	cr_expect_eq(n_known, N);
}

Test(wire_status, slugs_are_words_and_texts_are_sentences_without_a_full_stop)
{
	for (size_t i = 0; i < N; i++) {
		const struct wire_status_row *row = wire_status_find(expected[i].code);
		cr_expect_eq(strspn(row->slug, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->slug));
		cr_expect(strlen(row->text) > 3);
		cr_expect_not(isupper((unsigned char)row->text[0]));
		cr_expect_neq(row->text[strlen(row->text) - 1], '.');
	}
}

Test(wire_status, an_unsupported_command_and_address_have_their_socks_replies)
{
	cr_expect_eq(wire_status_socks_reply(STATUS_UNSUPPORTED, DETAIL_CMD), 7);
	cr_expect_eq(wire_status_socks_reply(STATUS_UNSUPPORTED, DETAIL_ATYP), 8);
	cr_expect_eq(wire_status_socks_reply(STATUS_UNSUPPORTED, DETAIL_PROTO), 1);
	cr_expect_eq(wire_status_socks_reply(STATUS_BAD_REQUEST, DETAIL_CMD), 1);
	cr_expect_eq(wire_status_socks_reply(0xee, 0), 1);
}

Test(wire_status, details_have_words_under_their_status_only)
{
	cr_expect_str_eq(
		wire_detail_text(STATUS_RESOLVE_FAIL, DETAIL_RESOLVE_NO_NAME), "no such name");
	cr_expect_not_null(
		strstr(wire_detail_text(STATUS_LOCAL, DETAIL_LOCAL_DESCRIPTORS), "descriptors"));
	cr_expect_not_null(wire_detail_text(STATUS_DENIED_PRIVATE, DETAIL_DENIED_METADATA));
	cr_expect_null(wire_detail_text(STATUS_DENIED_CMD, 1));
	cr_expect_null(wire_detail_text(STATUS_OK, 1));
	for (unsigned code = 0; code < 256; code++) {
		cr_expect_null(wire_detail_text((uint8_t)code, DETAIL_NONE), "nothing was told");
		cr_expect_null(wire_detail_text((uint8_t)code, 200), "not known");
	}
}
