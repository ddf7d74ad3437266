/* directory.h - a directory that one process at a time holds, and files in it that are durable.
 * Blocks on the disk. All return 0 (lock: the descriptor), or negative errno. */
#ifndef SHERD_SERVER_DIRECTORY_H
#define SHERD_SERVER_DIRECTORY_H

/* Makes the directory, and those above it, unless they are there. */
int sherd_directory_make(const char *path);

/* Takes the directory by the file `lock` in it, until the descriptor is closed. -EBUSY: another
 * process has it; -ENAMETOOLONG. */
int sherd_directory_lock(const char *path);

/* Makes durable which names there are in it. */
int sherd_directory_sync(const char *path);

#endif
