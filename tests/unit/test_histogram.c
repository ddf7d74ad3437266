/* test_histogram.c - the benchmark's histogram: no value is lost, and quantiles are close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/histogram.h"

static struct bench_histogram h; /* large for a stack */

static void start(void) { h = (struct bench_histogram){0}; }

static void empty_has_no_quantiles(void **state)
{
    (void)state;
    start();
    assert_int_equal(bench_histogram_quantile(&h, 0.5), 0);
    assert_int_equal(bench_histogram_quantile(&h, 1.0), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    start();
    for (uint64_t i = 1; i <= 100; i++)
        bench_histogram_record(&h, i);
    assert_int_equal(bench_histogram_quantile(&h, 0.0), 1);
    assert_int_equal(bench_histogram_quantile(&h, 0.5), 50);
    assert_int_equal(bench_histogram_quantile(&h, 0.99), 99);
    assert_int_equal(bench_histogram_quantile(&h, 1.0), 100);
}

/* Alone between two extremes, a value is its histogram's median. */
static void every_size_is_close(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int beside = -1; beside <= 1; beside++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)beside, median;
            if (value == 0 || value == UINT64_MAX) continue;
            start();
            bench_histogram_record(&h, 0);
            bench_histogram_record(&h, value);
            bench_histogram_record(&h, UINT64_MAX);
            median = bench_histogram_quantile(&h, 0.5);
            assert_true(median >= value);
            assert_true(value < 128 ? median == value : median - value < value / 64);
        }
    }
}

static void quantiles_never_pass_the_maximum(void **state)
{
    (void)state;
    start();
    bench_histogram_record(&h, 1000001);
    assert_int_equal(bench_histogram_quantile(&h, 0.5), 1000001);
    assert_int_equal(h.max, 1000001);
}

static void merging_adds(void **state)
{
    static struct bench_histogram other;

    (void)state;
    start();
    for (uint64_t i = 0; i < 50; i++)
        bench_histogram_record(&h, 10);
    for (uint64_t i = 0; i < 51; i++)
        bench_histogram_record(&other, 20);
    bench_histogram_merge(&h, &other);
    assert_int_equal(h.total, 101);
    assert_int_equal(h.max, 20);
    assert_int_equal(bench_histogram_quantile(&h, 0.49), 10);
    assert_int_equal(bench_histogram_quantile(&h, 0.51), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_has_no_quantiles),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(every_size_is_close),
        cmocka_unit_test(quantiles_never_pass_the_maximum),
        cmocka_unit_test(merging_adds),
    };

    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
