#!/bin/sh
# D.sh: tests/README.md says what is promised, by which tests, all of which exist; and a seed is the
# same schedule again, told as its section says.
# preset: release
set -eu
build=${SHERD_BUILD:?names the build folder}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tests/tidy/promises.sh
for again in one two; do
    "$build/tests/test_simulation" --code 2+2 --seed 532 --runs 1 --trace |
        grep -v 'processor time$' >"$work/$again" # which is the machine's, not the schedule's
done
cmp "$work/one" "$work/two"
lines=$(wc -l <"$work/one")
[ "$lines" -gt 100 ]
grep -q 'client 0 asks: ' "$work/one"
echo "the same $lines lines of one schedule, twice; every test that README.md names exists"
