#include "server/store_lmdb_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coord/bytes.h"

_Static_assert(BYTE_ORDER == LITTLE_ENDIAN && sizeof(void *) == 8, "as LMDB lays it out here");

enum {
    META_VERSION = 1,
    HEAD_BYTES = 16, /* of every page */
    NODE_BYTES = 8,  /* of every node, before its key */
    TREE_BYTES = 48,
    META_BYTES = 24 + 2 * TREE_BYTES + 16,
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_OVERFLOW = 4,
    PAGE_META = 8,
    NODE_BIG = 1, /* the value has pages of its own */
    NODE_TREE = 2,
    TREE_INTEGERS = 8,                     /* keys are numbers as the machine has them */
    TREE_OF_FREE = TREE_INTEGERS | 0x4000, /* and, here, that the file is in no folder of its own */
    KEY_BYTES_MAX = 511,
    LEVELS_MAX = 16,
    PAGE_SIZE_MIN = 4096,
    PAGE_SIZE_MAX = 1 << 16,
    FIRST_PAGE = 2, /* after the two metas */
};

#define META_MAGIC UINT32_C(0xbeefc0de)
#define NO_PAGE    UINT64_MAX

/* A place on the way from the root to a leaf. */
struct level {
    unsigned index, count;
    bool is_leaf;
};

struct walk {
    struct sherd_lmdb_pages *pages;
    const struct sherd_lmdb_tree *tree;
    unsigned how, top;
    struct level levels[LEVELS_MAX];
    uint64_t branch_pages, leaf_pages, overflow_pages, entries;
    /* Keys ascend, and what a separator parts lies on both of its sides. */
    uint8_t last[KEY_BYTES_MAX], least[KEY_BYTES_MAX];
    size_t last_size, least_size;
};

static int read_at(int fd, void *out, size_t size, uint64_t at)
{
    uint8_t *to = out;

    while (size > 0) {
        ssize_t got = pread(fd, to, size, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        if (got == 0) return -EUCLEAN; /* the file ends here */
        to += got;
        at += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static uint16_t u16_at(const uint8_t *at)
{
    uint16_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

/* Metas */

static struct sherd_lmdb_tree take_tree(struct sherd_bytes_reader *in, uint32_t *pad)
{
    struct sherd_lmdb_tree t;

    *pad = sherd_bytes_take_u32(in);
    t.flags = sherd_bytes_take_u16(in);
    t.depth = sherd_bytes_take_u16(in);
    t.branch_pages = sherd_bytes_take_u64(in);
    t.leaf_pages = sherd_bytes_take_u64(in);
    t.overflow_pages = sherd_bytes_take_u64(in);
    t.entries = sherd_bytes_take_u64(in);
    t.root = sherd_bytes_take_u64(in);
    return t;
}

int sherd_lmdb_pages_tree(struct sherd_bytes value, struct sherd_lmdb_tree *out)
{
    struct sherd_bytes_reader in;
    uint32_t pad = 0;

    if (value.size != TREE_BYTES || !value.data) return -EUCLEAN;
    in = sherd_bytes_read(value);
    *out = take_tree(&in, &pad);
    return pad == 0 && out->flags == 0 ? 0 : -EUCLEAN;
}

static int read_meta(int fd, uint64_t number, uint64_t at, struct sherd_lmdb_meta *out)
{
    uint8_t bytes[HEAD_BYTES + META_BYTES];
    struct sherd_bytes_reader in = sherd_bytes_read((struct sherd_bytes){bytes, sizeof(bytes)});
    uint32_t pad = 0;
    int rc = read_at(fd, bytes, sizeof(bytes), at);

    if (rc < 0) return rc;
    sherd_bytes_require(&in, sherd_bytes_take_u64(&in) == number);
    sherd_bytes_take_u16(&in);
    sherd_bytes_require(&in, sherd_bytes_take_u16(&in) == PAGE_META);
    sherd_bytes_take_u32(&in);
    sherd_bytes_require(&in, sherd_bytes_take_u32(&in) == META_MAGIC);
    sherd_bytes_require(&in, sherd_bytes_take_u32(&in) == META_VERSION);
    sherd_bytes_require(&in, sherd_bytes_take_u64(&in) == 0); /* where to map it: anywhere */
    sherd_bytes_take_u64(&in);                                /* how much to map: ours to say */
    out->free = take_tree(&in, &out->page_size);
    out->main = take_tree(&in, &pad);
    out->last_page = sherd_bytes_take_u64(&in);
    out->transaction = sherd_bytes_take_u64(&in);
    return in.broken || pad != 0 || out->free.flags != TREE_OF_FREE || out->main.flags != 0
               ? -EUCLEAN
               : 0;
}

/* Commits are written to the two in turn, the even ones to the first. A number that was changed
 * would let LMDB take the older one, and forget a commit. */
static int choose_meta(struct sherd_lmdb_pages *p, const struct sherd_lmdb_meta metas[2])
{
    unsigned newest = metas[1].transaction > metas[0].transaction;

    p->newest = metas[newest];
    p->older = metas[!newest];
    if (p->newest.transaction % 2 != newest || p->newest.transaction == 0 ||
        p->newest.transaction - p->older.transaction != 1)
        return -EUCLEAN;
    if (p->older.page_size != p->newest.page_size ||
        p->newest.last_page > 2 * p->page_count + 1024 || p->newest.last_page < FIRST_PAGE)
        return -EUCLEAN;
    return 0;
}

int sherd_lmdb_pages_open(struct sherd_lmdb_pages *p, int fd)
{
    struct sherd_lmdb_meta metas[2];
    struct stat status;
    int rc;

    *p = (struct sherd_lmdb_pages){.fd = fd};
    rc = read_meta(fd, 0, 0, &metas[0]);
    if (rc < 0) return rc;
    p->page_size = metas[0].page_size;
    if (p->page_size < PAGE_SIZE_MIN || p->page_size > PAGE_SIZE_MAX ||
        (p->page_size & (p->page_size - 1)) != 0)
        return -EUCLEAN;
    rc = read_meta(fd, 1, p->page_size, &metas[1]);
    if (rc < 0) return rc;
    if (fstat(fd, &status) < 0) return -errno;
    p->page_count = (uint64_t)status.st_size / p->page_size;
    rc = choose_meta(p, metas);
    if (rc < 0) return rc;
    p->used = calloc(p->newest.last_page / 8 + 1, 1);
    p->levels = malloc((size_t)LEVELS_MAX * p->page_size);
    return p->used && p->levels ? 0 : -ENOMEM;
}

void sherd_lmdb_pages_close(struct sherd_lmdb_pages *p)
{
    free(p->used);
    free(p->levels);
    free(p->value);
}

/* Pages */

/* Of `count` pages: whether they can be in use, and are so only once. */
static int use_pages(struct sherd_lmdb_pages *p, uint64_t first, uint64_t count, bool mark)
{
    if (first < FIRST_PAGE || first > p->newest.last_page ||
        count > p->newest.last_page - first + 1)
        return -EUCLEAN;
    for (uint64_t i = first; mark && i < first + count; i++) {
        uint8_t bit = (uint8_t)(1u << i % 8);
        if (p->used[i / 8] & bit) return -EUCLEAN;
        p->used[i / 8] |= bit;
    }
    return 0;
}

/* Bytes of a node in its page; 0: it is not within it. */
static size_t node_bytes(const uint8_t *page, size_t page_size, size_t at, bool is_leaf)
{
    size_t size = NODE_BYTES;

    if (at + NODE_BYTES > page_size) return 0;
    size += u16_at(page + at + 6);
    if (is_leaf && (u16_at(page + at + 4) & NODE_BIG))
        size += sizeof(uint64_t);
    else if (is_leaf)
        size += u16_at(page + at) | (size_t)u16_at(page + at + 2) << 16;
    return at + size <= page_size ? size : 0;
}

/* Nodes lie close together, at the end of the page; their offsets, after its head. */
static int check_nodes(const uint8_t *page, size_t page_size, bool is_leaf, unsigned *count)
{
    size_t lower = u16_at(page + 12), upper = u16_at(page + 14), sum = 0;

    if (upper == 0) upper = page_size; /* 65536 */
    if (lower <= HEAD_BYTES || lower % 2 != 0 || lower > upper || upper > page_size)
        return -EUCLEAN;
    *count = (unsigned)(lower - HEAD_BYTES) / 2;
    for (unsigned i = 0; i < *count; i++) {
        size_t at = u16_at(page + HEAD_BYTES + 2 * (size_t)i);
        size_t size = at >= upper ? node_bytes(page, page_size, at, is_leaf) : 0;
        if (size == 0) return -EUCLEAN;
        sum += (size + 1) & ~(size_t)1;
    }
    return sum == page_size - upper ? 0 : -EUCLEAN;
}

/* Reads the page at this level. Where damage is skipped, a key that was changed spoils no page but
 * its own. */
static int enter(struct walk *w, uint64_t number)
{
    struct sherd_lmdb_pages *p = w->pages;
    struct level *l = &w->levels[w->top];
    uint8_t *page = p->levels + (size_t)w->top * p->page_size;
    uint64_t own = 0;
    int rc = use_pages(p, number, 1, w->how & SHERD_LMDB_USE);

    if (rc == 0) rc = read_at(p->fd, page, p->page_size, number * p->page_size);
    if (rc < 0) return rc;
    *l = (struct level){.is_leaf = w->top + 1u == w->tree->depth};
    if (w->how & SHERD_LMDB_SKIP) w->last_size = 0;
    memcpy(&own, page, sizeof(own));
    if (own != number || u16_at(page + 10) != (l->is_leaf ? PAGE_LEAF : PAGE_BRANCH))
        return -EUCLEAN;
    if (l->is_leaf)
        w->leaf_pages++;
    else
        w->branch_pages++;
    return check_nodes(page, p->page_size, l->is_leaf, &l->count);
}

/* Keys */

static int compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* The key as bytes that memcmp orders. */
static int key_of(const struct walk *w, const uint8_t *node, uint8_t *out, size_t *size)
{
    *size = u16_at(node + 6);
    if (*size > KEY_BYTES_MAX) return -EUCLEAN;
    memcpy(out, node + NODE_BYTES, *size);
    if (!(w->tree->flags & TREE_INTEGERS)) return 0;
    if (*size != sizeof(uint64_t)) return -EUCLEAN;
    for (size_t i = 0; i < *size; i++)
        out[i] = node[NODE_BYTES + *size - 1 - i];
    return 0;
}

/* The first separator of a page parts nothing and may be empty. */
static int check_separator(struct walk *w, const uint8_t *node, bool is_first)
{
    int rc;

    if (is_first) return 0;
    rc = key_of(w, node, w->least, &w->least_size);
    if (rc < 0) return rc;
    return compare(w->last, w->last_size, w->least, w->least_size) < 0 ? 0 : -EUCLEAN;
}

static int check_key(struct walk *w, const uint8_t *node)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t size = 0;
    int rc = key_of(w, node, key, &size);

    if (rc < 0) return rc;
    if (size == 0 || compare(w->last, w->last_size, key, size) >= 0 ||
        compare(w->least, w->least_size, key, size) > 0)
        return -EUCLEAN;
    memcpy(w->last, key, size);
    w->last_size = size;
    return 0;
}

/* Values */

static int reserve_value(struct sherd_lmdb_pages *p, size_t size)
{
    uint8_t *value = NULL;

    if (size <= p->value_capacity) return 0;
    value = realloc(p->value, size);
    if (!value) return -ENOMEM;
    p->value = value;
    p->value_capacity = size;
    return 0;
}

static int read_big(struct walk *w, const uint8_t *at, struct sherd_bytes *value)
{
    struct sherd_lmdb_pages *p = w->pages;
    uint64_t number = 0, own = 0, least = (HEAD_BYTES - 1 + value->size) / p->page_size + 1;
    uint8_t head[HEAD_BYTES];
    uint32_t count = 0;
    int rc;

    memcpy(&number, at, sizeof(number));
    rc = use_pages(p, number, least, false);
    if (rc == 0) rc = read_at(p->fd, head, sizeof(head), number * p->page_size);
    if (rc < 0) return rc;
    memcpy(&own, head, sizeof(own));
    memcpy(&count, head + 12, sizeof(count)); /* more where a larger value was */
    if (own != number || u16_at(head + 10) != PAGE_OVERFLOW || count < least ||
        number + least > p->page_count)
        return -EUCLEAN;
    w->overflow_pages += count;
    rc = use_pages(p, number, count, w->how & SHERD_LMDB_USE);
    if (rc < 0 || !(w->how & SHERD_LMDB_VALUES)) return rc;
    rc = reserve_value(p, value->size);
    if (rc == 0) rc = read_at(p->fd, p->value, value->size, number * p->page_size + HEAD_BYTES);
    value->data = p->value;
    return rc;
}

static int visit_node(struct walk *w, const uint8_t *node, sherd_lmdb_visit_fn visit, void *context)
{
    uint16_t flags = u16_at(node + 4);
    const uint8_t *value = node + NODE_BYTES + u16_at(node + 6);
    struct sherd_lmdb_node out = {
        .key = {node + NODE_BYTES, u16_at(node + 6)                             },
        .value = {NULL,              u16_at(node) | (size_t)u16_at(node + 2) << 16},
        .is_tree = flags == NODE_TREE,
    };
    int rc = check_key(w, node);

    if (rc == 0 && flags != 0 && flags != NODE_BIG && flags != NODE_TREE) rc = -EUCLEAN;
    if (rc < 0) return rc;
    w->entries++;
    if (flags == NODE_BIG)
        rc = read_big(w, value, &out.value);
    else
        out.value.data = value;
    return rc < 0 ? rc : visit(context, &out);
}

/* One step of the walk: the next node of the page that it is in. */
static int step(struct walk *w, sherd_lmdb_visit_fn visit, void *context)
{
    struct level *l = &w->levels[w->top];
    const uint8_t *page = w->pages->levels + (size_t)w->top * w->pages->page_size;
    const uint8_t *node = page + u16_at(page + HEAD_BYTES + 2 * (size_t)l->index);
    uint64_t child = 0;
    int rc;

    l->index++;
    if (l->is_leaf) return visit_node(w, node, visit, context);
    rc = check_separator(w, node, l->index == 1);
    if (rc < 0) return rc;
    memcpy(&child, node, 6); /* 48 bits of page number */
    w->top++;
    rc = enter(w, child);
    if (rc < 0) w->top--; /* the next one is beside it */
    return rc;
}

static int step_or_skip(struct walk *w, sherd_lmdb_visit_fn visit, void *context)
{
    int rc = step(w, visit, context);

    if (rc != -EUCLEAN || !(w->how & SHERD_LMDB_SKIP)) return rc;
    w->pages->skipped++;
    return 0;
}

static bool is_as_counted(const struct walk *w)
{
    const struct sherd_lmdb_tree *tree = w->tree;

    return w->branch_pages == tree->branch_pages && w->leaf_pages == tree->leaf_pages &&
           w->overflow_pages == tree->overflow_pages && w->entries == tree->entries;
}

int sherd_lmdb_pages_walk(struct sherd_lmdb_pages *p, const struct sherd_lmdb_tree *tree,
                          unsigned how, sherd_lmdb_visit_fn visit, void *context)
{
    struct walk w = {.pages = p, .tree = tree, .how = how};
    int rc = 0;

    if (tree->depth > LEVELS_MAX) return -EUCLEAN;
    if (tree->root != NO_PAGE) {
        if (tree->depth == 0) return -EUCLEAN;
        rc = enter(&w, tree->root);
        for (bool done = false; rc == 0 && !done;) {
            if (w.levels[w.top].index < w.levels[w.top].count)
                rc = step_or_skip(&w, visit, context);
            else if (w.top > 0)
                w.top--;
            else
                done = true;
        }
    } else if (tree->depth != 0) {
        return -EUCLEAN;
    }
    if (rc == 0 && !is_as_counted(&w)) rc = -EUCLEAN;
    if (rc != -EUCLEAN || !(how & SHERD_LMDB_SKIP)) return rc;
    p->skipped++;
    return 0;
}

void sherd_lmdb_pages_reset(struct sherd_lmdb_pages *p)
{
    memset(p->used, 0, p->newest.last_page / 8 + 1);
}

/* What is free */

/* A list: how many, then page numbers; there may be room after them. */
static int visit_free(void *context, const struct sherd_lmdb_node *node)
{
    struct sherd_lmdb_pages *p = context;
    struct sherd_bytes_reader in = sherd_bytes_read(node->value);
    uint64_t count = sherd_bytes_take_u64(&in);
    int rc = 0;

    if (node->is_tree || in.broken || count > sherd_bytes_left(&in) / sizeof(uint64_t))
        return -EUCLEAN;
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = use_pages(p, sherd_bytes_take_u64(&in), 1, true);
    return rc;
}

int sherd_lmdb_pages_check_free(struct sherd_lmdb_pages *p)
{
    return sherd_lmdb_pages_walk(p, &p->newest.free, SHERD_LMDB_USE | SHERD_LMDB_VALUES, visit_free,
                                 p);
}
