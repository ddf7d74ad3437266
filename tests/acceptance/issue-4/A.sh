#!/bin/sh
# A.sh: all servers killed at once 200 times under a write load; then files of stopped servers
# flipped in 1 000 places, cut and torn: nothing acknowledged is lost, no wrong byte is read.
# preset: release
set -e
"${SHERD_BUILD:?names the build folder}/tests/test_cluster_restart" --full "$@"
"$SHERD_BUILD/tests/test_cluster_damage" --full "$@"
