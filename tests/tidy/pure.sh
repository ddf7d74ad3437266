#!/bin/sh
# pure.sh OBJECT...: fails if the objects call anything but each other and memory functions.
# Names that begin with two underscores are the compiler's own (sanitizers, popcount).
[ $# -gt 0 ] || { echo "usage: pure.sh OBJECT..." >&2; exit 2; }
symbols=$(nm --undefined-only "$@") || exit 1
allowed='^(sherd_.*|mem(cpy|move|set|cmp)|strlen|abort|fprintf|stderr|_GLOBAL_OFFSET_TABLE_|__.*)$'
impure=$(echo "$symbols" | awk '$1 == "U" { print $2 }' | sort -u | grep -Ev "$allowed")
# shellcheck disable=SC2086 # a list of words
[ -z "$impure" ] || { echo "coord/ must not call:" $impure >&2; exit 1; }
