/* keys.h - many keys with values that tell whether they are what they should be.
 *
 * Key i is a text of 16 bytes, its value of sizes[i % size_count] bytes that follow from (i,
 * sequence, size) alone: a reader can tell a value that was never written, or was put together from
 * two, from every good one. From CONTENT_HEADER bytes on a value also says which it is. */
#ifndef SHERD_TESTS_CLUSTER_KEYS_H
#define SHERD_TESTS_CLUSTER_KEYS_H

#include <sherd/sherd.h>

#include "tests/cluster/report.h"

enum { KEY_BYTES = 16, CONTENT_HEADER = 16 };

void content_fill(void *out, size_t size, uint32_t key, uint32_t sequence);
bool content_is(const void *data, size_t size, uint32_t key, uint32_t sequence);

/* Reads the header and checks every byte against it. False: these bytes were never a value of this
 * key. */
bool content_read(const void *data, size_t size, uint32_t key, uint32_t *sequence);

void key_text(uint32_t key, char out[KEY_BYTES + 1]);

struct keys {
    uint32_t first, count; /* keys first .. first + count - 1 */
    const uint32_t *sizes;
    size_t size_count;
    uint32_t *written; /* [i]: sequence of key first + i that was acknowledged last; 0: none */
    uint32_t *tried;   /* ... that was submitted last */
};

void keys_init(struct keys *k, uint32_t first, uint32_t count, const uint32_t *sizes,
               size_t size_count);
void keys_fini(struct keys *k);

/* What became of operations. Every outcome that the job did not ask for is a failure; so are wrong
 * bytes. */
struct tally {
    uint64_t reads, writes, failed;
    uint64_t bytes;
    uint64_t slowest_us;
    uint64_t outcomes[SHERD_OUTCOME_COUNT];
    char first_failure[200];
};

struct keys_job {
    uint32_t first, count; /* indices of keys, from 0 */
    uint32_t timeout_ms;   /* 0: the client's */
    unsigned depth;        /* how many at once; 0: 1 */
    bool write;            /* the next sequence; otherwise read and compare */
    enum sherd_outcome expect;
};

/* Runs operations on a range of keys; adds to the tally. Any thread, each with keys of its own. */
void keys_run(struct keys *k, struct sherd_client *client, const struct keys_job *job,
              struct tally *tally);

/* All of them, 32 at once; the test fails if one fails. Main thread. */
void keys_write_all(struct keys *k, struct sherd_client *client);
void keys_expect_all(struct keys *k, struct sherd_client *client, const char *when);

void tally_add(struct tally *sum, const struct tally *t);
void tally_say(const char *what, const struct tally *t);

#endif
