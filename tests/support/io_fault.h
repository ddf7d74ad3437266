/* io_fault.h - a disk that fails, for the process that this is linked to or preloaded into.
 *
 * While the file exists that the environment variable SHERD_IO_FAULT names, the calls that write to
 * files or make them durable (pwrite, pwritev, writev, fdatasync, fsync, msync, ftruncate) fail.
 * The file says how: the name of an error (EIO unless it is ENOSPC), then the names of the calls
 * that fail, if it is not all of them; with `late` among them a call does what it is to do, and
 * fails nevertheless. `writev` to what is no regular file never fails.
 *
 * The target io_fault is a library for LD_PRELOAD; what the address sanitizer is in then needs
 * ASAN_OPTIONS=verify_asan_link_order=0. */
#ifndef SHERD_TESTS_IO_FAULT_H
#define SHERD_TESTS_IO_FAULT_H

#define IO_FAULT_VARIABLE "SHERD_IO_FAULT"

#endif
