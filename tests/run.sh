#!/usr/bin/env bash
# Runs every test suite and adds up their closing lines `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0

# suite NAME COMMAND...: shows the output and counts; a suite that fails without failed tests counts as one.
suite() {
    local name=$1 log status p f
    shift
    log=build/$name.log
    printf '==> %s\n' "$name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    if [ "$name" = rust ]; then
        p=$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$log" | awk '{s += $1} END {print s + 0}')
        f=$(sed -n 's/^test result: .* \([0-9]*\) failed; .*/\1/p' "$log" | awk '{s += $1} END {print s + 0}')
    else
        p=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed.*/\1/p' "$log" | tail -1)
        f=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed.*/\1/p' "$log" | tail -1)
    fi
    if [ "$status" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
}

mkdir -p build
suite rust cargo test --quiet --no-fail-fast
suite bindings python3 bindings/tools/bindgen.py --check
suite header tests/c/header.sh
suite c tests/c/run.sh
suite cpp tests/cpp/run.sh
suite fortran tests/fortran/run.sh
suite julia tests/julia/run.sh
suite mpi tests/mpi/run.sh
suite sundials tests/sundials/run.sh
suite petsc tests/petsc/run.sh
suite examples tests/examples/run.sh
suite packaging tests/packaging/run.sh

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
