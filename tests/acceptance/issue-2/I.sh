#!/bin/sh
# I.sh: resident memory of the servers over the bytes stored.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_memory" --full "$@"
