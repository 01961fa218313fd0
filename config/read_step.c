#include "config/read_step.h"

#include "config/address.h"
#include "config/field.h"
#include "config/key_file.h"
#include "config/read_key.h"
#include "config/read_strategy.h"

#include <stdlib.h>

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define PASSWORD_FILE 4096 /* more is not read */

static void read_name(struct document *d, const struct json *value, void *to)
{
	field_name(d, value, &((struct chain_hop *)to)->name);
}

static void read_hop_weight(struct document *d, const struct json *value, void *to)
{
	read_weight(d, value, &((struct chain_hop *)to)->weight);
}

/* --- a hop --- */

static void read_hop_addr(struct document *d, const struct json *value, void *to)
{
	char why[ADDRESS_WHY_MAX];
	struct chain_hop *hop = to;
	const char *text = field_text(d, value, "a string like \"hop1.example.net:7000\"");
	if (text != NULL && !address_parse_hop(text, &hop->addr, &hop->is_srv, why))
		document_error(d, value, DOCUMENT_VALUE, "%s", why);
}

static void set_key(struct chain_hop *hop, struct wire_key *key)
{
	wire_key_free(hop->key);
	hop->key = key;
}

static void read_hop_key_file(struct document *d, const struct json *value, void *to)
{
	set_key(to, read_key_file(d, value));
}

static void read_hop_key(struct document *d, const struct json *value, void *to)
{
	set_key(to, read_key_inline(d, value));
}

static void read_hop_cipher(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "auto", "aes-256-gcm", "chacha20-poly1305" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct chain_hop *)to)->cipher = (enum chain_cipher)i;
}

static void read_hop_pool(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 0, CHAIN_POOL_MAX, &((struct chain_hop *)to)->n_warm);
}

static void read_hop(struct document *d, const struct json *object, struct chain_hop *hop)
{
	static const struct field fields[] = {
		{ "name", read_name, false },
		{ "addr", read_hop_addr, true },
		{ "key_file", read_hop_key_file, false },
		{ "key", read_hop_key, false },
		{ "cipher", read_hop_cipher, false },
		{ "weight", read_hop_weight, false },
		{ "pool", read_hop_pool, false },
	};
	static const char *const keys[] = { "key_file", "key" };
	if (field_object(d, object, fields, COUNT(fields), hop))
		read_key_is_one(d, object, keys, COUNT(keys));
}

/* --- somebody else's proxy --- */

static void read_type(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "socks5", "http" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct chain_hop *)to)->step = i == 0 ? CHAIN_STEP_SOCKS5 : CHAIN_STEP_HTTP;
}

static void read_proxy_addr(struct document *d, const struct json *value, void *to)
{
	const char *text = json_type(value) == JSON_STRING ? json_string(value) : "";
	if (strncmp(text, "srv:", strlen("srv:")) == 0)
		document_error(d, value, DOCUMENT_VALUE,
			"only the address of a hop can be that of SRV records; expected HOST:PORT");
	else
		field_hop(d, value, &((struct chain_hop *)to)->addr);
}

static void replace(struct document *d, const struct json *value, char *text, char **ret)
{
	if (text == NULL)
		document_error(d, value, DOCUMENT_VALUE, "out of memory");
	free(*ret);
	*ret = text;
}

static void read_user(struct document *d, const struct json *value, void *to)
{
	const char *text = field_text(d, value, "a name");
	size_t len = text != NULL ? strlen(text) : 0;
	if (text == NULL)
		return;
	if (len < 1 || len > CHAIN_LOGIN_MAX)
		document_error(d, value, DOCUMENT_VALUE, "a name of %zu bytes; expected 1 to %d",
			len, CHAIN_LOGIN_MAX);
	else
		replace(d, value, strdup(text), &((struct chain_hop *)to)->user);
}

/* What is wrong with the @len bytes of a password file, or NULL. */
static const char *wrong_password(const char *text, size_t len)
{
	if (len == 0)
		return "is empty; expected a password, alone in one line";
	if (len > CHAIN_LOGIN_MAX)
		return "has more than 255 bytes; expected a password, alone in one line";
	if (memchr(text, '\n', len) != NULL || memchr(text, '\r', len) != NULL)
		return "has more than one line; expected a password, alone in one line";
	if (memchr(text, '\0', len) != NULL)
		return "has a zero byte; expected a password, alone in one line";
	return NULL;
}

/* Return: NULL, if the report knows why. */
static char *load_password(struct document *d, const struct json *value, const char *path)
{
	char text[PASSWORD_FILE], why[KEY_WHY_MAX], *password = NULL;
	int n = key_file_load(path, text, sizeof text, why);
	size_t len = n > 0 ? (size_t)n : 0;
	if (n < 0) {
		document_error(d, value, DOCUMENT_VALUE, "%s", why);
		return NULL;
	}
	len -= len > 0 && text[len - 1] == '\n';
	len -= len > 0 && text[len - 1] == '\r';
	const char *wrong = wrong_password(text, len);
	if (wrong != NULL) {
		document_error(d, value, DOCUMENT_VALUE, "%s %s", path, wrong);
	} else {
		password = strndup(text, len);
		if (password == NULL)
			document_error(d, value, DOCUMENT_VALUE, "out of memory");
	}
	seal_wipe(text, sizeof text);
	return password;
}

static void read_password_file(struct document *d, const struct json *value, void *to)
{
	char *path = NULL;
	struct chain_hop *hop = to;
	if (field_path(d, value, &path) && hop->password == NULL)
		hop->password = load_password(d, value, path);
	free(path);
}

static void check_login(struct document *d, const struct json *object, const struct chain_hop *hop)
{
	const struct json *user = json_member(object, "user"),
			  *file = json_member(object, "password_file");
	if (user != NULL && file == NULL)
		document_error(d, user, DOCUMENT_NAME, "\"user\" needs \"password_file\"");
	if (file != NULL && user == NULL)
		document_error(d, file, DOCUMENT_NAME, "\"password_file\" needs \"user\"");
	if (hop->step == CHAIN_STEP_HTTP && hop->user != NULL && strchr(hop->user, ':') != NULL)
		document_error(d, user, DOCUMENT_VALUE,
			"a colon in a name; HTTP's passwords begin behind the first one");
}

static void read_proxy(struct document *d, const struct json *object, struct chain_hop *hop)
{
	static const struct field fields[] = {
		{ "name", read_name, false },
		{ "type", read_type, true },
		{ "addr", read_proxy_addr, true },
		{ "user", read_user, false },
		{ "password_file", read_password_file, false },
		{ "weight", read_hop_weight, false },
	};
	if (field_object(d, object, fields, COUNT(fields), hop))
		check_login(d, object, hop);
}

/* --- either --- */

static bool has_any(const struct json *object, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (json_member(object, names[i]) != NULL)
			return true;
	}
	return false;
}

void read_step(struct document *document, const struct json *object, struct chain_hop *hop)
{
	static const char *const of_hops[] = { "key_file", "key" };
	static const char *const of_proxies[] = { "type", "user", "password_file" };
	if (has_any(object, of_proxies, COUNT(of_proxies)) &&
		!has_any(object, of_hops, COUNT(of_hops)))
		read_proxy(document, object, hop);
	else
		read_hop(document, object, hop);
}

/* --- several --- */

bool read_step_is_group(const struct json *object)
{
	static const char *const names[] = { "any", "strategy", "max_fails", "retry_after" };
	return has_any(object, names, COUNT(names));
}

static void read_candidate(struct document *d, const struct json *value, void *to)
{
	struct chain_group *group = to;
	if (read_step_is_group(value))
		document_error(d, value, DOCUMENT_OPENER,
			"a group inside of a group; expected a hop or a proxy");
	else
		read_step(d, value, &group->hops[group->n_hops]);
	group->n_hops++;
}

static void read_any(struct document *d, const struct json *value, void *to)
{
	struct chain_group *group = to;
	size_t n = field_count(value);
	if (!field_is(d, value, JSON_ARRAY, "an array of hops") || group->hops != NULL)
		return;
	if (n < 1 || n > CHAIN_CANDIDATES_MAX) {
		document_error(d, value, DOCUMENT_VALUE, "%zu candidates; a group has 1 to %d", n,
			CHAIN_CANDIDATES_MAX);
		return;
	}
	group->hops = calloc(n, sizeof *group->hops);
	if (group->hops == NULL)
		document_error(d, value, DOCUMENT_VALUE, "out of memory");
	else
		field_each(d, value, "an array of hops", 1, read_candidate, group);
}

static void read_group_strategy(struct document *d, const struct json *value, void *to)
{
	read_strategy(d, value, &((struct chain_group *)to)->strategy);
}

static void read_group_max_fails(struct document *d, const struct json *value, void *to)
{
	read_max_fails(d, value, &((struct chain_group *)to)->max_fails);
}

static void read_group_retry_after(struct document *d, const struct json *value, void *to)
{
	read_retry_after(d, value, &((struct chain_group *)to)->retry_after_ms);
}

struct chain_group *read_step_group(struct document *document, const struct json *object)
{
	static const struct field fields[] = {
		{ "any", read_any, true },
		{ "strategy", read_group_strategy, false },
		{ "max_fails", read_group_max_fails, false },
		{ "retry_after", read_group_retry_after, false },
	};
	struct chain_group *group = calloc(1, sizeof *group);
	if (group == NULL) {
		document_error(document, object, DOCUMENT_OPENER, "out of memory");
		return NULL;
	}
	*group = (struct chain_group){ .strategy = READ_STRATEGY_DEFAULT,
		.max_fails = CHAIN_MAX_FAILS,
		.retry_after_ms = CHAIN_RETRY_AFTER_MS };
	field_object(document, object, fields, COUNT(fields), group);
	return group;
}
