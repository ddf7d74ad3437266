#!/bin/sh
# B.sh: disks that fail (EIO, ENOSPC) and disks that are full: writes refused by name, reads go on,
# and all is well again when they are.
# preset: release
exec "${SHERD_BUILD:?names the build folder}/tests/test_cluster_disk" --full "$@"
