/* fuzz_cli - command lines: every one ends, with an exit code that is documented, what it says on
 * stderr is clean lines, and with --json all it prints are objects of the documented form.
 *
 * An input: texts, each ended by a zero: the script of the world, the file (cli_world.h), and the
 * words of the command line after "sherd". */
#include <ctype.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "tests/fuzz/cli_world.h"
#include "tests/fuzz/fuzz.h"

enum { WORDS_MAX = 40, EXIT_CODE_MAX = 7 };

int sherd_cli_main(int argc, char **argv); /* main() of client/cli/main.c */

struct output {
    char *text;
    size_t size;
    FILE *file;
};

static FILE *open_output(struct output *o)
{
    o->file = open_memstream(&o->text, &o->size);
    SHERD_ASSERT(o->file != NULL);
    return o->file;
}

/* Ends a text of the input; the next one begins after it. */
static struct sherd_bytes take_text(struct sherd_bytes *rest)
{
    const uint8_t *start = rest->data;
    const uint8_t *end = rest->size != 0 ? memchr(start, '\0', rest->size) : NULL;
    size_t size = end != NULL ? (size_t)(end - start) : rest->size;
    size_t gone = end != NULL ? size + 1 : size;

    *rest = (struct sherd_bytes){start + gone, rest->size - gone};
    return (struct sherd_bytes){start, size};
}

/* What was said to a human: lines without control characters, each with something in it. */
static void check_complaints(const char *text)
{
    SHERD_ASSERT(text[0] != '\n' && strstr(text, "\n\n") == NULL);
    for (; *text != '\0'; text++)
        SHERD_ASSERT(*text == '\n' || !iscntrl((unsigned char)*text));
}

/* One line of --json. */
static void check_object(const char *line, size_t size)
{
    json_t *object = json_loadb(line, size, 0, NULL);
    const json_t *code = json_object_get(object, "exit_code");

    SHERD_ASSERT(json_is_object(object) && json_is_integer(code));
    SHERD_ASSERT(json_object_get(object, "outcome") != NULL);
    if (json_integer_value(code) != 0)
        SHERD_ASSERT(json_is_string(json_object_get(object, "error")));
    json_decref(object);
}

static void check_json(const char *text, int code)
{
    bool is_said = false;

    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        SHERD_ASSERT(end != NULL);
        check_object(text, (size_t)(end - text));
        text = end + 1;
        is_said = true;
    }
    SHERD_ASSERT(is_said || code == 0);
}

static void run(int argc, char **argv, struct sherd_bytes file)
{
    FILE *old_out = stdout, *old_err = stderr, *old_in = stdin;
    struct output out = {0}, err = {0};
    bool is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
    uint8_t *in = fuzz_copy(file);

    stdin = fmemopen(in, file.size != 0 ? file.size : 1, "r");
    SHERD_ASSERT(stdin != NULL);
    stdout = open_output(&out);
    stderr = open_output(&err);
    optind = 0; /* getopt forgets the last command line */
    int code = sherd_cli_main(argc, argv);
    fclose(stdin);
    stdout = old_out;
    stderr = old_err;
    stdin = old_in;
    fclose(out.file);
    fclose(err.file);
    SHERD_ASSERT(code >= 0 && code <= EXIT_CODE_MAX);
    SHERD_ASSERT(code == 0 || out.size != 0 || err.size != 0);
    check_complaints(err.text);
    if (is_json) check_json(out.text, code);
    free(out.text);
    free(err.text);
    free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sherd_bytes rest = {data, size};
    struct sherd_bytes script = take_text(&rest), file = take_text(&rest);
    char *words[WORDS_MAX + 2] = {fuzz_text((struct sherd_bytes){"sherd", 5})};
    char *argv[WORDS_MAX + 2]; /* getopt and the commands may move them */
    int count = 1;

    while (rest.size != 0 && count <= WORDS_MAX)
        words[count++] = fuzz_text(take_text(&rest));
    memcpy(argv, words, sizeof(argv));
    cli_world_begin(script, file);
    run(count, argv, file);
    for (int i = 0; i < count; i++)
        free(words[i]);
    return 0;
}
