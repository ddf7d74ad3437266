/* One round of READs, as a table: what the slots answer, whom it asks, and how it ends.
 *   events: one word each. Digits are slots; after = what they hold: - nothing, 5 prepared,
 *     5c committed, with x without an intact shard, with m metadata only, by commas
 *     R answer   S STALE of a newer epoch   L STALE of the same   N nack   g gone
 *     t its timer is due   e its timer, too early   h ten milliseconds later
 *     z half a second later   w the same, and nobody looks at the clock
 *   asked: a group per event, - for nobody; slots that are asked for metadata only after a ~ */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coord/reader.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { VALUE = 1, ALL = 2 };

/* clang-format off */
static const struct row {
    const char *name;
    uint8_t k, n, flags;
    uint32_t reachable;
    const char *events, *asked, *verdict; /* and the ballot chosen, 0: none */
} rows[] = {
    {"k shards, and r are enough",        4, 6, VALUE, 63, "R0123=5c", "0123 -", "complete 5"},
    {"three answers are not",             4, 6, VALUE, 63, "R012=5c", "0123 -", "running"},
    {"no value",                          4, 6, VALUE, 63, "R0123=-", "0123 -", "complete 0"},
    {"without the value: metadata",       4, 6, 0,     63, "R0123=5cm", "~0123 -", "complete 5"},
    {"replication: one shard, one more",  1, 3, VALUE, 7,  "R0=5c R1=5cm", "0~1 - -", "complete 5"},
    {"who is not reachable comes last",   4, 6, VALUE, 62, "R1234=5c", "1234 -", "complete 5"},
    {"one more after the hedging delay",  4, 6, VALUE, 63, "R012=5c t R4=5c", "0123 - 4 -", "complete 5"},
    {"... and one more",                  4, 6, VALUE, 63, "R012=5c t t R5=5c", "0123 - 4 5 -", "complete 5"},
    {"a lost connection asks the rest",   4, 6, VALUE, 63, "g0 R12345=5c", "0123 45 -", "complete 5"},
    {"a broken shard: another one",       4, 6, VALUE, 63, "R0=5cx R123=5c R4=5c", "0123 - 45 -", "complete 5"},
    {"broken where it was said intact: not again", 1, 3, VALUE, 7, "R0=5cx R1=5cm R1=5cx R2=5c", "0~1 - 1 2 -", "complete 5"},
    {"intact, and never sent: not a third time", 1, 3, VALUE, 7, "R0=5cm R1=5cm R0=5cm R1=5cm R1=5cm R2=5c", "0~1 - 0 1 1 2 -", "complete 5"},
    {"intact, and sent by nobody: read again", 1, 3, VALUE, 7, "R0=5cm R1=5cm R0=5cm R1=5cm R1=5cm R2=5cm R2=5cm", "0~1 - 0 1 1 2 2 -", "again"},
    {"... but not while metadata are on their way", 1, 3, VALUE, 7, "R0=5cm t R2=5cm R0=5cm R2=5cm", "0~1 - 2 0 2 -", "running"},
    {"what is pending may be enough",     2, 4, VALUE, 15, "R0=5c t R2=5cm R1=5c", "01 - 2 - -", "complete 5"},
    {"... or more than that",             2, 4, VALUE, 15, "R0=5c t t R3=5cm R1=5c", "01 - 2 3 - -", "complete 5"},
    {"a NACK is no answer",               4, 6, VALUE, 63, "N0 R12345=5c", "0123 45 -", "complete 5"},
    {"who was not asked is not heard",    4, 6, VALUE, 63, "R012=5c R5=5c", "0123 - -", "running"},
    {"who was not asked may go",          1, 3, VALUE, 7,  "g2 R0=5 R1=- R1=-", "0~1 - - 2 -", "running"},
    {"what comes after is ignored",       4, 6, VALUE, 63, "R0123=5c R0=6c S1", "0123 - - -", "complete 5"},
    {"... a lost connection and the time, too", 4, 6, VALUE, 63, "S0 g1 t", "0123 - - -", "stale"},
    {"a timer too early is none",         4, 6, VALUE, 63, "e", "0123 -", "running"},
    {"possible: the silent have 10 ms",   1, 3, VALUE, 7,  "t t R0=5 R1=- h", "0~1 2 - - - -", "possible 5"},
    {"all: the silent are not awaited for ever", 1, 3, VALUE | ALL, 7, "R0=5c w R1=5c", "0~12 - - -", "complete 5"},
    {"a newer epoch ends it",             4, 6, VALUE, 63, "S0", "0123 -", "stale"},
    {"a refusal of this one does not",    4, 6, VALUE, 63, "L0 R12345=5c", "0123 45 -", "complete 5"},
    {"in doubt, everybody is asked",      1, 3, VALUE, 7,  "R0=5 R1=- R2=5", "0~1 - 2 -", "complete 5"},
    {"possible, and nobody is left",      1, 3, VALUE, 7,  "R0=5 R1=- g2", "0~1 - 2 -", "possible 5"},
    {"possible, and one stays silent",    1, 3, VALUE, 7,  "R0=5 R1=- t", "0~1 - 2 -", "possible 5"},
    {"too few answer: read again",        1, 3, VALUE, 7,  "R0=5 g12", "0~1 - 2", "again"},
    {"nobody answers: read again",        1, 3, VALUE, 7,  "t z", "0~1 2 -", "again"},
    {"a newer write is in flight",        2, 4, VALUE, 15, "R0=5c R1=6c R2=6cx R3=6cx", "01 - 23 - -", "possible 6"},
    {"all: not before the last",          1, 3, VALUE | ALL, 7, "R01=5c R2=-", "0~12 - -", "complete 5"},
    {"metadata of enough: ask for shards", 2, 4, VALUE, 15, "R0=5c R1=5cm R1=5c", "01 - 1 -", "complete 5"},
    {"all: still waiting",                1, 3, VALUE | ALL, 7, "R01=5c", "0~12 -", "running"},
    {"all: but the gone",                 1, 3, VALUE | ALL, 7, "R01=5c g2", "0~12 - -", "complete 5"},
    {"all: not for ever",                 1, 3, VALUE | ALL, 7, "R01=5c z", "0~12 - -", "complete 5"},
};
/* clang-format on */

static struct sherd_reader r;
static struct sherd_effects out;
static struct sherd_env env;
static struct sherd_partition partition;
static char trace[128], *at;

static void note_asked(void)
{
    char *before = at;

    for (uint8_t i = 0; i < out.count; i++) {
        const struct sherd_effect *e = &out.list[i];
        assert_int_equal(e->message, SHERD_READ);
        for (uint8_t slot = 0; slot < 6; slot++)
            if (e->with_shard >> slot & 1) *at++ = (char)('0' + slot);
        if (e->slots != e->with_shard) *at++ = '~';
        for (uint8_t slot = 0; slot < 6; slot++)
            if ((e->slots & ~e->with_shard) >> slot & 1) *at++ = (char)('0' + slot);
    }
    if (at == before) *at++ = '-';
    *at++ = ' ';
}

static const char *parse_entry(const char *word, struct sherd_entry *e)
{
    *e = (struct sherd_entry){
        .ballot = {.clock = (uint64_t)(*word - '0'), .epoch = 1},
        .meta.size = 8,
        .has_shard = true,
        .shard = {"12345678",                       8         }
    };
    e->version = e->ballot;
    for (word++; *word && *word != ' ' && *word != ','; word++) {
        if (*word == 'c') e->committed = true;
        if (*word == 'x') e->has_shard = false;
        if (*word == 'm') e->shard.data = NULL;
    }
    return *word == ',' ? word + 1 : word;
}

static void answer(const char *word, uint8_t slot)
{
    struct sherd_answer a = {.kind = *word == 'R'   ? SHERD_STATE
                                     : *word == 'N' ? SHERD_NACK
                                                    : SHERD_STALE,
                             .epoch = *word == 'S' ? 2 : 1};
    const char *held = strchr(word, '=');

    while (*word == 'R' && *++held && *held != ' ' && *held != '-')
        held = parse_entry(held, &a.entries[a.entry_count++]) - 1;
    sherd_reader_answer(&r, slot, &a, &env, &out);
}

static void happen(const char *word)
{
    out.count = 0;
    if (*word == 't' && r.due_us > env.now_us) env.now_us = r.due_us;
    if (*word == 'h') env.now_us += 10000;
    if (*word == 'z' || *word == 'w') env.now_us += 500000;
    if (strchr("tehz", *word)) sherd_reader_timer(&r, &env, &out);
    for (const char *digit = word + 1; *digit >= '0' && *digit <= '5'; digit++) {
        uint8_t slot = (uint8_t)(*digit - '0');
        if (*word == 'g')
            sherd_reader_gone(&r, sherd_slot(slot), &env, &out);
        else
            answer(word, slot);
    }
    note_asked();
}

static const char *verdict(void)
{
    static const char *const names[] = {"running", "complete", "possible", "again", "stale"};
    static char text[32];
    bool chose = r.verdict == SHERD_READER_COMPLETE || r.verdict == SHERD_READER_POSSIBLE;

    if (!chose) return names[r.verdict];
    snprintf(text, sizeof(text), "%s %u", names[r.verdict],
             r.choice.seen ? (unsigned)r.choice.seen->ballot.clock : 0);
    return text;
}

static void start(const struct row *row, uint32_t hedge_us)
{
    partition =
        (struct sherd_partition){.epoch = 1, .voters = sherd_slots_below(row->n), .open_count = 1};
    partition.open[0] = (struct sherd_epoch){.epoch = 1, .voters = partition.voters};
    env = (struct sherd_env){.reachable = row->reachable, .hedge_us = hedge_us, .now_us = 1};
    memset(&r, 0, sizeof(r));
    r.partition = &partition;
    r.k = row->k;
    r.want_value = (row->flags & VALUE) != 0;
    r.ask_all = (row->flags & ALL) != 0;
    at = trace;
    out.count = 0;
    sherd_reader_start(&r, &env, &out);
    note_asked();
}

static void run_row(void **state)
{
    const struct row *row = *state;

    start(row, 5000);
    for (const char *word = row->events; *word; word += strcspn(word, " ")) {
        word += *word == ' ';
        happen(word);
    }
    at[-1] = '\0';
    assert_string_equal(trace, row->asked);
    assert_string_equal(verdict(), row->verdict);
}

/* Where answers take longer than a round may, hedging does not prolong it. */
static void a_long_hedge_ends_with_the_round(void **state)
{
    (void)state;
    start(&rows[0], 900000);
    assert_int_equal(r.due_us, 500001);
    start(&rows[0], 300000);
    assert_int_equal(r.due_us, 300001);
    happen("t");
    assert_int_equal(r.due_us, 500001);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 1] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(a_long_hedge_ends_with_the_round);
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
