/* progress.h - what the background thread tells the world of its work, for STATS. Atomics: one
 * writer (background.c), readers anywhere; single fields are exact, the whole is no snapshot. */
#ifndef SHERD_SERVER_PROGRESS_H
#define SHERD_SERVER_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#include "coord/limits.h"

enum sherd_progress_task {
    SHERD_TASK_IDLE,
    SHERD_TASK_REBUILD,  /* partitions where this node is learner */
    SHERD_TASK_SCAN,     /* partitions whose epochs are to be closed */
    SHERD_TASK_CATCH_UP, /* this node was away, or was told to RECOVER */
};

struct sherd_progress {
    _Atomic uint32_t task;            /* enum sherd_progress_task */
    _Atomic uint32_t partitions_done; /* of this task */
    _Atomic uint32_t partitions_total;
    _Atomic uint64_t keys_done, bytes_done; /* of this task; shards made anew */
    _Atomic uint64_t keys_total;            /* estimate from the voters' counts; 0: not known */
    _Atomic uint64_t started_ms, ended_ms;  /* monotonic */
    _Atomic uint64_t rebuilt_keys, rebuilt_bytes; /* since start, all tasks */
    _Atomic uint64_t swept, repaired, forgotten;  /* keys, since start */
    _Atomic uint64_t keeper_heard_ms;             /* monotonic; 0: never */
    _Atomic uint64_t backlog;       /* keys that the background thread knows it must still repair */
    _Atomic uint64_t recover_asked; /* how often RECOVER came (set by the service) ... */
    _Atomic uint64_t recover_done;  /* ... and how many of those are done */
    _Atomic uint64_t compared, differed;                /* ranges of compare.h, since start */
    _Atomic uint32_t forgotten_slots[SHERD_PARTITIONS]; /* slot incarnations; set by the service */
    _Atomic uint64_t seen; /* node_state.h; the service forgets it while it has repairs */
    _Atomic uint64_t rescan_asked[4]; /* bit p % 64 of word p / 64: the repair list overflowed */
};

#endif
