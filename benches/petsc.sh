#!/usr/bin/env bash
# reknit as a KSP beside PETSc's own, on PETSc's tutorials and on sequences of diffusion problems: the tables of
# docs/petsc.md. One rank, one thread; the best of RUNS=3 runs counts, in turn. Each row: set-ups of the preconditioner, linear
# iterations as PETSc prints them, applications of the preconditioner, products with the matrix, and seconds in the event
# KSPSolve (which has the set-ups only where reknit calls for them) and in all.
#
#   benches/petsc.sh [sequence|convdiff|snes|ts|overhead]...      (Debian: libpetsc-real-dev and libpetsc3.18-dev-examples)
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
  local title=$1 name=$2 round row label
  shift 2
  printf '\n%s: `%s`\n\n' "$title" "$name $*"
  printf '| options | set-ups | iterations | PC | products | KSP s | all s |\n|---|---|---|---|---|---|---|\n'
  for ((round = 0; round < ${RUNS:-3}; ++round)); do
    for row in "${rows[@]}"; do
      label=${row%% :*}
      # shellcheck disable=SC2086
      timeout 600 "$build/$name" "$@" ${row#*: } -ksp_converged_reason -log_view 2>&1 </dev/null >"$build/log" || true
      awk -v label="$label" -v round="$round" -v OFS='\t' '
        /^Time \(sec\):/ { all = $3 }
        /^KSPSolve / { solve = $4 } /^PCSetUp / { setups = $2 } /^PCApply / { pc = $2 } /^MatMult / { products = $2 }
        /^ *Linear .*solve (converged|did not converge)/ { its += $NF }
        /^iterations .* worst/ && $4 > 2e-8 { bad = " not to the tolerance" }
        /DIVERGED|PETSC ERROR/ { bad = " (solves failed)" }
        END { print label, setups + 0, its + 0, pc + 0, products + 0, solve + 0, all + 0, bad }' "$build/log"
    done
  done | awk -F'\t' -v OFS='|' '
    !($1 in all) { order[++n] = $1 }
    !($1 in all) || $7 < all[$1] { all[$1] = $7
      line[$1] = sprintf("| `%s`%s | %d | %d | %d | %d | %.2f | %.2f |", $1, $8, $2, $3, $4, $5, $6, $7) }
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

convdiff() {
  program sequence benches/petsc_sequence.c
  local gmres="-ksp_type gmres -ksp_pc_side right" previous="-ksp_initial_guess_nonzero" ilu="-pc_type ilu" lag guess
  local lu="-pc_type lu -pc_factor_mat_ordering_type nd"
  for guess in "" " $previous"; do
    for lag in 1 5 20; do both "$gmres $ilu -lag $lag$guess"; done
    both "-ksp_type bcgs -ksp_pc_side right $ilu$guess"
    for lag in 1 5 20; do both "$gmres $lu -lag $lag$guess"; done
  done
  ours "$ilu"
  ours "$ilu -ksp_reknit_method gcrodr -ksp_reknit_restart 40 -ksp_reknit_recycle 20"
  ours "$lu -ksp_reknit_lag_pc -ksp_reknit_setup_cost 40"
  ours "-pc_type none"
  table "Convection and diffusion in the plane, the wind turns, 16 129 unknowns, 20 steps" \
    sequence -plane -n 127 -steps 20 -ksp_rtol 1e-8
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

ts() {
  program ts_ex7 "$tutorials/ts/tutorials/ex7.c"
  local lu="-pc_type lu -pc_factor_mat_ordering_type nd"
  both "-pc_type ilu"
  both "-pc_type ilu -snes_lag_preconditioner 4"
  both "-ksp_type bcgs -pc_type ilu"
  both "$lu"
  both "$lu -snes_lag_preconditioner 4 -snes_lag_preconditioner_persists"
  ours "-pc_type ilu"
  ours "-pc_type ilu -ksp_reknit_method gcrodr -ksp_reknit_restart 40 -ksp_reknit_recycle 20"
  ours "$lu -ksp_reknit_lag_pc -ksp_reknit_setup_cost 40"
  ours "-pc_type none"
  table "ts ex7 (nonlinear diffusion in time), steps that pass" \
    ts_ex7 -da_grid_x 129 -da_grid_y 129 -ts_dt 1.5625e-6 -ts_max_steps 16

  program ts_ex26 "$tutorials/ts/tutorials/ex26.c"
  local gcrodr="-ksp_reknit_method gcrodr -ksp_reknit_restart 40 -ksp_reknit_recycle 20"
  both "-pc_type ilu"
  both "-pc_type ilu -snes_lag_preconditioner 4 -snes_lag_preconditioner_persists"
  both "-pc_type ilu -ksp_pc_side right"
  both "-pc_type ilu -ksp_type bcgs"
  both "$lu"
  both "$lu -snes_lag_preconditioner 4 -snes_lag_preconditioner_persists"
  both "$lu -snes_lag_preconditioner 16 -snes_lag_preconditioner_persists"
  ours "-pc_type ilu"
  ours "-pc_type ilu -ksp_pc_side left"
  ours "-pc_type ilu $gcrodr"
  ours "-pc_type ilu $gcrodr -ksp_pc_side left"
  ours "$lu -ksp_reknit_lag_pc -ksp_reknit_setup_cost 40"
  ours "-pc_type none"
  table "ts ex26 (driven cavity in time)" \
    ts_ex26 -da_grid_x 65 -da_grid_y 65 -lidvelocity 100 -grashof 1e3 -ts_type beuler -ts_max_steps 20 -ksp_rtol 1e-6

  # Its own first step is too long: TS rejects it until Newton converges, after solves that lead nowhere.
  both "-pc_type ilu"
  both "-pc_type ilu -snes_lag_preconditioner 4"
  ours "-pc_type ilu"
  ours "-pc_type none"
  table "ts ex7 (nonlinear diffusion in time)" ts_ex7 -da_grid_x 129 -da_grid_y 129 -ts_max_steps 8 -ts_max_snes_failures -1
}

overhead() {
  program overhead benches/petsc_overhead.c
  printf '\n'
  "$build/overhead"
}

[ $# -gt 0 ] || set -- sequence convdiff snes ts overhead
for part; do "$part"; done
