#include "tests/cluster/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_AT_ONCE = 32 };

/* ---- Content ---- */

static uint64_t word_seed(size_t size, uint32_t key, uint32_t sequence)
{
    return (uint64_t)key << 32 ^ (uint64_t)sequence << 8 ^ (uint64_t)size * 0xd6e8feb86659fd93;
}

/* Calls for each piece of up to 8 bytes of the filler; the header comes first where it fits. */
static size_t make_header(size_t size, uint32_t key, uint32_t sequence, uint8_t out[CONTENT_HEADER])
{
    uint32_t words[4] = {0x64726573, key, sequence, (uint32_t)size};

    if (size < CONTENT_HEADER) return 0;
    memcpy(out, words, sizeof(words));
    return sizeof(words);
}

void content_fill(void *out, size_t size, uint32_t key, uint32_t sequence)
{
    uint64_t state = word_seed(size, key, sequence);
    uint8_t header[CONTENT_HEADER];
    uint8_t *at = out, *end = at + size;
    size_t done = make_header(size, key, sequence, header);

    memcpy(at, header, done);
    for (at += done; at < end; at += 8) {
        uint64_t word = test_random(&state);
        memcpy(at, &word, (size_t)(end - at) < 8 ? (size_t)(end - at) : 8);
    }
}

bool content_is(const void *data, size_t size, uint32_t key, uint32_t sequence)
{
    uint64_t state = word_seed(size, key, sequence);
    uint8_t header[CONTENT_HEADER];
    const uint8_t *at = data, *end = at + size;
    size_t done = make_header(size, key, sequence, header);

    if (done > 0 && memcmp(at, header, done) != 0) return false;
    for (at += done; at < end; at += 8) {
        uint64_t word = test_random(&state);
        if (memcmp(at, &word, (size_t)(end - at) < 8 ? (size_t)(end - at) : 8) != 0) return false;
    }
    return true;
}

bool content_read(const void *data, size_t size, uint32_t key, uint32_t *sequence)
{
    if (size < CONTENT_HEADER) return false;
    memcpy(sequence, (const uint8_t *)data + 8, sizeof(*sequence));
    return content_is(data, size, key, *sequence);
}

void key_text(uint32_t key, char out[KEY_BYTES + 1])
{
    snprintf(out, KEY_BYTES + 1, "cluster-%08x", key);
}

/* ---- Keys ---- */

void keys_init(struct keys *k, uint32_t first, uint32_t count, const uint32_t *sizes,
               size_t size_count)
{
    *k = (struct keys){first, count, sizes, size_count, NULL, NULL};
    k->written = calloc(count, sizeof(*k->written));
    k->tried = calloc(count, sizeof(*k->tried));
    if (k->written == NULL || k->tried == NULL) test_fail("no memory for %u keys", count);
}

void keys_fini(struct keys *k)
{
    free(k->written);
    free(k->tried);
    *k = (struct keys){0};
}

static uint32_t size_of(const struct keys *k, uint32_t i) { return k->sizes[i % k->size_count]; }

/* ---- Jobs ---- */

struct run {
    struct keys *keys;
    struct sherd_client *client;
    const struct keys_job *job;
    struct tally *tally;
    uint32_t next; /* index of the key that is not submitted yet */
    unsigned busy;
};

struct slot {
    struct run *run;
    struct sherd_op op;
    uint32_t index;
    uint64_t began_us;
    char key[KEY_BYTES + 1];
    uint8_t *value;
    size_t capacity;
};

static void note_failure(struct tally *t, const struct slot *s, const char *what)
{
    t->failed++;
    if (t->first_failure[0] != '\0') return;
    snprintf(t->first_failure, sizeof(t->first_failure), "%s of %s (%u bytes): %s after %.1f ms",
             s->run->job->write ? "write" : "read", s->key, size_of(s->run->keys, s->index), what,
             (double)(test_now_us() - s->began_us) / 1000);
}

/* What a read gave is what was acknowledged last. */
static const char *judge_read(const struct slot *s)
{
    const struct keys *k = s->run->keys;
    const struct sherd_value *v = &s->op.result;
    uint32_t sequence = k->written[s->index];

    if (v->size != size_of(k, s->index)) return "wrong size";
    if (!content_is(v->data, v->size, k->first + s->index, sequence)) return "wrong bytes";
    return NULL;
}

static void judge(struct slot *s)
{
    struct run *run = s->run;
    struct tally *t = run->tally;
    uint64_t took_us = test_now_us() - s->began_us;
    enum sherd_outcome expect = run->job->expect;
    const char *wrong = NULL;

    if (!run->job->write && expect == SHERD_OK && run->keys->written[s->index] == 0)
        expect = SHERD_NOT_FOUND;
    t->outcomes[s->op.outcome]++;
    if (took_us > t->slowest_us) t->slowest_us = took_us;
    if (s->op.outcome != expect)
        wrong = sherd_outcome_name(s->op.outcome);
    else if (s->op.outcome == SHERD_OK && !run->job->write)
        wrong = judge_read(s);
    if (s->op.outcome == SHERD_OK && run->job->write)
        run->keys->written[s->index] = run->keys->tried[s->index];
    if (wrong != NULL) note_failure(t, s, wrong);
    if (run->job->write)
        t->writes++;
    else
        t->reads++;
    t->bytes += run->job->write ? s->op.value.size : s->op.result.size;
}

static void make_room(struct slot *s, size_t size)
{
    if (s->capacity >= size && s->value != NULL) return;
    free(s->value);
    s->capacity = size > 64 ? size : 64;
    s->value = malloc(s->capacity);
    if (s->value == NULL) abort();
}

static void begin(struct slot *s);

static void on_done(struct sherd_op *op)
{
    struct slot *s = op->context;

    judge(s);
    sherd_value_fini(&op->result);
    s->run->busy--;
    begin(s);
}

/* Submits the next operation of the job, if there is one. */
static void begin(struct slot *s)
{
    struct run *run = s->run;
    struct keys *k = run->keys;
    uint32_t size;
    int rc;

    if (run->next == run->job->first + run->job->count) return;
    s->index = run->next++;
    size = size_of(k, s->index);
    key_text(k->first + s->index, s->key);
    s->op = (struct sherd_op){
        .kind = run->job->write ? SHERD_OP_SET : SHERD_OP_GET,
        .key = {s->key, KEY_BYTES},
        .timeout_ms = run->job->timeout_ms,
        .done = on_done,
        .context = s
    };
    if (run->job->write) {
        make_room(s, size);
        content_fill(s->value, size, k->first + s->index, ++k->tried[s->index]);
        s->op.value = (struct sherd_bytes){s->value, size};
    }
    s->began_us = test_now_us();
    rc = sherd_submit(run->client, &s->op);
    if (rc == 0)
        run->busy++;
    else
        note_failure(run->tally, s, strerror(-rc));
}

void keys_run(struct keys *k, struct sherd_client *client, const struct keys_job *job,
              struct tally *tally)
{
    struct run run = {k, client, job, tally, job->first, 0};
    unsigned depth = job->depth > 0 ? job->depth : 1;
    struct slot *slots = calloc(depth, sizeof(*slots));

    if (slots == NULL) abort();
    for (unsigned i = 0; i < depth; i++) {
        slots[i].run = &run;
        begin(&slots[i]);
    }
    while (run.busy > 0) {
        int rc = sherd_poll(client, -1);
        if (rc >= 0 || rc == -EINTR) continue;
        snprintf(tally->first_failure, sizeof(tally->first_failure), "sherd_poll: %s",
                 strerror(-rc));
        tally->failed++;
        break;
    }
    for (unsigned i = 0; i < depth; i++)
        free(slots[i].value);
    free(slots);
}

static void run_all(struct keys *k, struct sherd_client *client, bool write, const char *when)
{
    struct keys_job job = {.count = k->count, .depth = ALL_AT_ONCE, .write = write};
    struct tally tally = {0};

    keys_run(k, client, &job, &tally);
    if (tally.failed > 0)
        test_fail("%s: %llu of %u operations failed; the first: %s", when,
                  (unsigned long long)tally.failed, k->count, tally.first_failure);
}

void keys_write_all(struct keys *k, struct sherd_client *client)
{
    run_all(k, client, true, "storing");
}

void keys_expect_all(struct keys *k, struct sherd_client *client, const char *when)
{
    run_all(k, client, false, when);
}

/* ---- Tallies ---- */

void tally_add(struct tally *sum, const struct tally *t)
{
    sum->reads += t->reads;
    sum->writes += t->writes;
    sum->failed += t->failed;
    sum->bytes += t->bytes;
    if (t->slowest_us > sum->slowest_us) sum->slowest_us = t->slowest_us;
    for (size_t i = 0; i < LEN(t->outcomes); i++)
        sum->outcomes[i] += t->outcomes[i];
    if (sum->first_failure[0] == '\0')
        memcpy(sum->first_failure, t->first_failure, sizeof(sum->first_failure));
}

void tally_say(const char *what, const struct tally *t)
{
    char outcomes[300] = "";
    size_t size = 0;

    for (size_t i = 0; i < LEN(t->outcomes); i++)
        if (t->outcomes[i] > 0 && size < sizeof(outcomes))
            size += (size_t)snprintf(outcomes + size, sizeof(outcomes) - size, " %s %llu",
                                     sherd_outcome_name((enum sherd_outcome)i),
                                     (unsigned long long)t->outcomes[i]);
    test_say("%s: %llu reads, %llu writes, %llu failed;%s; slowest %.1f ms", what,
             (unsigned long long)t->reads, (unsigned long long)t->writes,
             (unsigned long long)t->failed, outcomes, (double)t->slowest_us / 1000);
    if (t->first_failure[0] != '\0') test_say("%s: the first failure: %s", what, t->first_failure);
}
