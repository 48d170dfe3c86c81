#!/usr/bin/env bash
# reknit beside PETSc and Belos on sequences of linear systems: benches/sequences.sh DRIVERS FILE...
#
# DRIVERS is a folder with the peers' drivers `petsc_real` and `belos`, FILE a sequence (layout in
# benches/sequence.c). All run in turn, one thread each; the best of three runs counts. One line a row:
# iterations, seconds (set-up + solve), worst true residual.
set -euo pipefail
drivers=$1
shift
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p build
gcc -O2 -Iinclude benches/sequence.c -o build/sequence -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"

row() {
    local name=$1
    shift
    for _ in 1 2 3; do "$@"; done | python3 -c '
import json, sys
runs = [json.loads(line) for line in sys.stdin]
best = min(runs, key=lambda r: r["setup_s"] + r["solve_s"])
print("| %-44s | %6d | %7.3f | %.1e |%s" % (sys.argv[1], best["iterations"], best["setup_s"] + best["solve_s"],
      best["worst_residual"], " not solved" if best["failed"] else ""))' "$name"
}

for file in "$@"; do
    printf '\n%s\n\n| solver | its | s | residual |\n|---|---|---|---|\n' "$(basename "$file" .rks)"
    petsc=("$drivers/petsc_real" "$file" -ksp_rtol 1e-8 -ksp_max_it 5000)
    row "reknit GMRES(30)+ILU" build/sequence "$file" gmres ilu0 restart=30
    row "reknit GMRES(30)+ILU, one pass" build/sequence "$file" gmres ilu0 "restart=30 orthogonalization=once"
    row "PETSc GMRES(30)+ILU" "${petsc[@]}" -ksp_type gmres -ksp_gmres_restart 30 -ksp_pc_side right -pc_type ilu
    row "reknit GCRO-DR(40,20)+ILU" build/sequence "$file" gcrodr ilu0 "restart=40 recycle=20"
    row "reknit GCRO-DR(40,20)+ILU, full precision" build/sequence "$file" gcrodr ilu0 "restart=40 recycle=20 basis=full"
    row "Belos GCRO-DR(40,20)+ILU" "$drivers/belos" "$file" gcrodr ilu 1e-8
    row "reknit auto" build/sequence "$file" auto none
    row "reknit BiCGStab+ILU" build/sequence "$file" bicgstab ilu0
    row "PETSc BiCGStab+ILU" "${petsc[@]}" -ksp_type bcgs -ksp_pc_side right -pc_type ilu
    case $file in *convdiff*) continue ;; esac
    row "reknit CG+IC" build/sequence "$file" cg ic0
    row "PETSc CG+ICC" "${petsc[@]}" -ksp_type cg -ksp_norm_type unpreconditioned -pc_type icc
    row "reknit CG+LLT, factored each time" build/sequence "$file" cg llt
done
