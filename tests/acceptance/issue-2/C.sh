#!/bin/sh
# C.sh: 10 000 operations, a server killed and started empty meanwhile: none fails.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_schedule" --full "$@"
