#include "tests/history/memo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 256, FAST_PLACES = 1 << 18 };

void *history_resize(void *memory, size_t count, size_t size)
{
    void *result = reallocarray(memory, count, size);

    if (result || count == 0) return result;
    fprintf(stderr, "history: no memory for %zu times %zu bytes\n", count, size);
    abort();
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct history_hash history_hash_of(uint64_t number, uint64_t kind)
{
    uint64_t a = mix(number + (kind + 1) * UINT64_C(0x9e3779b97f4a7c15));

    return (struct history_hash){a, mix(a + UINT64_C(0x9e3779b97f4a7c15) * (number ^ ~kind))};
}

void history_memo_reset(struct history_memo *m)
{
    if (m->room < PLACES_MIN) {
        m->place = history_resize(m->place, PLACES_MIN, sizeof(m->place[0]));
        m->room = PLACES_MIN;
    }
    m->places = PLACES_MIN;
    m->count = 0;
    memset(m->place, 0, m->places * sizeof(m->place[0]));
}

void history_memo_fini(struct history_memo *m)
{
    free(m->place);
    free(m->spare);
    *m = (struct history_memo){0};
}

/* A place of zeros is empty: history_memo_add() sees to it that no key is. */
static bool is_empty(const struct history_place *place)
{
    return (place->key.a | place->key.b) == 0;
}

static bool is_key(const struct history_place *place, struct history_hash key)
{
    return place->key.a == key.a && place->key.b == key.b;
}

static bool no_more(const uint32_t a[HISTORY_SPENT], const uint32_t b[HISTORY_SPENT])
{
    return a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2] && a[3] <= b[3];
}

static void put(struct history_memo *m, const struct history_place *state)
{
    size_t at = state->key.a & (m->places - 1);

    while (!is_empty(&m->place[at]))
        at = (at + 1) & (m->places - 1);
    m->place[at] = *state;
}

/* Into the other table; the two change places. */
static void grow(struct history_memo *m)
{
    struct history_place *old = m->place;
    size_t old_places = m->places, old_room = m->room;

    m->places *= m->places < FAST_PLACES ? 4 : 2;
    if (m->spare_room < m->places) {
        m->spare = history_resize(m->spare, m->places, sizeof(m->spare[0]));
        m->spare_room = m->places;
    }
    m->place = m->spare;
    m->room = m->spare_room;
    m->spare = old;
    m->spare_room = old_room;
    memset(m->place, 0, m->places * sizeof(m->place[0]));
    for (size_t i = 0; i < old_places; i++)
        if (!is_empty(&old[i])) put(m, &old[i]);
}

bool history_memo_add(struct history_memo *m, struct history_hash key,
                      const uint32_t spent[HISTORY_SPENT])
{
    struct history_place *better = NULL;
    size_t at = 0;

    if (key.a == 0 && key.b == 0) key.a = 1;
    if (3 * m->count >= 2 * m->places) grow(m);
    for (at = key.a & (m->places - 1); !is_empty(&m->place[at]); at = (at + 1) & (m->places - 1)) {
        if (!is_key(&m->place[at], key)) continue;
        if (no_more(m->place[at].spent, spent)) return false;
        if (no_more(spent, m->place[at].spent)) better = &m->place[at];
    }
    if (!better) {
        better = &m->place[at];
        better->key = key;
        m->count++;
    }
    memcpy(better->spent, spent, sizeof(better->spent));
    return true;
}
