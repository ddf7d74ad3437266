/* sites.h - where in the executable allocations are called, and what these places are called: asked
 * of objdump and addr2line. */
#ifndef SHERD_TESTS_SITES_H
#define SHERD_TESTS_SITES_H

#include <stddef.h>
#include <stdint.h>

enum { SITE_NAME_SIZE = 200 };

/* The return addresses of all calls from the product's own sources; at most `max`. */
size_t sites_list(uintptr_t *out, size_t max);

/* "client/maps.c:21 sherd_map_ref_decode" */
void sites_name(uintptr_t at, char out[SITE_NAME_SIZE]);

#endif
