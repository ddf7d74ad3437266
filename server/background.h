/* background.h - the thread that does everything a server does as a client of others: heartbeats
 * and map exchange with the keeper, sweep, rebuild, catch-up, scan, tombstone rounds. One engine
 * (client/engine.h), one thread, no state shared with the service but `progress`. */
#ifndef SHERD_SERVER_BACKGROUND_H
#define SHERD_SERVER_BACKGROUND_H

#include "client/conf.h"
#include "server/progress.h"
#include "server/service.h"

struct sherd_background;

/* Starts the thread. The service must be bound already (it is reached at SHERD_SERVICE_ENDPOINT);
 * `life` is what it said of itself. */
int sherd_background_start(const struct sherd_conf *conf, void *zmq_context,
                           const struct sherd_service_life *life, struct sherd_progress *progress,
                           struct sherd_background **out);
/* Stops within 1 s and joins. NULL is allowed. */
void sherd_background_stop(struct sherd_background *b);

#endif
