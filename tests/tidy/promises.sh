#!/bin/sh
# promises.sh: every test that the table of promises in tests/README.md names exists: as a test of
# this build, or as a script of this folder.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${SHERD_BUILD:?names the build folder}
known=$(ctest --test-dir "$build" -N | sed -n 's/^ *Test *#[0-9]*: //p')

named=$(sed -n '/^| promise |/,/^$/p' README.md | sed '1,2d' | awk -F'|' '{ print $3 }' |
    grep -o '`[a-z_]*[./][a-z_.]*`' | tr -d '`' | sort -u)
[ "$(echo "$named" | wc -l)" -ge 20 ] || { echo "no table of promises in tests/README.md" >&2; exit 1; }
failed=0
for name in $named; do
    if [ -x "$name" ] || echo "$known" | grep -qx "$name"; then continue; fi
    echo "tests/README.md promises a test that is not there: $name" >&2
    failed=1
done
exit $failed
