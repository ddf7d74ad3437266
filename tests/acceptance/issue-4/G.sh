#!/bin/sh
# G.sh: what a durable node does, under the simulator (stops with state, full stores, allocations
# that fail, partitions that are damaged) and under chaos with stores on disk.
# preset: dev
set -e
for code in 1+2 2+1 2+2 3+2 4+2 3+4 8+3; do
    "${SHERD_BUILD:?names the build folder}/tests/test_simulation" --code "$code" --seed 4000001 --runs 2000
done
exec tests/chaos --minutes 5 --seed 4 --store lmdb
