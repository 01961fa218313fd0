#!/usr/bin/env python3
"""Writes config/*.schema.json from config/schema/: the same, but each file stands alone.

The sources share definitions across files; not every validator follows such references. A definition NAME of FILE
becomes FILE_NAME. With --check nothing is written, and the exit status says whether the files are up to date.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
NAMES = ("chain", "access", "hop")


class Bundle:
    def __init__(self, sources, main):
        self.sources, self.main, self.definitions = sources, main, {}

    def whole(self):
        source = self.sources[self.main]
        top = {key: self.rewrite(value, self.main) for key, value in source.items() if key != "definitions"}
        return {**top, "definitions": dict(sorted(self.definitions.items()))}

    def rewrite(self, node, file):
        if isinstance(node, list):
            return [self.rewrite(item, file) for item in node]
        if not isinstance(node, dict):
            return node
        return {key: self.reference(value, file) if key == "$ref" else self.rewrite(value, file)
                for key, value in node.items()}

    def reference(self, target, file):
        """Takes what target names into the definitions; its new name."""
        path, _, pointer = target.partition("#/definitions/")
        file = path.removesuffix(".schema.json") or file
        name = f"{file}_{pointer or 'file'}"
        if name not in self.definitions:
            self.definitions[name] = None  # a definition may refer to itself
            source = self.sources[file]
            node = source["definitions"][pointer] if pointer else {
                key: value for key, value in source.items() if key not in ("definitions", "$schema", "$id")}
            self.definitions[name] = self.rewrite(node, file)
        return f"#/definitions/{name}"


def main():
    sources = {name: json.loads((HERE / f"schema/{name}.schema.json").read_text()) for name in NAMES}
    is_check, n_stale = "--check" in sys.argv[1:], 0
    for name in NAMES:
        text = json.dumps(Bundle(sources, name).whole(), indent=2, ensure_ascii=False) + "\n"
        path = HERE / f"{name}.schema.json"
        if is_check:
            n_stale += not path.exists() or path.read_text() != text
        else:
            path.write_text(text)
    return 1 if n_stale else 0


if __name__ == "__main__":
    sys.exit(main())
