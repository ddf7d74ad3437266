#include "tests/support/alloc_fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum { LIVE_MAX = 1 << 17 }; /* a power of two */

enum mode { OFF, COUNT, ONE, SITE_FROM, ANY, ALL_FROM, THREAD };

struct live {
    const void *block;
    uintptr_t site;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum mode mode;
static struct alloc_site sites[ALLOC_SITES_MAX];
static size_t site_count;
static uintptr_t chosen;
static pthread_t starved;
static uint64_t calls, nth;
static uint32_t failed;
static struct live live[LIVE_MAX]; /* by address, linear probing */
static size_t live_count;

/* The linker takes calls from libraries for wrapped ones too, which they are not, and wants these
 * to be visible. */
#pragma GCC visibility push(default)
/* NOLINTBEGIN(bugprone-reserved-identifier): the linker makes these names */
extern const char __executable_start[];
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);
int __real_zmq_msg_init_size(zmq_msg_t *m, size_t size);
int __real_zmq_msg_init_data(zmq_msg_t *m, void *data, size_t size, zmq_free_fn *done, void *hint);
int __wrap_zmq_msg_init_size(zmq_msg_t *m, size_t size);
int __wrap_zmq_msg_init_data(zmq_msg_t *m, void *data, size_t size, zmq_free_fn *done, void *hint);
/* NOLINTEND(bugprone-reserved-identifier) */
#pragma GCC visibility pop

/* ---- which call this is ---- */

static struct alloc_site *site_of(uintptr_t at)
{
    for (size_t i = 0; i < site_count; i++)
        if (sites[i].at == at) return &sites[i];
    if (site_count == ALLOC_SITES_MAX) abort();
    sites[site_count] = (struct alloc_site){at, 0};
    return &sites[site_count++];
}

static bool is_to_fail(uintptr_t at)
{
    struct alloc_site *site;
    bool fails;

    if (mode == OFF) return false;
    site = site_of(at);
    site->calls++;
    calls++;
    fails = (mode == ONE && at == chosen && site->calls == nth) ||
            (mode == SITE_FROM && at == chosen && site->calls >= nth) ||
            (mode == ANY && calls == nth) || (mode == ALL_FROM && calls >= nth) ||
            (mode == THREAD && pthread_equal(pthread_self(), starved));
    failed += fails;
    return fails;
}

bool alloc_fault_takes(uintptr_t at)
{
    bool fails;

    pthread_mutex_lock(&lock);
    fails = is_to_fail(at);
    pthread_mutex_unlock(&lock);
    if (fails) errno = ENOMEM;
    return fails;
}

/* Counts from 0 again; what a mode does not look at may be anything. */
static void arm(enum mode next, uintptr_t site, uint64_t number, pthread_t thread)
{
    pthread_mutex_lock(&lock);
    mode = next;
    site_count = 0;
    calls = 0;
    failed = 0;
    chosen = site;
    nth = number;
    starved = thread;
    pthread_mutex_unlock(&lock);
}

void alloc_fault_count(void) { arm(COUNT, 0, 0, pthread_self()); }

void alloc_fault_site(uintptr_t at, uint32_t number) { arm(ONE, at, number, pthread_self()); }

void alloc_fault_site_from(uintptr_t at, uint32_t number)
{
    arm(SITE_FROM, at, number, pthread_self());
}

void alloc_fault_once(uint64_t number) { arm(ANY, 0, number, pthread_self()); }

void alloc_fault_from(uint64_t number) { arm(ALL_FROM, 0, number, pthread_self()); }

void alloc_fault_thread(pthread_t thread) { arm(THREAD, 0, 0, thread); }

void alloc_fault_off(void)
{
    pthread_mutex_lock(&lock);
    mode = OFF;
    pthread_mutex_unlock(&lock);
}

uint32_t alloc_fault_failed(void)
{
    uint32_t count;

    pthread_mutex_lock(&lock);
    count = failed;
    pthread_mutex_unlock(&lock);
    return count;
}

size_t alloc_fault_sites(struct alloc_site out[ALLOC_SITES_MAX])
{
    size_t count;

    pthread_mutex_lock(&lock);
    count = site_count;
    memcpy(out, sites, count * sizeof(*out));
    pthread_mutex_unlock(&lock);
    return count;
}

/* ---- what is still held ---- */

static size_t home_of(const void *block)
{
    return (size_t)(((uintptr_t)block >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LIVE_MAX;
}

static void note(const void *block, uintptr_t site)
{
    size_t i = home_of(block);

    if (!block) return;
    pthread_mutex_lock(&lock);
    if (live_count > LIVE_MAX / 2) abort();
    while (live[i].block)
        i = (i + 1) % LIVE_MAX;
    live[i] = (struct live){block, site};
    live_count++;
    pthread_mutex_unlock(&lock);
}

/* Closes the gap at i: what comes after it, up to the next gap, may belong before it. */
static void remove_at(size_t i)
{
    size_t next = i;

    for (;;) {
        next = (next + 1) % LIVE_MAX;
        if (!live[next].block) break;
        size_t home = home_of(live[next].block);
        if ((next - home) % LIVE_MAX < (next - i) % LIVE_MAX) continue;
        live[i] = live[next];
        i = next;
    }
    live[i] = (struct live){NULL, 0};
    live_count--;
}

/* What a library gave away is not here: libc's and jansson's texts. Returns its site, or 0. */
static uintptr_t forget(const void *block)
{
    uintptr_t site = 0;
    size_t i = home_of(block);

    if (!block) return 0;
    pthread_mutex_lock(&lock);
    while (live[i].block && live[i].block != block)
        i = (i + 1) % LIVE_MAX;
    if (live[i].block) {
        site = live[i].site;
        remove_at(i);
    }
    pthread_mutex_unlock(&lock);
    return site;
}

size_t alloc_fault_live(uintptr_t *at)
{
    size_t count;

    pthread_mutex_lock(&lock);
    count = live_count;
    for (size_t i = 0; at && i < LIVE_MAX; i++)
        if (live[i].block) *at = live[i].site;
    pthread_mutex_unlock(&lock);
    return count;
}

/* ---- the functions ---- */

#define SITE ((uintptr_t)__builtin_return_address(0) - (uintptr_t)__executable_start)

/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__wrap_malloc(size_t size)
{
    void *block = alloc_fault_takes(SITE) ? NULL : __real_malloc(size);

    note(block, SITE);
    return block;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *block = alloc_fault_takes(SITE) ? NULL : __real_calloc(count, size);

    note(block, SITE);
    return block;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    void *block = alloc_fault_takes(SITE) ? NULL : __real_aligned_alloc(alignment, size);

    note(block, SITE);
    return block;
}

/* The old block is forgotten before: another thread may get its place. */
static void *resize(void *block, size_t size, uintptr_t site)
{
    uintptr_t before = forget(block);
    void *resized = __real_realloc(block, size);

    if (resized)
        note(resized, site);
    else if (before)
        note(block, before);
    return resized;
}

void *__wrap_realloc(void *block, size_t size)
{
    return alloc_fault_takes(SITE) ? NULL : resize(block, size, SITE);
}

void *__wrap_reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;

    if (alloc_fault_takes(SITE)) return NULL;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(block, bytes, SITE);
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = alloc_fault_takes(SITE) ? NULL : __real_malloc(size);

    note(copy, SITE);
    return copy ? memcpy(copy, text, size) : NULL;
}

void __wrap_free(void *block)
{
    forget(block);
    __real_free(block);
}

int __wrap_zmq_msg_init_size(zmq_msg_t *m, size_t size)
{
    return alloc_fault_takes(SITE) ? -1 : __real_zmq_msg_init_size(m, size);
}

int __wrap_zmq_msg_init_data(zmq_msg_t *m, void *data, size_t size, zmq_free_fn *done, void *hint)
{
    return alloc_fault_takes(SITE) ? -1 : __real_zmq_msg_init_data(m, data, size, done, hint);
}
/* NOLINTEND(bugprone-reserved-identifier) */
