/* corpus.h - what the parts of fuzz_corpus share. */
#ifndef SHERD_TESTS_FUZZ_CORPUS_H
#define SHERD_TESTS_FUZZ_CORPUS_H

#include <sherd/base.h>

/* Writes FOLDER/target/name; ends the program if it cannot, or the file would be too large. */
void corpus_write(const char *target, const char *name, struct sherd_bytes bytes);

void corpus_write_store(void);
void corpus_write_texts(void); /* conf, cli, history */

#endif
