#!/bin/sh
# run.sh - whole clusters on virtual time, many schedules of every code, and what they went through.
#
#   tests/simulation/run.sh               200 000 schedules, what every change must pass
#   tests/simulation/run.sh --long        ten times as many, other ones
#   tests/simulation/run.sh --percent N   N % of them, at the same seeds
#
# Uses test_simulation of $SHERD_BUILD (build/release unless set: build that preset first), as many
# at a time as JOBS says. Each seed is a schedule: a failure is printed with its seed, shrunk, as a
# story. Then the sums of all runs; the last line is `N passed, N failed`, of pieces of the
# schedules. A piece that has not said how many schedules it ran has failed.
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

# is_count TEXT: a number from 1 to 9999.
is_count() {
    case $1 in '' | *[!0-9]* | 0* | ?????*) return 1 ;; esac
}

while [ $# -gt 0 ]; do
    case $1 in
    --long)
        times=10
        seed=10000001
        ;;
    --percent)
        [ $# -ge 2 ] || die "--percent takes a number"
        is_count "$2" || die "'$2' is not a number of percent"
        percent=$2
        shift
        ;;
    --help | -h)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/simulation/run.sh
        exit 0
        ;;
    *) die "unknown option '$1'" ;;
    esac
    shift
done
is_count "$jobs" || die "JOBS is a number, not '$jobs'"
[ -x "$program" ] || die "there is no $program: build the preset release first"
rm -rf "$logs" && mkdir -p "$logs" || exit 2

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

# run_piece CODE SEED COUNT: passed is what has run so many schedules, and says so.
run_piece() {
    log=$logs/$1-$2
    "$program" --code "$1" --seed "$2" --runs "$3" >"$log" 2>&1 &
    child=$!
    wait "$child" && grep -q "^$1: $3 schedules, " "$log" && mv "$log" "$log.passed"
}

# worker NUMBER: every jobs-th piece.
worker() {
    trap 'kill "$child" 2>/dev/null; exit 143' TERM
    turn=0
    while read -r code first count; do
        turn=$((turn + 1))
        [ $((turn % jobs)) -ne "$1" ] || run_piece "$code" "$first" "$count"
    done <"$logs/pieces"
}

pieces >"$logs/pieces" || exit 2
workers=
trap 'kill $workers 2>/dev/null; wait; exit 130' INT TERM
for number in $(seq 0 $((jobs - 1))); do
    worker "$number" &
    workers="$workers $!"
done
wait

asked=$(wc -l <"$logs/pieces")
passed=$(find "$logs" -name '*.passed' | wc -l)
for log in "$logs"/*+*-*; do
    case $log in *.passed) ;; *) cat "$log" ;; esac
done
# Lines such as `1+2: 5000 schedules, 11855437 steps, ...`, and `  outcomes: OK 111503 ...`.
cat "$logs"/*+*-* 2>/dev/null | awk '
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
        for (code in codes) if (pieces[code]) printf " %s %d", code, rates[code] / pieces[code]
        print ""
    }'
echo "$passed passed, $((asked - passed)) failed"
[ "$passed" -eq "$asked" ] && [ "$asked" -gt 0 ]
