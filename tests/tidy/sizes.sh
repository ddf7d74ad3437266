#!/bin/sh
# sizes.sh: no function over 70 lines, no file over 600. What sizes.except lists may be larger, but
# not larger than it says there, and the list only shrinks: an entry no longer needed is an error.
cd "$(dirname "$0")/../.." || exit 2
folders=
for folder in ecc coord client server bench tests; do
    [ ! -d "$folder" ] || folders="$folders $folder"
done

# shellcheck disable=SC2086 # a list of words
files=$(find $folders -name '*.[ch]' | sort)
# shellcheck disable=SC2086
awk -v function_max=70 -v file_max=600 '
function allowed(name, limit) { return name in except ? except[name] : limit }

function judge(name, size, limit) {
    if (size > limit) over[name] = size
    if (size > allowed(name, limit)) {
        printf "%s: %d lines, the limit is %d\n", name, size, allowed(name, limit)
        bad = 1
    }
}

# The name in "static int parse(const char *text)", and in a signature of several lines.
function name_of(signature) {
    sub(/\(.*/, "", signature)
    sub(/^.*[^A-Za-z0-9_]/, "", signature)
    return signature
}

function end_of_file() { if (file != "") judge(file, lines, file_max) }

FILENAME == ARGV[1] { # sizes.except: name, lines
    if ($0 !~ /^(#|$)/) except[$1] = $2
    next
}
FNR == 1 { end_of_file(); file = FILENAME; start = 0 }
{ lines = FNR }
/^[A-Za-z_].*\(/ { signature = $0 }
/^\{$/ { start = FNR }
/^\}/ && start { judge(file ":" name_of(signature), FNR - start - 1, function_max); start = 0 }
END {
    end_of_file()
    for (name in except) if (!(name in over)) {
        print name ": no longer too large; remove it from tests/tidy/sizes.except"
        bad = 1
    }
    exit bad
}' tests/tidy/sizes.except $files >&2
