#!/bin/sh
# A.sh: the newcomer's demonstration, which installs and builds what it needs, in under 5 minutes.
began=$(date +%s)
client/demo.sh "$@" || exit
took=$(($(date +%s) - began))
echo "client/demo.sh: $took s"
[ "$took" -lt 300 ]
