#!/bin/sh
# L.sh: after each of the cluster tests, 10 s of quiet leave no undecided entry, and no shard
# without a readable value, on any node. Each program ends with that check and prints what it found.
# preset: release
build=${SHERD_BUILD:?names the build folder}
failed=
for name in losses schedule dead_clients majority rebuild garbage usage memory; do
    log=$(mktemp)
    if "$build/tests/test_cluster_$name" --small >"$log" 2>&1 && grep -q '^quiet: ' "$log"; then
        sed -n "s/^quiet: /$name: /p" "$log"
    else
        cat "$log"
        failed="$failed $name"
    fi
    rm -f "$log"
done
[ -z "$failed" ] || { echo "not quiet:$failed" >&2; exit 1; }
