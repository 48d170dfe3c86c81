#!/usr/bin/env bash
# hypre's BoomerAMG as the caller's preconditioner beside auto with the matrix alone: benches/amg.sh [cells a side] [steps]
#
# One table: CG with BoomerAMG set up at every step, set up once, auto with it as a callback; auto with a preconditioner of its
# own choice, and with reknit's multigrid. 100 cells a side are 10^6 unknowns. One rank, one thread; the best of RUNS=3 runs
# counts. Seconds include the assembling, which is the same for all; the last column is the largest true residual.
# Debian: libhypre-dev and its Open MPI.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
hypre=$(for folder in /usr/include/hypre /usr/include; do [ -e "$folder/HYPRE_parcsr_ls.h" ] && echo "$folder" && break; done)
mkdir -p build
mpicc=$(command -v mpicc.openmpi || echo mpicc)
"$mpicc" -O2 -std=c11 -D_POSIX_C_SOURCE=200809L -Iinclude -isystem "$hypre" benches/amg.c -o build/amg \
    -lHYPRE -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"

for ((run = 0; run < ${RUNS:-3}; ++run)); do build/amg "$@"; done | python3 -c '
import re, sys
head, best = None, {}
for line in sys.stdin:
    if "unknowns" in line:
        head = line.strip()
    row = re.match(r"(.*?) +(\d+) +(\d+) +([\d.]+) +([\d.]+)(?: +(\S+))?$", line)
    if row and (row[1] not in best or float(row[5]) < float(best[row[1]][3])):
        best[row[1]] = row.groups()[1:]
print(head + "\n\n| solver | set-ups | iterations | set-up, s | total, s | residual |\n|---|---|---|---|---|---|")
for name, (setups, iterations, preparing, seconds, residual) in best.items():
    name = name if name.startswith("auto alone") else f"BoomerAMG, {name}"
    print(f"| {name} | {setups} | {iterations} | {preparing} | {seconds} | {residual or str()} |")'
