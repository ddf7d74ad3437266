/* What a set of answers says of a key, as a table. One word a slot, in the order of slots:
 *   .       did not answer          -       answered: holds nothing
 *   5 5c    holds ballot 5, prepared or committed; 5x: without an intact shard; 5t: a tombstone;
 *           5e: conditional; 5g: expired; 7o: version 5 proposed again; 7r: and a RUN; joined by
 *           commas
 * A digit is the ballot's clock; its epoch is 1, or 2 after a prime: 5'
 * Epochs: "" for one clean epoch of all slots; else a word for each open epoch: one letter a slot,
 * v voted with the memory it has now, l voted, and lost its memory since, n had no vote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coord/choose.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { WALL_MS = 1000 };

/* clang-format off */
static const struct row {
    const char *name;
    uint8_t k;
    const char *epochs, *slots, *verdict; /* verdict: C complete, P possible, W wait, L lost; the
                                             ballot, 0: none; + something stands above */
} rows[] = {
    {"equal answers from r",                  4, "", "5c 5c 5c 5c . .",     "C5"},
    {"fewer than r answers",                  4, "", "5c 5c 5c . . .",      "W"},
    {"nothing anywhere",                      4, "", "- - - - . .",         "C0"},
    {"q hold it: complete, uncommitted",      4, "", "5 5 5 5 5 .",         "C5"},
    {"four of six, two silent: possible",     4, "", "5 5 5 5 . .",         "P5"},
    {"three of six, all heard: not complete", 4, "", "5 5 5 3c 3c 3c",      "L"},
    {"... the older one has its shards",      4, "", "3c,5 3c,5 3c 3c 3c .", "C3+"},
    {"never the older one while possible",    4, "", "3c,5 3c,5 3c,5 3c . .", "W"},
    {"committed at one is complete",          4, "", "5c 5 5 5 . .",        "C5"},
    {"complete, but too few shards heard",    4, "", "5c 5 5 3c . .",       "W"},
    {"broken shards do not count",            4, "", "5c 5cx 5c 5cx . .",   "W"},
    {"all heard, not rebuildable: lost",      4, "", "5c 5cx 5cx 5cx - -",  "L"},
    {"a tombstone needs one copy",            4, "", "5tc - - - . .",       "C5"},
    {"a tombstone may be possible",           4, "", "5t 5t 5t 3c . .",     "P5"},
    {"expired: a tombstone of its ballot",    4, "", "3c,5gc 3c,5gc 3c,5gc 3c,5gc . .", "C5"},
    {"... whose shards are not missed",       4, "", "5gcx - - - . .",      "C5"},
    {"1+2: two are enough",                   1, "", "5 5 .",               "C5"},
    {"1+2: one and one silent",               1, "", "5 - .",               "P5"},
    {"1+2: one, all heard",                   1, "", "5 - -",               "C0+"},
    {"a conditional one needs f",             1, "", "5e 5e .",             "P5"},
    {"... of which all are there",            1, "", "5e 5e 5e",            "C5"},
    {"... or one certainly is not",           1, "", "5e 5e -",             "C0+"},
    {"... and may have been overtaken: wait", 1, "", "5e - . .",            "W"},
    {"a later one covers it",                 1, "", "5,7c 7c 5",           "C7"},
    {"a lost memory is unknown",              1, "vvl vvn", "5 - .",        "P5"},
    {"... also when all answer",              1, "vvl vvn vvv", "5 - -",    "P5"},
    {"not fresh: two of three forgot",        1, "vll vnn", "5c . .",       "L"},
    {"an old epoch still open must be heard", 4, "vvvvll vvvvnn", "5c 5c 5c 5c . .", "C5"},
    {"a newer epoch's ballot is higher",      1, "vvv vvv", "7 5' 5'",      "C5'"},
    {"only who voted in its epoch counts",    1, "vvn vvv", "5 . 5",        "P5"},
    {"between the ends of a RUN: as unheard", 1, "", "5,9r 7o -",           "P7+"},
    {"... but not beyond them",               1, "", "5,6r 7o -",           "C0+"},
    {"... nor where it has no lower end",     1, "", "9r 7o -",             "C0+"},
    {"... nor toward complete",               1, "", "5,9r 7o 5,9r",        "C9"},
};
/* clang-format on */

static struct sherd_partition partition_of(const struct row *row, uint8_t n)
{
    struct sherd_partition p = {0};
    const char *word = row->epochs;

    for (uint8_t s = 0; s < n; s++)
        p.incarnation[s] = 100u + s;
    do {
        struct sherd_epoch *x = &p.open[p.open_count++];
        x->epoch = p.open_count;
        for (uint8_t s = 0; s < n; s++) {
            char c = *word ? word[s] : 'v';
            if (c == 'n') continue;
            x->voters |= sherd_slot(s);
            x->incarnation[s] = c == 'v' ? p.incarnation[s] : 1u + s;
        }
        p.epoch = x->epoch;
        p.voters = x->voters;
        word += strcspn(word, " ");
    } while (*word++);
    p.learners = sherd_slots_below(n) & ~p.voters;
    return p;
}

static const char *entry_of(const char *at, struct sherd_entry *e)
{
    *e = (struct sherd_entry){.has_shard = true, .meta.size = 8};
    bool again = false;

    e->ballot = (struct sherd_ballot){.clock = (uint64_t)(*at++ - '0'), .client = 1, .epoch = 1};
    for (; *at && !strchr(" ,", *at); at++) {
        if (*at == 'o' || *at == 'r') again = true;
        if (*at == 'r') e->meta.flags |= SHERD_META_RUN;
        if (*at == '\'') e->ballot.epoch = 2;
        if (*at == 'c') e->committed = true;
        if (*at == 'x' || *at == 't') e->has_shard = false;
        if (*at == 't') e->meta.flags |= SHERD_META_TOMBSTONE;
        if (*at == 'e') e->meta.flags |= SHERD_META_CONDITIONAL;
        if (*at == 'g') e->meta.expires_ms = WALL_MS - 1;
    }
    e->version = e->ballot;
    if (again) e->version.clock = 5;
    return *at == ',' ? at + 1 : at;
}

static uint8_t fold(const char *slots, struct sherd_answers *a)
{
    uint8_t slot = 0;

    sherd_answers_reset(a);
    for (const char *at = slots; *at; slot++) {
        struct sherd_entry entries[4];
        uint8_t count = 0;
        bool heard = *at != '.';
        while (*at && *at != ' ')
            if (strchr(".-", *at))
                at++;
            else
                at = entry_of(at, &entries[count++]);
        if (heard) sherd_answers_add(a, slot, entries, count);
        at += *at == ' ';
    }
    return slot;
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct sherd_answers answers;
    uint8_t n = fold(row->slots, &answers);
    struct sherd_partition p = partition_of(row, n);
    struct sherd_choice choice;
    char verdict[16];
    bool says = false;

    sherd_choose(&p, row->k, &answers, WALL_MS, &choice);
    says = choice.verdict == SHERD_CHOICE_COMPLETE || choice.verdict == SHERD_CHOICE_POSSIBLE;
    snprintf(verdict, sizeof(verdict), "%c", "WCPL"[choice.verdict]);
    if (says)
        snprintf(verdict + 1, sizeof(verdict) - 1, "%u%s%s",
                 choice.seen ? (unsigned)choice.seen->ballot.clock : 0,
                 choice.seen && choice.seen->ballot.epoch == 2 ? "'" : "", choice.above ? "+" : "");
    assert_string_equal(verdict, row->verdict);
}

static void quorums_are_those_of_the_protocol(void **state)
{
    static const struct {
        uint8_t k, m, q, r, f;
    } codes[] = {
        {4,  2, 5,  4,  5 },
        {1,  2, 2,  2,  3 },
        {2,  1, 3,  2,  3 },
        {2,  2, 3,  2,  3 },
        {6,  3, 8,  6,  8 },
        {8,  3, 10, 8,  10},
        {10, 4, 12, 10, 12},
        {1,  4, 3,  3,  5 },
        {1,  0, 1,  1,  1 }
    };

    (void)state;
    for (size_t i = 0; i < LEN(codes); i++) {
        struct sherd_quorum q = sherd_quorum_of((uint8_t)(codes[i].k + codes[i].m), codes[i].k);
        assert_int_equal(q.q, codes[i].q);
        assert_int_equal(q.r, codes[i].r);
        assert_int_equal(q.f, codes[i].f);
    }
}

/* More ballots than are followed: what was forgotten may be the answer. */
static void an_overflow_is_never_no_value(void **state)
{
    struct sherd_answers a;
    struct sherd_choice choice;
    struct row row = {.epochs = ""};
    struct sherd_partition p = partition_of(&row, 3);

    (void)state;
    sherd_answers_reset(&a);
    for (unsigned i = 0; i < SHERD_SEEN_MAX + 3; i++) {
        struct sherd_entry e = {
            .ballot = {.clock = 9 + i, .epoch = 1},
              .has_shard = true
        };
        e.version = e.ballot;
        sherd_answers_add(&a, 0, &e, 1);
    }
    sherd_answers_add(&a, 1, NULL, 0);
    sherd_answers_add(&a, 2, NULL, 0);
    sherd_choose(&p, 1, &a, WALL_MS, &choice);
    assert_int_equal(choice.verdict, SHERD_CHOICE_WAIT);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 2] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(quorums_are_those_of_the_protocol);
    tests[LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(an_overflow_is_never_no_value);
    return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
