#!/bin/bash
# run.sh - searches the model of one key exhaustively, and shows that it finds planted mistakes.
#
#   tests/model/run.sh --small    seconds; for every change (default)
#   tests/model/run.sh --long     minutes
#
# Needs spin and cc. A configuration passes when spin finds no error AND has seen every state; a
# mistake passes when spin finds it. The last line is `N passed, N failed`; exit code 1 if any
# failed. Work files, one folder a search, in $SHERD_BUILD/model, or build/model. Two searches run at
# once if there are two processors and JOBS is not 1; a line is printed when one ends.
set -u

cd "$(dirname "$0")" || exit 2
model=$PWD
work=${SHERD_BUILD:-$model/../../build}/model
long=no
begun=0
memory_mb=4000
depth=10000
at_once=${JOBS:-$(nproc)}
case $at_once in 1) ;; *) at_once=2 ;; esac

if [ $# -gt 1 ] || { [ $# -eq 1 ] && [ -z "$1" ]; }; then
    echo "run.sh: one option at most; see --help" >&2
    exit 2
fi
case ${1:---small} in
--small) ;;
--long) long=yes ;;
--help | -h)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' run.sh
    exit 0
    ;;
*)
    echo "run.sh: unknown option '$1'; see --help" >&2
    exit 2
    ;;
esac
for tool in spin cc; do
    command -v "$tool" >/dev/null || {
        echo "run.sh: no $tool; conf/install-deps.sh --tests installs it" >&2
        exit 2
    }
done

# flags CODE BALLOTS CLIENTS OTHERS...: macros of a configuration. CODE is k+m, CLIENTS four digits:
# sets, compare-and-sets at once, compare-and-sets by PROMISE first, gets.
flags() {
    code=$1 ballots=$2 clients=$3
    shift 3
    k=${code%+*} m=${code#*+}
    echo "-DNODES=$((k + m)) -DSHARDS=$k -DBALLOTS=$ballots -DSETS=${clients%???}" \
        "-DCASES=$(echo "$clients" | cut -c2) -DCASPS=$(echo "$clients" | cut -c3)" \
        "-DGETS=${clients#???} $*"
}

# search NAME FLAGS...: leaves pan.out in the folder of that name. Exit code 1: it did not run.
search() {
    rm -rf "${work:?}/$1"
    mkdir -p "$work/$1" && cp key.pml key.h client.h "$work/$1" && cd "$work/$1" || exit 2
    shift
    for macro in TRIES ROUNDS REREADS; do
        case $macro in REREADS) default=0 ;; *) default=1 ;; esac
        case " $* " in *" -D$macro="*) ;; *) set -- "$@" "-D$macro=$default" ;; esac
    done
    # shellcheck disable=SC2015 # the last command decides
    spin "$@" -a key.pml >spin.out 2>&1 &&
        cc -O2 -w "$@" -DSAFETY -DCOLLAPSE -DNOREDUCE -DMEMLIM=$memory_mb -o pan pan.c \
            >cc.out 2>&1 && {
        ./pan -m$depth >pan.out 2>&1 &
        child=$!
        wait $child
    } || true
    echo "$*" >flags
    cd "$model" || exit 2
}

# number PATTERN NAME: the number that stands before the pattern in the search's output.
number() { sed -n "s/^ *\([0-9.e+]*\) $1.*/\1/p" "$work/$2/pan.out" 2>/dev/null | head -1; }

errors_of() { sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$work/$1/pan.out" 2>/dev/null; }

depth_of() { sed -n 's/.*depth reached \([0-9]*\),.*/\1/p' "$work/$1/pan.out" 2>/dev/null; }

# Spin saw every state: it ended by itself, and says nothing of a limit.
is_whole() {
    [ -n "$(errors_of "$1")" ] &&
        ! grep -qE 'not completed|max search depth|out of memory|too small|truncated' \
            "$work/$1/pan.out"
}

# begin COMMAND...: one more search, once there is room for it.
begin() {
    while [ "$(jobs -pr | wc -l)" -ge "$at_once" ]; do wait -n; done
    begun=$((begun + 1))
    (
        child=
        trap 'kill $child 2>/dev/null; exit 143' TERM
        "$@"
    ) &
}

# Only what this script started.
stop() {
    trap - INT TERM
    # shellcheck disable=SC2046 # a list of words
    kill $(jobs -pr) 2>/dev/null
    wait
    exit 130
}
trap stop INT TERM

config() {
    name=$1
    shift
    began=$(date +%s)
    # shellcheck disable=SC2046 # a list of words
    search "$name" $(flags "$@")
    verdict=FAILED
    if [ "$(errors_of "$name")" != 0 ]; then
        verdict="FAILED: see $work/$name"
    elif ! is_whole "$name"; then
        verdict="NOT COMPLETE: see $work/$name"
    else
        verdict=ok
    fi
    [ "$verdict" != ok ] || echo "$name" >>"$work/passed"
    printf '%-26s %10s %11s %6s %5d  %s\n' "$name" "$(number 'states, stored' "$name")" \
        "$(number transitions "$name")" "$(depth_of "$name")" $(($(date +%s) - began)) "$verdict"
}

mistake() {
    name=mistake-$1
    breaks=
    for b in $(echo "$1" | tr , ' '); do breaks="$breaks -DBREAK_$b"; done
    shift
    # shellcheck disable=SC2046,SC2086 # lists of words
    search "$name" $(flags "$@") $breaks
    if [ "$(errors_of "$name")" = 1 ] &&
        grep -q 'assertion violated (bad==0)' "$work/$name/pan.out"; then
        steps=$(grep -cE '^[0-9]+:[0-9]+:[0-9]+' "$work/$name/key.pml.trail")
        verdict="found, trail of $steps steps"
        echo "$name" >>"$work/passed"
    else
        verdict='NOT FOUND'
    fi
    printf '%-34s %s\n' "${name#mistake-}" "$verdict"
}

mkdir -p "$work" && : >"$work/passed" || exit 2
printf '%-26s %10s %11s %6s %5s\n' configuration states transitions depth s
begin config writer 1+2 2 1000 -DAUDIT
begin config writers2 1+2 2 2000 -DAUDIT
begin config writer+reader 1+2 2 1001 -DAUDIT
begin config writer+wipe 1+2 2 1000 -DAUDIT -DWIPE -DB1=1 -DB2=2
begin config 2+1-writer+wipe 2+1 2 1000 -DAUDIT -DWIPE -DB1=1 -DB2=2
if [ $long = yes ]; then
    begin config writer-retry 1+2 3 1000 -DAUDIT -DTRIES=2
    begin config writer+cas 1+2 2 1100 -DAUDIT
    begin config writer+casp 1+2 2 1010 -DAUDIT
    begin config writer+reader-ends 1+2 2 1001 -DREREADS=1
    begin config writers2+reader 1+2 2 2001 -DAUDIT
    begin config 2+1-writers2 2+1 2 2000 -DAUDIT
    begin config 2+1-writer+reader 2+1 2 1001 -DAUDIT
    begin config 2+1-writer+cas 2+1 2 1100 -DAUDIT
    begin config 2+2-writer 2+2 2 1000 -DAUDIT
    begin config 2+2-writers2 2+2 2 2000 -DAUDIT
    begin config writer+reader+wipe-1 1+2 1 1001 -DAUDIT -DWIPE -DB1=1 -DB2=1
    begin config writer+reader+wipe 1+2 2 1001 -DAUDIT -DWIPE -DB1=1 -DB2=2
    begin config writer-retry+wipe 1+2 3 1000 -DAUDIT -DTRIES=2 -DWIPE -DB1=1 -DB2=2
fi

wait
printf '\n%-34s\n' 'planted mistakes'
begin mistake forget_promise 1+2 2 1001 -DAUDIT
begin mistake forget_shown 1+2 2 1001 -DAUDIT
begin mistake retry_without_abort 1+2 2 1000 -DAUDIT -DTRIES=2
begin mistake same_epoch_rejoin 1+2 2 1000 -DAUDIT -DWIPE -DB1=2 -DB2=2
begin mistake dead_too_soon 2+1 2 1000 -DAUDIT -DWIPE -DB1=1 -DB2=2
if [ $long = yes ]; then
    begin mistake ignore_pending 1+2 2 1001 -DAUDIT
    begin mistake accept_stale 1+2 2 2000 -DAUDIT
    begin mistake forget_exposure 1+2 2 1001 -DAUDIT
    begin mistake no_expect 1+2 2 1100 -DAUDIT
    begin mistake slow_fast,guess_conditional 1+2 2 1100 -DAUDIT
    begin mistake no_burial 1+2 2 1000 -DAUDIT
    begin mistake count_learners 1+2 2 1000 -DAUDIT -DWIPE -DB1=1 -DB2=2
    begin mistake old_epoch_all_heard 1+2 2 1000 -DAUDIT -DWIPE -DB1=1 -DB2=2
    begin mistake forget_old_epochs 1+2 1 1001 -DAUDIT -DWIPE -DB1=1 -DB2=1
fi
wait
passed=$(wc -l <"$work/passed")
echo "$passed passed, $((begun - passed)) failed"
[ "$passed" -eq $begun ]
