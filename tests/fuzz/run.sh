#!/usr/bin/env bash
# run.sh DIR [TARGET] [SECONDS]: runs the libFuzzer programs of DIR, each for SECONDS (60), on a working copy of its
# corpus. A crash leaves its input in build/fuzz-work/crashes and ends with an error. What is new and worth keeping goes
# back with: DIR/fuzz_NAME -merge=1 tests/fuzz/corpus/NAME build/fuzz-work/corpus/NAME
set -euo pipefail
dir=$1
shift
target=
[[ $# -gt 0 && ! $1 =~ ^[0-9]+$ ]] && target=$1 && shift
seconds=${1:-60}
here=$(dirname "$(readlink -f "$0")")
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

n=0
failed=0
for program in "$dir"/fuzz_*; do
	[[ -x $program && -f $program ]] || continue
	name=${program##*/fuzz_}
	[[ -z $target || $name == "$target" ]] || continue
	n=$((n + 1))
	found=build/fuzz-work/corpus/$name
	mkdir -p "$found" build/fuzz-work/crashes
	seeds=()
	[[ -d $here/corpus/$name ]] && seeds=("$here/corpus/$name")
	echo "==> fuzz_$name for $seconds s" >&2
	log=build/fuzz-work/$name.log
	if "$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="build/fuzz-work/crashes/$name-" "$found" "${seeds[@]}" >"$log" 2>&1; then
		printf '%s: %s executions, no crash\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
	else
		tail -40 "$log" >&2
		printf '%s: FAILED (whole log: %s)\n' "$name" "$log"
		failed=$((failed + 1))
	fi
done
[[ $n -gt 0 ]] || { echo "fuzz: no target $target in $dir" >&2; exit 1; }
[[ $failed -eq 0 ]]
