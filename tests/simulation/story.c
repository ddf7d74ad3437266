#include "tests/simulation/story.h"

#include <stdio.h>

#include "tests/simulation/cluster.h"

struct sim_name sim_who(uint8_t address)
{
    struct sim_name name;

    if (address >= SIM_DAEMON)
        snprintf(name.text, sizeof(name.text), "daemon of node %u", address - SIM_DAEMON);
    else if (address >= SIM_CLIENT)
        snprintf(name.text, sizeof(name.text), "client %u", address - SIM_CLIENT);
    else if (address == SIM_KEEPER)
        snprintf(name.text, sizeof(name.text), "keeper");
    else
        snprintf(name.text, sizeof(name.text), "node %u", address);
    return name;
}

struct sim_name sim_ballot_name(struct sherd_ballot b)
{
    long long ms = (long long)sherd_clock_wall_ms(b.clock) - (long long)SIM_WALL_BASE_MS;
    struct sim_name name = {"none"};

    if (b.clock == 0 && b.epoch == 0) return name;
    if (b.clock == 0)
        snprintf(name.text, sizeof(name.text), "epoch %u", b.epoch);
    else
        snprintf(name.text, sizeof(name.text), "epoch %u at %lld.%u by %llu", b.epoch, ms,
                 (unsigned)(b.clock & 0xffff), (unsigned long long)b.client);
    return name;
}

const char *sim_message_name(uint8_t kind)
{
    switch (kind) {
#define NAME(name) \
    case SHERD_##name: return #name
        NAME(PREPARE);
        NAME(PROMISE);
        NAME(READ);
        NAME(COMMIT);
        NAME(ABORT);
        NAME(FORGET);
        NAME(INSERT);
        NAME(LIST);
        NAME(PING);
        NAME(GET_MAP);
        NAME(SEAL);
        NAME(LIVE);
        NAME(HEARTBEAT);
        NAME(ACK);
        NAME(NACK);
        NAME(PROMISED);
        NAME(STATE);
        NAME(ABORTED);
        NAME(STALE);
        NAME(PAGE);
        NAME(PONG);
        NAME(MAP);
        NAME(SEALED);
#undef NAME
    default: return "?";
    }
}

const char *sim_reason_name(uint8_t reason)
{
    static const char *const names[] = {
        [SHERD_REASON_NONE] = "",
        [SHERD_REASON_BALLOT] = " (a higher ballot)",
        [SHERD_REASON_VERSION] = " (not the expected version)",
        [SHERD_REASON_FULL] = " (no room)",
        [SHERD_REASON_CLOCK] = " (clock ahead)",
        [SHERD_REASON_UNDECIDED] = " (too many undecided)",
        [SHERD_REASON_DIFFERENT] = " (another value)",
        [SHERD_REASON_EPOCH] = " (another epoch)",
        [SHERD_REASON_SEALING] = " (sealing)",
        [SHERD_REASON_STRANGER] = " (no such slot here)",
        [SHERD_REASON_SESSION] = " (unknown session)",
        [SHERD_REASON_BAD] = " (bad)",
        [SHERD_REASON_LOST] = " (lost)",
    };

    return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : " (?)";
}
