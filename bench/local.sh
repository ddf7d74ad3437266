# shellcheck shell=sh disable=SC2034,SC2154 # names for, and of, whoever sources it
# local.sh - for scripts of bench: source it, with $build, the build folder. Whatever happens, what
# was started is stopped again, and the scratch folder removed.
#
#   $sherd $bench $scratch     the two programs, and a folder for whatever is not to stay
#   cluster_up OPTION...       starts a local cluster in $dir
#   cluster_try OPTION...      the same; false if it does not start, $scratch/up says why
#   cluster_down               stops it
#   value_of NAME              its number in the line of JSON on stdin
#   also_at_exit               whoever sources it may define it: more to be stopped
find_program() { # NAME: below the build folder
    find "$build" -name "$1" -type f -perm -u+x 2>/dev/null | head -n 1
}
sherd=$(find_program sherd)
bench=$(find_program sherd-bench)
if [ -z "$sherd" ] || [ -z "$bench" ]; then
    echo "${0##*/}: no sherd and sherd-bench in $build: run cmake --preset release, and" \
        "cmake --build --preset release" >&2
    exit 6
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/sherd-bench.XXXXXX") || exit 6
running=''

cluster_try() {
    "$sherd" cluster up --dir "$dir" --max-memory 2GiB "$@" >"$scratch/up" 2>&1 && running=yes
}

cluster_up() {
    cluster_try "$@" || {
        cat "$scratch/up" >&2
        exit 6
    }
}

cluster_down() {
    [ -z "$running" ] || "$sherd" cluster down --dir "$dir" >/dev/null 2>&1
    running=''
}

also_at_exit() { :; }

finish() {
    cluster_down
    also_at_exit
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

value_of() {
    sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p"
}
