#!/bin/sh
# F.sh: bytes held for each byte stored, codes x sizes, beside Redis with two replicas: at 4+2 at
# most 0.45 of its from 4 KiB on and 0.6 at 1 KiB; and at most 72 bytes for each shard beside its
# key and payload.
# preset: release
conf/install-deps.sh --compare || exit
exec bench/held.sh --build "${SHERD_BUILD:?names the build folder}" "$@"
