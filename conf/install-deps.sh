#!/bin/sh
# install-deps.sh - the one list of Debian packages that sherd needs, and how to get them.
#
#   conf/install-deps.sh            installs what building needs and is missing
#   conf/install-deps.sh --tests    the same, with what tests/run.sh needs besides
#   conf/install-deps.sh --compare  what building needs, and what bench/held.sh compares sherd with
#   ... --check                     installs nothing; prints what is missing, exits 1 if anything is
#
# Says nothing when there is nothing to do. Needs root, or sudo, only to install.
set -eu

build="gcc libc6-dev cmake ninja-build pkg-config libisal-dev libzmq3-dev libczmq-dev libbsd-dev
    libxxhash-dev libconfuse-dev libjansson-dev liblmdb-dev libmd-dev"
tests="libcmocka-dev clang libclang-rt-14-dev spin gcovr patch
    iproute2 nftables" # network namespaces: tests/chaos
compare=redis-server # only to be run by hand: no test in the normal run needs it

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

die() {
    echo "install-deps.sh: $1" >&2
    exit "${2:-1}"
}

# Prints those of the packages given that are not installed.
missing_of() {
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=none
        # A foreign architecture of the same package repeats the word.
        case $status in installed*) ;; *) printf '%s ' "$package" ;; esac
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "not root, and there is no sudo; missing: $missing"
    fi
}

# shellcheck disable=SC2086 # a list of words
apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y --no-install-recommends install $missing
}

check=no
packages=$build
for option in "$@"; do
    case $option in
    --check) check=yes ;;
    --tests) packages="$build $tests" ;;
    --compare) packages="$build $compare" ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) die "unknown option '$option'; see --help" 2 ;;
    esac
done

command -v dpkg-query >/dev/null || die "no dpkg here: install the equivalents of: $packages"
# shellcheck disable=SC2086 # a list of words
missing=$(missing_of $packages)
missing=${missing% }
[ -n "$missing" ] || exit 0
if [ "$check" = yes ]; then
    echo "missing: $missing"
    exit 1
fi
echo "installing: $missing"
apt_install >/dev/null || {
    echo "install-deps.sh: failed; once more in 5 s" >&2
    sleep 5
    apt_install >/dev/null || die "cannot install: $missing"
}
