#include "tests/history/memo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 256 };

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
static struct history_hash *find(const struct history_memo *m, struct history_hash key)
{
    size_t at = key.a & (m->places - 1);

    while ((m->place[at].a | m->place[at].b) != 0 &&
           (m->place[at].a != key.a || m->place[at].b != key.b))
        at = (at + 1) & (m->places - 1);
    return &m->place[at];
}

/* Into the other table; the two change places. */
static void grow(struct history_memo *m)
{
    struct history_hash *old = m->place;
    size_t old_places = m->places, old_room = m->room;

    m->places = 4 * old_places;
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
        if (old[i].a | old[i].b) *find(m, old[i]) = old[i];
}

bool history_memo_add(struct history_memo *m, struct history_hash key)
{
    struct history_hash *place = NULL;

    if (key.a == 0 && key.b == 0) key.a = 1;
    if (3 * m->count >= 2 * m->places) grow(m);
    place = find(m, key);
    if (place->a | place->b) return false;
    *place = key;
    m->count++;
    return true;
}
