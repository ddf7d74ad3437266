#!/bin/sh
# J.sh: first speed, with six servers at 4+2 on this machine; medians of five runs.
# preset: release
exec bench/j.sh --build "${SHERD_BUILD:?names the build folder}" --base-port 17400 "$@"
