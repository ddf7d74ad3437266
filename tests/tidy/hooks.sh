#!/bin/sh
# hooks.sh LIBRARY YES|NO: what client/test_hooks.c adds is in the library, or nothing of it is. The
# hooks let an environment variable kill a client: no build for users may have them.
library=$1 wanted=$2
symbols=$(nm -a "$library" 2>/dev/null) || { echo "no symbols in $library" >&2; exit 1; }
echo "$symbols" | grep -q ' T sherd_set$' || { echo "$library is not the library" >&2; exit 1; }
found=NO
if echo "$symbols" | grep -q 'sherd_hook_' || grep -qE 'SHERD_(DIE_AT|CLOCK_FILE)' "$library"; then
    found=YES
fi
[ "$found" = "$wanted" ] || { echo "$library: test hooks: $found, expected $wanted" >&2; exit 1; }
