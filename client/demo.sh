#!/bin/sh
# demo.sh - sherd in a few minutes, from nothing: builds it, stores real files on six servers at
# 4+2, kills two, reads everything back, starts the two empty, watches them being rebuilt, kills two
# others, and reads everything back again.
#
#   client/demo.sh
#
# Installs missing packages (conf/install-deps.sh). Uses free ports and a temporary folder, and
# leaves nothing behind but build/release. Ends in "demo: success", or names the step that failed.
set -eu

case ${1-} in
'') ;;
--help | -h)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "demo.sh: it takes no '$1'; see --help" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
preset=release
build=$PWD/build/$preset
sherd=$build/client/cli/sherd
step="start"
work=

bytes_max=200000000
files_max=2000
value_max=4194304

say() { printf '\n== %s\n' "$*"; }

clean_up() {
    code=$?
    trap '' EXIT
    if [ -n "$work" ]; then
        [ ! -f "$work/cluster/cluster.conf" ] ||
            "$sherd" cluster down --dir "$work/cluster" >/dev/null || code=1
        if [ "$code" -ne 0 ]; then tail -n 3 "$work"/cluster/*.log 2>/dev/null || :; fi
        rm -rf "$work"
    fi
    if [ "$code" -eq 0 ]; then
        printf '\ndemo: success (%s s)\n' $(($(date +%s) - began))
    else
        printf '\ndemo: FAILED at: %s\n' "$step" >&2
    fi
    exit "$code"
}
began=$(date +%s)
trap clean_up EXIT
trap 'exit 1' INT TERM

build_it() {
    # Without the tests' libraries there are no tests to build.
    if pkg-config --exists cmocka; then tests=ON; else tests=OFF; fi
    mkdir -p build
    { cmake --preset "$preset" -Wno-dev -DBUILD_TESTING=$tests &&
        cmake --build --preset "$preset" --target sherd_cli sherd_server; } >build/demo.log 2>&1 || {
        tail -n 30 build/demo.log
        return 1
    }
}

# Names, one a line: this tree, then /usr/share, sorted, until there are enough bytes or files.
choose_files() {
    set -- -type f -readable -size -$((value_max + 1))c ! -name '*\\*' ! -path '*
*' -printf '%s %p\n'
    {
        find . \( -path ./.git -o -path ./build \) -prune -o "$@" | LC_ALL=C sort -k 2
        find /usr/share "$@" 2>/dev/null | LC_ALL=C sort -k 2
    } | awk -v files="$files_max" -v bytes="$bytes_max" '
        NR > files || (sum += $1) > bytes { exit }
        { print substr($0, length($1) + 2) }'
}

# Ports may be taken between looking and binding, too: try a few.
start_cluster() {
    for _ in 1 2 3 4 5; do
        port=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
        if "$sherd" cluster up --nodes 6 --code 4+2 --dir "$work/cluster" --base-port $port \
            2>"$work/error"; then
            return 0
        fi
        cat "$work/error" >&2
        grep -q 'in use' "$work/error" || return 1
    done
    return 1
}

cluster() { "$sherd" cluster "$@" --dir "$work/cluster"; }

# Every file, by what sha256sum found on the disk before; and three by sha256sum alone.
check_all() {
    "$sherd" verify --sums "$work/sums"
    for line in 1 $((count / 2 + 1)) "$count"; do
        name=$(sed -n "${line}p" "$work/list")
        there=$("$sherd" get "$name" | sha256sum)
        grep -qF -- "${there%% *}  $name" "$work/sums" || {
            echo "$name: sha256sum of what 'sherd get' prints differs"
            return 1
        }
    done
}

number_of() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

step="installing packages (conf/install-deps.sh)"
say "$step"
conf/install-deps.sh

step="building (build/demo.log)"
say "$step"
build_it
"$sherd" version

work=$(mktemp -d)

step="starting six servers"
say "$step"
start_cluster
SHERD_CONF=$work/cluster/cluster.conf
export SHERD_CONF

step="storing real files"
say "$step"
choose_files >"$work/list"
count=$(wc -l <"$work/list")
xargs -d '\n' sha256sum -- <"$work/list" >"$work/sums"
"$sherd" import --list "$work/list" --json >"$work/import"
stored=$(number_of bytes <"$work/import")
"$sherd" verify --sums "$work/sums"
awk -v count="$count" -v bytes="$stored" -v seconds="$(sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p' "$work/import")" \
    'BEGIN { printf "stored %d files, %.1f MB, in %.1f s: %.1f MB/s, %.0f files/s\n", count, bytes / 1e6,
             seconds, bytes / 1e6 / seconds, count / seconds }'
"$sherd" status --wait 30
held=$("$sherd" status --json | number_of bytes_held)

step="killing servers 1 and 4 (SIGKILL), reading every file back"
say "$step"
cluster kill 1
cluster kill 4
check_all

step="starting 1 and 4 again, empty, and rebuilding them"
say "$step"
cluster start 1
cluster start 4
"$sherd" recover 1 --watch
"$sherd" recover 4 --watch
"$sherd" status --wait 60

step="killing two others, 0 and 2, reading every file back"
say "$step"
cluster kill 0
cluster kill 2
check_all

step="overhead"
say "$step"
awk -v held="$held" -v stored="$stored" 'BEGIN { printf "six servers held %.1f MB for %.1f MB stored: %.2f times; 4+2 alone is 1.50, three copies 3.00\n",
    held / 1e6, stored / 1e6, held / stored }'
