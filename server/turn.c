#include "server/turn.h"

bool sherd_turn_hears(const struct sherd_turn *t, const struct sherd_partition *p, uint32_t slots)
{
    for (uint32_t rest = slots; rest != 0; rest &= rest - 1) {
        uint16_t node = p->node[sherd_slots_first(rest)];
        if (node != t->self && !sherd_engine_is_reachable(t->engine, node)) return false;
    }
    return true;
}
