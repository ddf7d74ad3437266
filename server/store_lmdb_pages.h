/* store_lmdb_pages.h - reads an LMDB file page by page, without LMDB, and trusts nothing in it.
 *
 * LMDB believes its file: a flipped bit in a page number or in a list of free pages lets it crash,
 * miss keys, or write over what is in use. So before LMDB opens a file, this looks at every page
 * that is neither free nor part of a value with pages of its own: whether each says that it is
 * itself, is in use once, has its nodes within it, whether keys ascend and separators part them,
 * and whether the counts are right. The format is that of LMDB 0.9 (data version 1) on a
 * little-endian machine with 64 bits.
 *
 * All functions return 0, -EUCLEAN: the file is damaged, or negative errno of reading, or what the
 * visitor returned. */
#ifndef SHERD_SERVER_STORE_LMDB_PAGES_H
#define SHERD_SERVER_STORE_LMDB_PAGES_H

#include <sherd/base.h>
#include <stdbool.h>
#include <stdint.h>

struct sherd_lmdb_tree {
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

/* One of the two pages that say what was committed. */
struct sherd_lmdb_meta {
    struct sherd_lmdb_tree free, main;
    uint32_t page_size;
    uint64_t last_page, transaction;
};

struct sherd_lmdb_pages {
    int fd;
    uint32_t page_size;
    uint64_t page_count;                  /* of the file */
    struct sherd_lmdb_meta newest, older; /* older.transaction 0: there is none */
    uint8_t *used;                        /* a bit a page */
    uint8_t *levels;                      /* a page for each level of a tree */
    uint8_t *value;                       /* a value with pages of its own */
    size_t value_capacity;
    uint64_t skipped; /* by walks with SHERD_LMDB_SKIP */
};

struct sherd_lmdb_node {
    struct sherd_bytes key;
    struct sherd_bytes value; /* data is NULL where it has pages of its own and was not read */
    bool is_tree;             /* the value is one: sherd_lmdb_pages_tree() */
};

typedef int (*sherd_lmdb_visit_fn)(void *context, const struct sherd_lmdb_node *node);

/* Borrows the descriptor. -ENOMEM too. To be closed in either case. */
int sherd_lmdb_pages_open(struct sherd_lmdb_pages *p, int fd);
void sherd_lmdb_pages_close(struct sherd_lmdb_pages *p);

enum sherd_lmdb_walk {
    SHERD_LMDB_USE = 1,    /* its pages are in use from now on, and must not be so yet */
    SHERD_LMDB_VALUES = 2, /* values with pages of their own are read, too */
    SHERD_LMDB_SKIP = 4,   /* what is damaged, or what the visitor calls so, is left out, with all
                              that   lies below it; `skipped` counts */
};

/* Calls `visit` for every node of a tree in order; views are valid until it returns. */
int sherd_lmdb_pages_walk(struct sherd_lmdb_pages *p, const struct sherd_lmdb_tree *tree,
                          unsigned how, sherd_lmdb_visit_fn visit, void *context);

/* What the value of a node says of another tree. */
int sherd_lmdb_pages_tree(struct sherd_bytes value, struct sherd_lmdb_tree *out);

/* Before other walks over the same trees: nothing is in use. */
void sherd_lmdb_pages_reset(struct sherd_lmdb_pages *p);

/* Whether what is free is in use nowhere, and free once. After all trees of `newest`. */
int sherd_lmdb_pages_check_free(struct sherd_lmdb_pages *p);

#endif
