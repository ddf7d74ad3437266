#include "client/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 2048 };

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Set once, by log_init(), while there is one thread. */
static const char *log_name = "sherd";
static int log_level = SHERD_LOG_INFO;

void log_init(const char *name, int level)
{
    const char *text = getenv("SHERD_LOG");

    log_name = name;
    log_level = level;
    for (int i = SHERD_LOG_ERROR; text && i <= SHERD_LOG_DEBUG; i++)
        if (strcmp(text, level_names[i]) == 0) log_level = i;
}

static size_t put_head(char line[LINE_BYTES_MAX], int level)
{
    struct timespec now;
    struct tm utc;
    size_t size;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size = strftime(line, LINE_BYTES_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    size +=
        (size_t)snprintf(line + size, LINE_BYTES_MAX - size,
                         ".%03ldZ %s %.64s: ", now.tv_nsec / 1000000, level_names[level], log_name);
    return size;
}

static void put_line(int level, const char *format, va_list arguments)
{
    char line[LINE_BYTES_MAX];
    size_t size;
    int text;

    if (level > log_level) return;
    size = put_head(line, level);
    /* The analyzer loses track of a va_list that was passed on. */
    text = vsnprintf( // NOLINT(clang-analyzer-valist.Uninitialized)
        line + size, sizeof(line) - size, format, arguments);
    if (text > 0) size += (size_t)text;
    if (size > sizeof(line) - 1) size = sizeof(line) - 1; /* cut, for the newline */
    line[size++] = '\n';
    /* A log that cannot be written is nothing that one could log. */
    if (write(STDERR_FILENO, line, size) < 0) return;
}

#define LOG_FUNCTION(name, level)           \
    void name(const char *format, ...)      \
    {                                       \
        va_list arguments;                  \
                                            \
        va_start(arguments, format);        \
        put_line(level, format, arguments); \
        va_end(arguments);                  \
    }

LOG_FUNCTION(log_error, SHERD_LOG_ERROR)
LOG_FUNCTION(log_warn, SHERD_LOG_WARN)
LOG_FUNCTION(log_info, SHERD_LOG_INFO)
LOG_FUNCTION(log_debug, SHERD_LOG_DEBUG)

void log_fatal(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put_line(SHERD_LOG_ERROR, format, arguments);
    va_end(arguments);
    exit(code);
}
