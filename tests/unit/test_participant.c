/* One key on one node, as a table of scripts: what comes in, what is answered, what is held at the
 * end. A step is a letter, a ballot (one digit: its clock), and the answer that it must give:
 *   P prepare   p prepare of a Finish     E prepare with expect = the digit after it (0: no value)
 *   T prepare of a tombstone   L prepare of the marker of a loss
 *   M promise  R read   C commit   A abort   a abort, outvoted
 *   I insert, committed   i insert    F forget (the floor passes everything first)
 *   q prepare of a Finish that chose the digit after it, of the first version; r also a RUN; Q no
 * room f forget, l prepare: while the floor is at the digit after it    u forget, while not clean
 *   e, g  as E, while the floor is at the digit after that, in a clean epoch (e) or not (g)
 * Answers: + ack   b nack(ballot)  v nack(version)  u nack(undecided)  f nack(full)
 *          m promised  s state  x aborted  X aborted, exposed
 * What is held: ballots ascending, each with c when committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coord/participant.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct row {
    const char *name, *script, *held;
    bool full;
} rows[] = {
    {"a write, whole",                         "P5+ C5+",             "5c", false},
    {"the same PREPARE twice",                 "P5+ P5+",             "5",  false},
    {"an older one comes too late",            "P5+ P4b",             "5",  false},
    {"undecided ones pile up in order",        "P3+ P5+ P7+",         "357", false},
    {"COMMIT drops what is below",             "P3+ P5+ P7+ C5+",     "5c7", false},
    {"COMMIT of what is not here drops nothing", "P3+ C5+",           "3",  false},
    {"a promise refuses lower ballots",        "M5m P4b M4b P5+",     "5",  false},
    {"a promise is kept under a newer entry",  "P3+ M5m P5+ C5+ P7+ C7+ A3X", "7c", false},
    {"ABORT drops, and refuses for good",      "P5+ A5x P5b P6+",     "6",  false},
    {"ABORT before the PREPARE",               "A5x P5b",             "",   false},
    {"a promise exposes",                      "P5+ M6m A5X",         "5",  false},
    {"a COMMIT exposes",                       "P5+ C5+ A5X",         "5c", false},
    {"a READ exposes",                         "P5+ Rs A5X",          "5",  false},
    {"... not to a writer that was outvoted",  "P5+ Rs a5x",          "",   false},
    {"what was overtaken is exposed",          "P5+ Rs P7+ C7+ A5X",  "7c", false},
    {"expect no value",                        "E50+ C5+ E60v",       "5c", false},
    {"expect the newest version",              "P5+ C5+ E65+",        "5c6", false},
    {"an undecided entry is the newest",       "P5+ C5+ P6+ E75v E86+", "5c68", false},
    {"a NACK for the version is for good",     "P5+ C5+ E64v P6b",    "5c", false},
    {"a tombstone is expected by its version", "T5+ C5+ E60v E75+",   "5c7", false},
    {"... and only by its own",                "T5+ C5+ T6+ E75v",    "5c6", false},
    {"what is above the floor may be expected", "e754+",             "7",  false},
    {"... no value, too",                      "e705+",              "7",  false},
    {"... what is not may be forgotten since", "e755v P7b e805+",   "8",  false},
    {"... but in no epoch that is not clean",  "g755+",              "7",  false},
    {"a Finish drops what it passed over",     "P3+ P5+ P6+ M7m q75+", "357", false},
    {"... and all, when it chose nothing",     "P3+ P5+ q70+",        "7",  false},
    {"... but nothing committed",              "P3+ P5+ C5+ P6+ q73+", "5c7", false},
    {"... and nothing where there is no room", "P3+ P5+ P6+ Q75f", "356",  false},
    {"a RUN takes the place of its version's", "P5+ q65+ q76+ r87+",  "58", false},
    {"... and stays when it is aborted",       "P5+ q65+ q76+ r87+ a8X", "58", false},
    {"outvoted, it goes though exposed",       "P5+ M6m a5X",         "",   false},
    {"a ninth undecided entry",                "P1+ P2+ P3+ P4+ P5+ P6+ P7+ P8+ P9u", "12345678", false},
    {"... but for a Finish",                   "P1+ P2+ P3+ P4+ P5+ P6+ P7+ P8+ p9+", "123456789", false},
    {"a full store keeps nothing of it",       "P5f Rs",              "",   true},
    {"who missed what is expected may ACK",    "P3+ C3+ E75+",        "3c7", false},
    {"... but not who holds something above",  "P3+ C3+ P6+ E75v",    "3c6", false},
    {"INSERT beneath an undecided one",        "P7+ I5+",             "5c7", false},
    {"INSERT of what is overtaken",            "P7+ C7+ I5+",         "7c", false},
    {"INSERT drops what it makes old",         "P3+ P7+ I5+",         "5c7", false},
    {"INSERT of what is prepared here",        "P5+ I5+",             "5c", false},
    {"INSERT, undecided, among others",        "P3+ P7+ i5+",         "357", false},
    {"... commits nothing",                    "P5+ i5+",             "5",  false},
    {"... and takes no COMMIT back",           "P5+ C5+ i5+",         "5c", false},
    {"INSERT without room",                    "I5f Rs",              "",   true},
    {"a settled tombstone is forgotten",       "T5+ C5+ F5+",         "",   false},
    {"... not when something is above it",     "T5+ C5+ P6+ F5+",     "5c6", false},
    {"... nor a value",                        "P5+ C5+ F5+",         "5c", false},
    {"... nor the marker of a loss",           "L5+ C5+ F5+",         "5c", false},
    {"... nor another than was said",          "T5+ C5+ F6+",         "5c", false},
    {"... nor before its COMMIT",              "T5+ F5+",             "5",  false},
    {"... nor above the floor",                "T5+ C5+ f54+",        "5c", false},
    {"... once the floor is there it goes",    "T5+ C5+ f55+",        "",   false},
    {"... nor with a promise above the floor", "T5+ C5+ M7m f56+",    "5c", false},
    {"... nor with a refusal above it",        "T5+ C5+ A7x f56+",    "5c", false},
    {"... nor while the epoch is not clean",   "T5+ C5+ u5+",         "5c", false},
    {"what is forgotten is refused by the floor", "T5+ C5+ f57+ l67b l77b l87+", "8", false},
};
/* clang-format on */

static const char shard[] = "shard";

static struct sherd_ballot ballot(unsigned clock)
{
    return (struct sherd_ballot){.clock = (uint64_t)clock << 16, .client = 1, .epoch = 1};
}

static struct sherd_request request_of(const char *step)
{
    static const char letters[] = "PpqrETMRCAaIFfluLQieg";
    static const uint8_t kinds[] = {
        SHERD_PREPARE, SHERD_PREPARE, SHERD_PREPARE, SHERD_PREPARE, SHERD_PREPARE, SHERD_PREPARE,
        SHERD_PROMISE, SHERD_READ,    SHERD_COMMIT,  SHERD_ABORT,   SHERD_ABORT,   SHERD_INSERT,
        SHERD_FORGET,  SHERD_FORGET,  SHERD_PREPARE, SHERD_FORGET,  SHERD_PREPARE, SHERD_PREPARE,
        SHERD_INSERT,  SHERD_PREPARE, SHERD_PREPARE};
    struct sherd_request r = {
        .kind = kinds[strchr(letters, *step) - letters], .epoch = 1, .shard_frame = -1};

    if (*step == 'R') return r;
    r.ballot = r.version = ballot((unsigned)(step[1] - '0'));
    r.shard = (struct sherd_bytes){shard, sizeof(shard)};
    r.meta = (struct sherd_meta){.size = sizeof(shard), .checksum = (uint64_t)step[1]};
    if (*step == 'T') r.meta.flags = SHERD_META_TOMBSTONE;
    if (*step == 'L') r.meta.flags = SHERD_META_LOST;
    if (*step == 'p') r.flags = SHERD_ONE_SHOT;
    if (*step == 'a') r.flags = SHERD_OUTVOTED;
    if (*step == 'I') r.flags = SHERD_COMMITTED;
    if (strchr("qrQ", *step)) {
        r.flags = SHERD_ONE_SHOT | SHERD_WITH_EXPECT;
        r.version = ballot(5);
        if (*step == 'r') r.meta.flags = SHERD_META_RUN;
        if (step[2] != '0') r.expect = ballot((unsigned)(step[2] - '0'));
    }
    if (strchr("Eeg", *step)) {
        r.flags = SHERD_WITH_EXPECT;
        if (step[2] != '0') r.expect = ballot((unsigned)(step[2] - '0'));
    }
    return r;
}

static char letter_of(const struct sherd_answer *a)
{
    static const char reasons[] = "?bvfcud";

    switch (a->kind) {
    case SHERD_ACK: return '+';
    case SHERD_PROMISED: return 'm';
    case SHERD_STATE: return 's';
    case SHERD_ABORTED: return a->flags & SHERD_ANSWER_EXPOSED ? 'X' : 'x';
    default: return reasons[a->reason];
    }
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct sherd_record record = {0};
    struct sherd_participant_env env = {
        .wall_ms = 100, .voter = true, .clean = true, .room = !row->full, .holders = 63};
    char held[64] = "", *at = held;

    for (const char *step = row->script; *step; step += strcspn(step, " ")) {
        struct sherd_request r;
        struct sherd_change change;
        struct sherd_answer answer;

        step += *step == ' ';
        r = request_of(step);
        env.floor = r.kind == SHERD_FORGET ? ballot(50) : SHERD_BALLOT_ZERO;
        if (strchr("fl", *step)) env.floor = ballot((unsigned)(step[2] - '0'));
        if (strchr("eg", *step)) env.floor = ballot((unsigned)(step[3] - '0'));
        env.clean = *step != 'u' && *step != 'g';
        env.room = !row->full && *step != 'Q';
        sherd_participant_step(&env, &r, &record, &change, &answer);
        if (letter_of(&answer) != step[strcspn(step, " ") - 1])
            fail_msg("%s: at \"%s\" the answer is %c", row->script, step, letter_of(&answer));
        assert_int_equal(answer.flags & SHERD_ANSWER_VOTE, SHERD_ANSWER_VOTE);
    }
    for (uint8_t i = 0; i < record.count; i++)
        at += sprintf(at, "%u%s", (unsigned)(record.entries[i].ballot.clock >> 16),
                      record.entries[i].committed ? "c" : "");
    assert_string_equal(held, row->held);
}

static void a_ballot_far_ahead_is_refused_and_not_kept(void **state)
{
    struct sherd_record record = {0};
    struct sherd_participant_env env = {.wall_ms = 100, .room = true};
    struct sherd_request r = request_of("P5");
    struct sherd_change change;
    struct sherd_answer answer;

    (void)state;
    r.ballot.clock = r.version.clock = (uint64_t)(100 + SHERD_CLOCK_AHEAD_MAX_MS + 1) << 16;
    sherd_participant_step(&env, &r, &record, &change, &answer);
    assert_int_equal(answer.reason, SHERD_REASON_CLOCK);
    assert_false(change.bounds || change.put);
    r.ballot.clock = r.version.clock = (uint64_t)(100 + SHERD_CLOCK_AHEAD_MAX_MS) << 16;
    sherd_participant_step(&env, &r, &record, &change, &answer);
    assert_int_equal(answer.kind, SHERD_ACK);
    assert_int_equal(answer.flags, 0); /* no voter here */
}

static struct sherd_answer ask(struct sherd_record *record, const struct sherd_request *r,
                               struct sherd_change *change)
{
    struct sherd_participant_env env = {.wall_ms = 100, .room = true};
    struct sherd_answer answer;

    sherd_participant_step(&env, r, record, change, &answer);
    return answer;
}

/* Kept, it would shut out every clock that is right. */
static void nothing_far_ahead_is_kept(void **state)
{
    static const char *const steps[] = {"P5", "M5", "A5", "I5"};

    (void)state;
    for (size_t i = 0; i < LEN(steps); i++) {
        struct sherd_record record = {0};
        struct sherd_request r = request_of(steps[i]);
        struct sherd_change change;
        r.ballot.clock = (uint64_t)(100 + SHERD_CLOCK_AHEAD_MAX_MS + 1) << 16;
        assert_int_equal(ask(&record, &r, &change).reason, SHERD_REASON_CLOCK);
        assert_false(change.bounds || change.put);
        assert_int_equal(record.count, 0);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    static const char *const steps[] = {"P5", "I5"};
    struct sherd_record record = {0};
    struct sherd_change change;
    struct sherd_request list = {.kind = SHERD_LIST, .epoch = 1};

    (void)state;
    for (size_t i = 0; i < LEN(steps); i++) { /* a version is never above a ballot of its own */
        struct sherd_request r = request_of(steps[i]);
        r.version = ballot(6);
        assert_int_equal(ask(&record, &r, &change).reason, SHERD_REASON_BAD);
        assert_int_equal(record.count, 0);
    }
    assert_int_equal(ask(&record, &list, &change).reason, SHERD_REASON_BAD); /* not of one key */
}

static void an_insert_replaces_a_broken_copy(void **state)
{
    struct sherd_record record = {0};
    struct sherd_change change;
    struct sherd_request p = request_of("P5"), c = request_of("C5"), i = request_of("i5");

    (void)state;
    ask(&record, &p, &change);
    ask(&record, &c, &change);
    record.entries[0].has_shard = false;
    assert_int_equal(ask(&record, &i, &change).kind, SHERD_ACK);
    assert_true(change.put && change.put_committed);
    assert_int_equal(record.count, 1);
    assert_true(record.entries[0].has_shard && record.entries[0].committed);
    ask(&record, &i, &change); /* what is whole stays as it is */
    assert_false(change.put);
    record.entries[0].has_shard = record.entries[0].committed = false;
    ask(&record, &i, &change);
    assert_true(change.put && !change.put_committed && record.entries[0].has_shard);
}

/* Entries have a limit for everybody; only what makes them obsolete still gets in. */
static void too_many_entries_for_an_insert(void **state)
{
    struct sherd_record record = {0};
    struct sherd_change change;
    struct sherd_request r = request_of("i5");

    (void)state;
    for (unsigned i = 1; i <= SHERD_ENTRIES_MAX; i++) {
        r.ballot = r.version = ballot(i);
        assert_int_equal(ask(&record, &r, &change).kind, SHERD_ACK);
    }
    r.ballot = r.version = ballot(SHERD_ENTRIES_MAX + 1);
    assert_int_equal(ask(&record, &r, &change).reason, SHERD_REASON_UNDECIDED);
    assert_int_equal(record.count, SHERD_ENTRIES_MAX);
    r.flags = SHERD_COMMITTED;
    assert_int_equal(ask(&record, &r, &change).kind, SHERD_ACK);
    assert_int_equal(record.count, 1);
}

/* A refusal is implied by a higher entry, a promise only by the floor. */
static void bounds_that_say_nothing_go(void **state)
{
    struct sherd_record record = {.promised = ballot(5), .refused = ballot(4), .count = 1};

    (void)state;
    record.entries[0].ballot = ballot(6);
    assert_true(sherd_record_tidy(&record, ballot(1)));
    assert_true(sherd_ballot_is_zero(record.refused));
    assert_true(sherd_ballot_equal(record.promised, ballot(5)));
    assert_false(sherd_record_tidy(&record, ballot(4)));
    assert_true(sherd_record_tidy(&record, ballot(5)));
    assert_true(sherd_ballot_is_zero(record.promised));
    record = (struct sherd_record){.refused = ballot(4)};
    assert_false(sherd_record_tidy(&record, ballot(3)));
    assert_true(sherd_record_tidy(&record, ballot(4)));
}

static void what_is_settled(void **state)
{
    struct sherd_record one = {.count = 1}, other;

    (void)state;
    one.entries[0] =
        (struct sherd_entry){.ballot = ballot(5), .version = ballot(5), .committed = true};
    assert_true(sherd_record_is_settled(&one));
    other = one, other.count = 2;
    assert_false(sherd_record_is_settled(&other));
    other = one, other.entries[0].committed = false;
    assert_false(sherd_record_is_settled(&other));
    other = one, other.entries[0].version = ballot(4);
    assert_false(sherd_record_is_settled(&other));
    other = one, other.promised = ballot(1);
    assert_false(sherd_record_is_settled(&other));
    other = one, other.refused = ballot(1);
    assert_false(sherd_record_is_settled(&other));
}

static void a_ballot_of_an_epoch_to_come_is_refused(void **state)
{
    static const char *const steps[] = {"P5", "M5", "C5", "A5", "I5", "F5"};
    struct sherd_participant_env env = {.wall_ms = 100, .room = true};

    (void)state;
    for (size_t i = 0; i < LEN(steps); i++) {
        struct sherd_record record = {0};
        struct sherd_request r = request_of(steps[i]);
        struct sherd_change change;
        struct sherd_answer answer;
        r.ballot.epoch = r.version.epoch = 2;
        sherd_participant_step(&env, &r, &record, &change, &answer);
        assert_int_equal(answer.reason, SHERD_REASON_BAD);
        assert_false(change.put || change.bounds);
    }
}

static void one_ballot_with_two_values_is_refused(void **state)
{
    struct sherd_record record = {0};
    struct sherd_request r = request_of("P5"), other = r, renamed = r;
    struct sherd_change change;

    (void)state;
    other.meta.checksum++;
    renamed.version = ballot(4);
    ask(&record, &r, &change);
    assert_int_equal(ask(&record, &other, &change).reason, SHERD_REASON_DIFFERENT);
    assert_int_equal(ask(&record, &renamed, &change).reason, SHERD_REASON_DIFFERENT);
    assert_int_equal(ask(&record, &r, &change).kind, SHERD_ACK);
}

/* Whether it has expired is for the reader to say: what was read is expected by its version. */
static void an_expired_value_is_expected_by_its_version(void **state)
{
    struct sherd_record record = {0};
    struct sherd_participant_env env = {.wall_ms = 1000, .room = true};
    struct sherd_request r = request_of("P5"), none = request_of("E80"), e = request_of("E95");
    struct sherd_change change;
    struct sherd_answer answer;

    (void)state;
    r.meta.expires_ms = 7;
    sherd_participant_step(&env, &r, &record, &change, &answer);
    sherd_participant_step(&env, &none, &record, &change, &answer);
    assert_int_equal(answer.reason, SHERD_REASON_VERSION);
    sherd_participant_step(&env, &e, &record, &change, &answer);
    assert_int_equal(answer.kind, SHERD_ACK);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_ballot_far_ahead_is_refused_and_not_kept),
        cmocka_unit_test(nothing_far_ahead_is_kept),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_ballot_of_an_epoch_to_come_is_refused),
        cmocka_unit_test(one_ballot_with_two_values_is_refused),
        cmocka_unit_test(an_expired_value_is_expected_by_its_version),
        cmocka_unit_test(an_insert_replaces_a_broken_copy),
        cmocka_unit_test(too_many_entries_for_an_insert),
        cmocka_unit_test(bounds_that_say_nothing_go),
        cmocka_unit_test(what_is_settled),
    };
    struct CMUnitTest tests[LEN(rows) + LEN(others)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    memcpy(&tests[LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("participant", tests, NULL, NULL);
}
