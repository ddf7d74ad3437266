// clang-format off
/* test_hooks.h - where a test may end this process, and how it may shift its clock.
 *
 * Compiled only with the CMake option SHERD_TEST_HOOKS (preset dev); otherwise all of this is
 * nothing, and no build for users has a symbol of it (tests/tidy/hooks.sh).
 *
 *   SHERD_DIE_AT=STEP[:N]   SIGKILL the N-th time (1) that an operation of this process comes to:
 *     prepare_sent            the PREPAREs have left
 *     first_ack               one node has ACKed
 *     quorum                  as many nodes as it needs have ACKed
 *     before_commit           complete, no COMMIT has left
 *     commit_half             COMMITs have left to half the nodes
 *     abort_sent              the ABORTs have left
 *   SHERD_CLOCK_FILE=FILE   an int64 of milliseconds, mapped and added to the wall clock: whoever
 *                           writes to the file makes the clock jump */
// clang-format on
#ifndef SHERD_CLIENT_TEST_HOOKS_H
#define SHERD_CLIENT_TEST_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/message.h"

#ifdef SHERD_TEST_HOOKS

enum { SHERD_HAS_HOOKS = true };

/* Passes a SEND; returns the slots that it may go to. */
uint32_t sherd_hook_send(uint8_t message, uint32_t slots);

/* A write has its first ACK; it has all that it needs to be complete. Either, both or none. */
void sherd_hook_acks(bool first, bool complete);

/* After every flush. */
void sherd_hook_flushed(uint64_t now_us);

int64_t sherd_hook_clock_ms(void);

#else

enum { SHERD_HAS_HOOKS = false };

static inline uint32_t sherd_hook_send(uint8_t message, uint32_t slots)
{
    (void)message;
    return slots;
}

static inline void sherd_hook_acks(bool first, bool complete) { (void)first, (void)complete; }

static inline void sherd_hook_flushed(uint64_t now_us) { (void)now_us; }

static inline int64_t sherd_hook_clock_ms(void) { return 0; }

#endif

#endif
