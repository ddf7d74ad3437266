#!/bin/sh
# K.sh: all tests clean under the address and undefined sanitizers, what has threads clean under the
# thread sanitizer, gcc and clang without a warning: these are the stages of tests/run.sh.
# preset: dev
exec tests/run.sh
