#include "chain/error.h"

#include "chain/wire_status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bounded text that is built piece by piece; what does not fit is cut. */
struct text {
	char *at;
	size_t left;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;
	t->at += used;
	t->left -= used;
}

/* Our own resolving and dialling fail in the same ways as a hop's: one vocabulary. */
static uint8_t status_of(int code)
{
	switch (code) {
	case ERR_NOT_FOUND:
	case ERR_NO_ADDRESS:
		return STATUS_RESOLVE_FAIL;
	case ERR_DNS_TIMEOUT:
		return STATUS_RESOLVE_TIMEOUT;
	case ERR_DNS_TEMPORARY:
	case ERR_DNS_SERVER:
		return STATUS_RESOLVE_TEMP;
	case -ECONNREFUSED:
		return STATUS_REFUSED;
	case -ENETUNREACH:
		return STATUS_NET_UNREACH;
	case -EHOSTUNREACH:
		return STATUS_HOST_UNREACH;
	case -ETIMEDOUT:
		return STATUS_TIMEOUT;
	case -ECONNRESET:
	case -EPIPE:
		return STATUS_RESET;
	case -EAFNOSUPPORT:
		return STATUS_NO_FAMILY;
	default:
		return STATUS_LOCAL;
	}
}

const char *chain_stage_name(enum chain_stage stage)
{
	switch (stage) {
	case CHAIN_RESOLVE:
		return "resolve";
	case CHAIN_DIAL:
		return "dial";
	case CHAIN_ANSWER:
		return "answer";
	case CHAIN_STATUS:
		return "status";
	case CHAIN_PAYLOAD:
		return "payload";
	case CHAIN_SETUP:
		return "setup";
	}
	return "?";
}

static bool is_login_refused(const struct chain_error *e)
{
	return e->foreign != NULL && e->stage == CHAIN_ANSWER &&
	       (e->code == -EACCES || e->code == -EPERM);
}

uint8_t chain_error_status(const struct chain_error *error)
{
	switch (error->stage) {
	case CHAIN_RESOLVE:
	case CHAIN_DIAL:
	case CHAIN_ANSWER:
		return is_login_refused(error) ? STATUS_INTERNAL : status_of(error->code);
	case CHAIN_STATUS:
		return error->status != STATUS_OK ? error->status : STATUS_INTERNAL;
	case CHAIN_PAYLOAD:
		return STATUS_RESET;
	case CHAIN_SETUP:
		return STATUS_LOCAL;
	}
	return STATUS_INTERNAL;
}

static const char *answer_slug(const struct chain_error *e)
{
	if (is_login_refused(e))
		return "login-refused";
	if (e->foreign != NULL)
		return e->code == ERR_BAD_RECORD ? "not-a-proxy" : "no-answer";
	return e->seen[0] != '\0' ? "not-a-hop" : "no-answer";
}

const char *chain_error_slug(const struct chain_error *error)
{
	switch (error->stage) {
	case CHAIN_RESOLVE:
	case CHAIN_DIAL:
		return wire_status_find(status_of(error->code))->slug;
	case CHAIN_ANSWER:
		return answer_slug(error);
	case CHAIN_STATUS:
		return wire_status_find(error->status)->slug;
	case CHAIN_PAYLOAD:
		return "lost";
	case CHAIN_SETUP:
		return "local";
	}
	return "internal";
}

static void add_ms(struct text *t, uint32_t us)
{
	add(t, "%" PRIu32 ".%" PRIu32 " ms", us / 1000, us % 1000 / 100);
}

/* A name without a port is that of SRV records. */
static bool is_srv(const struct chain_error *e)
{
	return e->hop > 0 && e->address.kind == ADDR_NAME && e->address.port == 0;
}

static void print_dial(struct text *t, const struct chain_error *e)
{
	char address[ADDR_TEXT_MAX];
	if (e->hop == 0)
		add(t, "target (");
	else
		add(t, "hop %u (%s", e->hop, is_srv(e) ? "srv:" : "");
	add(t, "%s): %s after %" PRIu32 " ms: ",
		is_srv(e) ? e->address.name : addr_print(&e->address, address), chain_error_slug(e),
		e->elapsed_ms);
	if (status_of(e->code) == STATUS_LOCAL)
		add(t, "%s", err_text(e->code));
	else if (is_srv(e) && status_of(e->code) == STATUS_RESOLVE_FAIL)
		add(t, "no such name, or a name without SRV records of a host");
	else
		add(t, "%s", wire_status_find(status_of(e->code))->text);
}

static const char *kind_of_server(const char *seen)
{
	if (strncmp(seen, "SSH-", 4) == 0)
		return "an ssh server";
	if (strncmp(seen, "HTTP/", 5) == 0)
		return "an HTTP server";
	if (strncmp(seen, "220", 3) == 0)
		return "a mail or FTP server";
	return "another protocol";
}

/* What silence can mean (interface.md 2.6, 21). */
static void print_silence(struct text *t, const struct chain_error *e)
{
	if (e->code == ERR_BAD_RECORD) {
		add(t,
			", but what hop %u answered after %" PRIu32
			" ms is no answer to our header: wrong key, or not one of ours",
			e->hop, e->elapsed_ms);
		return;
	}
	add(t,
		", but hop %u did not answer: wrong key, clock more than 30 s off, or not one of "
		"ours (",
		e->hop);
	if (e->code == ERR_TIMEOUT && e->n_in == 0)
		add(t, "no byte within ");
	else if (e->code == ERR_TIMEOUT)
		add(t, "only %u of %u bytes within ", e->n_in, e->n_wanted);
	else if (e->n_in == 0)
		add(t, "it closed after ");
	else
		add(t, "it closed after %u of %u bytes and ", e->n_in, e->n_wanted);
	add(t, "%" PRIu32 " ms)", e->elapsed_ms);
}

static void print_answer(struct text *t, const struct chain_error *e)
{
	char address[ADDR_TEXT_MAX];
	add(t, "hop %u (%s): %s: ", e->hop, addr_print(&e->address, address), chain_error_slug(e));
	if (e->seen[0] != '\0') {
		add(t, "its first bytes were \"%s\": this looks like %s", e->seen,
			kind_of_server(e->seen));
		return;
	}
	if (e->is_udp && e->code == ERR_TIMEOUT) {
		add(t,
			"no datagram of hop %u came back within %" PRIu32
			" ms: UDP is lost on the way, wrong key, clock more than 30 s off, or not "
			"one of ours",
			e->hop, e->elapsed_ms);
	} else if (e->hop > 1) {
		add(t, "hop %u connected", e->hop - 1u);
		if (e->connect_us > 0) {
			add(t, " in ");
			add_ms(t, e->connect_us);
		}
		print_silence(t, e);
	} else {
		add(t, "connected");
		print_silence(t, e);
	}
	if (e->clock_skew_ms >= 5000 || e->clock_skew_ms <= -5000)
		add(t, "; the clock here is %" PRId64 " s %s that of hop %u",
			(e->clock_skew_ms > 0 ? e->clock_skew_ms : -e->clock_skew_ms) / 1000,
			e->clock_skew_ms > 0 ? "behind" : "ahead of", e->hop - 1u);
	add(t, "; hint: the log of hop %u says which", e->hop);
}

static void print_foreign_answer(struct text *t, const struct chain_error *e)
{
	char address[ADDR_TEXT_MAX];
	add(t, "hop %u (%s, %s): %s: ", e->hop, addr_print(&e->address, address), e->foreign,
		chain_error_slug(e));
	if (e->code == -EACCES)
		add(t, "it refused our login");
	else if (e->code == -EPERM)
		add(t, "it wants a login; hint: \"user\" and \"password_file\" of this hop");
	else if (e->seen[0] != '\0')
		add(t, "its first bytes were \"%s\": this looks like %s", e->seen,
			kind_of_server(e->seen));
	else if (e->code == ERR_BAD_RECORD)
		add(t, "what it answered is not %s", e->foreign);
	else if (e->code == ERR_TIMEOUT)
		add(t, "connected, but it did not answer within %" PRIu32 " ms", e->elapsed_ms);
	else
		add(t, "connected, but it closed before its answer after %" PRIu32 " ms: %s",
			e->elapsed_ms, err_text(e->code));
}

static void print_foreign_status(struct text *t, const struct chain_error *e)
{
	char address[ADDR_TEXT_MAX];
	add(t, "hop %u (%s, %s): %s: ", e->hop, addr_print(&e->hop_address, address), e->foreign,
		chain_error_slug(e));
	if (e->foreign_code == 0) {
		add(t, "%s", e->text);
		return;
	}
	add(t, "asked for %s it said: ", addr_print(&e->address, address));
	if (e->text[0] != '\0')
		add(t, "%s (%u) after %" PRIu32 " ms", e->text, e->foreign_code, e->elapsed_ms);
	else
		add(t, "%u after %" PRIu32 " ms", e->foreign_code, e->elapsed_ms);
}

static const char *class_to_allow(const struct chain_error *e)
{
	switch (e->detail) {
	case DETAIL_DENIED_LOOPBACK:
		return "loopback";
	case DETAIL_DENIED_UNSPECIFIED:
		return "unspecified";
	case DETAIL_DENIED_OWN:
		return "own";
	case DETAIL_DENIED_PRIVATE:
		return "private";
	case DETAIL_DENIED_LINK_LOCAL:
		return "link-local";
	case DETAIL_DENIED_METADATA:
		return "metadata";
	case DETAIL_DENIED_MULTICAST:
		return "multicast";
	case DETAIL_DENIED_RESERVED:
		return "reserved";
	default:
		return NULL;
	}
}

static void print_denied(struct text *t, const struct chain_error *e)
{
	char address[ADDR_TEXT_MAX];
	const char *class =
		e->status == STATUS_DENIED_LOOPBACK || e->status == STATUS_DENIED_PRIVATE
			? class_to_allow(e)
			: NULL;
	add(t, "hop %u refused %s: %s", e->hop, addr_print(&e->address, address),
		chain_error_slug(e));
	if (class != NULL)
		add(t, "; hint: allow \"%s\" in that hop's \"targets\"", class);
	else if (e->status != STATUS_DENIED_LOOPBACK && e->status != STATUS_DENIED_PRIVATE)
		add(t, ": %s", wire_status_find(e->status)->text);
}

static void print_status(struct text *t, const struct chain_error *e)
{
	char address[ADDR_TEXT_MAX];
	const struct wire_status_row *row = wire_status_find(e->status);
	const char *detail = wire_detail_text(e->status, e->detail);
	if (e->status == STATUS_DENIED_POLICY && e->hop == 0) {
		add(t, "%s blocks %s", e->text, addr_print(&e->address, address));
		return;
	}
	if (e->hop == 0) {
		add(t, "refused here: %s: a limit of this server is reached", row->slug);
		return;
	}
	if (e->status >= STATUS_DENIED_POLICY && e->status <= STATUS_DENIED_PORT) {
		print_denied(t, e);
		return;
	}
	if (e->status >= STATUS_RESOLVE_FAIL && e->status <= STATUS_NO_FAMILY) {
		add(t, "hop %u could not reach ", e->hop);
		if (e->hop < e->n_hops)
			add(t, "hop %u (%s)", e->hop + 1u, addr_print(&e->address, address));
		else
			add(t, "%s", addr_print(&e->address, address));
		add(t, ": %s after %" PRIu32 " ms: %s", row->slug, e->elapsed_ms, row->text);
	} else {
		add(t, "hop %u (%s): %s: %s", e->hop, addr_print(&e->hop_address, address),
			row->slug, row->text);
		if (!wire_status_is_known(e->status))
			add(t, " (status 0x%02x)", e->status);
	}
	if (detail != NULL)
		add(t, " (%s)", detail);
	if (e->text[0] != '\0')
		add(t, "; it says: %s", e->text);
}

const char *chain_error_print(const struct chain_error *error, char *to, size_t size)
{
	struct text t = { .at = to, .left = size };
	to[0] = '\0';
	switch (error->stage) {
	case CHAIN_RESOLVE:
	case CHAIN_DIAL:
		print_dial(&t, error);
		break;
	case CHAIN_ANSWER:
		if (error->foreign != NULL)
			print_foreign_answer(&t, error);
		else
			print_answer(&t, error);
		break;
	case CHAIN_STATUS:
		if (error->foreign != NULL)
			print_foreign_status(&t, error);
		else
			print_status(&t, error);
		break;
	case CHAIN_PAYLOAD:
		add(&t, "lost after %" PRIu32 " ms: %s", error->elapsed_ms, err_text(error->code));
		break;
	case CHAIN_SETUP:
		add(&t, "local: cannot set up the chain: %s", err_text(error->code));
		break;
	}
	return to;
}

int chain_error_exit_code(const struct chain_error *error)
{
	switch (error->stage) {
	case CHAIN_RESOLVE:
	case CHAIN_DIAL:
		return error->n_hops == 0 ? 8 : 5;
	case CHAIN_ANSWER:
		return 7;
	case CHAIN_STATUS:
		return error->hop < error->n_hops ? 6 : 8;
	case CHAIN_PAYLOAD:
		return 9;
	case CHAIN_SETUP:
		return 1;
	}
	return 1;
}
