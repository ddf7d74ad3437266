/* clock.h - the only place that reads a clock. Any thread. */
#ifndef SHERD_CLIENT_CLOCK_H
#define SHERD_CLIENT_CLOCK_H

#include <stdint.h>

/* Microseconds, monotonic: deadlines, hedges, latencies. Never 0. */
uint64_t sherd_clock_now_us(void);

/* Milliseconds since 1970: ballots, expiry. In builds with SHERD_DEV (CMake: Debug) the environment
 * variable SHERD_CLOCK_OFFSET_MS is added, as it was at the first call: for tests of wrong clocks;
 * test_hooks.h has a clock that jumps. */
uint64_t sherd_clock_wall_ms_now(void);

#endif
