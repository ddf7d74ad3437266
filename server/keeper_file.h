/* keeper_file.h - what the keeper must not forget: the map as it was published, and how far it is
 * live.
 *
 * The map stays as published, byte for byte, since its successor names the hash of these bytes; so
 * `live`, which moves afterwards, stands before it. DIR/map: magic `u32`, format `u32`, live `u64`,
 * the encoded map, and XXH3_64 (`u64`) of all before it; little-endian. It is replaced at once or
 * not at all. One process at a time holds the directory. Blocks on the disk. */
#ifndef SHERD_SERVER_KEEPER_FILE_H
#define SHERD_SERVER_KEEPER_FILE_H

#include <sherd/base.h>
#include <stdbool.h>

struct sherd_keeper_file {
    char directory[1024];
    int lock; /* descriptor of DIR/lock; -1: not open */
};

/* Takes the directory; `create`: makes it (not its parents) if it is missing.
 * 0, -EBUSY: another process has it, -ENAMETOOLONG, other negative errno. */
int sherd_keeper_file_open(struct sherd_keeper_file *f, const char *directory, bool create);
void sherd_keeper_file_close(struct sherd_keeper_file *f);

/* On success *bytes (of *size) is the caller's, for free(). -ENOENT: no map yet; -EBADMSG: the file
 * is damaged, or not a keeper's; other negative errno. Does not look into the map. */
int sherd_keeper_file_read(const struct sherd_keeper_file *f, uint8_t **bytes, size_t *size,
                           uint64_t *live);

/* Durable when it returns 0. On failure (negative errno) the file is the old or the new one. */
int sherd_keeper_file_write(const struct sherd_keeper_file *f, struct sherd_bytes encoded,
                            uint64_t live);

#endif
