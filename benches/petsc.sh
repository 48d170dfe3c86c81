#!/usr/bin/env bash
# reknit as a KSP beside PETSc's own, on PETSc's tutorials and on a sequence of diffusion problems: the tables of
# docs/petsc.md. One rank, one thread; the best of three runs counts, in turn. Each row: set-ups of the
# preconditioner, applications of it, products with the matrix, and seconds in the event KSPSolve (which has
# the set-ups only where reknit calls for them) and in all.
#
#   benches/petsc.sh [sequence|snes|overhead]...      (Debian: libpetsc-real-dev and libpetsc3.18-dev-examples)
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 LC_ALL=C
PKG_CONFIG_PATH=$(dirname "$(compgen -G "/usr/lib/petscdir/petsc*/*-real/lib/pkgconfig/petsc.pc" | tail -n 1)")
export PKG_CONFIG_PATH
tutorials=$(compgen -G "/usr/share/petsc/*/share/petsc/examples/src" | tail -n 1)
build=$PWD/build/petsc/bench
mkdir -p "$build"
make -s -C bindings/petsc BUILD="$build"
petsc=$(pkg-config --cflags --libs petsc)
reknit="-dll_prepend $build/libreknit_petsc.so -ksp_type reknit"

program() {                                    # NAME SOURCE: compiled
  # shellcheck disable=SC2086
  mpicc -O2 -w -Iinclude -Ibindings/petsc "$2" -o "$build/$1" -L"$build" -Wl,--as-needed -lreknit_petsc -Wl,-rpath,"$build" \
    -Ltarget/release -lreknit -Wl,-rpath,"$PWD/target/release" $petsc -lm
}

rows=()
row() { rows+=("$*"); }                        # LABEL OPTION...

# Runs all rows three times in turn and prints them.
table() {                                      # TITLE PROGRAM ARGUMENT...
  local title=$1 name=$2 round label
  shift 2
  printf '\n%s: `%s`\n\n| options | set-ups | PC | products | KSP s | all s |\n|---|---|---|---|---|---|\n' "$title" "$name $*"
  for round in 1 2 3; do
    for row in "${rows[@]}"; do
      label=${row%% :*}
      # shellcheck disable=SC2086
      timeout 600 "$build/$name" "$@" ${row#*: } -log_view 2>&1 </dev/null >"$build/log" || true
      awk -v label="$label" -v round="$round" -v OFS='\t' '
        /^Time \(sec\):/ { all = $3 }
        /^KSPSolve / { solve = $4 } /^PCSetUp / { setups = $2 } /^PCApply / { pc = $2 } /^MatMult / { products = $2 }
        /DIVERGED|PETSC ERROR/ { bad = " not solved" }
        END { print label, setups + 0, pc + 0, products + 0, solve + 0, all + 0, bad }' "$build/log"
    done
  done | awk -F'\t' -v OFS='|' '
    !($1 in all) { order[++n] = $1 }
    !($1 in all) || $6 < all[$1] { all[$1] = $6; line[$1] = sprintf("| `%s`%s | %d | %d | %d | %.2f | %.2f |", $1, $7, $2, $3, $4, $5, $6) }
    END { for (i = 1; i <= n; ++i) print line[order[i]] }'
  rows=()
}

both() { row "$1 : $1"; }                      # an option line that is its own label
ours() { row "reknit${1:+ $1} : $reknit $1"; }

sequence() {
  program sequence benches/petsc_sequence.c
  local icc="-pc_type icc" gamg="-pc_type gamg" ilu="-pc_type ilu" lu="-pc_type lu"
  both "-ksp_type cg -ksp_norm_type unpreconditioned $icc"
  both "-ksp_type cg -ksp_norm_type unpreconditioned $icc -ksp_reuse_preconditioner"
  ours "$icc"
  ours "$icc -ksp_reknit_lag_pc"
  both "-ksp_type cg -ksp_norm_type unpreconditioned $gamg"
  both "-ksp_type cg -ksp_norm_type unpreconditioned $gamg -ksp_reuse_preconditioner"
  ours "$gamg"
  ours "$gamg -ksp_reknit_lag_pc"
  ours "-pc_type none"
  table "Diffusion, SPD, 64 000 unknowns, 20 steps" sequence -n 40 -steps 20 -ksp_rtol 1e-8

  both "-ksp_type gmres -ksp_pc_side right $ilu"
  both "-ksp_type gmres -ksp_pc_side right $ilu -ksp_reuse_preconditioner"
  both "-ksp_type gmres -ksp_pc_side right $gamg"
  both "-ksp_type gmres -ksp_pc_side right $gamg -ksp_reuse_preconditioner"
  both "-ksp_type bcgs -ksp_pc_side right $ilu"
  ours "$ilu"
  ours "$ilu -ksp_reknit_lag_pc"
  ours "$gamg -ksp_reknit_lag_pc"
  ours "-pc_type none"
  table "With wind, nonsymmetric, 64 000 unknowns, 20 steps" sequence -n 40 -steps 20 -wind 20 -ksp_rtol 1e-8

  both "-ksp_type gmres $lu"
  both "-ksp_type gmres $lu -ksp_reuse_preconditioner"
  ours "$lu"
  ours "$lu -ksp_reknit_lag_pc -ksp_reknit_setup_cost 200"
  ours "$ilu"
  ours "-pc_type none"
  table "With wind, factored, 27 000 unknowns, 20 steps" sequence -n 30 -steps 20 -wind 20 -ksp_rtol 1e-8
}

snes() {
  program snes_ex5 "$tutorials/snes/tutorials/ex5.c"
  program snes_ex19 "$tutorials/snes/tutorials/ex19.c"
  both "-pc_type ilu"
  both "-pc_type ilu -snes_lag_preconditioner 3"
  both "-ksp_type cg -pc_type icc"
  ours "-pc_type ilu"
  ours "-pc_type icc -ksp_reknit_hermitian"
  ours "-pc_type ilu -ksp_reknit_lag_pc"
  ours "-pc_type none"
  table "snes ex5 (Bratu)" snes_ex5 -da_grid_x 257 -da_grid_y 257 -par 6.5 -snes_rtol 1e-10

  both "-pc_type ilu"
  both "-pc_type ilu -snes_lag_preconditioner 5"
  both "-pc_type lu"
  both "-pc_type lu -snes_lag_preconditioner 2"
  both "-pc_type lu -snes_lag_preconditioner 5"
  ours "-pc_type ilu"
  ours "-pc_type ilu -ksp_reknit_lag_pc"
  ours "-pc_type lu -ksp_reknit_lag_pc -ksp_reknit_setup_cost 40"
  ours "-pc_type none"
  table "snes ex19 (driven cavity)" snes_ex19 -da_grid_x 65 -da_grid_y 65 -lidvelocity 100 -grashof 1e4 -snes_rtol 1e-8 -ksp_max_it 3000
}

overhead() {
  program overhead benches/petsc_overhead.c
  printf '\n'
  "$build/overhead"
}

[ $# -gt 0 ] || set -- sequence snes overhead
for part; do "$part"; done
