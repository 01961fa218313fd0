#!/usr/bin/env bash
# Proves the two commands of the README: an empty Debian 12, this tree as committed, ./dev demo, ./dev test.
# Needs root (chroot). APT's sources and keys are those of this machine. "fresh.sh demo" runs only that verb.
set -euo pipefail
[[ $EUID -eq 0 ]] || { echo "fresh: needs root (chroot)" >&2; exit 1; }
root=$(mktemp -d)
mounts=()
finish() {
	local mount
	for mount in "${mounts[@]}"; do umount -l "$mount" || true; done
	rm -rf --one-file-system "$root"
	rm -f "$root.log"
}
trap finish EXIT

sources=(/etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list)
present=()
for file in "${sources[@]}"; do
	if [[ -s $file ]]; then present+=("$file"); fi
done
echo "==> an empty Debian 12 in $root" >&2
mmdebstrap --mode=root --variant=minbase --include=ca-certificates bookworm "$root" "${present[@]}" >"$root.log" 2>&1 || {
	tail -20 "$root.log" >&2
	exit 1
}
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
for mount in proc sys dev; do
	mount --rbind "/$mount" "$root/$mount"
	mount --make-rslave "$root/$mount"
	mounts+=("$root/$mount")
done
mkdir "$root/src"
git archive HEAD | tar -x -C "$root/src"

verbs=("$@")
[[ ${#verbs[@]} -gt 0 ]] || verbs=(demo test)
for verb in "${verbs[@]}"; do
	start=$SECONDS
	echo "==> ./dev $verb" >&2
	chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		LANG=C.UTF-8 CI=true bash -c "cd /src && ./dev $verb </dev/null"
	echo "==> ./dev $verb: passed after $((SECONDS - start)) s" >&2
done
