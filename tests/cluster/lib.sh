# shellcheck shell=sh disable=SC2034 # names for whoever sources it
# lib.sh - for cluster tests written in shell: source it. Local clusters on free ports, in a folder
# of their own; whatever happens, all that was started is stopped again, and the folder removed.
#
#   cluster_up [OPTION...]   starts one and sets SHERD_CONF, so that `sherd` means it; $cluster is its
#                            folder. One at a time: the one before is stopped.
#   expect CODE COMMAND...   runs it, output to $out and $err; fails unless it exits with CODE
#   says TEXT                fails unless the last command's error is one line with TEXT in it
#   prints TEXT              fails unless the last command's output has TEXT in it
#   fail TEXT                ends the test
#
# sherd and sherd-server come from $SHERD_BUILD.
SHERD_BUILD=${SHERD_BUILD:?the build folder}
sherd=$SHERD_BUILD/client/cli/sherd
export SHERD_SERVER="${SHERD_SERVER:-$SHERD_BUILD/server/sherd-server}"
if [ ! -x "$sherd" ] || [ ! -x "$SHERD_SERVER" ]; then
    echo "no sherd or sherd-server in $SHERD_BUILD"
    exit 77
fi
work=$(mktemp -d) || exit 2
out=$work/out
err=$work/err
cluster=
unset SHERD_CONF

sherd() { "$sherd" "$@"; }

# Sanitizers speak in the servers' logs.
check_logs() {
    ! grep -hE 'Sanitizer|runtime error' "$work"/cluster/*.log >&2 2>/dev/null || exit 1
}

cluster_down() {
    [ -z "$cluster" ] || [ ! -f "$cluster/cluster.conf" ] || "$sherd" cluster down --dir "$cluster" >/dev/null
    unset SHERD_CONF
    cluster=
    check_logs
}

clean_up() {
    code=$?
    trap '' EXIT INT TERM
    (cluster_down) || code=1
    rm -rf "$work"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

fail() {
    echo "FAILED: $1" >&2
    [ ! -s "$err" ] || sed 's/^/  stderr: /' "$err" >&2
    exit 1
}

random_port() { echo $((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000)); }

cluster_up() {
    cluster_down
    dir=$work/cluster
    for attempt in 1 2 3 4 5; do
        base_port=$(random_port)
        if "$sherd" cluster up --dir "$dir" --base-port "$base_port" "$@" >"$out" 2>"$err"; then
            cluster=$dir
            export SHERD_CONF="$dir/cluster.conf"
            return 0
        fi
        grep -q 'in use' "$err" || break
    done
    fail "cluster up, attempt $attempt"
}

expect() {
    wanted=$1
    shift
    code=0
    "$@" >"$out" 2>"$err" || code=$?
    [ "$code" -eq "$wanted" ] || fail "exit code $code instead of $wanted: $*"
}

says() {
    [ "$(wc -l <"$err")" -eq 1 ] || fail "not one line of error, expected '$1'"
    grep -qF -- "$1" "$err" || fail "the error does not say '$1'"
}

prints() { grep -qF -- "$1" "$out" || fail "the output has no '$1': $(head -c 300 "$out")"; }
