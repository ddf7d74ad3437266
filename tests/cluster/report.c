#include "tests/cluster/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cluster/process.h"
#include "tests/support/random.h"

static void usage(const char *program, int code)
{
    fprintf(code == 0 ? stdout : stderr, "usage: %s [--small | --full] [--seed N]\n", program);
    exit(code);
}

static uint64_t parse_seed(const char *program, const char *text)
{
    char *end = NULL;
    uint64_t seed = text == NULL ? 0 : strtoull(text, &end, 10);

    if (text == NULL || end == text || *end != '\0') usage(program, 2);
    return seed;
}

void test_begin(struct test *t, const char *name, int argc, char **argv)
{
    uint64_t seed = 1;

    *t = (struct test){.name = name, .began_ms = test_now_ms()};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0)
            t->full = true;
        else if (strcmp(argv[i], "--small") == 0)
            t->full = false;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = parse_seed(argv[0], argv[++i]);
        else
            usage(argv[0], strcmp(argv[i], "--help") == 0 ? 0 : 2);
    }
    t->random = seed;
    setvbuf(stdout, NULL, _IOLBF, 0);
    process_watch();
    test_say("%s: %s size, seed %llu", name, t->full ? "full" : "small", (unsigned long long)seed);
}

int test_end(const struct test *t)
{
    test_say("%s: passed in %.1f s", t->name, (double)(test_now_ms() - t->began_ms) / 1000);
    return 0;
}

void test_say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void test_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    process_show_logs();
    exit(1);
}

uint64_t test_random(uint64_t *state) { return random_next(state); }

uint32_t test_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(test_random(state) % bound);
}

uint64_t test_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t test_now_ms(void) { return test_now_us() / 1000; }

void test_pause_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

bool test_wait(bool (*is_so)(void *context), void *context, uint64_t timeout_ms)
{
    uint64_t until_ms = test_now_ms() + timeout_ms;

    while (!is_so(context)) {
        if (test_now_ms() >= until_ms) return false;
        test_pause_ms(20);
    }
    return true;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

unsigned test_patience(void)
{
#ifdef SANITIZED
    return 4;
#else
    return 1;
#endif
}
