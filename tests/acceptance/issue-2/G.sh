#!/bin/sh
# G.sh: 200 000 random and mutated frames at servers, and as many at clients.
# preset: dev
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_garbage" --full "$@"
