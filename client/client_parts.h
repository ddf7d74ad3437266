/* client_parts.h - the inside of a client handle: client.c, scan.c. */
#ifndef SHERD_CLIENT_CLIENT_PARTS_H
#define SHERD_CLIENT_CLIENT_PARTS_H

#include "client/engine.h"

enum { SHERD_DEFAULT_TIMEOUT_MS = 5000 };

struct sherd_client {
    struct sherd_engine *engine;
    uint32_t timeout_ms;
};

/* *out is the newest map, or NULL: none came in time. 0, or negative errno of poll. */
int sherd_client_wait_for_map(struct sherd_client *c, const struct sherd_map **out);

#endif
