#include "client/maps.h"

#include <errno.h>
#include <stdlib.h>

#include "coord/map_codec.h"

static void free_ref(struct sherd_map_ref *ref)
{
    free(ref->map);
    free(ref);
}

int sherd_map_ref_decode(struct sherd_bytes encoded, struct sherd_map_ref **out)
{
    uint16_t partitions = encoded.size ? sherd_map_peek_partitions(encoded) : 0;
    struct sherd_map_ref *ref;
    int rc = -ENOMEM;

    if (partitions == 0) return -EBADMSG;
    ref = calloc(1, sizeof(*ref));
    if (!ref) return -ENOMEM;
    ref->holders = 1;
    ref->map = malloc(sherd_map_size(partitions));
    if (ref->map) rc = sherd_map_decode(encoded, ref->map);
    if (rc < 0)
        free_ref(ref);
    else
        *out = ref;
    return rc;
}

struct sherd_map_ref *sherd_map_ref_hold(struct sherd_map_ref *ref)
{
    ref->holders++;
    return ref;
}

void sherd_map_ref_release(struct sherd_map_ref *ref)
{
    if (ref && --ref->holders == 0) free_ref(ref);
}
