/* At most once: what a node takes, drops and refuses, and the bounded queue beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/queue.h"
#include "server/sessions.h"

/* One table: (session, number) in order, and what each must give: t take, r repeat, u unknown. */
static void takes_each_number_once(void **state)
{
    static const struct {
        uint64_t session, number;
        char expect;
    } rows[] = {
        {7, 1, 't'},
        {7, 2, 't'},
        {7, 2, 'r'},
        {7, 1, 'r'},
        {7, 5, 't'}, /* gaps are allowed */
        {8, 2, 'u'}, /* begins in the middle: of another life, or forgotten */
        {8, 1, 't'},
        {8, 2, 't'},
        {7, 6, 't'},
        {0, 1, 'u'},
    };
    struct sherd_sessions *s = calloc(1, sizeof(*s));

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal("tru"[sherd_sessions_check(s, rows[i].session, rows[i].number)],
                         rows[i].expect);
    free(s);
}

static void forgets_the_one_used_longest_ago(void **state)
{
    struct sherd_sessions *s = calloc(1, sizeof(*s));

    (void)state;
    assert_non_null(s);
    for (uint64_t i = 1; i <= SHERD_SESSION_WAYS; i++) /* one set, full */
        sherd_sessions_check(s, i * SHERD_SESSION_SETS, 1);
    sherd_sessions_check(s, SHERD_SESSION_SETS, 2); /* the first is used again */
    assert_int_equal(sherd_sessions_check(s, 99 * SHERD_SESSION_SETS, 1), SHERD_SESSION_TAKE);
    assert_int_equal(sherd_sessions_check(s, SHERD_SESSION_SETS, 3), SHERD_SESSION_TAKE);
    assert_int_equal(sherd_sessions_check(s, 2 * SHERD_SESSION_SETS, 2), SHERD_SESSION_UNKNOWN);
    free(s);
}

static void queue_is_bounded_and_in_order(void **state)
{
    struct sherd_queue q = {.count_max = 1000};
    struct sherd_queue_item item;

    (void)state;
    for (uint64_t round = 0; round < 3; round++) { /* the ring wraps */
        for (uint64_t i = 0; i < 1000; i++)
            assert_true(
                sherd_queue_push(&q, (struct sherd_queue_item){.due_ms = i, .hash = i * 3}));
        assert_false(sherd_queue_push(&q, (struct sherd_queue_item){.due_ms = 0}));
        assert_false(q.count != 1000);
        for (uint64_t i = 0; i < 700; i++) {
            assert_true(sherd_queue_pop_due(&q, 699, &item));
            assert_int_equal(item.hash, i * 3);
        }
        assert_false(sherd_queue_pop_due(&q, 699, &item)); /* not due yet */
        while (sherd_queue_pop_due(&q, UINT64_MAX, &item)) {
        }
    }
    sherd_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_number_once),
        cmocka_unit_test(forgets_the_one_used_longest_ago),
        cmocka_unit_test(queue_is_bounded_and_in_order),
    };

    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
