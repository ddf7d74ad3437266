#!/bin/sh
# C.sh: the figures of the long run: schedules, steps, virtual hours, faults by kind; coverage of
# coord and ecc; states of the model; minutes and operations of chaos, all linearizable.
# CHAOS_MINUTES=60 unless set.
# preset: dev
set -u
failed=0
run() {
    echo "== $*"
    "$@" || failed=1
}

cmake --preset release -Wno-dev >build/release.log && cmake --build --preset release >>build/release.log ||
    exit 1
SHERD_BUILD=build/release run tests/simulation/run.sh --long
run tests/coverage.sh
run tests/model/run.sh --long
run tests/chaos --minutes "${CHAOS_MINUTES:-60}" --seed 1000001
exit $failed
