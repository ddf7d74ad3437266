#!/bin/sh
# B.sh: every planted mistake is found; the script itself notices one that is not.
# preset: release
tests/mutants/run.sh --self-test && exec tests/mutants/run.sh
