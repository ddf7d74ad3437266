/* call_ids.h - what the id of a request says about who waits for its answer. */
#ifndef SHERD_CLIENT_CALL_IDS_H
#define SHERD_CLIENT_CALL_IDS_H

#include <stdint.h>

/* The three highest bits. An operation's: generation << 32 | index << 16 | round; a call's:
 * generation << 16 | index. */
#define SHERD_ID_PING (UINT64_C(1) << 63) /* a peer's own */
#define SHERD_ID_CALL (UINT64_C(1) << 62)
#define SHERD_ID_MAP  (UINT64_C(1) << 61)

#define SHERD_ID_GENERATION_MASK ((UINT32_C(1) << 29) - 1)

#endif
