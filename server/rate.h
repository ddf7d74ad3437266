/* rate.h - a cap on bytes a second: a token bucket that may go into debt by one item. */
#ifndef SHERD_SERVER_RATE_H
#define SHERD_SERVER_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { SHERD_RATE_BURST_MS = 100 };

struct sherd_rate {
    uint64_t bytes_per_second; /* 0: no cap */
    int64_t tokens;
    uint64_t filled_ms;
};

/* Brings the bucket up to date; at most SHERD_RATE_BURST_MS worth of bytes is saved up. */
static inline void sherd_rate_fill(struct sherd_rate *r, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - r->filled_ms;
    uint64_t most = r->bytes_per_second * SHERD_RATE_BURST_MS / 1000;

    if (passed_ms > 1000 || r->filled_ms == 0) passed_ms = 1000;
    r->filled_ms = now_ms;
    r->tokens += (int64_t)(r->bytes_per_second * passed_ms / 1000);
    if (r->tokens > (int64_t)most) r->tokens = (int64_t)most;
}

static inline bool sherd_rate_allows(const struct sherd_rate *r)
{
    return r->bytes_per_second == 0 || r->tokens > 0;
}

static inline void sherd_rate_take(struct sherd_rate *r, uint64_t bytes)
{
    if (r->bytes_per_second != 0) r->tokens -= (int64_t)bytes;
}

#endif
