#!/bin/sh
# held.sh: bytes that servers hold for each shard beside its key and payload. The table with Redis
# beside is acceptance/issue-4/F.sh.
exec bench/held.sh --build "${SHERD_BUILD:?names the build folder}" --small --no-redis \
    --codes 4+2 --sizes "64 1024"
