#include "tests/store/lmdb_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/store/store_content.h"

int lmdb_setup(void **state)
{
    struct lmdb_fixture *f = calloc(1, sizeof(*f));

    if (!f) return -1;
    *state = f;
    f->random = 1;
    snprintf(f->directory, sizeof(f->directory), "%s/sherd-lmdb-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(f->directory)) return -1;
    snprintf(f->data, sizeof(f->data), "%s/data", f->directory);
    return 0;
}

int lmdb_teardown(void **state)
{
    struct lmdb_fixture *f = *state;
    int rc = 0;

    if (f->store) f->store->ops->close(f->store);
    rc = sherd_store_lmdb_remove(f->directory);
    if (rc == 0 && access(f->directory, F_OK) == 0) rc = -1; /* something was left in it */
    free(f);
    return rc;
}

int lmdb_try_open(struct lmdb_fixture *f, uint32_t sync_ms)
{
    struct sherd_store_lmdb_config config = {f->directory, sync_ms};

    assert_null(f->store);
    return sherd_store_lmdb_open(&config, &f->store);
}

void lmdb_open(struct lmdb_fixture *f, uint32_t sync_ms)
{
    assert_int_equal(lmdb_try_open(f, sync_ms), 0);
}

void lmdb_close(struct lmdb_fixture *f)
{
    f->store->ops->close(f->store);
    f->store = NULL;
}

void lmdb_change(struct lmdb_fixture *f, unsigned count, unsigned sync_every)
{
    for (unsigned i = 1; i <= count; i++) {
        assert_int_equal(content_change(f->store, &f->random), 0);
        if (i % sync_every == 0) assert_int_equal(f->store->ops->sync(f->store), 0);
    }
}

unsigned char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    unsigned char *data = NULL;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

void write_whole(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}
