#!/bin/sh
# check_history.sh: what the program says, and its exit codes.
set -u
program=${SHERD_BUILD:?}/tests/check_history
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

event() { # process type f value
    printf '{"process":%d,"type":"%s","f":"%s","key":"k","value":%s,"time":0}\n' "$@"
}

{ event 1 invoke set '"a"' && event 1 ok set null && event 2 invoke get null; } >"$folder/begin"
{ cat "$folder/begin" && event 2 ok get '"a"'; } >"$folder/good"
{ cat "$folder/begin" && event 2 ok get null; } >"$folder/bad"
{ cat "$folder/begin" && event 3 invoke del null && event 2 ok get null; } >"$folder/hard"
{ cat "$folder/begin" && event 2 ok set 1; } >"$folder/broken"

# expect CODE TEXT ARGUMENT...: the exit code, and a text in what is printed.
expect() {
    code=$1 text=$2
    shift 2
    printed=$("$program" "$@" 2>&1 <"$folder/good")
    is=$?
    [ "$is" -eq "$code" ] || { echo "check_history $*: exit code $is, not $code"; exit 1; }
    case $printed in
    *"$text"*) ;;
    *) echo "check_history $*: no '$text' in: $printed"; exit 1 ;;
    esac
}

expect 0 'k: linearizable, 2 calls' "$folder/good"
expect 0 '"verdict":"linearizable"' --json -
expect 1 'key k: no order of its calls' "$folder/bad"
expect 1 '"verdict":"not linearizable"' --json "$folder/bad" "$folder/good"
expect 3 'k: too hard' --states 1 "$folder/hard"
expect 1 'k: too hard' --states 1 "$folder/hard" "$folder/bad"
expect 2 'broken:4: the open call is a get, not a set' "$folder/broken"
expect 2 'broken:4: ' "$folder/broken" "$folder/bad"
expect 2 'No such file' "$folder/none"
expect 2 'usage: '
expect 2 'usage: ' --what
expect 0 'usage: ' --help
