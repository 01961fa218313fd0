#include "config/read_key.h"

#include "config/field.h"
#include "config/key_file.h"

#include <stdlib.h>

struct wire_key *read_key_file(struct document *document, const struct json *value)
{
	char why[KEY_WHY_MAX], *path = NULL;
	if (!field_path(document, value, &path))
		return NULL;
	struct wire_key *key = key_file_read(path, why);
	if (key == NULL)
		document_error(document, value, DOCUMENT_VALUE, "%s", why);
	free(path);
	return key;
}

struct wire_key *read_key_inline(struct document *document, const struct json *value)
{
	char why[KEY_WHY_MAX];
	const char *text = field_text(document, value, "a key made by 'chain keygen'");
	if (text == NULL)
		return NULL;
	struct wire_key *key = key_text_read(text, why);
	if (key == NULL)
		document_error(document, value, DOCUMENT_VALUE, "%s", why);
	else if (strchr(text, '\n') != NULL)
		document_error(document, value, DOCUMENT_VALUE, "a line feed in a key");
	document_require_private(document);
	return key;
}

bool read_key_is_one(struct document *document, const struct json *object, const char *const *names,
	size_t n_names)
{
	const struct json *found = NULL;
	for (size_t i = 0; i < n_names; i++) {
		const struct json *member = json_member(object, names[i]);
		if (member == NULL)
			continue;
		if (found != NULL) {
			document_error(document, member, DOCUMENT_NAME,
				"\"%s\" and \"%s\" exclude each other", json_name(found), names[i]);
			return false;
		}
		found = member;
	}
	if (found == NULL)
		document_error(document, object, DOCUMENT_OPENER, "missing \"%s\"", names[0]);
	return found != NULL;
}
