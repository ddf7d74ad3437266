/* replay - runs a target without libFuzzer: over a corpus, then over inputs made from it.
 *
 *   fuzz_wire [--runs N] [--seed N] [FILE | FOLDER]...
 *
 * First every file, in the order of its name; then N inputs, each of them one file changed in a few
 * places, two files joined, or random bytes: input i follows from seed and i alone. The input that
 * a target stops at is written to crash-<target>, in the working folder. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/random.h"

enum { FILES_MAX = 256, INPUT_BYTES_MAX = 32 << 10, PATH_SIZE = 4096, INPUT_SECONDS_MAX = 60 };

static struct input {
    uint8_t *data;
    size_t size;
} inputs[FILES_MAX];
static size_t input_count;

/* For the handler: what runs now. */
static const uint8_t *current;
static size_t current_size;
static char crash_path[PATH_SIZE] = "crash";

/* Sanitizers end the process by a signal, so that the handler below sees the input. Exported, as
 * gcc's sanitizers are shared libraries. */
SHERD_API const char *__asan_default_options(void);
SHERD_API const char *__ubsan_default_options(void);
const char *__asan_default_options(void) { return "abort_on_error=1"; }
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:halt_on_error=1:print_stacktrace=1";
}

/* Only what a signal handler may call. */
static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(1);
}

static void on_end(int number)
{
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd >= 0 && write(fd, current, current_size) == (ssize_t)current_size) {
        say("replay: the input is in ");
        say(crash_path);
        say("; give this program that file to see it again\n");
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void run(const uint8_t *data, size_t size)
{
    current = data;
    current_size = size;
    alarm(INPUT_SECONDS_MAX); /* one that never ends is found, too */
    if (LLVMFuzzerTestOneInput(data, size) != 0) abort();
}

/* ---- The corpus ---- */

static void add_file(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = malloc(INPUT_BYTES_MAX);

    if (file == NULL || data == NULL || input_count == FILES_MAX) {
        fprintf(stderr, "replay: cannot take %s\n", path);
        exit(2);
    }
    inputs[input_count++] = (struct input){data, fread(data, 1, INPUT_BYTES_MAX, file)};
    fclose(file);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void add(const char *path)
{
    struct dirent **names = NULL;
    char inner[PATH_SIZE];
    int count = scandir(path, &names, is_visible, alphasort);

    if (count < 0) add_file(path);
    for (int i = 0; i < count; i++) {
        snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
        add_file(inner);
        free(names[i]);
    }
    free(names);
}

/* ---- Inputs made from it ---- */

static uint64_t state;

static uint64_t random_u64(void) { return random_next(&state); }

static size_t below(size_t n) { return n != 0 ? random_u64() % n : 0; }

static size_t erase(uint8_t *data, size_t size)
{
    size_t at = below(size), gone = 1 + below(8);

    if (gone > size - at) gone = size - at;
    memmove(data + at, data + at + gone, size - at - gone);
    return size - gone;
}

static size_t insert(uint8_t *data, size_t size)
{
    size_t at = below(size + 1), more = 1 + below(8), from = below(size);

    if (size + more > INPUT_BYTES_MAX) return size;
    memmove(data + at + more, data + at, size - at);
    for (size_t i = 0; i < more; i++)
        data[at + i] = below(2) ? data[from + i] : (uint8_t)random_u64();
    return size + more;
}

/* Changes one place; returns the new size. */
static size_t change(uint8_t *data, size_t size)
{
    static const uint8_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, ' ', '"', '-', '0', '9', '\n'};
    size_t at = below(size);

    if (size == 0) return insert(data, size);
    switch (below(7)) {
    case 0: data[at] ^= (uint8_t)(1U << below(8)); break;
    case 1: data[at] = (uint8_t)random_u64(); break;
    case 2: data[at] = edges[below(sizeof(edges))]; break;
    case 3: data[at] = (uint8_t)(data[at] + (below(2) ? 1 : 255)); break;
    case 4: data[at] = data[below(size)]; break;
    case 5: return erase(data, size);
    default: return insert(data, size);
    }
    return size;
}

/* The beginning of one file and the end of another. */
static size_t join(uint8_t *out, const struct input *a, const struct input *b)
{
    size_t first = below(a->size + 1), second = below(b->size + 1);

    if (first + second > INPUT_BYTES_MAX) second = INPUT_BYTES_MAX - first;
    memcpy(out, a->data, first);
    memcpy(out + first, b->data + b->size - second, second);
    return first + second;
}

static size_t make(uint8_t *out)
{
    const struct input *a = &inputs[below(input_count)], *b = &inputs[below(input_count)];
    size_t size = below(200);

    if (input_count == 0 || below(50) == 0) {
        for (size_t i = 0; i < size; i++)
            out[i] = (uint8_t)random_u64();
        return size;
    }
    if (below(8) == 0) {
        size = join(out, a, b);
    } else {
        size = a->size;
        memcpy(out, a->data, size);
    }
    for (size_t n = 1 + below(4); n > 0; n--)
        size = change(out, size);
    return size;
}

static void run_made(uint64_t seed, uint64_t runs)
{
    uint8_t *out = calloc(1, INPUT_BYTES_MAX + 16); /* insert() may read a little beyond the end */

    if (out == NULL) abort();
    for (uint64_t i = 0; i < runs; i++) {
        state = seed * 0x2545f4914f6cdd1d + i;
        run(out, make(out));
    }
    free(out);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    uint64_t seed = 1, runs = 0;

    snprintf(crash_path, sizeof(crash_path), "crash-%s", slash != NULL ? slash + 1 : argv[0]);
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--runs") == 0)
            runs = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 10);
        else
            add(argv[i]);
    }
    signal(SIGABRT, on_end);
    signal(SIGALRM, on_end);
    for (size_t i = 0; i < input_count; i++)
        run(inputs[i].data, inputs[i].size);
    run_made(seed, runs);
    printf("%zu files, %llu inputs made from them with seed %llu\n", input_count,
           (unsigned long long)runs, (unsigned long long)seed);
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].data);
    return 0;
}
