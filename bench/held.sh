#!/bin/sh
# held.sh [OPTION...]: how many bytes are held for each byte stored, codes x sizes, and by Redis with
# two replicas for the same keys and values. Prints a table. Exit code 0 only when the limits below
# are kept.
#
#   --build DIR      a release build (default: build/release)
#   --codes "K+M.."  default: 1+2 2+2 4+2
#   --sizes "N..."   of values in bytes; default: 16 64 256 1024 4096 16384
#   --key BYTES      of a key (default: 24)
#   --small          fewer keys
#   --no-redis       without Redis. Else its redis-server and redis-cli are taken from $PATH
#
# The columns are bytes for each byte of the values: `held` by the counters of the stores, `RSS`
# what the processes have grown by since they were empty; of Redis `used` is used_memory of all
# three, less what they used empty, and `data` used_memory_dataset. `beside` are bytes for each shard
# that are neither key nor payload.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 6
build=$root/build/release codes='1+2 2+2 4+2' sizes='16 64 256 1024 4096 16384' key=24
small='' redis=yes

while [ $# -gt 0 ]; do
    case $1 in
    --small) small=yes ;;
    --no-redis) redis='' ;;
    --build | --codes | --sizes | --key)
        [ $# -ge 2 ] || { echo "held.sh: '$1' needs a value" >&2; exit 2; }
        case $1 in
        --build) build=$(cd "$2" && pwd) || exit 2 ;;
        --codes) codes=$2 ;;
        --sizes) sizes=$2 ;;
        --key) key=$2 ;;
        esac
        shift
        ;;
    *) echo "held.sh: unknown option '$1'" >&2; exit 2 ;;
    esac
    shift
done
if [ -n "$redis" ] && ! { command -v redis-server && command -v redis-cli; } >/dev/null; then
    echo "held.sh: no redis-server: run conf/install-deps.sh --compare, or see --no-redis" >&2
    exit 6
fi
# shellcheck source=bench/local.sh
. "$root/bench/local.sh"
dir=$scratch/cluster
redis_pids=''

random_port() { echo $((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000)); }

count_of() { # SIZE: so many that what a store holds when it is empty does not count
    awk -v size="$1" -v small="$small" 'BEGIN {
        count = size <= 1024 ? 40000 : size <= 4096 ? 20000 : 10000
        print small == "" ? count : count / 2 }'
}

resident() { # PID...: bytes of all together
    for pid in "$@"; do
        sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"
    done | awk '{ sum += $1 } END { printf "%d", sum * 1024 }'
}

divide() { awk -v a="$1" -v b="$2" -v digits="$3" 'BEGIN { printf "%.*f", digits, a / b }'; }

# ---- sherd ----
free_cluster_up() { # CODE: on ports that are free
    nodes=$((${1%+*} + ${1#*+}))
    for _ in 1 2 3 4 5; do
        cluster_try --nodes "$nodes" --code "$1" --base-port "$(random_port)" && return
        grep -q 'in use' "$scratch/up" || break
    done
    cat "$scratch/up" >&2
    exit 6
}

measure() { # CODE SIZE COUNT: sets held, beside, rss
    free_cluster_up "$1"
    pids=$(cat "$dir"/node-*.pid)
    # shellcheck disable=SC2086 # a list
    empty=$(resident $pids)
    line=$("$bench" held --json --dir "$dir" --size "$2" --key "$key" --count "$3") || exit
    # shellcheck disable=SC2086
    full=$(resident $pids)
    cluster_down
    rm -rf "$dir"
    held=$(echo "$line" | value_of bytes_byte)
    beside=$(echo "$line" | value_of beside_shard)
    rss=$(divide $((full - empty)) $(($2 * $3)) 3)
}

# ---- Redis: a primary and two replicas, nothing on disk ----
redis_ask() { # PORT WORD...
    ask_port=$1
    shift
    redis-cli -h 127.0.0.1 -p "$ask_port" "$@" 2>/dev/null | tr -d '\r'
}

redis_start() { # PORT [OPTION...]: false if it does not come up, as when the port is in use
    start_port=$1
    shift
    redis-server --port "$start_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$scratch" \
        --repl-backlog-size 16kb --repl-diskless-sync-delay 0 "$@" >"$scratch/redis.log" 2>&1 &
    redis_pids="$redis_pids $!"
    for _ in $(seq 100); do
        [ "$(redis_ask "$start_port" ping)" != PONG ] ||
            [ "$(redis_ask "$start_port" info server | sed -n 's/^process_id://p')" != $! ] || return 0
        kill -0 $! 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

redis_stop() {
    # shellcheck disable=SC2086 # a list
    [ -z "$redis_pids" ] || { kill $redis_pids; wait $redis_pids; } 2>/dev/null
    redis_pids=''
}
also_at_exit() { redis_stop; }

redis_until() { # TEXT WORD...: both replicas answer the command with a line TEXT
    wanted=$1
    shift
    for _ in $(seq 600); do
        good=yes
        for port in $replica_1 $replica_2; do
            redis_ask "$port" "$@" | grep -qx "$wanted" || good=''
        done
        [ -z "$good" ] || return 0
        sleep 0.05
    done
    echo "held.sh: Redis' replicas do not come to $wanted" >&2
    tail -n 5 "$scratch/redis.log" >&2
    exit 6
}

redis_up() {
    for _ in 1 2 3 4 5; do
        primary=$(random_port) replica_1=$(random_port) replica_2=$(random_port)
        if redis_start "$primary" && redis_start "$replica_1" --replicaof 127.0.0.1 "$primary" &&
            redis_start "$replica_2" --replicaof 127.0.0.1 "$primary"; then
            redis_until master_link_status:up info replication
            return
        fi
        redis_stop
    done
    echo "held.sh: redis-server does not start:" >&2
    tail -n 5 "$scratch/redis.log" >&2
    exit 6
}

redis_sum() { # FIELD: of the three
    for port in $primary $replica_1 $replica_2; do
        redis_ask "$port" info memory | sed -n "s/^$1://p"
    done | awk '{ sum += $1 } END { printf "%d", sum }'
}

measure_redis() { # SIZE COUNT: sets used, data, redis_rss
    redis_up
    used=$(redis_sum used_memory) data=$(redis_sum used_memory_dataset)
    # shellcheck disable=SC2086 # a list
    redis_rss=$(resident $redis_pids)
    "$bench" resp --size "$1" --key "$key" --count "$2" |
        redis-cli -h 127.0.0.1 -p "$primary" --pipe >"$scratch/pipe" 2>&1
    grep -q "errors: 0, replies: $2$" "$scratch/pipe" || { cat "$scratch/pipe" >&2; exit 6; }
    redis_until "$2" dbsize
    sleep 1 # it rehashes and trims buffers in the background
    used=$(divide $(($(redis_sum used_memory) - used)) $(($1 * $2)) 3)
    data=$(divide $(($(redis_sum used_memory_dataset) - data)) $(($1 * $2)) 3)
    # shellcheck disable=SC2086
    redis_rss=$(divide $(($(resident $redis_pids) - redis_rss)) $(($1 * $2)) 3)
    redis_stop
}

# ---- The table ----
failed=''
judge() { # WHAT FIGURE LIMIT
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a <= b) }' && return
    echo "    that is too much: $1 $2, the limit is $3"
    failed=yes
}

judge_row() { # CODE SIZE
    [ "$2" -gt 4096 ] || judge "bytes beside a shard" "$beside" 72
    [ "$1" = 4+2 ] && [ -n "$redis" ] || return 0
    [ "$2" -lt 4096 ] || judge "of Redis" "$ratio" 0.45
    [ "$2" -ne 1024 ] || judge "of Redis" "$ratio" 0.60
}

echo "keys of $key bytes; load average $(cut -d' ' -f1-3 /proc/loadavg), processors: $(nproc)"
[ -z "$redis" ] || redis-server --version | cut -d' ' -f1-3
echo "                        sherd                     | Redis, two replicas     | sherd / Redis"
echo " size    keys code    held  beside      RSS       |  used    data     RSS   |   held    RSS"
for size in $sizes; do
    count=$(count_of "$size")
    used='' data='' redis_rss='' ratio='' rss_ratio=''
    [ -z "$redis" ] || measure_redis "$size" "$count"
    for code in $codes; do
        measure "$code" "$size" "$count"
        if [ -n "$redis" ]; then
            ratio=$(divide "$held" "$used" 3) rss_ratio=$(divide "$rss" "$redis_rss" 3)
        fi
        printf '%5s %7s %4s %7.3f %7.1f %8.3f       | %6s  %6s  %6s   | %6s %6s\n' "$size" "$count" \
            "$code" "$held" "$beside" "$rss" "$used" "$data" "$redis_rss" "$ratio" "$rss_ratio"
        judge_row "$code" "$size"
    done
done
if [ -n "$failed" ]; then
    echo "not all limits are kept"
    exit 1
fi
echo "all limits are kept"
