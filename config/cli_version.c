#include "config/cli_version.h"

#include "common/loop.h"
#include "common/record.h"
#include "common/resolve.h"
#include "common/seal.h"
#include "config/json.h"

#include <stdio.h>

enum cli_exit cli_version_print(const char *program, bool is_json)
{
	const struct {
		const char *name, *version;
	} libraries[] = {
		{ "libuv", loop_library() },
		{ "openssl", record_library() },
		{ "libsodium", seal_library() },
		{ "c-ares", resolve_library() },
		{ "cjson", json_library() },
	};
	if (!is_json) {
		printf("%s %s\n", program, HOPCHAIN_VERSION);
		return CLI_OK;
	}
	printf("{ \"name\": \"%s\", \"version\": \"%s\", \"libraries\": {", program,
		HOPCHAIN_VERSION);
	for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
		printf("%s \"%s\": \"%s\"", i > 0 ? "," : "", libraries[i].name,
			libraries[i].version);
	printf(" }, \"cpu_aes\": %s }\n", record_has_aes() ? "true" : "false");
	return CLI_OK;
}
