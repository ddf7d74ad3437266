/* life_model.c - operations on keys, and what each key may hold after them. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "tests/allocations/life.h"

enum { VALUE_MAX = 256 << 10, STRICT_MS = 20000, POLL_MS = 20, BATCH_MAX = 24 };

static uint8_t written[BATCH_MAX][VALUE_MAX];

uint64_t life_now_ms(void) { return sherd_clock_now_us() / 1000; }

void life_fail(struct life *l, const char *format, ...)
{
    va_list arguments;

    if (l->failed) return;
    l->failed = true;
    va_start(arguments, format);
    vsnprintf(l->story, sizeof(l->story), format, arguments);
    va_end(arguments);
}

/* ---- outcomes ---- */

bool life_note(struct life *l, int rc, enum sherd_outcome outcome)
{
    if (rc < 0 && rc != -ENOMEM) {
        life_fail(l, "an operation returned %s", strerror(-rc));
        return true;
    }
    if (rc == 0 && outcome >= SHERD_OUTCOME_COUNT) {
        life_fail(l, "an operation ended with outcome %d", (int)outcome);
        return true;
    }
    if (!l->armed) return rc == 0 && outcome == SHERD_OK;
    l->outcomes[rc < 0 ? LIFE_OUTCOMES - 1 : outcome]++;
    return true;
}

/* Whether something strict that did not succeed is to be tried again. */
static bool again(struct life *l, uint64_t since_ms, const char *what, const char *name,
                  enum sherd_outcome outcome)
{
    if (l->failed) return false;
    if (life_now_ms() - since_ms < STRICT_MS) return true;
    life_fail(l, "%s of %s does not succeed with memory again: %s", what, name,
              sherd_outcome_name(outcome));
    return false;
}

static struct sherd_bytes name_of(const struct life_key *key)
{
    return (struct sherd_bytes){key->name, strlen(key->name)};
}

/* ---- what a key may hold ---- */

static bool may_hold(const struct life_key *key, unsigned version)
{
    for (unsigned i = 0; i < key->possible_count; i++)
        if (key->possible[i] == version) return true;
    return false;
}

static void settle(struct life_key *key, unsigned version)
{
    key->possible[0] = version;
    key->possible_count = 1;
}

static void add_possible(struct life *l, struct life_key *key, unsigned version)
{
    if (may_hold(key, version)) return;
    if (key->possible_count == LIFE_POSSIBLE_MAX)
        life_fail(l, "%s: too much is uncertain", key->name);
    else
        key->possible[key->possible_count++] = version;
}

/* The write of `version` ended so. Whatever is no OK and not uncertain must have changed nothing.
 */
static void note_write(struct life *l, struct life_key *key, unsigned version, int rc,
                       enum sherd_outcome outcome)
{
    if (rc == 0 && outcome == SHERD_OK)
        settle(key, version);
    else if (rc < 0 || outcome == SHERD_UNCERTAIN)
        add_possible(l, key, version);
}

void life_make_keys(struct life *l)
{
    static const struct life_key first[] = {
        {.name = "small",  .size = 100        },
        {.name = "medium", .size = 48000      },
        {.name = "large",  .size = 200000     },
        {.name = "empty",  .size = 12         },
        {.name = "number", .kind = LIFE_NUMBER},
        {.name = "text",   .kind = LIFE_TEXT  },
        {.name = "added",  .size = 300        },
    };
    unsigned count = sizeof(first) / sizeof(first[0]);

    for (unsigned i = 0; i < LIFE_KEYS; i++) {
        struct life_key *key = &l->keys[i];
        *key = i < count ? first[i] : (struct life_key){.size = 6000};
        if (i >= count) snprintf(key->name, sizeof(key->name), "many-%u", i - count);
        settle(key, 0);
    }
}

/* ---- values ---- */

static uint8_t pattern(unsigned version, size_t at) { return (uint8_t)(version * 31 + at * 7); }

static struct sherd_bytes make_value(const struct life_key *key, unsigned version, uint8_t *out)
{
    int size;

    switch (key->kind) {
    case LIFE_NUMBER:
        size = snprintf((char *)out, VALUE_MAX, "%u", version);
        return (struct sherd_bytes){out, (size_t)size};
    case LIFE_TEXT: memset(out, 'a', version); return (struct sherd_bytes){out, version};
    default: break;
    }
    memcpy(out, &version, sizeof(version));
    for (size_t i = sizeof(version); i < key->size; i++)
        out[i] = pattern(version, i);
    return (struct sherd_bytes){out, key->size};
}

/* Which version these bytes are; *ok false: none. */
static unsigned version_of(const struct life_key *key, struct sherd_bytes value, bool *ok)
{
    static uint8_t expected[VALUE_MAX];
    struct sherd_bytes made;
    unsigned version = 0;
    char text[16] = "";

    *ok = false;
    if (key->kind == LIFE_NUMBER && value.size < sizeof(text)) {
        memcpy(text, value.data, value.size);
        version = (unsigned)strtoul(text, NULL, 10);
    } else if (key->kind == LIFE_TEXT) {
        version = (unsigned)value.size;
    } else if (value.size >= sizeof(version)) {
        memcpy(&version, value.data, sizeof(version));
    }
    if (version >= VALUE_MAX) return 0;
    made = make_value(key, version, expected);
    *ok = made.size == value.size && memcmp(made.data, value.data, made.size) == 0;
    return version;
}

/* ---- operations ---- */

void life_set(struct life *l, struct life_key *key)
{
    uint64_t since_ms = life_now_ms();
    enum sherd_outcome outcome;
    int rc;

    do {
        unsigned version = ++key->last;
        struct sherd_bytes value = make_value(key, version, written[0]);
        outcome = SHERD_OUTCOME_COUNT;
        rc = sherd_set(l->client, name_of(key), value, &outcome);
        note_write(l, key, version, rc, outcome);
    } while (!life_note(l, rc, outcome) && again(l, since_ms, "SET", key->name, outcome));
}

static bool has_ended(const struct sherd_op *ops, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (ops[i].internal) return false;
    return true;
}

static int set_together(struct life *l, struct life_key *keys, struct sherd_op *ops, unsigned count)
{
    int rc = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned version = ++keys[i].last;
        ops[i] = (struct sherd_op){.kind = SHERD_OP_SET,
                                   .key = name_of(&keys[i]),
                                   .value = make_value(&keys[i], version, written[i])};
        rc = sherd_submit(l->client, &ops[i]);
        if (rc < 0) life_fail(l, "submit: %s", strerror(-rc));
    }
    while (rc >= 0 && !has_ended(ops, count))
        rc = sherd_poll(l->client, -1);
    return rc < 0 ? rc : 0;
}

void life_set_many(struct life *l, struct life_key *keys, unsigned count)
{
    uint64_t since_ms = life_now_ms();
    struct sherd_op ops[BATCH_MAX];
    bool done;

    do {
        int rc = set_together(l, keys, ops, count);
        if (rc < 0) {
            life_fail(l, "poll: %s", strerror(-rc));
            return;
        }
        done = true;
        for (unsigned i = 0; i < count; i++) {
            note_write(l, &keys[i], keys[i].last, 0, ops[i].outcome);
            if (!life_note(l, 0, ops[i].outcome)) done = false;
        }
    } while (!done && again(l, since_ms, "SET", "many keys", SHERD_OUTCOME_COUNT));
}

/* ADD and REPLACE may meet, and CAS miss, what an uncertain write left. */
static void check_condition(struct life *l, const struct life_key *key, enum sherd_op_kind kind,
                            enum sherd_outcome outcome)
{
    bool sure = key->possible_count == 1, exists = key->possible[0] != 0;

    if (!sure || (outcome != SHERD_CONFLICT && outcome != SHERD_NOT_FOUND)) return;
    if (kind == SHERD_OP_ADD && exists) return;
    if ((kind == SHERD_OP_REPLACE || kind == SHERD_OP_REMOVE) && !exists) return;
    life_fail(l, "operation %d on %s: %s", (int)kind, key->name, sherd_outcome_name(outcome));
}

static void note_step(struct life *l, struct life_key *key, const struct sherd_op *op, int rc)
{
    unsigned before[LIFE_POSSIBLE_MAX], count = key->possible_count;

    memcpy(before, key->possible, sizeof(before));
    if (rc == 0 && op->outcome == SHERD_OK) key->possible_count = 0;
    if (rc == 0 && op->outcome != SHERD_OK && op->outcome != SHERD_UNCERTAIN) return;
    for (unsigned i = 0; i < count; i++)
        add_possible(l, key, before[i] + 1);
    if (rc == 0 && op->outcome == SHERD_OK && op->kind == SHERD_OP_INCREMENT) {
        if (!may_hold(key, (unsigned)op->number))
            life_fail(l, "%s became %" PRId64, key->name, op->number);
        settle(key, (unsigned)op->number);
    }
    if (key->possible_count > 1) /* so that it stays short */
        life_get(l, key);
}

/* *over: nothing is left to be done. */
static int look(struct life *l, const struct life_key *key, struct sherd_op *op, bool *over)
{
    struct sherd_op at = {.kind = SHERD_OP_LOOK, .key = name_of(key)};
    int rc = sherd_run(l->client, &at);

    *over = rc < 0 || at.outcome != SHERD_OK;
    op->outcome = at.outcome;
    op->expect = at.result.version;
    return rc;
}

static void update_once(struct life *l, struct life_key *key, struct sherd_op *op, int *rc)
{
    bool steps = op->kind == SHERD_OP_INCREMENT || op->kind == SHERD_OP_APPEND, over = false;
    unsigned version = key->last + 1;

    *rc = 0;
    if (op->kind == SHERD_OP_CAS) *rc = look(l, key, op, &over);
    if (over) return;
    if (!steps) {
        key->last = version;
        op->value = make_value(key, version, written[0]);
    }
    *rc = sherd_run(l->client, op);
    if (*rc == 0) check_condition(l, key, op->kind, op->outcome);
    if (steps)
        note_step(l, key, op, *rc);
    else
        note_write(l, key, version, *rc, op->outcome);
    sherd_value_fini(&op->result);
}

void life_update(struct life *l, struct life_key *key, enum sherd_op_kind kind)
{
    uint64_t since_ms = life_now_ms();
    struct sherd_op op;
    int rc;

    do {
        op = (struct sherd_op){.kind = kind, .key = name_of(key), .delta = 1};
        if (kind == SHERD_OP_APPEND) op.value = (struct sherd_bytes){"a", 1};
        update_once(l, key, &op, &rc);
        if (!l->armed && rc == 0 && (op.outcome == SHERD_CONFLICT || op.outcome == SHERD_NOT_FOUND))
            return; /* it was there, or not there, already */
    } while (!life_note(l, rc, op.outcome) && again(l, since_ms, "update", key->name, op.outcome));
}

void life_delete(struct life *l, struct life_key *key, enum sherd_op_kind kind)
{
    uint64_t since_ms = life_now_ms();
    struct sherd_op op;
    int rc;

    do {
        op = (struct sherd_op){.kind = kind, .key = name_of(key)};
        rc = sherd_run(l->client, &op);
        if (rc == 0) check_condition(l, key, kind, op.outcome);
        if (rc == 0 && op.outcome == SHERD_NOT_FOUND) {
            if (!may_hold(key, 0)) life_fail(l, "%s is not there", key->name);
            settle(key, 0);
            return;
        }
        note_write(l, key, 0, rc, op.outcome);
    } while (!life_note(l, rc, op.outcome) && again(l, since_ms, "DELETE", key->name, op.outcome));
}

static void judge_value(struct life *l, struct life_key *key, enum sherd_outcome outcome,
                        const struct sherd_value *value)
{
    unsigned version = 0;
    bool ok = true;

    if (outcome == SHERD_OK)
        version = version_of(key, (struct sherd_bytes){value->data, value->size}, &ok);
    if (!ok)
        life_fail(l, "%s: %zu bytes that nobody wrote", key->name, value->size);
    else if (!may_hold(key, version))
        life_fail(l, "%s holds version %u, not %u (one of %u)", key->name, version,
                  key->possible[0], key->possible_count);
    settle(key, version);
}

void life_get(struct life *l, struct life_key *key)
{
    uint64_t since_ms = life_now_ms();
    enum sherd_outcome outcome;
    struct sherd_value value;
    int rc;

    do {
        value = (struct sherd_value){0};
        outcome = SHERD_OUTCOME_COUNT;
        rc = sherd_get(l->client, name_of(key), &outcome, &value);
        if (rc == 0 && outcome == SHERD_LOST) life_fail(l, "%s is said to be lost", key->name);
        if (rc == 0 && (outcome == SHERD_OK || outcome == SHERD_NOT_FOUND)) {
            judge_value(l, key, outcome, &value);
            outcome = SHERD_OK;
        }
        sherd_value_fini(&value);
    } while (!life_note(l, rc, outcome) && again(l, since_ms, "GET", key->name, outcome));
}

static bool is_whole(const struct sherd_op *op)
{
    for (unsigned i = 0; i < op->slot_count; i++)
        if (op->slots[i].state != SHERD_SLOT_HELD || op->slots[i].learner) return false;
    return op->slot_count == NODES;
}

/* Strict: until every node holds its shard. */
void life_explain(struct life *l, struct life_key *key)
{
    uint64_t since_ms = life_now_ms();
    struct sherd_op op;
    bool done;
    int rc;

    do {
        op = (struct sherd_op){.kind = SHERD_OP_EXPLAIN, .key = name_of(key)};
        rc = sherd_run(l->client, &op);
        if (rc == 0 && op.outcome == SHERD_NOT_FOUND && may_hold(key, 0)) op.outcome = SHERD_OK;
        done = life_note(l, rc, op.outcome) && (l->armed || op.slot_count == 0 || is_whole(&op));
        if (!done) sherd_poll(l->client, POLL_MS);
    } while (!done && again(l, since_ms, "all shards", key->name, op.outcome));
}

struct scanned {
    struct life *life;
    bool seen[LIFE_KEYS];
};

static bool on_key(void *context, struct sherd_bytes name, uint64_t size)
{
    struct scanned *s = context;

    for (unsigned i = 0; i < LIFE_KEYS; i++) {
        const struct life_key *key = &s->life->keys[i];
        if (strlen(key->name) != name.size || memcmp(key->name, name.data, name.size) != 0)
            continue;
        s->seen[i] = true;
        if (key->kind == LIFE_VALUE && size != key->size)
            life_fail(s->life, "the scan says that %s has %" PRIu64 " bytes", key->name, size);
    }
    return true;
}

static void judge_scan(struct life *l, const struct scanned *s)
{
    for (unsigned i = 0; i < LIFE_KEYS; i++) {
        const struct life_key *key = &l->keys[i];
        if (key->possible_count == 1 && s->seen[i] != (key->possible[0] != 0))
            life_fail(l, "the scan is wrong about %s", key->name);
    }
}

void life_scan(struct life *l)
{
    uint64_t since_ms = life_now_ms();
    enum sherd_outcome outcome;
    struct scanned s;
    int rc;

    do {
        s = (struct scanned){.life = l};
        outcome = SHERD_OUTCOME_COUNT;
        rc = sherd_scan(l->client, (struct sherd_bytes){NULL, 0}, on_key, &s, &outcome);
        if (rc == 0 && outcome == SHERD_OK) judge_scan(l, &s);
    } while (!life_note(l, rc, rc < 0 ? SHERD_OK : outcome) &&
             again(l, since_ms, "SCAN", "all keys", outcome));
}

/* Writes, and closes the client when some of it is on its way. */
void life_abandon(struct life *l, struct life_key *keys, unsigned count)
{
    struct sherd_op ops[BATCH_MAX];

    for (unsigned i = 0; i < count; i++) {
        unsigned version = ++keys[i].last;
        ops[i] = (struct sherd_op){.kind = SHERD_OP_SET,
                                   .key = name_of(&keys[i]),
                                   .value = make_value(&keys[i], version, written[i])};
        add_possible(l, &keys[i], version);
        if (sherd_submit(l->client, &ops[i]) < 0) life_fail(l, "submit");
    }
    sherd_poll(l->client, 0);
    sherd_close(l->client);
    l->client = NULL;
}
