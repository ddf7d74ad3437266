#!/bin/sh
# chaos_end.sh - a chaos test that is interrupted leaves nothing: no process, namespace or file.
set -u
work=$(mktemp -d) || exit 2
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $1" >&2
    cat "$work/out" >&2
    exit 1
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    left=$(($1 * 10))
    shift
    until "$@"; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.1
    done
}

has_begun() { ls "$root"/client-*.events >/dev/null 2>&1 || ! kill -0 "$pid" 2>/dev/null; }
root_is_made() { root=$(echo "$work"/sherd-test.*) && [ -d "$root" ] || ! kill -0 "$pid" 2>/dev/null; }
all_gone() { [ ! -e "$root" ] && ! grep -qsaF "$root/" /proc/[0-9]*/cmdline; }
# Of the servers and clients: nobody else knows them, so who is in one later is left over.
namespaces() {
    for at in $(grep -lsF "$root/" /proc/[0-9]*/cmdline); do
        readlink "${at%cmdline}ns/net" 2>/dev/null
    done | sort -u
}
is_empty() { ! readlink /proc/[0-9]*/ns/net 2>/dev/null | grep -qxF "$1"; }

for signal in INT TERM KILL; do
    # Not in the background of a shell that ignores SIGINT for it.
    TMPDIR=$work env --default-signal=INT "$SHERD_BUILD/tests/test_cluster_chaos" --minutes 1 \
        >"$work/out" 2>&1 &
    pid=$!
    wait_for 60 root_is_made && wait_for 60 has_begun || fail "it does not begin"
    if ! kill -0 "$pid" 2>/dev/null; then
        wait "$pid"
        [ $? -ne 77 ] || { cat "$work/out"; exit 77; }
        fail "it has ended by itself"
    fi
    used=$(namespaces)
    [ "$(echo "$used" | wc -l)" -ge 6 ] || fail "not one namespace each: $used"
    kill "-$signal" "$pid"
    wait "$pid" 2>/dev/null
    pid=
    wait_for 20 all_gone || fail "SIG$signal: $(ls "$work") or a process is left over"
    for one in $used; do
        is_empty "$one" || fail "SIG$signal: a process is left over in $one"
    done
    echo "after SIG$signal nothing is left"
done
