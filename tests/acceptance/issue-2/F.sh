#!/bin/sh
# F.sh: 60 s of load while a server is rebuilt: none fails, and m others may then be lost.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_rebuild" --full "$@"
