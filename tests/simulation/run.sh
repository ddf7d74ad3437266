#!/bin/sh
# run.sh - whole clusters on virtual time, many schedules of every code, and what they went through.
#
#   tests/simulation/run.sh             200 000 schedules, what every change must pass
#   tests/simulation/run.sh --long      ten times as many, other ones
#   tests/simulation/run.sh --percent N N % of them, at the same seeds
#
# Uses test_simulation of $SHERD_BUILD (build/release unless set), as many at a time as JOBS says.
# Each seed is a schedule: a failure is printed with its seed, shrunk, as a story. Then the sums of
# all runs; the last line is `N passed, N failed`, of pieces of the schedules.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${SHERD_BUILD:-build/release}
program=$build/tests/test_simulation
logs=$build/simulation
jobs=${JOBS:-$(nproc)}
times=1
seed=1
percent=100

die() {
    echo "run.sh: $1; see --help" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --long)
        times=10
        seed=10000001
        ;;
    --percent)
        [ $# -ge 2 ] || die "--percent takes a number"
        percent=$2
        case $percent in '' | *[!0-9]* | 0) die "'$percent' is not a number of percent" ;; esac
        shift
        ;;
    --help | -h)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) die "unknown option '$1'" ;;
    esac
    shift
done
[ -x "$program" ] || die "there is no $program: build the preset release first"
rm -rf "$logs"
mkdir -p "$logs" || exit 2

# CODE FIRST-SEED SCHEDULES, a line for each piece: the large codes first, they take longest.
pieces() {
    while read -r code schedules; do
        schedules=$((schedules * times * percent / 100))
        first=$seed
        while [ "$schedules" -gt 0 ]; do
            piece=$((schedules < 5000 ? schedules : 5000))
            echo "$code $first $piece"
            schedules=$((schedules - piece))
            first=$((first + piece))
        done
    done <<LIST
8+3 5000
3+4 8000
4+2 20000
3+2 15000
2+2 40000
2+1 52000
1+2 60000
LIST
}

# shellcheck disable=SC2016 # the inner shell's own words
pieces | xargs -P "$jobs" -L 1 sh -c '
    "$0" --code "$2" --seed "$3" --runs "$4" >"$1/$2-$3.log" 2>&1 || mv "$1/$2-$3.log" "$1/$2-$3.failed"
' "$program" "$logs"

passed=$(find "$logs" -name '*.log' | wc -l)
failed=$(find "$logs" -name '*.failed' | wc -l)
for log in "$logs"/*.failed; do
    [ -e "$log" ] && cat "$log"
done
# Lines such as `1+2: 5000 schedules, 11855437 steps, ...`, and `  outcomes: OK 111503 ...`.
cat "$logs"/*.log "$logs"/*.failed 2>/dev/null | awk '
    function add(what, count) {
        if (!(what in sum)) order[++kinds] = what
        sum[what] += count
    }
    /^[0-9]+\+[0-9]+: [0-9]+ schedules/ {
        code = $1
        sub(/^[^ ]* /, "")
        count = split($0, parts, ", ")
        for (i = 1; i <= count; i++) {
            number = parts[i] + 0
            sub(/^[0-9]+ /, "", parts[i])
            add(parts[i], number)
            if (parts[i] == "schedules") codes[code] += number
        }
    }
    /schedules a second of processor time$/ { rates[code] += $1; pieces[code]++ }
    /^  outcomes:/ { for (i = 2; i < NF; i += 2) add("calls that ended with " $i, $(i + 1)) }
    END {
        for (i = 1; i <= kinds; i++) printf "%14d %s\n", sum[order[i]], order[i]
        printf "%14.1f virtual hours\n  schedules by code:", sum["seconds of virtual time"] / 3600
        for (code in codes) printf " %s %d", code, codes[code]
        printf "\n  schedules a second of processor time:"
        for (code in codes) printf " %s %d", code, rates[code] / pieces[code]
        print ""
    }'
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
