/* alloc_fault.h - lets allocations fail, one by one: those that the linked objects make themselves.
 *
 * The executable is linked with --wrap for every name in tests/allocations/wrapped.txt, so calls
 * from objects in it come here, and those inside shared libraries (libzmq, libconfuse, jansson,
 * libc) do not. What ZeroMQ allocates for a frame, because it is asked to, counts as ours. A call
 * is known by its site, the return address, and by how many calls from that site came before it:
 * threads change the order of calls of a whole process, but hardly that.
 *
 * All functions may be called from any thread. Nothing in here allocates. */
#ifndef SHERD_TESTS_ALLOC_FAULT_H
#define SHERD_TESTS_ALLOC_FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALLOC_SITES_MAX = 256 };

struct alloc_site {
    uintptr_t at; /* as in the file: less the address it was loaded to */
    uint32_t calls;
};

/* Counts from 0 again, and fails nothing. */
void alloc_fault_count(void);

/* Counts from 0 again; the `nth` call (from 1) of this site fails, once. */
void alloc_fault_site(uintptr_t at, uint32_t nth);

/* ... and all later ones of the site, until alloc_fault_off(). */
void alloc_fault_site_from(uintptr_t at, uint32_t nth);

/* Counts from 0 again; the `nth` call of the process fails, once. */
void alloc_fault_once(uint64_t nth);

/* Counts from 0 again; the `nth` call of the process fails, and so do all that follow, until
 * alloc_fault_off(). */
void alloc_fault_from(uint64_t nth);

/* Every call of this thread fails until alloc_fault_off(). */
void alloc_fault_thread(pthread_t thread);

/* Nothing fails, nothing is counted. */
void alloc_fault_off(void);

/* Whether this call is to fail: for wrappers of other functions than those in alloc_fault.c. */
bool alloc_fault_takes(uintptr_t at);

/* How many calls failed since counting began. */
uint32_t alloc_fault_failed(void);

/* Copies what was counted; returns how many sites. */
size_t alloc_fault_sites(struct alloc_site out[ALLOC_SITES_MAX]);

/* Blocks that were given and not taken back; *at (may be NULL) is the site of one of them. */
size_t alloc_fault_live(uintptr_t *at);

#endif
