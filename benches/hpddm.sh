#!/usr/bin/env bash
# reknit's GCRO-DR beside HPDDM's on sequences of linear systems: HPDDM_INCLUDE=.../hpddm/include benches/hpddm.sh FILE...
#
# HPDDM (https://github.com/hpddm/hpddm, LGPL-3) is header-only and needs MPI, BLAS and LAPACK; no part of it is in this
# tree. FILE is a sequence (layout in benches/sequence.c). Same restart, same recycled dimension (40 and 20; 60 and 30 for
# complex systems), the ILU(0) of each system on the right; else HPDDM's defaults, which on bratu and convdiff need fewer
# iterations than its variant flexible and its strategy B. All run in turn, one thread each; the best of RUNS=3 counts. One
# line a row: iterations, products with A (A U included), seconds (set-up + solve), worst true residual.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${HPDDM_INCLUDE:?the include folder of HPDDM}"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p build
gcc -O2 -Iinclude benches/sequence.c -o build/sequence -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"
# What is HPDDM's to compile gets all that the machine has; the rest of its work is in BLAS.
mpicxx -std=c++17 -O3 -march=native -w -DHPDDM_NUMBERING="'C'" -I"$HPDDM_INCLUDE" benches/hpddm_sequence.cpp -o build/hpddm_sequence -llapack -lblas

for file in "$@"; do
    if [ "$(od -An -td8 -j24 -N8 "$file" | tr -d ' ')" = 3 ]; then restart=60 recycle=30; else restart=40 recycle=20; fi
    rows=(
        "reknit GCRO-DR($restart,$recycle)+ILU" "build/sequence|$file|gcrodr|ilu0|restart=$restart recycle=$recycle"
        "reknit GCRO-DR($restart,$recycle)+ILU, full precision" "build/sequence|$file|gcrodr|ilu0|restart=$restart recycle=$recycle basis=full"
        "HPDDM GCRO-DR($restart,$recycle)+ILU" "build/hpddm_sequence|$file|$restart|$recycle"
    )
    printf '\n%s\n\n| solver | its | products | s | residual |\n|---|---|---|---|---|\n' "$(basename "$file" .rks)"
    for ((run = 0; run < ${RUNS:-3}; ++run)); do
        for ((i = 0; i < ${#rows[@]}; i += 2)); do
            IFS='|' read -ra words <<<"${rows[i + 1]}"
            printf '%s\t' "${rows[i]}"
            "${words[@]}"
        done
    done | python3 -c '
import json, sys
best = {}
for line in sys.stdin:
    name, text = line.split("\t")
    run = json.loads(text)
    run["s"] = run["setup_s"] + run["solve_s"]
    if name not in best or run["s"] < best[name]["s"]:
        best[name] = run
for name, r in best.items():
    print("| %-46s | %6d | %6d | %7.3f | %.1e |%s" % (name, r["iterations"], r["applies"], r["s"], r["worst_residual"], " not solved" if r["failed"] else ""))'
done
