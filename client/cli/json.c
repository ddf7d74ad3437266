/* json.c - what --json prints: one object in one line, always valid UTF-8. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

/* The bytes of the UTF-8 character at `s`, 0: it is none. */
static size_t character_size(const unsigned char *s, size_t left)
{
    size_t size = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (size == 1) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || size > left) return 0;
    for (size_t i = 1; i < size; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0; /* longer than need be */
    if (s[0] == 0xed && s[1] > 0x9f) return 0; /* half of a pair */
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0; /* beyond the last one */
    return size;
}

size_t cli_make_valid(char *out, size_t size_max, struct sherd_bytes bytes, size_t bytes_max)
{
    enum { ESCAPED = 4 }; /* "\xNN": no character takes more */
    const unsigned char *in = bytes.data;
    size_t used = 0, size;

    for (size_t i = 0; i < bytes.size && i < bytes_max && size_max - used > ESCAPED; i += size) {
        size = character_size(in + i, bytes.size - i);
        if (size > 0) {
            memcpy(out + used, in + i, size);
            used += size;
            continue;
        }
        size = 1;
        used += (size_t)snprintf(out + used, ESCAPED + 1, "\\x%02x", in[i]);
    }
    out[used] = '\0';
    return used;
}

json_t *cli_json_text(const char *text)
{
    size_t size = strlen(text), size_max = 4 * size + 8;
    char *valid = malloc(size_max);
    json_t *out = NULL;

    if (valid == NULL) return json_null();
    cli_make_valid(valid, size_max, (struct sherd_bytes){text, size}, size);
    out = json_string(valid);
    free(valid);
    return out;
}

int cli_print_json(json_t *object)
{
    /* Times are milliseconds as fractions of a second: 15 digits show them without noise. */
    enum { FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(15) };
    bool is_made = object != NULL;

    if (!is_made) object = json_pack("{s:n, s:s}", "outcome", "error", "cannot make JSON of it");
    if (json_object_get(object, "outcome") == NULL)
        json_object_set_new(object, "outcome", json_string("OK"));
    if (json_object_get(object, "exit_code") == NULL)
        json_object_set_new(object, "exit_code", json_integer(is_made ? CLI_OK : CLI_ENVIRONMENT));
    json_dumpf(object, stdout, FLAGS);
    putchar('\n');
    json_decref(object);
    return is_made ? CLI_OK : CLI_ENVIRONMENT;
}

/* malloc'ed, or NULL. */
static char *base64_of(struct sherd_bytes bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    enum { PADDING = 64 };
    const unsigned char *in = bytes.data;
    char *text = malloc((bytes.size + 2) / 3 * 4 + 1), *out = text;

    if (text == NULL) return NULL;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)in[i] << 16;
        if (left > 1) group |= (uint32_t)in[i + 1] << 8;
        if (left > 2) group |= in[i + 2];
        *out++ = letters[group >> 18];
        *out++ = letters[group >> 12 & 63];
        *out++ = letters[left > 1 ? group >> 6 & 63 : PADDING];
        *out++ = letters[left > 2 ? group & 63 : PADDING];
    }
    *out = '\0';
    return text;
}

void cli_json_bytes(json_t *object, const char *name, struct sherd_bytes bytes)
{
    char other[64];
    char *text = NULL;

    if (json_object_set_new(object, name,
                            json_stringn(bytes.size > 0 ? bytes.data : "", bytes.size)) == 0)
        return;
    text = base64_of(bytes);
    snprintf(other, sizeof(other), "%s_base64", name);
    json_object_set_new(object, other, text != NULL ? json_string(text) : json_null());
    free(text);
}
