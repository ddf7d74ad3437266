#!/usr/bin/env bash
# run.sh - plants each mistake of tests/mutants/*.patch in the code that ships, and shows that the
# tests find it.
#
#   tests/mutants/run.sh                all of them
#   tests/mutants/run.sh --sample       those with `# sample: yes`: under a minute
#   tests/mutants/run.sh NAME...        these
#   tests/mutants/run.sh --self-test    whether this script would notice a mistake that is not found
#   tests/mutants/run.sh --help
#
# Works on a copy in build/mutants: the tree itself is never touched. First the good code must pass
# the very commands that are to fail with the mistakes, schedules in a smaller number. Then one line
# for each mistake, a table, and `N passed, N failed` as the last line; exit code 1 if anything
# failed. What the commands printed is in build/mutants/log/NAME.
#
# JOBS: compilers at once (the number of processors). LIMIT: seconds that one command may take (900).
set -u

here=$(cd "$(dirname "$0")" && pwd) || exit 2
root=$(cd "$here/../.." && pwd) || exit 2
folder=${MUTANTS_FOLDER:-$here}
work=${MUTANTS_WORK:-$root/build/mutants}
src=$work/src
bld=$work/build
log=$work/log
jobs=${JOBS:-$(nproc)}
limit=${LIMIT:-900}
small=1000 # schedules of a command on the good code
passed=0
failed=0
table=

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$here/run.sh"; }

die() {
    echo "run.sh: $1" >&2
    exit 2
}

finish() {
    [ -z "$table" ] || printf '\n%s' "$table"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

header() { sed -n "s/^# $2: *//p" "$folder/$1.patch"; }

# What git knows, as it is now. Only what differs is written, with a new time: so nothing is compiled
# twice, and nothing that an interrupted run left behind is believed.
copy_sources() {
    mkdir -p "$src" "$log" || die "cannot write to $work"
    (cd "$root" && git ls-files -z) >"$work/files" || die "git does not list the sources"
    (cd "$src" && find . -type f -print0) | sed -z 's|^\./||' | sort -z >"$work/copied"
    sort -z "$work/files" | comm -z -13 - "$work/copied" | (cd "$src" && xargs -0 -r rm -f --)
    while IFS= read -r -d '' file; do
        [ -f "$root/$file" ] || continue
        cmp -s "$root/$file" "$src/$file" && continue
        mkdir -p "$src/$(dirname "$file")"
        cp "$root/$file" "$src/$file" || die "cannot copy $file"
    done <"$work/files"
}

configure() {
    cmake -S "$src" -B "$bld" -G Ninja -Wno-dev -DCMAKE_C_COMPILER=gcc -DBUILD_TESTING=ON \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSHERD_WERROR=OFF >"$log/configure" 2>&1 || {
        cat "$log/configure"
        die "the copy cannot be configured"
    }
}

# The target that makes the test of a command, which is `tests/test_NAME ...`.
target_of() { basename "${1%% *}"; }

# build LOGFILE COMMAND...: makes what the commands need.
build() {
    out=$1
    shift
    targets=$(for command in "$@"; do target_of "$command"; done | sort -u)
    # shellcheck disable=SC2086 # a list of words
    cmake --build "$bld" -j "$jobs" --target $targets >>"$out" 2>&1
}

# run LOGFILE COMMAND: its exit code.
run() {
    echo "== $2" >>"$1"
    (cd "$bld" && SHERD_SIMULATION_NO_STORY=1 timeout -k 5 "$limit" sh -c "$2") >"$work/out" 2>&1 </dev/null
    code=$?
    cat "$work/out" >>"$1"
    return $code
}

# Whether exit code $1 of command $2 and $work/out say that a test failed, and not that it could not
# run.
is_failure() {
    case $1 in
    0 | 77 | 124 | 125 | 126 | 127 | 137) return 1 ;; # passed, skipped, too slow, no such command
    esac
    [ "$1" -ge 128 ] && return 0 # stopped by an assertion
    case $2 in
    tests/test_simulation*) grep -q '^FAILED: seed' "$work/out" ;; # 2: it was called wrongly
    *) return 0 ;;
    esac
}

# Where the test failed, in a few words.
place_of() {
    schedules=$(sed -n 's/.*[^0-9]\([0-9]\{1,\}\) schedules.*/\1/p' "$work/out" | head -n 1)
    test=$(sed -n 's/^\[  FAILED  \] \(.*\)$/\1/p' "$work/out" | grep -v 'listed below' | head -n 1)
    if [ -n "$schedules" ]; then
        echo "after $schedules schedules"
    elif [ -n "$test" ]; then
        echo "in \"$test\""
    else
        echo "stopped by an assertion"
    fi
}

note() { # NAME RESULT WHERE SECONDS
    table="$table$(printf '%-34s %-52s %-46s %4d s' "$1" "$2" "$3" "$4")
"
}

pass() {
    passed=$((passed + 1))
    echo "found $1 by $2, $3, $4 s"
    note "$1" "$2" "$3" "$4"
}

fail() {
    failed=$((failed + 1))
    echo "$2: $1${3:+ ($3)}"
    note "$1" "$2" "" $((SECONDS - began))
}

# The good code must pass what the mistakes must fail.
check_good() {
    began=$SECONDS
    mapfile -t commands < <(for name in "$@"; do header "$name" 'found by'; done |
        sed "s/--runs [0-9]*/--runs $small/" | sort -u)
    : >"$log/good"
    if ! build "$log/good" "${commands[@]}"; then
        tail -n 30 "$log/good"
        fail "the good code" "does not build"
        return 1
    fi
    for command in "${commands[@]}"; do
        run "$log/good" "$command" && continue
        tail -n 30 "$work/out"
        fail "the good code" "FAILS" "$command"
        return 1
    done
    echo "the good code passes ${#commands[@]} commands, $((SECONDS - began)) s"
}

try_commands() { # NAME: those that are found first, then the others
    for command in "${commands[@]}"; do
        if ! build "$log/$1" "$command"; then
            fail "$1" "does not build"
            return
        fi
        run "$log/$1" "$command"
        code=$?
        if is_failure $code "$command"; then
            pass "$1" "$command" "$(place_of)" $((SECONDS - began))
            return
        fi
        [ $code -ne 124 ] || echo "too slow: $command" >>"$log/$1"
    done
    fail "$1" "NOT FOUND"
}

plant() { # NAME
    began=$SECONDS
    patch=$folder/$1.patch
    : >"$log/$1"
    mapfile -t commands < <(header "$1" 'found by')
    if [ ${#commands[@]} -eq 0 ]; then
        fail "$1" "has no line \`# found by:\`"
    elif ! patch -p1 --fuzz=0 -d "$src" --dry-run --batch --forward <"$patch" >>"$log/$1" 2>&1; then
        fail "$1" "does not apply"
    else
        patch -p1 --fuzz=0 -d "$src" --batch --forward --no-backup-if-mismatch <"$patch" >>"$log/$1" 2>&1
        try_commands "$1"
        patch -p1 --fuzz=0 -d "$src" --batch --reverse --no-backup-if-mismatch <"$patch" >>"$log/$1" 2>&1 ||
            die "cannot undo $1"
    fi
}

expect_lines() { # FOLDER REGEX...: what a run on these mistakes must print; it must fail
    out=$work/self-test.out
    if MUTANTS_FOLDER=$here/$1 MUTANTS_WORK=$work "$here/run.sh" >"$out" 2>&1; then
        failed=$((failed + 1))
        echo "self-test: $1 must fail"
    fi
    shift
    for line in "$@"; do
        if grep -q "$line" "$out"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "self-test: no line $line in:"
            cat "$out"
        fi
    done
}

# A story in log file $1: shrunk, told up to the failure, and then what each node has.
expect_story() {
    story=$(sed -n '/^shrunk in .* The story:$/,$p' "$1")
    if printf '%s\n' "$story" | grep -E '^ *[0-9]+\.[0-9]{3} ' | tail -n 1 | grep -q ' FAILED: ' &&
        printf '%s\n' "$story" | grep -q '^key 0 node 0: '; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "self-test: no story in:"
        tail -n 30 "$1"
    fi
}

# Runs this script on mistakes of which it is known what must be said.
self_test() {
    mkdir -p "$work" || exit 2
    expect_lines self-test '^NOT FOUND: harmless$' '^does not apply: elsewhere$' \
        '^does not build: no_c$' '^found real by tests/test_unit_ballot, in "' \
        '^found dead_unproved by tests/test_simulation .*, after ' '^2 passed, 3 failed$'
    expect_story "$log/dead_unproved"
    expect_lines self-test/bad_tree '^FAILS: the good code (tests/test_unit_ballot && false)$' \
        '^0 passed, 1 failed$'
    finish
}

names=()
sample=no
while [ $# -gt 0 ]; do
    case $1 in
    --sample) sample=yes ;;
    --self-test) self_test ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) die "unknown option '$1'; see --help" ;;
    *)
        [ -n "$1" ] && [ -f "$folder/$1.patch" ] || die "there is no $folder/$1.patch"
        names+=("$1")
        ;;
    esac
    shift
done
if [ ${#names[@]} -eq 0 ]; then
    for file in "$folder"/*.patch; do
        name=$(basename "$file" .patch)
        if [ $sample = no ] || [ "$(header "$name" sample)" = yes ]; then names+=("$name"); fi
    done
fi

copy_sources
configure
check_good "${names[@]}" || finish
for name in "${names[@]}"; do
    plant "$name"
done
finish
