/* maps.h - maps that several operations look at: kept until the last one lets go. One thread. */
#ifndef SHERD_CLIENT_MAPS_H
#define SHERD_CLIENT_MAPS_H

#include <sherd/base.h>

#include "coord/map.h"

struct sherd_map_ref {
    uint32_t holders;
    struct sherd_map *map; /* never changes */
};

/* Decodes a map; held once for the caller. 0, -EBADMSG, -ENOMEM. */
int sherd_map_ref_decode(struct sherd_bytes encoded, struct sherd_map_ref **out);

struct sherd_map_ref *sherd_map_ref_hold(struct sherd_map_ref *ref);
void sherd_map_ref_release(struct sherd_map_ref *ref); /* NULL is allowed */

#endif
