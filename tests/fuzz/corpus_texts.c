#include <stdio.h>
#include <string.h>

#include "tests/fuzz/corpus.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

#define NODES                                                                              \
    "node 0 { endpoint = \"tcp://h:1\" } node 1 { endpoint = \"tcp://h:2\" zone = 'a' }\n" \
    "node 2 { endpoint = \"tcp://[::1]:3\" weight = 7 }\n"

/* Formatted by hand: clang-format would align the columns beyond 100. */
/* clang-format off */
static const struct text {
    const char *name;
    const char *text;
} confs[] = {
    {"least", "node 0 { endpoint = \"tcp://h:1\" } code = \"1+0\"\n"},
    {"three", "code = \"1+2\"\n" NODES},
    {"every-option",
     "cluster = c.1 code = '2+1' keeper = \"tcp://10.0.0.1:7599\" partitions = 16\n"
     "straggler_ms = 0 self = 1 keeper_dir = \"/a\" state_dir = \"/b\" store = memory\n"
     "max_memory = \"64MiB\" recovery_rate = 2GiB vacate_after_ms = 1000 log_level = debug\n"
     NODES},
    {"include", "include(\"other.conf\")\ncode = \"1+2\"\n\001" NODES},
    {"include-itself", "include(\"other.conf\")\n\001include(\"other.conf\")\n"},
    {"include-missing", "include(\"third.conf\")\n" NODES},
    {"comments", "# one\ncode = \"1+2\" # two\n" NODES "# the end"},
    {"quotes", "state_dir = '/a \"b\"' keeper_dir = \"/it's\" keeper = \"tcp://h:9\" "
     "code = \"1+2\"\n" NODES},
    {"open-string", "cluster = \"c\n" NODES},
    {"gap", "node 0 { endpoint = \"tcp://h:1\" } node 2 { endpoint = \"tcp://h:2\" }\n"},
    {"same-endpoint", "node 0 { endpoint = \"tcp://h:1\" } node 1 { endpoint = \"tcp://h:1\" }\n"},
    {"same-id", "node 0 { endpoint = \"tcp://h:1\" } node 0 { endpoint = \"tcp://h:2\" }\n"},
    {"same-id-again", "code = \"1+0\" node 0 { endpoint = \"tcp://h:1\" }\n"
     "node 00 { endpoint = \"tcp://h:2\" }\n"},
    {"two-lines", "state_dir = \"/a\nb\" code = \"1+2\" " NODES},
    {"partitions-0", "partitions = 0 code = \"1+2\"\n" NODES},
    {"partitions-257", "partitions = 257 code = \"1+2\"\n" NODES},
    {"straggler-60001", "straggler_ms = 60001 code = \"1+2\"\n" NODES},
    {"vacate-999", "vacate_after_ms = 999 code = \"1+2\"\n" NODES},
    {"self-3", "self = 3 code = \"1+2\"\n" NODES},
    {"weight-0", "code = \"1+0\" node 0 { endpoint = \"tcp://h:1\" weight = 0 }\n"},
    {"weight-1001", "code = \"1+0\" node 0 { endpoint = \"tcp://h:1\" weight = 1001 }\n"},
    {"numbers", "partitions = 0x10 self = -1 straggler_ms = 99999999999999999999\n" NODES},
    {"list", "cluster = {a, b} code += \"1+1\"\n" NODES},
};

/* A command line: the script of the world, the file, the words. `@` stands for their ends. */
#define STATS                                                                                \
    "{\"incarnation\":\"1\",\"live\":1,\"partitions\":{\"voting\":9,\"learning\":1},"        \
    "\"store\":{\"bytes\":5,\"bytes_max\":9,\"keys\":3},\"recovery\":{\"task\":\"rebuild\"," \
    "\"done\":1,\"total\":2}}"
#define SUM "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OKS "\037\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017"

static const struct text commands[] = {
    {"none", "\037@"},
    {"help", "\037@@help"},
    {"help-json", "\037@@--json@help@cluster@up"},
    {"bad-text", "\037@@--json@g\355\240\200t\300\200\377\360\200\200\200\364\220\200\200\n\033"},
    {"version", "\037@@--json@--version"},
    {"up", "\036@@cluster@up@--nodes@11@--code@8+3@--dir@/x@--base-port@7600@--zones@3"},
    {"up-sizes", "\036@@--json@cluster@up@--max-memory@2GiB@--recovery-rate=64MiB@--name@a"},
    {"up-running", "\037@@cluster@up"},
    {"down", "\037@@cluster@down"},
    {"list", "\037@@--json@cluster@list"},
    {"recover-6", OKS OKS "@" STATS "@recover@6"},
    {"kill", "\037@@cluster@kill@1"},
    {"start", "\037@@cluster@start@2@--timeout@100"},
    {"wipe", "\037@@--json@cluster@wipe@3"},
    {"set", OKS "@value@set@fruit@cherry@--ttl@3600"},
    {"set-file", OKS "@value@--json@set@photo@--file@p.jpg"},
    {"set-stdin", OKS "@value@set@photo@-"},
    {"get", OKS "@value@get@fruit"},
    {"get-json", OKS "@v\377lue@--json@get@fr\377it"},
    {"get-out", OKS "@value@get@fruit@--out@q.jpg"},
    {"del", OKS "@@--json@del@fruit"},
    {"cas", OKS "@@cas@fruit@1-2-3@plum"},
    {"incr", OKS "@@--json@incr@visits@-5"},
    {"append", OKS "@@append@log@line"},
    {"exists", "\037\001\001@@exists@fruit"},
    {"ttl", OKS "@@--json@ttl@fruit"},
    {"scan", "\037\005\017\003\001\002\003\001@abcdefghij@scan@a@--limit@2"},
    {"scan-json", "\037\005\017\003\001\002\003\001@abcdefghij@--json@scan"},
    {"import", OKS "@a\nb/c\n@import@--list@-@--prefix@p/"},
    {"import-words", OKS "@text@--json@import@one@two"},
    {"verify", OKS "@" SUM "  name\n@--json@verify@--sums@s"},
    {"status", OKS OKS "@" STATS "@status"},
    {"status-json", OKS OKS "@" STATS "@--json@status@--wait@20"},
    {"recover", OKS OKS "@" STATS "@recover@1@--watch"},
    {"accept-loss", OKS "@@--json@recover@--accept-loss"},
    {"explain", OKS OKS "@@explain@fruit"},
    {"explain-json", OKS OKS "@@--json@explain@fruit"},
    {"no-cluster", "\036@@get@fruit@--timeout@1"},
    {"uncertain", "\037\003\001\003\001\003\001@@--json@set@a@b"},
    {"words", "\037@@get@--@--json@-1"},
};

/* Histories, with ' instead of ". */
static const struct text histories[] = {
    {"set-get", "{'process':0,'type':'invoke','f':'set','key':'k','value':1,'time':1}\n"
     "{'process':0,'type':'ok','f':'set','key':'k','value':1,'time':2}\n"
     "{'process':1,'type':'invoke','f':'get','key':'k','value':null,'time':3}\n"
     "{'process':1,'type':'ok','f':'get','key':'k','value':1,'time':4}\n"},
    {"stale", "{'process':0,'type':'invoke','f':'set','key':'k','value':1,'time':1}\n"
     "{'process':0,'type':'ok','f':'set','key':'k','value':null,'time':2}\n"
     "{'process':1,'type':'invoke','f':'get','key':'k','value':null,'time':3}\n"
     "{'process':1,'type':'ok','f':'get','key':'k','value':null,'time':4}\n"},
    {"cas",
     "{'process':0,'type':'invoke','f':'cas','key':'k','value':[null,'a'],'time':1}\n"
     "{'process':1,'type':'invoke','f':'cas','key':'k','value':['a','b'],'time':2}\n"
     "{'process':0,'type':'ok','f':'cas','key':'k','value':null,'time':3}\n"
     "{'process':1,'type':'fail','f':'cas','key':'k','value':null,'time':4,'error':'conflict'}\n"},
    {"uncertain", "{'process':0,'type':'invoke','f':'incr','key':'n','value':5,'time':1}\n"
     "{'process':0,'type':'info','f':'incr','key':'n','value':null,'time':2}\n"
     "{'process':1,'type':'invoke','f':'incr','key':'n','value':-2,'time':3}\n"
     "{'process':1,'type':'ok','f':'incr','key':'n','value':3,'time':4}\n"},
    {"loss", "{'process':0,'type':'invoke','f':'set','key':'k','value':1,'time':1}\n"
     "{'process':0,'type':'ok','f':'set','key':'k','value':1,'time':1}\n"
     "{'process':9,'type':'invoke','f':'loss','key':'k','value':'lost','time':2}\n"
     "{'process':1,'type':'invoke','f':'get','key':'k','value':null,'time':3}\n"
     "{'process':1,'type':'fail','f':'get','key':'k','value':null,'time':4,'error':'marked_"
     "lost'}\n"},
    {"others",
     "{'process':0,'type':'invoke','f':'replace','key':'k','value':2,'time':1}\n"
     "{'process':0,'type':'fail','f':'replace','key':'k','value':2,'time':2,'error':'not_found'}\n"
     "{'process':0,'type':'invoke','f':'del','key':'k','value':null,'time':3}\n"
     "{'process':0,'type':'ok','f':'del','key':'k','value':null,'time':4}\n"
     "{'process':1,'type':'invoke','f':'remove','key':'j','value':null,'time':5}\n"
     "{'process':1,'type':'fail','f':'remove','key':'j','value':null,'time':6}\n"},
    {"time-back", "{'process':0,'type':'invoke','f':'get','key':'k','value':null,'time':2}\n"
     "{'process':0,'type':'ok','f':'get','key':'k','value':null,'time':1}\n"},
};

/* clang-format on */

/* The text, with one character for another. */
static void write_text(const char *target, const struct text *t, char from, char to)
{
    size_t size = strlen(t->text);
    char text[4096];

    memcpy(text, t->text, size);
    for (size_t i = 0; i < size; i++)
        if (text[i] == from) text[i] = to;
    corpus_write(target, t->name, (struct sherd_bytes){text, size});
}

/* Texts as long as they may be, and one character longer. */
static void write_longest(void)
{
    static const struct {
        const char *name, *before, *after;
        int size;
    } rows[] = {
        {"cluster",    "cluster = ",                                "\n",       63  },
        {"keeper",     "keeper = \"tcp://",                         ":1\"\n",   119 },
        {"keeper-dir", "keeper = \"tcp://h:1\" keeper_dir = ",      "\n",       1023},
        {"state-dir",  "state_dir = ",                              "\n",       1023},
        {"zone",       "node 1 { endpoint = \"tcp://i:1\" zone = ", " }\n",     31  },
        {"endpoint",   "node 1 { endpoint = \"tcp://",              ":1\" }\n", 119 },
    };
    char many[1200], text[4096], name[64];

    memset(many, 'a', sizeof(many));
    for (size_t i = 0; i < 2 * LEN(rows); i++) {
        int more = (int)(i % 2);
        int size = snprintf(text, sizeof(text),
                            "code = \"1+0\" node 0 { endpoint = \"tcp://h:1\" }\n%s%.*s%s",
                            rows[i / 2].before, rows[i / 2].size + more, many, rows[i / 2].after);
        snprintf(name, sizeof(name), "%s-%s", more ? "too-long" : "longest", rows[i / 2].name);
        corpus_write("conf", name, (struct sherd_bytes){text, (size_t)size});
    }
}

void corpus_write_texts(void)
{
    write_longest();
    for (size_t i = 0; i < LEN(confs); i++)
        write_text("conf", &confs[i], '\0', '\0');
    for (size_t i = 0; i < LEN(histories); i++)
        write_text("history", &histories[i], '\'', '"');
    for (size_t i = 0; i < LEN(commands); i++)
        write_text("cli", &commands[i], '@', '\0');
}
