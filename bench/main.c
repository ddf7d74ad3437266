/* main.c - sherd-bench: a table of commands. Each has its file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"

static const struct bench_command *const commands[] = {&bench_load, &bench_rebuild, &bench_held,
                                                       &bench_resp, &bench_codec,   &bench_ceiling};

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t bench_now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

uint64_t bench_cpu_ns(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

void bench_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

size_t bench_median(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t below = 0;
        for (size_t j = 0; j < count; j++)
            below += numbers[j] < numbers[i] || (numbers[j] == numbers[i] && j < i);
        if (below == (count - 1) / 2) return i;
    }
    return 0;
}

static int print_overview(void)
{
    puts("usage: sherd-bench COMMAND [OPTION...]\n");
    for (size_t i = 0; i < LEN(commands); i++)
        printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n'sherd-bench COMMAND --help' lists the options.\n"
         "Exit codes: 0 ok, 1 operations failed or data was wrong, 2 usage, 6 environment.");
    return BENCH_OK;
}

static int print_help(const struct bench_command *command)
{
    printf("usage: sherd-bench %s [OPTION...]\n%s\n\n", command->name, command->summary);
    bench_options_print(command->options | BENCH_TAKES(JSON) | BENCH_TAKES(HELP));
    printf("\n%s", command->help);
    return BENCH_OK;
}

static int run(int argc, char **argv)
{
    struct bench_options options;
    int code;

    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) return print_overview();
    for (size_t i = 0; i < LEN(commands); i++) {
        if (strcmp(argv[1], commands[i]->name) != 0) continue;
        code = bench_options_parse(commands[i], argc - 1, argv + 1, &options);
        if (code != 0) return code;
        return options.help ? print_help(commands[i]) : commands[i]->run(&options);
    }
    return bench_fail(BENCH_USAGE, "no command '%.60s'; sherd-bench --help lists them", argv[1]);
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);

    if (fflush(stdout) != 0 || ferror(stdout))
        return bench_fail(BENCH_ENVIRONMENT, "cannot write the output: %s", strerror(errno));
    return code;
}
