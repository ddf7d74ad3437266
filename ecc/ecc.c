/* ecc.c - Reed-Solomon on ISA-L: the only file that includes its erasure code.
 *
 * Outside, sizes are size_t and inputs are const; the casts ISA-L needs are all in here. */
#include <errno.h>
#include <isa-l/erasure_code.h>
#include <sherd/ecc.h>
#include <stdlib.h>
#include <string.h>

#include "ecc/plan.h"
#include "ecc/split.h"

#define SLOTS_MAX  SHERD_ECC_SLOTS_MAX
#define TABLE_SIZE 32 /* what ISA-L makes of one coefficient */

/* Bytes of each shard a call of ISA-L sees. It counts them in an int, and reads all sources again
 * for each few outputs: those of one chunk are still in the cache (16+16, 1 MiB: 25 % faster). */
#define CHUNK_MAX ((size_t)32 * 1024)

struct sherd_ecc {
    unsigned k, m;
    struct sherd_plans plans;
    unsigned char matrix[SLOTS_MAX * SLOTS_MAX]; /* row i makes shard i from the k pieces */
    unsigned char tables[];                      /* m * k to encode, then those of the plans */
};

/* ISA-L only reads its inputs but declares them writable. */
static unsigned char *writable(const void *p)
{
    union {
        const void *in;
        unsigned char *out;
    } u = {.in = p};

    return u.out;
}

/* A product of matrix and shards: each output is a linear combination of the k sources. */
struct product {
    unsigned k, rows;
    const unsigned char *table; /* rows * k coefficients, row by row */
    const void *sources[SLOTS_MAX];
    void *outputs[SLOTS_MAX];
};

/* Computes the bytes [from, to) of every output. */
static void multiply(const struct product *p, size_t from, size_t to)
{
    unsigned char *in[SLOTS_MAX], *out[SLOTS_MAX];

    for (size_t done = from; p->rows != 0 && done < to;) {
        size_t chunk = to - done < CHUNK_MAX ? to - done : CHUNK_MAX;
        for (unsigned i = 0; i < p->k; i++)
            in[i] = writable(p->sources[i]) + done;
        for (unsigned i = 0; i < p->rows; i++)
            out[i] = (unsigned char *)p->outputs[i] + done;
        ec_encode_data((int)chunk, (int)p->k, (int)p->rows, writable(p->table), in, out);
        done += chunk;
    }
}

static size_t table_size(unsigned k, unsigned rows) { return (size_t)k * rows * TABLE_SIZE; }

/* Cauchy: any k rows can be inverted (Blömer et al. 1995, section 3). For k = 1 its parity rows are
 * distinct constants; ones have the same property and make every shard a plain copy. */
static void make_matrix(struct sherd_ecc *e)
{
    if (e->k == 1)
        memset(e->matrix, 1, e->m + 1);
    else
        gf_gen_cauchy1_matrix(e->matrix, (int)(e->k + e->m), (int)e->k);
}

int sherd_ecc_new(unsigned k, unsigned m, struct sherd_ecc **out)
{
    size_t encode_size, plan_size;
    struct sherd_ecc *e;

    *out = NULL;
    if (k == 0 || k > SLOTS_MAX || m > SLOTS_MAX - k) return -EINVAL;
    encode_size = table_size(k, m);
    plan_size = table_size(k, k < m ? k : m); /* nobody decodes more than is, or may be, missing */
    e = calloc(1, sizeof(*e) + encode_size + SHERD_PLANS_MAX * plan_size);
    if (e == NULL) return -ENOMEM;

    e->k = k;
    e->m = m;
    make_matrix(e);
    if (m != 0) ec_init_tables((int)k, (int)m, e->matrix + (size_t)k * k, e->tables);
    sherd_plans_init(&e->plans, e->tables + encode_size, plan_size);
    *out = e;
    return 0;
}

void sherd_ecc_free(struct sherd_ecc *e) { free(e); }

unsigned sherd_ecc_k(const struct sherd_ecc *e) { return e->k; }

unsigned sherd_ecc_m(const struct sherd_ecc *e) { return e->m; }

void sherd_ecc_encode(const struct sherd_ecc *e, size_t shard_size, const void *const data[],
                      void *const parity[])
{
    struct product p = {.k = e->k, .rows = e->m, .table = e->tables};

    for (unsigned i = 0; i < e->k; i++)
        p.sources[i] = data[i];
    for (unsigned i = 0; i < e->m; i++)
        p.outputs[i] = parity[i];
    multiply(&p, 0, shard_size);
}

/* Chooses k of the given shards, except that of slot `except`. Data before parity: the more data
 * shards, the more coefficients are 0 or 1 and the fewer patterns fill the cache. */
static int choose(const struct sherd_ecc *e, const void *const shards[], unsigned except,
                  uint32_t *sources)
{
    unsigned found = 0;

    *sources = 0;
    for (unsigned i = 0; i < e->k + e->m && found < e->k; i++) {
        if (i == except || shards[i] == NULL) continue;
        *sources |= 1u << i;
        found++;
    }
    return found == e->k ? 0 : -ENODATA;
}

/* How the k pieces make the shard of `slot`: k coefficients. */
static const unsigned char *row_of(const struct sherd_ecc *e, int slot)
{
    return e->matrix + (size_t)slot * e->k;
}

/* Invert the rows that made the sources, and the sources give back the pieces; times the row of a
 * wanted shard, they give that shard. */
static void make_plan(const struct sherd_ecc *e, uint32_t sources, uint32_t wanted,
                      unsigned char *table)
{
    unsigned char made[SLOTS_MAX * SLOTS_MAX], inverse[SLOTS_MAX * SLOTS_MAX];
    unsigned char rows[SLOTS_MAX * SLOTS_MAX] = {0}, *row = rows;
    size_t k = e->k, at = 0;
    int count = __builtin_popcount(wanted);

    for (; sources != 0; sources &= sources - 1)
        memcpy(made + k * at++, row_of(e, __builtin_ctz(sources)), k);
    if (gf_invert_matrix(made, inverse, (int)k) != 0) abort(); /* no Cauchy matrix then */
    for (; wanted != 0; wanted &= wanted - 1, row += k) {
        const unsigned char *wants = row_of(e, __builtin_ctz(wanted));
        for (size_t i = 0; i < k * k; i++)
            row[i % k] ^= gf_mul(wants[i / k], inverse[i]);
    }
    ec_init_tables((int)k, count, rows, table);
}

/* Fills in everything but the outputs: as many as `wanted` has slots, in their order. */
static void load_plan(struct sherd_ecc *e, const void *const shards[], uint32_t sources,
                      uint32_t wanted, struct product *p)
{
    int fresh;
    unsigned char *table = sherd_plans_find(&e->plans, sources, wanted, &fresh);

    if (fresh) make_plan(e, sources, wanted, table);
    p->table = table;
    p->rows = (unsigned)__builtin_popcount(wanted);
    for (; sources != 0; sources &= sources - 1)
        p->sources[p->k++] = shards[__builtin_ctz(sources)];
}

int sherd_ecc_decode(struct sherd_ecc *e, size_t shard_size, const void *const shards[],
                     void *const out_data[])
{
    struct product p = {0};
    uint32_t sources, wanted = 0;
    unsigned rows = 0;
    int rc = choose(e, shards, SLOTS_MAX, &sources);

    if (rc < 0) return rc;
    for (unsigned i = 0; i < e->k; i++) {
        if (shards[i] != NULL || out_data[i] == NULL) continue;
        wanted |= 1u << i;
        p.outputs[rows++] = out_data[i];
    }
    if (wanted == 0) return 0;
    load_plan(e, shards, sources, wanted, &p);
    multiply(&p, 0, shard_size);
    return 0;
}

int sherd_ecc_rebuild(struct sherd_ecc *e, size_t shard_size, const void *const shards[],
                      unsigned slot, void *out)
{
    struct product p = {.outputs = {out}};
    uint32_t sources;
    int rc;

    if (slot >= e->k + e->m) return -EINVAL;
    rc = choose(e, shards, slot, &sources);
    if (rc < 0) return rc;
    load_plan(e, shards, sources, 1u << slot, &p);
    multiply(&p, 0, shard_size);
    return 0;
}

int sherd_ecc_join(struct sherd_ecc *e, const void *const shards[], size_t value_size, void *value)
{
    struct sherd_split s = sherd_split_of(e->k, value_size);
    struct product p = {0};
    uint32_t sources, wanted = 0;
    unsigned rows = 0;
    int rc = choose(e, shards, SLOTS_MAX, &sources);

    if (rc < 0) return rc;
    for (unsigned i = 0; i < s.whole + (s.rest != 0); i++) {
        unsigned char *place = (unsigned char *)value + i * s.shard_size;
        if (shards[i] == NULL) {
            wanted |= 1u << i;
            p.outputs[rows++] = place;
        } else if (shards[i] != place) {
            memcpy(place, shards[i], i < s.whole ? s.shard_size : s.rest);
        }
    }
    if (wanted == 0) return 0;
    load_plan(e, shards, sources, wanted, &p);
    /* A piece cut short is the last output, hence the last row of the table: decode as far as it
     * goes, then go on without it. That needs no scratch. */
    if (s.rest != 0 && (wanted >> s.whole) != 0) {
        multiply(&p, 0, s.rest);
        p.rows--;
        multiply(&p, s.rest, s.shard_size);
    } else {
        multiply(&p, 0, s.shard_size);
    }
    return 0;
}

struct sherd_ecc_plan_counts sherd_ecc_plan_counts(const struct sherd_ecc *e)
{
    return (struct sherd_ecc_plan_counts){
        .hits = e->plans.hits,
        .misses = e->plans.turn - e->plans.hits,
    };
}
