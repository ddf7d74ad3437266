#!/bin/sh
# E.sh: three of six servers stopped: NO_QUORUM in time, nothing deleted; without the keeper.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_majority" --full "$@"
