#include "client/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "client/test_hooks.h"

enum { US_PER_S = 1000000, MS_PER_S = 1000, NS_PER_US = 1000, NS_PER_MS = 1000000 };

#ifdef SHERD_DEV
static int64_t offset_ms;

static void read_offset(void)
{
    const char *text = getenv("SHERD_CLOCK_OFFSET_MS");

    offset_ms = text ? strtoll(text, NULL, 10) : 0;
}

static uint64_t add_offset(uint64_t wall_ms)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, read_offset);
    return wall_ms + (uint64_t)offset_ms;
}
#else
static uint64_t add_offset(uint64_t wall_ms) { return wall_ms; }
#endif

uint64_t sherd_clock_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / NS_PER_US + 1;
}

uint64_t sherd_clock_wall_ms_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return add_offset((uint64_t)t.tv_sec * MS_PER_S + (uint64_t)t.tv_nsec / NS_PER_MS) +
           (uint64_t)sherd_hook_clock_ms();
}
