#!/bin/sh
# wrapped.sh LIST OBJECT...: fails if the objects call a function that allocates and that LIST does
# not name: test_allocations could not make it fail. Files and streams are libc's own affair.
list=$1
shift
allocating='^(malloc|calloc|realloc|reallocarray|recallocarray|aligned_alloc|posix_memalign|memalign|valloc|pvalloc|v?asprintf|__v?asprintf_chk|(__)?strn?dup|wcsdup|strndupa|getline|getdelim|__getdelim|open_memstream|realpath|__realpath_chk|getcwd|get_current_dir_name|scandir|tempnam|regcomp|glob|getaddrinfo|zmq_msg_init_(size|data|buffer))$'
called=$(nm --undefined-only "$@" | awk '$1 == "U" { print $2 }' | sort -u | grep -E "$allocating")
[ -n "$called" ] || {
    echo "wrapped.sh: these objects allocate nothing at all?" >&2
    exit 1
}
missing=$(printf '%s\n' "$called" | grep -vxF -f "$list")
[ -z "$missing" ] || {
    echo "not in $list, so never made to fail:" $missing >&2
    exit 1
}
