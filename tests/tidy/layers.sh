#!/bin/sh
# layers.sh: who may include whom. An include line is always from the root, so it shows the layer.
#   server -> client -> {ecc, coord};  ecc and coord know nobody;  bench and tests may see all.
cd "$(dirname "$0")/../.." || exit 2
bad=0

# forbid FOLDER REGEX WHY: no file in FOLDER may include what matches REGEX.
forbid() {
    [ -d "$1" ] || return 0
    hits=$(grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*$2" "$1")
    [ -n "$hits" ] || return 0
    printf '%s: %s\n%s\n' "$1" "$3" "$hits" >&2
    bad=1
}

forbid ecc '"(coord|client|server|bench|tests)/' "knows no key and no network"
forbid ecc '<sherd/sherd\.h>' "knows no key and no network"
forbid coord '"(ecc|client|server|bench|tests)/' "is pure: knows nobody"
forbid coord '<(sherd/(ecc|sherd)\.h|z?mq\.h|czmq\.h|pthread\.h|time\.h|sys/|unistd\.h|isa-l)' \
    "is pure: no socket, clock or thread"
forbid client '"(server|bench|tests)/' "knows only ecc and coord"
forbid server '"(bench|tests)/' "knows client, ecc and coord"

# Each library has few doors.
for folder in coord client server bench; do
    forbid "$folder" '<(isa-l/|isa-l\.h|erasure_code\.h|crc\.h)' "isa-l is used only in ecc/"
done
forbid . '"(\.\./|\./)' "include lines start at the root"
exit $bad
