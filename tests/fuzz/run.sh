#!/bin/bash
# run.sh - builds the fuzz targets and runs libFuzzer on them.
#
#   tests/fuzz/run.sh [--seconds N] [--long] [TARGET...]
#
# Every target (or those named) runs N seconds, 20 unless said; --long is --seconds 600. As many run
# at once as there are processors; JOBS is another number. A run begins from corpus/<target> and
# what earlier runs found (build/fuzz/run/<target>; the repository's corpus is not written to). What
# stops a target stays in build/fuzz/run/<target>/crash, with the command that shows it again; once
# mended, it goes to corpus/<target>/crash-WHAT, and is a test from then on.
#
# The last line is `N passed, N failed`; the exit code is 1 if anything failed.
set -u

cd "$(dirname "$0")/../.." || exit 2
seconds=20
jobs=${JOBS:-$(nproc)}
targets=
timeout=10  # seconds for one input: they take milliseconds, but the machine may be busy
rss_mb=1024 # of the process, the sanitizer's share included
length=4096 # bytes of an input, as in the corpus
work=build/fuzz/run
pids=

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/fuzz/run.sh; }

die() {
    echo "fuzz/run.sh: $1; see --help" >&2
    exit 2
}

# Only what this script started.
stop() {
    trap - INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null; done # fuzz() ends what it started
    wait
    exit 130
}
trap stop INT TERM
case $jobs in '' | *[!0-9]* | 0* | ?????*) die "JOBS is a number, not '$jobs'" ;; esac

while [ $# -gt 0 ]; do
    case $1 in
    --seconds)
        [ $# -ge 2 ] || die "--seconds takes a number"
        seconds=$2
        case $seconds in '' | 0* | *[!0-9]* | ??????*) die "--seconds takes a number above 0, not '$2'" ;; esac
        shift
        ;;
    --long) seconds=600 ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) die "unknown option '$1'" ;;
    *)
        [ -f "tests/fuzz/fuzz_$1.c" ] || die "there is no target '$1'"
        targets="$targets $1"
        ;;
    esac
    shift
done
[ -n "$targets" ] || for file in tests/fuzz/fuzz_*.c; do
    file=${file##*/fuzz_}
    targets="$targets ${file%.c}"
done

build() {
    mkdir -p build || return 1
    cmake --preset fuzz -Wno-dev -DBUILD_TESTING=ON >build/fuzz.log 2>&1 &&
        cmake --build --preset fuzz -j "$jobs" >>build/fuzz.log 2>&1
}

seeds_of() {
    echo "tests/fuzz/corpus/$1"
    [ "$1" != conf ] || echo conf
}

# fuzz TARGET: one run; its folder holds corpus/, crash/, log and code.
fuzz() {
    folder=$work/$1
    rm -f "$folder/code"
    mkdir -p "$folder/corpus" "$folder/crash"
    tmp=
    child=
    trap 'kill $child 2>/dev/null; wait; rm -rf "$tmp"; exit 143' TERM
    # Memory if there is some: the keeper's file is synced for each input.
    tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
    for seeds in $(seeds_of "$1"); do
        find "$seeds" -maxdepth 1 -type f ! -name '*.md' ! -name '*.sh' -size -9k \
            -exec cp -- {} "$folder/corpus/" ';'
    done
    find "$folder/corpus" -type f | wc -l >"$folder/before"
    dict=
    [ ! -f "tests/fuzz/dict/$1.dict" ] || dict=-dict=tests/fuzz/dict/$1.dict
    # libconfuse loses bytes on its own (fuzz_conf.c), and looking for leaks after each input that
    # does so is slow. The replay looks for ours.
    leaks=1
    [ "$1" != conf ] || leaks=0
    # shellcheck disable=SC2086 # $dict is no word, or one
    TMPDIR=$tmp timeout $((seconds * 2 + 120)) "build/fuzz/tests/fuzz/fuzz_$1" \
        -max_total_time="$seconds" -timeout="$timeout" -rss_limit_mb="$rss_mb" \
        -max_len="$length" -detect_leaks="$leaks" -print_final_stats=1 \
        -artifact_prefix="$folder/crash/" $dict "$folder/corpus" >"$folder/log" 2>&1 &
    child=$!
    wait $child
    echo $? >"$folder/code"
    rm -rf "$tmp"
}

# field REGEX FILE: the last number that follows it.
field() { grep -oE "$1 *[0-9]+" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0; }

report() {
    folder=$work/$1
    code=$(cat "$folder/code" 2>/dev/null || echo 1)
    after=$(find "$folder/corpus" -type f | wc -l)
    printf '%-8s %10s runs %7s/s %6s edges %5d new units' "$1" \
        "$(field 'number_of_executed_units:' "$folder/log")" \
        "$(field 'average_exec_per_sec:' "$folder/log")" \
        "$(field ' cov:' "$folder/log")" $((after - $(cat "$folder/before")))
    # What ended at once, or has run nothing, has shown nothing.
    if [ "$code" -eq 0 ] && grep -q '^stat::number_of_executed_units: *[1-9]' "$folder/log"; then
        echo "  0 crashes"
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "  FAILED (exit code $code)"
    grep -vE 'REDUCE|NEW|RELOAD|pulse|# Uses:' "$folder/log" | grep -E -A 25 \
        -m 1 ': [^ ].*( == |SHERD|&&|<)|ERROR|runtime error|Sanitizer' |
        grep -v 'fuzzer::' | cut -c 1-160
    crash=$(sed -n 's/.*Test unit written to \(.*\)$/\1/p' "$folder/log" | tail -n 1)
    [ -z "$crash" ] || echo "again: build/fuzz/tests/fuzz/fuzz_$1 $crash"
    echo "log: $folder/log"
}

passed=0
failed=0
if ! build; then
    tail -n 40 build/fuzz.log
    echo "0 passed, 1 failed"
    exit 1
fi
for target in $targets; do
    while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n; done
    fuzz "$target" &
    pids="$pids $!"
done
wait
for target in $targets; do report "$target"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
