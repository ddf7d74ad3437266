/* heartbeat.h - the exchange with the keeper: reports out, maps in.
 *
 * A report goes out every 200 ms, every 100 ms while this node has work or waits for LIVE, and at
 * once when there is news. The keeper pushes SEAL and LIVE unasked, and answers a report with what
 * the node lacks. Without a keeper nothing stops: a newer map that a peer shows is fetched from the
 * peers, and sealed too. */
#ifndef SHERD_SERVER_HEARTBEAT_H
#define SHERD_SERVER_HEARTBEAT_H

#include "server/sealed.h"

struct sherd_heartbeat {
    struct sherd_sealed *sealed;
    struct sherd_progress *progress;
    uint64_t now_ms;   /* of the turn */
    uint64_t sent_ms;  /* last report */
    uint64_t ask_ms;   /* when a peer may be asked for its map (again) */
    uint16_t ask_node; /* ... and which */
    bool reporting;    /* a report is not answered yet */
    bool asking;
};

/* Takes over the engine's pushes. */
void sherd_heartbeat_init(struct sherd_heartbeat *h, struct sherd_engine *engine,
                          struct sherd_sealed *sealed, struct sherd_progress *progress);

void sherd_heartbeat_turn(struct sherd_heartbeat *h, const struct sherd_turn *t, bool busy);

#endif
