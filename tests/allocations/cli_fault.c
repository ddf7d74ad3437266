/* cli_fault.c - into the command line: the SHERD_TEST_ALLOC-th of its own allocations fails, and
 * how many there were is written to the file SHERD_TEST_ALLOCS. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/alloc_fault.h"

/* The linker takes calls from libraries for wrapped ones too, which they are not, and wants these
 * to be visible. */
#pragma GCC visibility push(default)
/* NOLINTBEGIN(bugprone-reserved-identifier): the linker makes these names */
ssize_t __real_getline(char **line, size_t *size, FILE *file);
FILE *__real_open_memstream(char **text, size_t *size);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
ssize_t __wrap_getline(char **line, size_t *size, FILE *file);
FILE *__wrap_open_memstream(char **text, size_t *size);

#pragma GCC visibility pop

#define HERE ((uintptr_t)__builtin_return_address(0))

int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list arguments;
    int size;

    if (alloc_fault_takes(HERE)) return -1;
    va_start(arguments, format);
    size = vasprintf(out, format, arguments);
    va_end(arguments);
    return size;
}

ssize_t __wrap_getline(char **line, size_t *size, FILE *file)
{
    return alloc_fault_takes(HERE) ? -1 : __real_getline(line, size, file);
}

FILE *__wrap_open_memstream(char **text, size_t *size)
{
    return alloc_fault_takes(HERE) ? NULL : __real_open_memstream(text, size);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Once: the n-th alone, of a process that has one thread. */
__attribute__((constructor)) static void begin(void)
{
    const char *nth = getenv("SHERD_TEST_ALLOC");

    if (nth) alloc_fault_once(strtoull(nth, NULL, 10));
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("SHERD_TEST_ALLOCS");
    FILE *file = path ? fopen(path, "we") : NULL;
    struct alloc_site sites[ALLOC_SITES_MAX];
    size_t count = alloc_fault_sites(sites), calls = 0;

    if (!file) return;
    for (size_t i = 0; i < count; i++)
        calls += sites[i].calls;
    fprintf(file, "%zu\n", calls);
    fclose(file);
}
