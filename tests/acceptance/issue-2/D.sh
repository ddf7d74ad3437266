#!/bin/sh
# D.sh: 1 000 clients killed in the middle of a write, with readers running.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_dead_clients" --full "$@"
