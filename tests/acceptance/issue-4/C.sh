#!/bin/sh
# C.sh: with sync = always, writes that share a sync (64 of 4 KiB under 4+2: shards of 1 KiB) come at
# 20 times the rate of a sync for each, on one disk in one run. Needs a quiet machine.
# preset: release
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
figures=$("${SHERD_BUILD:?names the build folder}/bench/sherd-bench-store" --depth 64 --size 1024 \
    --seconds 5 --runs 5 "$folder") || exit 1
echo "$figures"
echo "$figures" | awk '$1 == "ratio" { ratio = $2 } END { exit !(ratio >= 20) }'
