#!/bin/sh
# cli.sh: the command line from end to end: every command, every exit code it can show, wrong input.
# shellcheck disable=SC2154 # work, out, cluster and base_port are lib.sh's
set -u
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
export XDG_STATE_HOME="$work/state"

# One line, which an object fills.
one_object() {
    [ "$(wc -l <"$out")" -eq 1 ] || fail "not one line"
    grep -q '^{.*"exit_code":[0-9].*}$' "$out" || fail "not one object: $(head -c 300 "$out")"
}

# A read that has one millisecond: mostly that is too short, but a fast machine needs some tries.
hurried() {
    for _ in $(seq 100); do
        hurry=0
        sherd get k --timeout 1 2>"$work/hurry" || hurry=$?
        [ $hurry -ne 5 ] || break
    done
    cat "$work/hurry" >&2
    return $hurry
}

# ---- Wrong input, before there is a cluster ----
long_key=$(head -c 1025 /dev/zero | tr '\0' k)
expect 2 sherd;                               says "no command"
expect 2 sherd foo;                           says "unknown command 'foo'"
expect 2 sherd set;                           says "KEY is missing"
expect 2 sherd set k;                         says "VALUE is missing"
expect 2 sherd set '' v;                      says "the key is empty"
expect 2 sherd set "$long_key" v;             says "1025 bytes, the limit is 1024"
expect 2 sherd set k v w;                     says "one word too many"
expect 2 sherd get k --bar;                   says "unknown option '--bar'"
expect 2 sherd get k --ttl 3;                 says "takes no --ttl"
expect 2 sherd set k v --ttl soon;            says "--ttl must be a number"
expect 2 sherd get k --timeout 0;             says "--timeout must be a number from 1"
expect 2 sherd get k --dir;                   says "needs a value"
expect 2 sherd get k --dir /a --conf /b;      says "give only one"
expect 2 sherd incr k 1x;                     says "DELTA must be a number"
expect 2 sherd cas k nonsense v;              says "VERSION must be"
expect 2 sherd recover;                       says "NODE is missing"
expect 2 sherd import;                        says "no files"
expect 2 sherd cluster up --code 0+2;         says "--code must be K+M"
expect 2 sherd cluster up --code 30+10;       says "K+M at most 32"
expect 2 sherd cluster up --nodes 5;          says "needs at least 6 nodes"
expect 2 sherd cluster up --base-port 65530;  says "lower --base-port"
expect 2 sherd cluster up --max-memory much;  says "must be a size"
expect 2 sherd cluster up --store disk;       says "--store must be memory or lmdb"
expect 2 sherd cluster up --store lmdb --sync soon; says "--sync must be always"
expect 2 sherd cluster up --sync 100ms;       says "--sync is for --store lmdb"
expect 6 sherd get k;                         says "start one with 'sherd cluster up'"
expect 6 sherd get k --conf /nonexistent;     says "no cluster: /nonexistent"
expect 6 sherd cluster down;                  says "no cluster in"
expect 6 sherd get k --json;                  prints '"exit_code":6'
expect 2 sherd cluster;                       says "up, down, list"
expect 0 sherd get --version;                 prints "sherd "
expect 0 sherd version --json;                prints '"outcome":"OK"'
expect 0 sherd help set --json;               one_object
expect 2 sherd "$(printf 'f\377')" --json;    says "unknown command 'f\xff'"; one_object

# ---- A cluster ----
cluster_up --nodes 6 --code 4+2
sherd cluster list --dir "$cluster" --json >"$out" || fail "list"
[ "$(grep -o '"state":"running"' "$out" | wc -l)" -eq 6 ] || fail "six servers run"
expect 0 sherd cluster list;                  prints "$cluster  code 4+2" # those of --dir, too
expect 6 sherd cluster up --dir "$cluster";   says "running already"
expect 6 sherd cluster up --dir "$work/other" --base-port "$base_port"; says "port $base_port is in use"
expect 0 sherd status --wait 20;              prints "healthy"
expect 2 sherd cluster kill 6 --dir "$cluster"; says "unknown node"
expect 2 sherd recover 77;                    says "unknown node"

# ---- Values ----
expect 1 sherd get k;                         says "k: no value under this key"
expect 1 sherd get "$(printf 'k\377y')" --json; prints '"error":"k\\xffy: no value'; one_object
expect 5 hurried;                             says "all nodes can be reached; raise --timeout"
expect 1 sherd exists k
expect 1 sherd del k
expect 0 sherd set k 'Guten Morgen';          prints "6 of 6 shards"
expect 0 sherd get k;                         [ "$(cat "$out")" = 'Guten Morgen' ] || fail "get"
expect 0 sherd --json get k;                  prints '"value":"Guten Morgen"'
expect 0 sherd exists k;                      prints "12 bytes"
expect 0 sherd ttl k;                         prints "never"
expect 0 sherd set t v --ttl 100;             expect 0 sherd ttl t; prints "99."
expect 0 sherd append k '!' --json;           prints '"size":13'
expect 0 sherd get k;                         prints 'Guten Morgen!'
expect 0 sherd incr n;                        prints 1
expect 0 sherd incr n -43;                    prints -42
expect 0 sherd incr n +2;                     prints -40
expect 3 sherd incr k;                        says "not a number"
expect 0 sherd set -- -k -v;                  expect 0 sherd get -- -k; prints -v
for size in 0 1 3 100 4095 4096 65537 1048576 4194304; do
    head -c "$size" /dev/urandom >"$work/value"
    expect 0 sherd set "size-$size" --file "$work/value"
    expect 0 sherd get "size-$size" --out "$work/back"
    cmp "$work/value" "$work/back" || fail "$size bytes"
    sherd set "size-$size-stdin" - <"$work/value" >/dev/null || fail "$size bytes from stdin"
    sherd get "size-$size-stdin" | cmp - "$work/value" || fail "$size bytes to stdout"
done
head -c 4194305 /dev/zero >"$work/value"
expect 2 sherd set k --file "$work/value";    says "larger than the limit of 4 MiB"
expect 6 sherd set k --file "$work/none";     says "cannot read"

# ---- Versions ----
expect 0 sherd explain k --json;              prints '"survives":2'
version=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' "$out")
expect 0 sherd cas k "$version" new;          expect 0 sherd get k; prints new
expect 3 sherd cas k "$version" newer;        says "not in the expected state"
expect 3 sherd cas k none newest;             says "not in the expected state"
version=$(sherd explain k --json | sed -n 's/.*"version":"\([^"]*\)".*/\1/p')
expect 3 sherd cas k none newest --json;      prints "\"version\":\"$version\""; one_object
expect 0 sherd cas fresh none first;          expect 0 sherd get fresh; prints first
expect 0 sherd del fresh;                     expect 1 sherd get fresh

# ---- Many ----
mkdir -p "$work/tree/sub"
for i in 1 2 3 4 5 6 7 8 9; do head -c "${i}000" /dev/urandom >"$work/tree/sub/$i"; done
expect 0 sherd import "$work/tree" --prefix p:; prints "stored: 9 files"
expect 0 sherd verify "$work/tree" --prefix p:; prints "equal: 9 files"
expect 0 sherd scan p: --json;                prints '"count":9'
ln -s 1 "$work/tree/sub/link" && mkfifo "$work/tree/sub/fifo"
expect 0 sherd verify "$work/tree" --prefix p: --json; prints '"skipped":2'; one_object
expect 2 sherd import "$work/value";          grep -q "limit of 4 MiB" "$err" || fail "import of a big file"
expect 0 sherd scan p: --limit 2;             [ "$(wc -l <"$out")" -eq 2 ] || fail "scan --limit"
(cd "$work/tree" && find sub -type f -exec sha256sum {} +) >"$work/sums"
expect 0 sherd verify --sums "$work/sums" --prefix "p:$work/tree/"; prints "equal: 9 files"
echo changed >"$work/tree/sub/5"
expect 1 sherd verify "$work/tree" --prefix p:; says "sub/5: differs"

# ---- Failures ----
expect 0 sherd cluster kill 1 --dir "$cluster"
expect 6 sherd cluster kill 1 --dir "$cluster"; says "is not running"
expect 0 sherd set during one-down;           prints "5 of 6 shards"
expect 0 sherd cluster kill 4 --dir "$cluster"
expect 0 sherd verify --sums "$work/sums" --prefix "p:$work/tree/"; prints "equal: 9 files"
expect 5 sherd set k two-down --timeout 2000; says "nothing changed" # 4+2 needs five to write
expect 5 sherd status;                        prints "node 1"
expect 5 sherd status --json;                 prints '"degraded":256'; prints '"error":'; one_object
expect 0 sherd explain during --json;         prints '"survives":0'
expect 0 sherd cluster start 1 --dir "$cluster"
expect 6 sherd cluster start 1 --dir "$cluster"; says "running already"
expect 0 sherd cluster wipe 4 --dir "$cluster"
expect 0 sherd cluster start 4 --dir "$cluster"
expect 0 sherd recover 1 --watch;             prints "node 1 votes everywhere"
expect 0 sherd recover 4 --watch
expect 0 sherd status --wait 30;              prints "healthy"
expect 0 sherd cluster kill 2 --dir "$cluster"
expect 0 sherd cluster kill 3 --dir "$cluster"
expect 0 sherd verify --sums "$work/sums" --prefix "p:$work/tree/"; prints "equal: 9 files"
expect 0 sherd get during;                    prints one-down

# ---- More than the code can rebuild ----
expect 0 sherd cluster kill 4 --dir "$cluster"
expect 5 sherd scan --json --timeout 1000;    one_object
expect 0 sherd cluster start 2 --dir "$cluster"
expect 0 sherd cluster start 3 --dir "$cluster"
expect 0 sherd cluster start 4 --dir "$cluster"
expect 7 sherd recover 3 --watch;             grep -q -- "recover --accept-loss' lets" "$err" || fail "recover"
expect 7 sherd get during;                    says "sherd recover --accept-loss"
expect 7 sherd explain during;                says "sherd status"
expect 5 sherd status;                        prints "node 3: 256 lost partitions forgotten"
                                              prints "node 1: 256 lost partitions kept"
expect 0 sherd recover 3 --accept-loss --watch; prints "node 3 votes everywhere"
expect 0 sherd status --wait 20;              prints "healthy"
expect 1 sherd get during

# ---- A read quorum of two, one shard ----
cluster_up --nodes 3 --code 1+2
expect 0 sherd set k v
expect 0 sherd explain k --json;              prints '"survives":1'
expect 0 sherd cluster kill 2 --dir "$cluster"
expect 0 sherd explain k --json;              prints '"survives":0'
expect 0 sherd get k;                         prints v

expect 0 sherd cluster down --dir "$cluster"; prints "the data is gone"

# ---- On disk ----
cluster_up --nodes 3 --code 2+1 --store lmdb
expect 0 sherd set k kept
for node in 0 1 2; do expect 0 sherd cluster kill $node --dir "$cluster"; done
expect 0 sherd cluster start --dir "$cluster"; prints "3 nodes started"
expect 0 sherd get k;                         prints kept
expect 0 sherd cluster down --dir "$cluster"; prints "the data stays in"
expect 2 sherd cluster up --dir "$cluster" --nodes 3 --code 2+1; says "holds a stopped cluster"
sed -i 's/^store = .*/store = "memory"/' "$cluster/cluster.conf"
expect 2 sherd cluster up --dir "$cluster" --zones 2; says "holds a stopped cluster" # it is still there
sed -i 's/^store = .*/store = "lmdb"/' "$cluster/cluster.conf"
mv "$cluster/cluster.conf" "$work/cluster.conf"
expect 6 sherd cluster up --dir "$cluster";   says "earlier cluster"
mv "$work/cluster.conf" "$cluster/cluster.conf"
expect 0 sherd cluster up --dir "$cluster";   prints "with what they had"
expect 0 sherd get k;                         prints kept
expect 0 sherd status --wait 20;              prints "healthy"
expect 0 sherd cluster wipe 1 --dir "$cluster"
expect 0 sherd cluster start 1 --dir "$cluster"
expect 0 sherd recover 1 --watch;             prints "node 1 votes everywhere"
expect 0 sherd get k;                         prints kept

# ---- The end ----
expect 0 sherd cluster down --purge --dir "$cluster"; prints "3 nodes stopped"
cluster=
expect 6 sherd get k;                         says "no cluster"
echo ok
