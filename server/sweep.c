#include "server/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/wire.h"

enum {
    SWEEP_MS = 500,
    FORGET_MS = 2000,
    PAGE_BYTES = 64 << 10,
    OWN_TIMEOUT_MS = 2000,
    FINISHING_MAX = 64,
    KEYS_A_TURN = 256,
};

/* One of the lists that the service keeps for us: its page, worked off key by key. */
struct list {
    uint8_t what; /* enum sherd_list_what */
    bool asking;
    bool more;        /* the page was not the last: ask for the next as soon as it is done */
    uint64_t arrived; /* pages */
    uint64_t every_ms, due_ms;
    uint8_t *page;
    size_t size, at;
};

struct sherd_sweep {
    struct list undecided, repair, dead;
    unsigned finishing;
    struct sherd_progress *progress;
    struct sherd_repairs *repairs;
    struct sherd_forget *forget;
};

int sherd_sweep_new(struct sherd_sweep **out)
{
    struct sherd_sweep *s = calloc(1, sizeof(*s));

    if (!s) return -ENOMEM;
    s->undecided = (struct list){.what = SHERD_LIST_UNDECIDED, .every_ms = SWEEP_MS};
    s->repair = (struct list){.what = SHERD_LIST_REPAIR, .every_ms = SWEEP_MS};
    s->dead = (struct list){.what = SHERD_LIST_DEAD, .every_ms = FORGET_MS};
    if (sherd_repairs_new(&s->repairs) < 0 || sherd_forget_new(&s->forget) < 0) {
        sherd_sweep_free(s);
        return -ENOMEM;
    }
    *out = s;
    return 0;
}

void sherd_sweep_free(struct sherd_sweep *s)
{
    if (!s) return;
    free(s->undecided.page);
    free(s->repair.page);
    free(s->dead.page);
    sherd_repairs_free(s->repairs);
    sherd_forget_free(s->forget);
    free(s);
}

uint32_t sherd_sweep_backlog(const struct sherd_sweep *s)
{
    return sherd_repairs_count(s->repairs);
}

/* Pages */

static void on_page(void *context, const struct sherd_answer *answer)
{
    struct list *l = context;

    l->asking = false;
    if (!answer || answer->kind != SHERD_PAGE) return; /* asked for again when due */
    free(l->page);
    l->size = l->at = 0;
    l->page = malloc(answer->body.size ? answer->body.size : 1);
    if (!l->page) return;
    if (answer->body.size != 0) memcpy(l->page, answer->body.data, answer->body.size);
    l->size = answer->body.size;
    l->more = (answer->flags & SHERD_ANSWER_END) == 0;
    l->arrived++;
}

/* Asks for a page when the one at hand is worked off. */
static void fill(struct list *l, const struct sherd_turn *t)
{
    struct sherd_request r = {.kind = SHERD_LIST,
                              .what = l->what,
                              .limit = PAGE_BYTES,
                              .since = l->arrived,
                              .shard_frame = -1};

    if (l->asking || l->at < l->size || (!l->more && t->now_ms < l->due_ms)) return;
    if (sherd_engine_call(t->engine, t->self, &r, OWN_TIMEOUT_MS, on_page, l) < 0) return;
    l->asking = true;
    l->more = false;
    l->due_ms = t->now_ms + l->every_ms;
}

static bool next_key(struct list *l, struct sherd_bytes *key)
{
    struct sherd_entry entries[SHERD_ENTRIES_MAX];
    uint8_t count;

    if (l->at >= l->size) return false;
    if (sherd_wire_next_item((struct sherd_bytes){l->page, l->size}, &l->at, key, entries,
                             &count) == 0)
        return true;
    l->at = l->size;
    return false;
}

/* Undecided entries */

static void on_finished(void *context, struct sherd_bytes key, enum sherd_outcome outcome)
{
    struct sherd_sweep *s = context;

    (void)key;
    s->finishing--; /* what could not be finished is listed again */
    if (outcome == SHERD_OK || outcome == SHERD_NOT_FOUND) atomic_fetch_add(&s->progress->swept, 1);
}

static void finish_some(struct sherd_sweep *s, const struct sherd_turn *t)
{
    struct sherd_bytes key;

    while (s->finishing < FINISHING_MAX && next_key(&s->undecided, &key))
        if (sherd_jobs_start(t->jobs, SHERD_OP_FINISH, key, on_finished, s) == 0) s->finishing++;
}

void sherd_sweep_turn(struct sherd_sweep *s, const struct sherd_sealed *sealed,
                      const struct sherd_turn *t)
{
    struct sherd_bytes key;

    s->progress = t->progress;
    fill(&s->undecided, t);
    fill(&s->repair, t);
    fill(&s->dead, t);
    finish_some(s, t);
    for (int i = 0; i < KEYS_A_TURN && sherd_repairs_has_room(s->repairs); i++) {
        if (!next_key(&s->repair, &key)) break;
        sherd_repairs_add(s->repairs, key, t);
    }
    sherd_repairs_turn(s->repairs, sealed, t);
    while (sherd_forget_has_room(s->forget) && next_key(&s->dead, &key))
        sherd_forget_start(s->forget, key, sealed, t);
}
