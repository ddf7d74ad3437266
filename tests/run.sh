#!/bin/sh
# run.sh - builds sherd from scratch and runs every test.
#
#   tests/run.sh                            what every change must pass
#   tests/run.sh --long                     the same programs with bigger numbers: hours
#   tests/run.sh --mutants                  all planted mistakes: shows that the tests find each
#   tests/run.sh --acceptance ISSUE LETTER  only tests/acceptance/issue-ISSUE/LETTER.sh
#   tests/run.sh --help
#
# Stages; presets build in build/<preset>. A stage that fails does not stop the next. Missing
# packages are installed first.
#   dev         address and undefined sanitizers; every test
#   chaos       two minutes of real faults, and one with the servers' state on disk, in the dev
#               build, beside the next stages, to fuzz
#   release     -O2; 200 000 schedules of the simulator, with their figures; tidy tests, and those
#               of memory, labelled release
#   tsan        thread sanitizer; tests labelled tsan: what has threads
#   clang       compiled
#   fuzz        libFuzzer, 20 s a target
#   model       the small configurations of the Promela model, searched to the end
#   mutants     a sample of the planted mistakes, and that a harmless one is not "found"
#   coverage    only with --long: lines and branches of coord and ecc
#
# An acceptance script finds the binaries in $SHERD_BUILD: build/release, or another preset that it
# asks for in a line `# preset: NAME`. Exit code 0 is passed, all others are failed.
#
# Prints what ran and how long it took; the last line is `N passed, N failed`: stages that
# configure and build count as one each, then every test. Exit code 1 if anything failed.
# JOBS is the number of compilers and tests that run at once; the number of processors unless set.
set -u

cd "$(dirname "$0")/.." || exit 2
jobs=${JOBS:-$(nproc)}
passed=0
failed=0
skipped=0
summary=

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' tests/run.sh; }

die() {
    echo "run.sh: $1; see --help" >&2
    exit 2
}

# note NAME RESULT SECONDS: a line of the closing summary.
note() {
    summary="$summary$(printf '%-28s %-24s %4d s' "$1" "$2" "$3")
"
}

# step NAME COMMAND...: runs it, counts it as one.
step() {
    name=$1
    shift
    printf '== %s\n' "$name"
    began=$(date +%s)
    if "$@"; then
        passed=$((passed + 1))
        result=ok
    else
        failed=$((failed + 1))
        result=FAILED
    fi
    note "$name" "$result" $(($(date +%s) - began))
    [ "$result" = ok ]
}

configure_and_build() {
    cmake --preset "$1" -Wno-dev -DBUILD_TESTING=ON >"build/$1.log" 2>&1 || {
        cat "build/$1.log"
        return 1
    }
    cmake --build --preset "$1" -j "$jobs"
}

build() { step "build $1" configure_and_build "$1"; }

# tests PRESET [CTEST OPTION...]: runs them, counts each.
tests() {
    preset=$1
    shift
    printf '== test %s\n' "$preset"
    began=$(date +%s)
    # shellcheck disable=SC2086 # $long is no word, or two
    ctest --preset "$preset" -j "$jobs" --output-log "build/$preset-tests.log" $long "$@"
    add_up "test $preset" $? "build/$preset-tests.log" "$began"
}

# Chaos mostly waits for real time to pass, and what runs beside it does no harm: more chaos.
chaos='^cluster\.chaos(\.lmdb)?(\.long)?$'
begin_chaos() {
    chaos_began=$(date +%s)
    # shellcheck disable=SC2086
    ctest --preset dev -R "$chaos" --output-log build/chaos-tests.log $long \
        >build/chaos-tests.out 2>&1 &
    chaos_pid=$!
}

end_chaos() {
    printf '== chaos\n'
    code=0
    wait "$chaos_pid" || code=$?
    cat build/chaos-tests.out
    add_up chaos $code build/chaos-tests.log "$chaos_began"
}

# add_up NAME EXIT-CODE LOG BEGAN: what ctest did.
add_up() {
    count "$3"
    # Nothing failed, and yet it did: no tests at all, or ctest itself.
    if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    passed=$((passed + good))
    failed=$((failed + bad))
    skipped=$((skipped + idle))
    result="$good passed"
    [ "$idle" -eq 0 ] || result="$result, $idle skipped"
    [ "$bad" -eq 0 ] || result="$result, $bad FAILED"
    note "$1" "$result" $(($(date +%s) - $4))
}

# The lines of ctest, such as `1/9 Test #1: unit.conf .......   Passed    0.02 sec`.
count() {
    [ -e "$1" ] || : >"$1"
    good=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .* Passed ' "$1")
    idle=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .*\*\*\*Skipped ' "$1")
    all=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: ' "$1")
    bad=$((all - good - idle))
}

finish() {
    printf '\n%s' "$summary"
    [ "$skipped" -eq 0 ] || echo "$skipped skipped: they say why above"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

run_acceptance() {
    script=tests/acceptance/issue-$1/$2.sh
    preset=$(sed -n 's/^# preset: \([a-z]*\)$/\1/p' "$script" | head -n 1)
    preset=${preset:-release}
    if build "$preset"; then
        SHERD_BUILD=$PWD/build/$preset
        export SHERD_BUILD
        step "acceptance $1 $2" "./$script"
    fi
    finish
}

long=
long_option=
acceptance=no
mutants=no
while [ $# -gt 0 ]; do
    case $1 in
    --long)
        long="-C long"
        long_option=--long
        ;;
    --mutants) mutants=yes ;;
    --acceptance)
        [ $# -ge 3 ] || die "--acceptance takes ISSUE and LETTER"
        acceptance=yes issue=$2 letter=$3
        case $issue in '' | *[!0-9]*) die "ISSUE is a number, not '$issue'" ;; esac
        case $letter in '' | *[!A-Za-z0-9]*) die "LETTER is a letter, not '$letter'" ;; esac
        [ -x "tests/acceptance/issue-$issue/$letter.sh" ] ||
            die "there is no executable tests/acceptance/issue-$issue/$letter.sh"
        shift 2
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) die "unknown option '$1'" ;;
    esac
    shift
done

case $jobs in '' | *[!0-9]* | 0*) die "JOBS is a number, not '$jobs'" ;; esac
mkdir -p build || exit 2
step dependencies conf/install-deps.sh --tests || finish
[ $acceptance = no ] || run_acceptance "$issue" "$letter"
if [ $mutants = yes ]; then
    step "all mutants" tests/mutants/run.sh
    finish
fi
chaos_pid=
if build dev; then
    tests dev --no-tests=error -E "$chaos"
    begin_chaos
fi
if build release; then
    # shellcheck disable=SC2086 # an option, or none
    step "simulation" tests/simulation/run.sh $long_option
    tests release -L '^(tidy|release)$'
fi
if build tsan; then tests tsan -L '^tsan$'; fi
build clang
# shellcheck disable=SC2086
step fuzz tests/fuzz/run.sh $long_option
[ -z "$chaos_pid" ] || end_chaos
step model tests/model/run.sh ${long_option:---small}
step "mutants, self-test" tests/mutants/run.sh --self-test
if [ -z "$long_option" ]; then
    step "mutants, a sample" tests/mutants/run.sh --sample
else
    step "all mutants" tests/mutants/run.sh
    step coverage tests/coverage.sh
fi
finish
