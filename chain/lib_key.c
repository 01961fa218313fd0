#include "chain/lib_report.h"
#include "chain/lib_state.h"
#include "config/key_file.h"

#include <assert.h>

#define PREFIX_LEN 4  /* "hc1:" */
#define MASK_LEN   32 /* a credential is mask key, then user key */

/* @text holds exactly one credential: its first half. */
static bool decode_mask(char *text, const char *path, uint8_t mask[MASK_LEN], struct report *report)
{
	char why[KEY_WHY_MAX];
	uint8_t credential[WIRE_CREDENTIAL];
	text[strcspn(text, "\n")] = '\0';
	struct wire_key *key = key_text_read(text, why);
	bool is_good = key != NULL &&
		       seal_from_base64(text + PREFIX_LEN, WIRE_CREDENTIAL_TEXT - PREFIX_LEN,
			       credential, sizeof credential) == WIRE_CREDENTIAL;
	if (is_good)
		memcpy(mask, credential, MASK_LEN);
	else
		report_add_plain(report, "%s: %s", path, key == NULL ? why : "not a key");
	wire_key_free(key);
	seal_wipe(credential, sizeof credential);
	return is_good;
}

static bool read_mask(const char *path, uint8_t mask[MASK_LEN], struct report *report)
{
	char text[256], why[KEY_WHY_MAX];
	int len = key_file_load(path, text, sizeof text - 1, why);
	if (len < 0) {
		report_add_plain(report, "%s", why);
		return false;
	}
	text[len] = '\0';
	bool is_good = decode_mask(text, path, mask, report);
	seal_wipe(text, sizeof text);
	return is_good;
}

static_assert(HOPCHAIN_KEY_TEXT == WIRE_CREDENTIAL_TEXT + 1, "the text and NUL");

int hopchain_key_generate(const char *mask_of, char to[HOPCHAIN_KEY_TEXT], char **ret_report)
{
	uint8_t mask[MASK_LEN];
	int error = lib_start();
	struct report *report = error == 0 ? lib_report_new() : NULL;
	if (ret_report != NULL)
		*ret_report = NULL;
	if (report == NULL)
		return error != 0 ? error : ERR_NOMEM;
	if (mask_of == NULL || read_mask(mask_of, mask, report))
		wire_key_generate(mask_of != NULL ? mask : NULL, to);
	seal_wipe(mask, sizeof mask);
	return lib_report_end(report, ret_report);
}
