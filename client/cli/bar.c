#include "client/cli/bar.h"

#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000, REDRAW_MS = 100, WIDTH = 30, LINE_SIZE = 160 };

void cli_bar_init(struct cli_bar *bar, const struct cli *cli, const char *label,
                  unsigned line_every_ms)
{
    *bar = (struct cli_bar){.line_every_ms = line_every_ms, .is_eager = cli->options.watch};
    bar->is_terminal = isatty(STDERR_FILENO) == 1;
    bar->is_quiet = cli->options.json && !bar->is_terminal;
    bar->drawn_ms = bar->is_eager ? 0 : cli_now_ms();
    cli_bar_restart(bar, label);
}

void cli_bar_restart(struct cli_bar *bar, const char *label)
{
    bar->label = label;
    bar->started_ms = cli_now_ms();
}

static void add(char line[LINE_SIZE], const char *text)
{
    size_t size = strlen(line);
    snprintf(line + size, LINE_SIZE - size, "%s", text);
}

static void add_bar(char line[LINE_SIZE], uint64_t done, uint64_t total)
{
    char text[WIDTH + 1], percent[16];
    double part = (double)done / (double)total;

    memset(text, '.', WIDTH);
    memset(text, '#', (size_t)(part * WIDTH));
    text[WIDTH] = '\0';
    snprintf(percent, sizeof(percent), "] %3.0f %%", part * 100);
    add(line, " [");
    add(line, text);
    add(line, percent);
}

static void add_rate(char line[LINE_SIZE], uint64_t done, uint64_t bytes, double seconds)
{
    char text[48], size[CLI_SIZE_TEXT], rate[CLI_SIZE_TEXT];

    if (bytes > 0)
        snprintf(text, sizeof(text), "  %s, %s/s", cli_show_size(size, bytes),
                 cli_show_size(rate, (uint64_t)((double)bytes / seconds)));
    else
        snprintf(text, sizeof(text), "  %.0f/s", (double)done / seconds);
    add(line, text);
}

static void compose(const struct cli_bar *bar, uint64_t done, uint64_t total, uint64_t bytes,
                    char line[LINE_SIZE])
{
    double seconds = (double)(cli_now_ms() - bar->started_ms) / 1000;
    char text[64];

    if (done > total && total > 0) done = total;
    snprintf(line, LINE_SIZE, "%.60s", bar->label);
    if (total == 0 && done == 0) return;
    if (total > 0) add_bar(line, done, total);
    snprintf(text, sizeof(text), total > 0 ? "  %llu of %llu" : "  %llu", (unsigned long long)done,
             (unsigned long long)total);
    add(line, text);
    if (seconds > 0 && done > 0) add_rate(line, done, bytes, seconds);
    if (total > done && done > 0) {
        snprintf(text, sizeof(text), ", %.0f s left",
                 seconds * (double)(total - done) / (double)done);
        add(line, text);
    }
}

static void draw(struct cli_bar *bar, uint64_t done, uint64_t total, uint64_t bytes)
{
    char line[LINE_SIZE];

    compose(bar, done, total, bytes, line);
    fprintf(stderr, bar->is_terminal ? "\r%s\033[K" : "%s\n", line);
    fflush(stderr);
    bar->drawn_ms = cli_now_ms();
    bar->is_shown = bar->is_terminal;
}

void cli_bar_set(struct cli_bar *bar, uint64_t done, uint64_t total, uint64_t bytes)
{
    uint64_t now_ms = cli_now_ms();
    unsigned every_ms = bar->is_terminal ? REDRAW_MS : bar->line_every_ms;

    if (bar->is_quiet || every_ms == 0 || now_ms - bar->drawn_ms < every_ms) return;
    if (bar->is_terminal && !bar->is_eager && now_ms - bar->started_ms < PATIENCE_MS) return;
    draw(bar, done, total, bytes);
}

void cli_bar_finish(struct cli_bar *bar, uint64_t done, uint64_t total, uint64_t bytes)
{
    if (bar->is_quiet) return;
    draw(bar, done, total, bytes);
    if (bar->is_terminal) fputc('\n', stderr);
    bar->is_shown = false;
}

void cli_bar_clear(struct cli_bar *bar)
{
    if (!bar->is_shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    bar->is_shown = false;
}
