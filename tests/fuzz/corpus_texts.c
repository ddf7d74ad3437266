#include <stdio.h>
#include <string.h>

#include "tests/fuzz/corpus.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

#define NODES                                                                              \
    "node 0 { endpoint = \"tcp://h:1\" } node 1 { endpoint = \"tcp://h:2\" zone = 'a' }\n" \
    "node 2 { endpoint = \"tcp://[::1]:3\" weight = 7 }\n"

static const struct text {
    const char *name;
    const char *text;
} confs[] = {
    {"least",           "node 0 { endpoint = \"tcp://h:1\" } code = \"1+0\"\n"                     },
    {"three",           "code = \"1+2\"\n" NODES                                                   },
    {"every-option",
     "cluster = c.1 code = '2+1' keeper = \"tcp://10.0.0.1:7599\" partitions = 16\n"
     "straggler_ms = 0 self = 1 keeper_dir = \"/a\" state_dir = \"/b\" store = memory\n"
     "max_memory = \"64MiB\" recovery_rate = 2GiB vacate_after_ms = 1000 log_level = "
     "debug\n" NODES                                                                               },
    {"include",         "include(\"other.conf\")\ncode = \"1+2\"\n\001" NODES                      },
    {"include-itself",  "include(\"other.conf\")\n\001include(\"other.conf\")\n"                   },
    {"include-missing", "include(\"third.conf\")\n" NODES                                          },
    {"comments",        "# one\ncode = \"1+2\" # two\n" NODES "# the end"                          },
    {"quotes",          "state_dir = '/a \"b\"' keeper_dir = \"/it's\" keeper = \"tcp://h:9\" "
               "code = \"1+2\"\n" NODES                                              },
    {"open-string",     "cluster = \"c\n" NODES                                                    },
    {"gap",             "node 0 { endpoint = \"tcp://h:1\" } node 2 { endpoint = \"tcp://h:2\" }\n"},
    {"same-endpoint",   "node 0 { endpoint = \"tcp://h:1\" } node 1 { endpoint = \"tcp://h:1\" }\n"},
    {"same-id",         "node 0 { endpoint = \"tcp://h:1\" } node 0 { endpoint = \"tcp://h:2\" }\n"},
    {"numbers",         "partitions = 0x10 self = -1 straggler_ms = 99999999999999999999\n" NODES  },
    {"list",            "cluster = {a, b} code += \"1+1\"\n" NODES                                 },
};

/* A command line: the script of the world, the file, the words. `@` stands for their ends. */
#define STATS                                                                                \
    "{\"incarnation\":\"1\",\"live\":1,\"partitions\":{\"voting\":9,\"learning\":1},"        \
    "\"store\":{\"bytes\":5,\"bytes_max\":9,\"keys\":3},\"recovery\":{\"task\":\"rebuild\"," \
    "\"done\":1,\"total\":2}}"
#define SUM "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OKS "\037\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017\017"

static const struct text commands[] = {
    {"none",         "\037@"                                                                     },
    {"help",         "\037@@help"                                                                },
    {"help-json",    "\037@@--json@help@cluster@up"                                              },
    {"help-option",  "\037@@set@--help"                                                          },
    {"version",      "\037@@--json@--version"                                                    },
    {"up",           "\036@@cluster@up@--nodes@11@--code@8+3@--dir@/x@--base-port@7600@--zones@3"},
    {"up-sizes",     "\036@@--json@cluster@up@--max-memory@2GiB@--recovery-rate=64MiB@--name@a"  },
    {"up-running",   "\037@@cluster@up"                                                          },
    {"down",         "\037@@cluster@down"                                                        },
    {"list",         "\037@@--json@cluster@list"                                                 },
    {"list-dir",     "\037@@cluster@list@--dir@/x"                                               },
    {"kill",         "\037@@cluster@kill@1"                                                      },
    {"start",        "\037@@cluster@start@2@--timeout@100"                                       },
    {"wipe",         "\037@@--json@cluster@wipe@3"                                               },
    {"set",          OKS "@value@set@fruit@cherry@--ttl@3600"                                    },
    {"set-file",     OKS "@value@--json@set@photo@--file@p.jpg"                                  },
    {"set-stdin",    OKS "@value@set@photo@-"                                                    },
    {"get",          OKS "@value@get@fruit"                                                      },
    {"get-json",     OKS "@v\377lue@--json@get@fr\377it"                                         },
    {"get-out",      OKS "@value@get@fruit@--out@q.jpg"                                          },
    {"del",          OKS "@@--json@del@fruit"                                                    },
    {"cas",          OKS "@@cas@fruit@1-2-3@plum"                                                },
    {"incr",         OKS "@@--json@incr@visits@-5"                                               },
    {"append",       OKS "@@append@log@line"                                                     },
    {"exists",       "\037\001\001@@exists@fruit"                                                },
    {"ttl",          OKS "@@--json@ttl@fruit"                                                    },
    {"scan",         "\037\005\017\003\001\002\003\001@abcdefghij@scan@a@--limit@2"              },
    {"scan-json",    "\037\005\017\003\001\002\003\001@abcdefghij@--json@scan"                   },
    {"import",       OKS "@a\nb/c\n@import@--list@-@--prefix@p/"                                 },
    {"import-words", OKS "@text@--json@import@one@two"                                           },
    {"verify",       OKS "@" SUM "  name\n@--json@verify@--sums@s"                               },
    {"status",       OKS OKS "@" STATS "@status"                                                 },
    {"status-json",  OKS OKS "@" STATS "@--json@status@--wait@20"                                },
    {"recover",      OKS OKS "@" STATS "@recover@1@--watch"                                      },
    {"accept-loss",  OKS "@@--json@recover@--accept-loss"                                        },
    {"explain",      OKS OKS "@@explain@fruit"                                                   },
    {"explain-json", OKS OKS "@@--json@explain@fruit"                                            },
    {"no-cluster",   "\036@@get@fruit@--timeout@1"                                               },
    {"uncertain",    "\037\003\001\003\001\003\001@@--json@set@a@b"                              },
    {"words",        "\037@@get@--@--json@-1"                                                    },
};

/* Process, type, call, key, value, time; `more` is another member of the object. */
#define EVENT(p, type, f, key, value, time, more)                              \
    "{\"process\":" #p ",\"type\":\"" type "\",\"f\":\"" f "\",\"key\":\"" key \
    "\",\"value\":" value ",\"time\":" #time more "}\n"

static const struct text histories[] = {
    {"set-get",
     EVENT(0,                    "invoke", "set", "k",                       "1",                                     1,                                                                           "") EVENT(0,                                                                                                                                     "ok","set",               "k", "1", 2, "")
         EVENT(1, "invoke", "get", "k", "null", 3, "") EVENT(1, "ok", "get", "k", "1", 4, "")},
    {"stale",
     EVENT(0,                "invoke",                  "set",                      "k",                                    "1",                                                                       1,                                                                                                                                             "") EVENT(0,                                                                                                                                                                                                                                                                                         "ok","set","k","null",2,"")
         EVENT(1,"invoke", "get", "k", "null", 3, "") EVENT(1, "ok", "get", "k", "null", 4, "")},
    {"cas",    EVENT(0,                "invoke",    "cas","k","[null,\"a\"]",1,"")
                EVENT(1,"invoke","cas","k",                    "[\"a\",\"b\"]",                                                                                                                                                                                                                                                                                                            2,                                                                                                                                                                                                                                                                                                        "")
                    EVENT(0,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "ok", "cas", "k", "null", 3, "")
                        EVENT(1, "fail", "cas", "k", "null", 4, ",\"error\":\"conflict\"")},
    {"uncertain",
     EVENT(0,            "invoke",                "incr",                "n",                                      "5",                                                                       1,                                                                                                                                                 "") EVENT(0,                                                                                                                                                                                                                                                                                             "info","incr","n","null",2,"")
         EVENT(1,"invoke", "incr", "n", "-2", 3, "") EVENT(1, "ok", "incr", "n", "3", 4, "")},
    {"loss",        EVENT(0, "invoke", "set", "k",                       "1",                                                                                                                     1,                                                                                                                                                                                               "") EVENT(0,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "ok",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "set",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   "k",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "1",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  1,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  "")
                 EVENT(9,"invoke", "loss", "k", "\"lost\"", 2, "")
                     EVENT(1, "invoke", "get", "k", "null", 3, "")
                         EVENT(1, "fail", "get", "k", "null", 4, ",\"error\":\"marked_lost\"")},
    {"others",
     EVENT(0,                "invoke",                  "replace",                      "k",                     "2",                                                            1,                                                                                                                             "")
         EVENT(0,                                                                                                                                                                                                                                                                                                                                       "fail","replace","k","2",2,",\"error\":\"not_found\"")
             EVENT(0,"invoke", "del", "k", "null", 3, "") EVENT(0, "ok", "del", "k", "null", 4, "")
                 EVENT(1, "invoke", "remove", "j", "null", 5, "")
                     EVENT(1, "fail", "remove", "j", "null", 6, "")},
    {"time-back",
     EVENT(0,               "invoke",                 "get",                     "k",                               "null",                                                              2,                                                                                                                                   "") EVENT(0,                                                                                                                                                                                                                                                                               "ok","get",                                                                                                                                                                                                                                                                                             "k",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "null",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              1,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "")                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        },
};

static void write_commands(void)
{
    char text[4096];

    for (size_t i = 0; i < LEN(commands); i++) {
        size_t size = strlen(commands[i].text);

        memcpy(text, commands[i].text, size);
        for (size_t j = 0; j < size; j++)
            if (text[j] == '@') text[j] = '\0';
        corpus_write("cli", commands[i].name, (struct sherd_bytes){text, size});
    }
}

void corpus_write_texts(void)
{
    for (size_t i = 0; i < LEN(confs); i++)
        corpus_write("conf", confs[i].name,
                     (struct sherd_bytes){confs[i].text, strlen(confs[i].text)});
    for (size_t i = 0; i < LEN(histories); i++)
        corpus_write("history", histories[i].name,
                     (struct sherd_bytes){histories[i].text, strlen(histories[i].text)});
    write_commands();
}
