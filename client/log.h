/* log.h - log lines of daemons and tools, to stderr: time, level, name, text. Never used by the
 * library itself. Any thread; one line is one write. */
#ifndef SHERD_CLIENT_LOG_H
#define SHERD_CLIENT_LOG_H

enum sherd_log_level { SHERD_LOG_ERROR, SHERD_LOG_WARN, SHERD_LOG_INFO, SHERD_LOG_DEBUG };

/* Before the first thread starts. `name` is kept, not copied. The environment variable SHERD_LOG
 * (error, warn, info, debug) overrides `level`. */
void log_init(const char *name, int level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Logs at ERROR and exits with `code`: for what a process cannot go on without. */
_Noreturn void log_fatal(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
