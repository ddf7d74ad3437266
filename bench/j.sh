#!/bin/sh
# j.sh [OPTION...]: the first speed targets in one go, beside what ZeroMQ alone does here. Exit code
# 0 only when all of them are met.
#
#   --build DIR   a release build (default: build/release)
#   --dir DIR     where the cluster lives (default: a new folder under $TMPDIR, removed at the end)
#   --base-port N of the cluster (default: 7400)
#   --runs N      the median of so many runs counts (default: 5)
#   --only NAME   load or rebuild: only these
#
# Nothing else should run meanwhile: servers and client share the processors already.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 6
build=$root/build/release dir='' base_port=7400 runs=5 only=''

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { echo "j.sh: '$1' needs a value" >&2; exit 2; }
    case $1 in
    --build) build=$(cd "$2" && pwd) || exit 2 ;;
    --dir) dir=$2 ;;
    --base-port) base_port=$2 ;;
    --runs) runs=$2 ;;
    --only) only=$2 ;;
    *) echo "j.sh: unknown option '$1'" >&2; exit 2 ;;
    esac
    shift 2
done

# shellcheck source=bench/local.sh
. "$root/bench/local.sh"
[ -n "$dir" ] || dir=$scratch/cluster

failed=''
table=$scratch/table
: >"$table"

six_up() { cluster_up --nodes 6 --code 4+2 --base-port "$base_port" --recovery-rate 0; }

judge() { # WHAT FIGURE UNIT TARGET CEILING CODE
    verdict=$(awk -v a="${2:-0}" -v b="$4" -v code="$6" \
        'BEGIN { print (code != 0 ? "FAILED" : (a + 0 >= b + 0 ? "met" : "MISSED")) }')
    [ "$verdict" = met ] || failed=yes
    ratio=$(awk -v a="${2:-0}" -v c="${5:-0}" 'BEGIN { if (c > 0) printf "%.0f %%", 100 * a / c }')
    awk -v what="$1" -v figure="${2:-0}" -v unit="$3" -v target="$4" -v ceiling="${5:-}" \
        -v ratio="$ratio" -v verdict="$verdict" 'BEGIN {
        printf "%-34s %9.0f %-6s >= %6d  %-6s  %9s  %s\n", what, figure, unit, target, verdict,
               ceiling == "" ? "" : sprintf("%.0f", ceiling), ratio }' | tee -a "$table"
}

ceiling() { # set|get ARGUMENT...: its line of JSON
    which=$1
    shift
    "$bench" ceiling --json "--$which" --runs "$runs" "$@"
}

load() { # WHAT set|get FIELD UNIT TARGET CEILING ARGUMENT...
    what=$1 which=$2 field=$3 unit=$4 target=$5 limit=$6
    shift 6
    line=$("$bench" load --json --dir "$dir" "--$which" --runs "$runs" "$@")
    code=$?
    echo "$line" >>"$scratch/json"
    judge "$what" "$(echo "$line" | value_of "$field")" "$unit" "$target" "$limit" "$code"
    echo "    latency us $(echo "$line" | sed -n 's/.*"latency_us":{\([^}]*\)}.*/\1/p' | tr -d '"')" \
        "client us/op $(echo "$line" | value_of client_cpu_us_op)"
}

rebuild() { # WHAT FIELD UNIT TARGET ARGUMENT...
    what=$1 field=$2 unit=$3 target=$4
    shift 4
    line=$("$bench" rebuild --json --dir "$dir" --node 1 --sherd "$sherd" --runs "$runs" "$@")
    code=$?
    echo "$line" >>"$scratch/json"
    judge "$what" "$(echo "$line" | value_of "$field")" "$unit" "$target" "" "$code"
    echo "    $(echo "$line" | value_of bytes) bytes, $(echo "$line" | value_of keys) keys in" \
        "$(echo "$line" | value_of seconds) s ($(echo "$line" | value_of seconds_from_start) s from start)"
}

echo "load average before: $(cut -d' ' -f1-3 /proc/loadavg), processors: $(nproc), medians of $runs"
echo "what                                  figure           target  verdict    ZeroMQ  share"

if [ "$only" != rebuild ]; then
    small_set=$(ceiling set --count 100000 | value_of ops_s)
    small_get=$(ceiling get --count 100000 | value_of ops_s)
    large_set=$(ceiling set --record 256KiB --batch 1 --depth 16 --count 2000 | value_of mb_s)
    large_get=$(ceiling get --record 256KiB --batch 1 --depth 16 --count 2000 | value_of mb_s)
    six_up
    load "1 KiB, depth 64: set" set ops_s /s 40000 "$small_set" --size 1KiB --depth 64 --count 200000
    load "1 KiB, depth 64: get" get ops_s /s 60000 "$small_get" --size 1KiB --depth 64 --count 200000
    cluster_down
    six_up
    load "1 MiB, depth 16: set" set mb_s MB/s 500 "$large_set" --size 1MiB --depth 16 --count 1000
    load "1 MiB, depth 16: get" get mb_s MB/s 500 "$large_get" --size 1MiB --depth 16 --count 1000
    cluster_down
fi
if [ "$only" != load ]; then
    six_up # 2 000 values of 1 MiB: 524 MB of shards on each node
    rebuild "rebuild, 1 MiB values" mb_s MB/s 150 --size 1MiB --count 2000 --depth 16
    cluster_down
    six_up
    rebuild "rebuild, 1 KiB values" keys_s keys/s 30000 --size 1KiB --count 300000 --depth 64
    cluster_down
fi

echo "load average after: $(cut -d' ' -f1-3 /proc/loadavg)"
if [ -n "$failed" ]; then
    echo "not all targets are met"
    exit 1
fi
echo "all targets are met"
