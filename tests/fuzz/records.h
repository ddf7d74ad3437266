/* records.h - a record of the wire made of any bytes, encoded and decoded again. */
#ifndef SHERD_TESTS_FUZZ_RECORDS_H
#define SHERD_TESTS_FUZZ_RECORDS_H

#include <sherd/base.h>

/* The fields of one request or one answer, within their limits, are taken from `input`. What is
 * encoded must be as long as was said, and decode to what it was. */
void fuzz_record(struct sherd_bytes input);

#endif
