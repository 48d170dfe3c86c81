#!/bin/sh
# Runs the tests of the Julia package; the last line is `N passed, N failed`.
# JULIA names the julia to use; without it the one that tools/setup.sh made.
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
julia=${JULIA:-$root/.deps/bin/julia}
command -v "$julia" >/dev/null 2>&1 || { echo "run.sh: no $julia; run tools/setup.sh julia, or set JULIA" >&2; echo "0 passed, 1 failed"; exit 1; }
JULIA_NUM_THREADS=2 JULIA_LOAD_PATH="$root/bindings/julia:@stdlib" exec "$julia" --startup-file=no --color=no "$root/tests/julia/runtests.jl"
