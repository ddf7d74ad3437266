#!/bin/sh
# B.sh: every value is readable with any n - r servers stopped, and after n - r were killed.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_losses" --full "$@"
