#include "client/test_hooks.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum step { NEVER, PREPARE_SENT, FIRST_ACK, QUORUM, BEFORE_COMMIT, COMMIT_HALF, ABORT_SENT };

enum {
    COMMIT_LEAVES_US = 2000, /* it rides with other messages, or leaves after a millisecond */
    SEND_US = 2000,          /* for ZeroMQ's thread to bring to the kernel what it was given */
};

static enum step die_at;
static atomic_long left;          /* until the chosen one */
static atomic_uint_least64_t due; /* 0: not yet; else after the first flush from then on */
static const _Atomic int64_t *clock_ms;
static const _Atomic int64_t no_offset;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static enum step step_of(const char *text, size_t size)
{
    static const char *const names[] = {[NEVER] = "never",
                                        [PREPARE_SENT] = "prepare_sent",
                                        [FIRST_ACK] = "first_ack",
                                        [QUORUM] = "quorum",
                                        [ABORT_SENT] = "abort_sent",
                                        [BEFORE_COMMIT] = "before_commit",
                                        [COMMIT_HALF] = "commit_half"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0) return (enum step)i;
    abort(); /* a test that misspells it would test nothing */
}

static void map_clock(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*clock_ms), PROT_READ, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED) abort();
    close(fd);
    clock_ms = at;
}

static void read_environment(void)
{
    const char *step = getenv("SHERD_DIE_AT"), *file = getenv("SHERD_CLOCK_FILE");
    size_t size = step ? strcspn(step, ":") : 0;

    clock_ms = &no_offset;
    if (file) map_clock(file);
    if (!step) return;
    die_at = step_of(step, size);
    left = step[size] == ':' ? strtol(step + size + 1, NULL, 10) : 1;
}

/* Whether this is the one. */
static bool is_due(enum step step)
{
    pthread_once(&once, read_environment);
    return die_at == step && atomic_fetch_sub(&left, 1) == 1;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

uint32_t sherd_hook_send(uint8_t message, uint32_t slots)
{
    uint32_t half = 0;

    if (message == SHERD_PREPARE && is_due(PREPARE_SENT)) due = 1;
    if (message == SHERD_ABORT && is_due(ABORT_SENT)) due = 1;
    if (message != SHERD_COMMIT) return slots;
    if (is_due(BEFORE_COMMIT)) die();
    if (!is_due(COMMIT_HALF)) return slots;
    due = 2; /* counted from the next flush */
    for (int i = __builtin_popcount(slots) / 2; i > 0; i--) {
        half |= slots & -slots;
        slots &= slots - 1;
    }
    return half;
}

void sherd_hook_acks(bool first, bool complete)
{
    if (first && is_due(FIRST_ACK)) die();
    if (complete && is_due(QUORUM)) die();
}

void sherd_hook_flushed(uint64_t now_us)
{
    if (due == 0) return;
    if (due == 2) due = now_us + COMMIT_LEAVES_US;
    if (now_us < due) return;
    usleep(SEND_US);
    die();
}

int64_t sherd_hook_clock_ms(void)
{
    pthread_once(&once, read_environment);
    return atomic_load(clock_ms);
}
