#!/bin/sh
# H.sh: wrong input at the command line: one line with mistake and remedy, exit code 2 or 6.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_usage" --full "$@"
