/* notes.c - what the service keeps beside its records, and takes back: when it starts, and when a
 * sync failed and what had changed since the last one is undone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/log.h"
#include "coord/map_codec.h"
#include "server/directory.h"
#include "server/node_state.h"
#include "server/service_parts.h"

enum {
    DEFAULT_MEMORY_SHARE = 4, /* three quarters of the machine's memory */
    SEEN_EVERY_MS = 10000,    /* an idle node says so often that it has missed nothing */
    PATH_BYTES_MAX = SHERD_CONF_PATH_BYTES_MAX + 32,
};

/* Three quarters of what the machine has, when the configuration says nothing. */
static uint64_t default_memory(void)
{
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), size = (uint64_t)sysconf(_SC_PAGESIZE);

    return pages * size / DEFAULT_MEMORY_SHARE * (DEFAULT_MEMORY_SHARE - 1);
}

/* Moves a damaged store out of the way; the one before it goes. */
static int set_aside(const struct sherd_conf *conf, const char *directory)
{
    char aside[PATH_BYTES_MAX + 16];
    int rc = 0;

    snprintf(aside, sizeof(aside), "%s.damaged", directory);
    rc = sherd_store_lmdb_remove(aside);
    if (rc == 0 && rename(directory, aside) < 0) rc = -errno;
    if (rc == 0) rc = sherd_directory_sync(conf->state_dir);
    log_warn("%s is damaged: set aside as %s; this node begins empty and will be rebuilt: %s",
             directory, aside, rc == 0 ? "done" : strerror(-rc));
    return rc;
}

/* One that had a `sync` of now and then, and was not closed: what it lacks nobody knows, and nobody
 * needs it. */
static int remove_unclean(const char *directory)
{
    log_warn("%s was not closed in order, and not all of it was sure to be on the disk: this node "
             "begins empty and will be rebuilt",
             directory);
    return sherd_store_lmdb_remove(directory);
}

/* Opens the store on disk and takes back what it knows. -EUCLEAN: that is damaged. */
static int open_and_restore(struct sherd_service *s, const char *directory)
{
    struct sherd_store_lmdb_config config = {.directory = directory, .sync_ms = s->conf->sync_ms};
    int rc = sherd_store_lmdb_open(&config, &s->store);

    if (rc == 0) rc = sherd_service_restore(s);
    if (rc != -EBADMSG) return rc;
    s->store->ops->close(s->store);
    s->store = NULL;
    return -EUCLEAN;
}

/* 0; 1: the store is a new one; or negative errno, logged. */
static int open_lmdb(struct sherd_service *s)
{
    char directory[PATH_BYTES_MAX];
    int rc;

    snprintf(directory, sizeof(directory), "%s/store-%d", s->conf->state_dir, s->conf->self);
    rc = open_and_restore(s, directory);
    if (rc == -EUCLEAN || rc == -ESTALE) {
        rc = rc == -EUCLEAN ? set_aside(s->conf, directory) : remove_unclean(directory);
        if (rc == 0) rc = open_and_restore(s, directory);
    }
    if (rc == -EBUSY)
        log_warn("%s: another process has it open", directory);
    else if (rc == -EPROTONOSUPPORT)
        log_warn("%s: written by another version of sherd-server", directory);
    else if (rc < 0)
        log_warn("%s: %s", directory, strerror(-rc));
    return rc;
}

int sherd_service_open_store(struct sherd_service *s)
{
    const struct sherd_conf *conf = s->conf;
    int rc;

    if (strcmp(conf->store, "lmdb") != 0)
        return sherd_store_memory_open(
            conf->max_memory_bytes ? conf->max_memory_bytes : default_memory(), &s->store);
    rc = open_lmdb(s);
    if (rc < 0) return rc;
    s->kept = rc == 0;
    s->unsaved = rc == 1; /* a memory that begins now */
    atomic_store(&s->progress->seen, s->seen_saved);
    for (uint16_t i = 0; i < s->partitions.count; i++)
        if (s->store->forgotten[i / 8] >> i % 8 & 1) sherd_service_forget(s, i);
    /* Nobody may hear of it before it is sure to be remembered. */
    rc = sherd_service_save_notes(s);
    if (rc == 0) rc = s->store->ops->sync(s->store);
    if (rc == 0) sherd_service_tell_forgotten(s);
    return rc;
}

/* Whether this node knows of keys that lack a shard: it would not know again. */
static bool has_repairs(const struct sherd_service *s)
{
    uint64_t rescans = 0;

    for (unsigned i = 0; i < SHERD_PARTITIONS / 64; i++)
        rescans |= atomic_load(&s->progress->rescan_asked[i]);
    return rescans != 0 || s->repair.count != 0 || s->repair_page.size != 0 ||
           atomic_load(&s->progress->backlog) != 0;
}

static uint64_t seen_now(const struct sherd_service *s)
{
    return has_repairs(s) ? 0 : atomic_load(&s->progress->seen);
}

static int save_node(struct sherd_service *s)
{
    uint8_t bytes[SHERD_NODE_STATE_BYTES_MAX];
    struct sherd_node_state state = {.node = s->partitions.node,
                                     .count = s->partitions.count,
                                     .incarnation = s->partitions.incarnation,
                                     .live = s->partitions.live,
                                     .seen = seen_now(s)};

    for (uint16_t i = 0; i < state.count; i++) {
        state.floors[i] = s->states[i].floor;
        state.forgotten[i] = s->states[i].forgotten;
    }
    s->seen_ms = s->now_ms;
    s->seen_saved = state.seen;
    return s->store->ops->save(s->store, SHERD_NOTE_NODE,
                               (struct sherd_bytes){bytes, sherd_node_state_encode(&state, bytes)});
}

/* It may say that nothing was missed, and now there is something to repair. */
static bool is_seen_too_much(const struct sherd_service *s)
{
    return s->seen_saved != 0 && has_repairs(s);
}

int sherd_service_save_notes(struct sherd_service *s)
{
    const struct sherd_store_ops *ops = s->store->ops;
    bool idle = s->now_ms - s->seen_ms >= SEEN_EVERY_MS || is_seen_too_much(s);
    int rc = 0;

    if (!s->unsaved && !s->map_unsaved && (!idle || ops->fault(s->store) < 0)) return 0;
    if (s->map_unsaved)
        rc = ops->save(s->store, SHERD_NOTE_MAP, (struct sherd_bytes){s->map, s->map_size});
    if (rc == 0) rc = save_node(s);
    if (rc == 0) s->unsaved = s->map_unsaved = false;
    return rc;
}

void sherd_service_tell_forgotten(struct sherd_service *s)
{
    for (uint16_t i = 0; i < s->partitions.count; i++)
        if (atomic_load(&s->progress->forgotten_slots[i]) != s->states[i].forgotten)
            atomic_store(&s->progress->forgotten_slots[i], s->states[i].forgotten);
}

int sherd_service_take_map(struct sherd_service *s, struct sherd_bytes bytes,
                           uint8_t drop[SHERD_PARTITIONS / 8])
{
    uint16_t count = sherd_map_peek_partitions(bytes);
    struct sherd_map *map = count ? malloc(sherd_map_size(count)) : NULL;
    uint8_t *copy = count ? malloc(bytes.size) : NULL;
    int rc = count == 0 ? -EBADMSG : map && copy ? 0 : -ENOMEM;

    if (rc == 0) rc = sherd_map_decode(bytes, map);
    if (rc == 0) rc = sherd_partitions_seal(&s->partitions, map, sherd_map_hash(bytes), drop);
    if (rc == 0) {
        memcpy(copy, bytes.data, bytes.size);
        free(s->map);
        s->map = copy;
        s->map_size = bytes.size;
        copy = NULL;
    }
    free(copy);
    free(map);
    return rc;
}

int sherd_service_restore(struct sherd_service *s)
{
    struct sherd_bytes note = s->store->ops->fetch(s->store, SHERD_NOTE_NODE);
    uint64_t live = s->partitions.live; /* what is live stays so, whatever is undone */
    uint8_t drop[SHERD_PARTITIONS / 8];
    struct sherd_node_state state;
    int rc;

    if (note.size == 0) return 1;
    rc = sherd_node_state_decode(note, &state);
    if (rc < 0) return rc;
    if (state.node != s->partitions.node || state.count != s->partitions.count) {
        log_warn("the store is that of node %u of a cluster with %u partitions, not of node %u of "
                 "one with %u",
                 state.node, state.count, s->partitions.node, s->partitions.count);
        return -EPROTO;
    }
    memset(s->states, 0, sizeof(s->states));
    for (uint16_t i = 0; i < state.count; i++) {
        s->states[i].forgotten = state.forgotten[i];
    }
    s->partitions.incarnation = state.incarnation;
    s->partitions.cluster = s->partitions.version = s->partitions.hash = s->partitions.live = 0;
    s->unsaved = s->map_unsaved = false;
    s->undecided_lost = true; /* the walk finds what was to be swept */
    note = s->store->ops->fetch(s->store, SHERD_NOTE_MAP);
    if (note.size != 0) {
        rc = sherd_service_take_map(s, note, drop); /* it was sealed by this very memory */
        sherd_partitions_live(&s->partitions, state.live);
    } else {
        free(s->map);
        s->map = NULL;
        s->map_size = 0;
    }
    sherd_partitions_live(&s->partitions, live);
    for (uint16_t i = 0; i < state.count; i++)
        s->states[i].floor = sherd_ballot_max(s->states[i].floor, state.floors[i]);
    s->seen_saved = state.seen;
    return rc;
}
