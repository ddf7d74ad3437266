/* One PROMISE round, as a table. Events, one word each; digits are slots:
 *   M promised; after = what they hold: - nothing, 5 prepared, 5c committed, 5x without a shard
 *   N nack (9)   S STALE of a newer epoch   L STALE of this one   g gone   t its timer is due
 *   e its timer, too early */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coord/finisher.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct row {
    const char *name;
    uint8_t k, n;
    const char *events, *verdict; /* and the ballot chosen, 0: none */
} rows[] = {
    {"fewer than q promises",              4, 6, "M0123=5c", "running"},
    {"complete, nothing above",            4, 6, "M01234=5c", "clean 5"},
    {"no value, nothing above",            4, 6, "M01234=-", "clean 0"},
    {"what may be complete is proposed",   4, 6, "M0123=5 M4=-", "propose 5"},
    {"... also when q hold it, unsure",    4, 6, "M01234=5", "clean 5"},
    {"what lies above is passed over",     4, 6, "M012=5c M3=5c,6 M4=5c", "propose 5"},
    {"never complete, nothing else",       4, 6, "M0=5 M1234=-", "propose 0"},
    {"one NACK is harmless",               4, 6, "N0 M12345=5c", "clean 5"},
    {"more than n-q refuse: again",        4, 6, "N01", "again"},
    {"a lost connection is no promise",    4, 6, "g0 N1", "again"},
    {"a newer epoch ends it",              4, 6, "M0=5 S1", "stale"},
    {"a STALE of this one does not",       4, 6, "L0 M12345=5c", "clean 5"},
    {"an answer twice counts once",        4, 6, "M0000000=5c", "running"},
    {"who promised cannot refuse any more", 4, 6, "M0=5c N01", "running"},
    {"nobody answers: again",              4, 6, "M0=5 t", "again"},
    {"not rebuildable, one silent: again", 4, 6, "M01234=5cx t", "again"},
    {"not rebuildable, all heard: lost",   4, 6, "M012345=5cx", "lost"},
    {"a timer too early is none",          4, 6, "M0=5 e", "running"},
    {"who holds no slot is not heard",     1, 3, "M5=5c M0=5 M1=-", "propose 5"},
    {"... and may go",                     1, 3, "g345 N0", "running"},
    {"who promised may go",                4, 6, "M01=5c g01 M234=5c", "clean 5"},
    {"what comes after is ignored",        4, 6, "M01234=5c S5 t", "clean 5"},
    {"... a lost connection, too",         4, 6, "S1 g2345 t", "stale"},
    {"replication: two of three",          1, 3, "M0=5 M1=-", "propose 5"},
};
/* clang-format on */

static struct sherd_finisher f;
static struct sherd_env env;

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
    }
    return *word == ',' ? word + 1 : word;
}

static void answer(const char *word, uint8_t slot)
{
    struct sherd_answer a = {
        .epoch = *word == 'S' ? 2 : 1, .max = {.clock = 9, .epoch = 1}
    };
    const char *held = strchr(word, '=');

    a.kind = *word == 'M' ? SHERD_PROMISED : *word == 'N' ? SHERD_NACK : SHERD_STALE;
    while (*word == 'M' && *++held && *held != ' ' && *held != '-')
        held = parse_entry(held, &a.entries[a.entry_count++]) - 1;
    sherd_finisher_answer(&f, slot, &a, &env);
}

static void happen(const char *word)
{
    if (*word == 't') env.now_us = f.due_us;
    if (*word == 't' || *word == 'e') sherd_finisher_timer(&f, &env);
    for (const char *digit = word + 1; *digit >= '0' && *digit <= '5'; digit++) {
        uint8_t slot = (uint8_t)(*digit - '0');
        if (*word == 'g')
            sherd_finisher_gone(&f, sherd_slot(slot), &env);
        else
            answer(word, slot);
    }
}

static const char *verdict(void)
{
    static const char *const names[] = {"running", "clean", "propose", "lost", "again", "stale"};
    static char text[32];
    bool chose = f.verdict == SHERD_FINISHER_CLEAN || f.verdict == SHERD_FINISHER_PROPOSE;

    if (!chose) return names[f.verdict];
    snprintf(text, sizeof(text), "%s %u", names[f.verdict],
             f.choice.seen ? (unsigned)f.choice.seen->ballot.clock : 0);
    return text;
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct sherd_partition partition = {
        .epoch = 1, .voters = sherd_slots_below(row->n), .open_count = 1};
    struct sherd_effects out = {0};

    partition.open[0] = (struct sherd_epoch){.epoch = 1, .voters = partition.voters};
    env = (struct sherd_env){.now_us = 1};
    memset(&f, 0, sizeof(f));
    f.partition = &partition;
    f.k = row->k;
    sherd_finisher_start(&f, &env, &out);
    assert_int_equal(out.count, 1); /* everybody, with shards: they may be needed */
    assert_int_equal(out.list[0].message, SHERD_PROMISE);
    assert_int_equal(out.list[0].slots, partition.voters);
    assert_int_equal(out.list[0].with_shard, partition.voters);
    for (const char *word = row->events; *word; word += strcspn(word, " ")) {
        word += *word == ' ';
        happen(word);
    }
    assert_string_equal(verdict(), row->verdict);
    if (strchr(row->events, 'N')) assert_int_equal(f.max.clock, 9);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests_name("finisher", tests, NULL, NULL);
}
