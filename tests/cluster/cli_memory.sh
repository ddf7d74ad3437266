#!/bin/sh
# cli_memory.sh: every allocation that the command line itself makes fails once: it says so and ends
# with exit code 6, or does without; it never crashes, and never says OK to what it did not do.
# shellcheck disable=SC2154 # work, out and err are lib.sh's
set -u
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
export XDG_STATE_HOME="$work/state"
starved=$SHERD_BUILD/tests/test_cli_memory
tried=0
refused=0

# look WORD...: the key of a command that writes is to have another value than afterwards: $before.
look() {
    case $1 in
    set) "$sherd" set "$2" other >/dev/null || fail "set $2" ;;
    incr | append) before=$("$sherd" get "$2" 2>/dev/null) ;; # there may be none yet
    esac
}

# did WORD...: it said OK, so what it set, added or appended must be there.
did() {
    command=$1 key=${2:-} value=${3:-}
    case $command in
    set) wanted=$value ;;
    incr) wanted=$((${before:-0} + 1)) ;;
    append) wanted=$before$value ;;
    *) return ;;
    esac
    if [ "$value" = --file ]; then
        "$sherd" get "$key" | cmp -s - "$4"
    else
        [ "$("$sherd" get "$key")" = "$wanted" ]
    fi || fail "$*: said OK, and it is not so"
}

# try CODE WORD...: the command ends with CODE when nothing fails, and with that or 6 when something
# does.
try() {
    want=$1
    shift
    look "$@"
    SHERD_TEST_ALLOC=0 SHERD_TEST_ALLOCS=$work/count "$starved" "$@" >"$out" 2>"$err" </dev/null
    code=$?
    [ $code -eq "$want" ] || fail "$*: exit code $code, not $want"
    [ $code -ne 0 ] || did "$@"
    count=$(cat "$work/count")
    n=1
    while [ $n -le "$count" ]; do
        look "$@"
        SHERD_TEST_ALLOC=$n "$starved" "$@" >"$out" 2>"$err" </dev/null
        code=$?
        tried=$((tried + 1))
        ! grep -qE 'Sanitizer|runtime error' "$err" || fail "$*: allocation $n of $count"
        [ $code -eq "$want" ] || [ $code -eq 6 ] || fail "$*: allocation $n of $count: exit code $code"
        [ $code -ne 0 ] || did "$@"
        if [ $code -eq 6 ] && [ "$want" -ne 6 ]; then
            refused=$((refused + 1))
            cat "$out" "$err" | grep -qiE 'memory|allocate' || fail "$*: allocation $n of $count: no reason"
        fi
        n=$((n + 1))
    done
}

cluster_up --nodes 3 --code 2+1
mkdir "$work/files"
for i in 1 2 3; do head -c 5000 /dev/urandom >"$work/files/$i"; done
ls "$work/files"/* >"$work/list"
try 2 nonsense
try 0 version
try 0 help set
try 0 help set --json
try 0 set k v
try 0 set f --file "$work/files/1"
try 0 get k
try 0 get k --json
try 0 get f --json
try 1 get nothing
try 0 incr n
try 0 append a x
try 0 exists k
try 0 ttl k
try 0 explain k
try 0 explain k --json
try 0 scan
try 0 scan --json
try 0 import "$work/files"
try 0 verify "$work/files" --json
try 0 status
try 0 status --json
try 0 recover 1
try 0 cluster list --dir "$cluster"
try 0 del a
try 6 get k --conf /nonexistent
[ $tried -gt 100 ] || fail "only $tried allocations were tried"
echo "$tried allocations failed, $refused times the command was refused"
