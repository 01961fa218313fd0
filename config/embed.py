#!/usr/bin/env python3
"""embed.py OUTPUT SCHEMA...: writes schemas.c, which holds each NAME.schema.json byte for byte."""
import pathlib
import sys

OUTPUT, *SCHEMAS = map(pathlib.Path, sys.argv[1:])
PER_LINE = 20

text = '#include "config/schemas.h"\n\n#include <stdio.h>\n#include <string.h>\n\n'
rows = ""
for path in SCHEMAS:
    name = path.name.removesuffix(".schema.json")
    data = path.read_bytes()
    lines = [",".join(map(str, data[i:i + PER_LINE])) for i in range(0, len(data), PER_LINE)]
    text += f"static const unsigned char {name}_schema[] = {{\n" + ",\n".join(lines) + "\n};\n"
    rows += f'\t{{ "{name}", {name}_schema, sizeof {name}_schema }},\n'
text += f"""
static const struct {{
	const char *name;
	const unsigned char *bytes;
	size_t len;
}} schemas[] = {{
{rows}}};

bool schemas_print(const char *name)
{{
	for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {{
		if (strcmp(schemas[i].name, name) == 0)
			return fwrite(schemas[i].bytes, 1, schemas[i].len, stdout) == schemas[i].len &&
			       fflush(stdout) == 0;
	}}
	return false;
}}
"""
OUTPUT.write_text(text)
