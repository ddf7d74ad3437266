#!/bin/sh
# J.sh: first speed, with six servers at 4+2 on this machine; medians of five runs.
# preset: release
set -u
build=${SHERD_BUILD:?names the build folder}
sherd=$build/client/cli/sherd
bench=$build/bench/sherd-bench
work=$(mktemp -d)
failed=no

clean_up() {
    [ ! -f "$work/cluster/cluster.conf" ] || "$sherd" cluster down --dir "$work/cluster" >"$work/out"
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

up() {
    for port in 17400 17900 18400 18900 19400; do
        "$sherd" cluster up --dir "$work/cluster" --base-port $port --max-memory 2GiB \
            --recovery-rate 0 >"$work/out" 2>&1 && return
    done
    cat "$work/out"
    exit 1
}

down() { "$sherd" cluster down --dir "$work/cluster" >"$work/out"; }

# measure NAME FIELD LIMIT COMMAND...: the field of the bench's JSON must be at least the limit.
measure() {
    name=$1 field=$2 limit=$3
    shift 3
    if ! "$bench" "$@" --dir "$work/cluster" --json >"$work/json"; then
        failed=yes
        return
    fi
    value=$(sed -n "s/.*\"$field\":\([0-9.]*\).*/\1/p" "$work/json" | head -n 1)
    if awk "BEGIN { exit !(${value:-0} >= $limit) }"; then verdict=ok; else verdict=BELOW failed=yes; fi
    printf '%-34s %12s %-6s limit %9s  %s\n' "$name" "${value:-none}" "$field" "$limit" "$verdict"
}

up
measure "set, 1 KiB, depth 64" ops_s 40000 load --set --size 1KiB --count 200000 --depth 64
measure "get, 1 KiB, depth 64" ops_s 60000 load --get --size 1KiB --count 200000 --depth 64
down
up
measure "set, 1 MiB, depth 16" mb_s 500 load --set --size 1MiB --count 1000 --depth 16
measure "get, 1 MiB, depth 16" mb_s 500 load --get --size 1MiB --count 1000 --depth 16
down
up # 2 000 values of 1 MiB: 500 MB of shards on each node
measure "rebuild of 500 MB, 1 MiB values" mb_s 150 rebuild --size 1MiB --count 2000 --depth 16
down
up
measure "rebuild, 1 KiB values" keys_s 30000 rebuild --size 1KiB --count 300000 --depth 64
[ "$failed" = no ]
