#!/usr/bin/env bash
# Builds the Debian package from a copy of the tree; the results go to the directory $1.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/hopchain"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do [[ -e $file ]] && printf '%s\0' "$file"; done |
		xargs -0 cp --parents -t "$work/hopchain"
else
	tar -c --exclude=./build . | tar -x -C "$work/hopchain"
fi
cd "$work/hopchain"
dpkg-buildpackage -b -us -uc >"$out/build.log" 2>&1 || {
	tail -30 "$out/build.log" >&2
	echo "package: dpkg-buildpackage failed (whole log: $out/build.log)" >&2
	exit 1
}
rm -f "$out"/*.deb
cp "$work"/*.deb "$out/"
if command -v lintian >/dev/null; then lintian --allow-root --fail-on error --suppress-tags initial-upload-closes-no-bugs "$out"/*hopchain*_*.deb; fi
ls -l "$out"/*.deb
