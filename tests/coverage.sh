#!/bin/sh
# coverage.sh - which lines and branches of coord/ and ecc/ the tests run, and whether that is enough.
#
#   tests/coverage.sh [--runs N] [--missing]
#   tests/coverage.sh --help
#
# Builds the preset `coverage` (gcc, nothing optimized away), runs the tests labelled unit and store,
# and N schedules (2000) of the simulator for each code; then gcovr counts. The other tests are left out:
# those of histories run nothing of coord/ or ecc/, and a process that is killed counts nothing.
#
# Wanted: 95 % of the lines and 90 % of the branches of coord/, every line of ecc/ (which takes a
# processor with AVX2, where there is AVX2 code). Nothing is left out of these figures but the branches of
# lines that are a SHERD_ASSERT and nothing more: its other side stops the program. Their number is printed.
# --missing prints every line that never ran, and every one with a branch never taken.
#
# The last line is `N passed, N failed`, one for each figure wanted, and a failure for each test that failed;
# exit code 1 if there is any. JOBS: compilers and tests at once (the number of processors).
set -u

cd "$(dirname "$0")/.." || exit 2
build=build/coverage
work=$build/report
jobs=${JOBS:-$(nproc)}
runs=2000
missing=no
passed=0
failed=0
codes="8+3 3+4 4+2 3+2 2+2 2+1 1+2" # the longest first

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/coverage.sh; }

die() {
    echo "coverage.sh: $1" >&2
    exit 2
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

build() {
    cmake --preset coverage -Wno-dev -DBUILD_TESTING=ON >"$work/configure.log" 2>&1 || {
        cat "$work/configure.log"
        return 1
    }
    cmake --build --preset coverage -j "$jobs" >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log"
        return 1
    }
}

# run NAME COMMAND...: a test that fails makes every figure doubtful, so it counts.
run() {
    name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 && return 0
    echo "FAILED: $*"
    tail -n 20 "$work/$name.log"
    failed=$((failed + 1))
}

simulate() {
    # shellcheck disable=SC2086 # a list of words
    printf '%s\n' $codes | xargs -P "$jobs" -I CODE sh -c \
        "'$build/tests/test_simulation' --code CODE --runs $runs >'$work/sim-CODE.log' 2>&1 ||
        { tail -n 20 '$work/sim-CODE.log'; exit 1; }"
}

# count FORMAT FILE [OPTION...]: gcovr over what the tests left behind, coord/ and ecc/ alone.
count() {
    format=$1 file=$2
    shift 2
    gcovr --root . --object-directory "$build" --filter 'coord/' --filter 'ecc/' -j "$jobs" \
        --exclude-directories '.*/CMakeFiles/[0-9.]+/.*' "$@" "--$format" "$file" "$build" \
        >"$work/gcovr.log" 2>&1 && [ -s "$file" ] && return 0
    cat "$work/gcovr.log"
    return 1
}

# totals FOLDER FILE: lines, lines run, branches, branches taken.
totals() {
    awk -F, -v folder="$1/" 'index($1, folder) == 1 { l += $2; lr += $3; b += $5; bt += $6 }
        END { print l + 0, lr + 0, b + 0, bt + 0 }' "$2"
}

table() {
    awk -F, 'function row(name, l, lr, b, bt) {
            printf "%-28s %6d %6d %7s %7d %6d %7s\n", name, l, lr, percent(lr, l), b, bt, percent(bt, b)
        }
        function percent(part, all) { return all ? sprintf("%.1f %%", int(1000 * part / all) / 10) : "-" }
        BEGIN {
            printf "%-28s %6s %6s %7s %7s %6s %7s\n", "file", "lines", "run", "", "branches", "taken", ""
        }
        NR > 1 {
            row($1, $2, $3, $5, $6)
            folder = substr($1, 1, index($1, "/"))
            if (!(folder in l)) names[++folders] = folder
            l[folder] += $2; lr[folder] += $3; b[folder] += $5; bt[folder] += $6
        }
        END {
            for (i = 1; i <= folders; i++) {
                f = names[i]
                row(f, l[f], lr[f], b[f], bt[f])
            }
        }' "$1"
}

# want WHAT RUN ALL PERCENT
want() {
    # An empty figure is no proof of anything.
    if [ "$3" -gt 0 ] && [ $(($2 * 100)) -ge $(($3 * $4)) ]; then
        passed=$((passed + 1)) result=ok
    else
        failed=$((failed + 1)) result=FAILED
    fi
    printf '%-6s %s: %d of %d, wanted %d %%\n' "$result" "$1" "$2" "$3" "$4"
}

judge() {
    # shellcheck disable=SC2046 # four words
    set -- $(totals coord "$work/all.csv") $(totals coord "$work/counted.csv") \
        $(totals ecc "$work/counted.csv")
    echo "left out: $(($3 - $7)) branches of coord/ in lines that are a SHERD_ASSERT; nothing else"
    want "lines of coord/" "$6" "$5" 95
    want "branches of coord/" "$8" "$7" 90
    shift 8
    want "lines of ecc/" "$2" "$1" 100
}

while [ $# -gt 0 ]; do
    case $1 in
    --runs)
        [ $# -ge 2 ] || die "--runs takes a number; see --help"
        runs=$2
        case $runs in '' | 0* | *[!0-9]*) die "--runs takes a number above 0, not '$2'" ;; esac
        shift
        ;;
    --missing) missing=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) die "unknown option '$1'; see --help" ;;
    esac
    shift
done
for tool in gcc gcovr; do
    command -v "$tool" >/dev/null || die "no $tool; conf/install-deps.sh --tests installs it"
done

mkdir -p "$work" || exit 2
build || {
    failed=1
    finish
}
find "$build" -name '*.gcda' -exec rm -f {} + # counts of earlier runs
run tests ctest --preset coverage -L '^(unit|store)$' -j "$jobs" --no-tests=error
run schedules simulate
asserts='^\s*SHERD_ASSERT\(.*\);\s*$'
count csv "$work/all.csv" &&
    count csv "$work/counted.csv" --exclude-branches-by-pattern "$asserts" || {
    failed=$((failed + 1))
    finish
}
table "$work/counted.csv"
if [ $missing = yes ]; then
    count json "$work/counted.json" --exclude-branches-by-pattern "$asserts"
    gcovr --root . --add-tracefile "$work/counted.json" --txt
    gcovr --root . --add-tracefile "$work/counted.json" --txt --branches
fi
judge
finish
