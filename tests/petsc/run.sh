#!/usr/bin/env bash
# Builds the PETSc plug-in for the real and the complex PETSc that are here, and runs with each its own tests on 1, 2
# and 4 ranks, valgrind on one, and PETSc's tutorials, unchanged, with the plug-in against PETSc's own solvers.
# The last line reads "N passed, N failed". Without PETSc, MPI or tutorials what needs them is left out, and that is said.
set -uo pipefail
export LC_ALL=C OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Options from outside would spoil comparisons.
unset PETSC_OPTIONS
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
library=$root/target/release
limit=${RKN_MPI_TIME_LIMIT:-300}               # seconds a program may take; a rank that waits for ever takes longer
passed=0
failed=0

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

pass() { passed=$((passed + 1)); }
fail() {
  failed=$((failed + 1))
  echo "tests/petsc: $*"
}

for tool in mpicc mpirun pkg-config; do
  if ! command -v "$tool" >/dev/null; then
    echo "tests/petsc: no $tool here, skipped (Debian: apt install libopenmpi-dev openmpi-bin pkg-config)"
    finish
  fi
done
kinds=()
for kind in real complex; do
  compgen -G "/usr/lib/petscdir/petsc*/*-$kind/lib/pkgconfig/petsc.pc" >/dev/null && kinds+=("$kind")
done
if [ "${#kinds[@]}" -eq 0 ]; then
  echo "tests/petsc: no PETSc here, skipped (Debian: apt install petsc-dev libpetsc-real-dev libpetsc-complex-dev)"
  finish
fi
if [ ! -e "$library/libreknit.so" ]; then
  fail "$library/libreknit.so is missing: run make build"
  finish
fi
tutorials=$(compgen -G "/usr/share/petsc/*/share/petsc/examples/src" | tail -n 1)
[ -n "$tutorials" ] || echo "tests/petsc: no tutorials here, left out (Debian: apt install libpetsc3.18-dev-examples)"

launch=(mpirun)
mpirun --version 2>/dev/null | grep -q "Open MPI" && launch+=(--oversubscribe)

# Runs a test program on some ranks; its output is shown if something failed.
run() {                                        # NAME RANKS ARGUMENT...
  local name=$1 ranks=$2 out code=0 last
  shift 2
  out=$build/$name.$ranks.out
  timeout -k 5 "$limit" "${launch[@]}" -n "$ranks" "$build/$name" "$@" >"$out" 2>&1 </dev/null || code=$?
  last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$out" | tail -n 1)
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    [ "${BASH_REMATCH[2]}" -eq 0 ] || grep -a failed: "$out"
    [ "$code" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || fail "$name on $ranks: exit code $code"
    echo "$kind: $name on $ranks: $last"
  else
    grep -a failed: "$out"
    tail -n 20 "$out"
    fail "$kind: $name on $ranks: ended without its counts, exit code $code"
  fi
}

# The output of a tutorial on some ranks.
tutorial() {                                   # NAME RANKS ARGUMENT...
  local name=$1 ranks=$2
  shift 2
  timeout -k 5 "$limit" "${launch[@]}" -n "$ranks" "$build/$name" "$@" 2>&1 </dev/null
}

# The numbers in the lines that match, one after the other; imaginary parts are rounding in all of these.
numbers() { grep -aE "$1" | sed -E 's/ [-+] [-+.0-9e]+ ?i$//' | grep -oE '[-+]?[0-9]+\.?[0-9]*(e[-+]?[0-9]+)?' | tr '\n' ' '; }

# Whether two rows of numbers are as long and as large, up to a relative tolerance and 1e-8.
alike() { awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { n = split(a, x, " "); m = split(b, y, " ")
  for (i = 1; i <= n; ++i) { d = x[i] - y[i]; d = d < 0 ? -d : d; s = x[i] < 0 ? -x[i] : x[i]; if (d > t * s + 1e-8) bad = 1 }
  exit !(n > 0 && n == m && !bad) }'; }

# A tutorial by PETSc's own solver and by the plug-in: the lines that match have the same numbers.
compare() {                                    # NAME LINES TOLERANCE ARGUMENT...
  local name=$1 lines=$2 tolerance=$3 ranks want got
  shift 3
  # The complex build shares all but the scalars.
  local ways=("" "-ksp_reknit_method gcrodr" "-ksp_reknit_lag_pc" "-pc_type none -ksp_max_it 2000")
  [ "$kind" = real ] || ways=("")
  for ranks in 1 4; do
    want=$(tutorial "$name" "$ranks" "$@" | numbers "$lines")
    for with in "${ways[@]}"; do
      # shellcheck disable=SC2086
      got=$(tutorial "$name" "$ranks" "$@" $plugin $with | numbers "$lines")
      if alike "$want" "$got" "$tolerance"; then pass; else fail "$kind: $name $* on $ranks $with: '$got', PETSc has '$want'"; fi
    done
  done
}

tutorials_with_plugin() {
  local pair name
  for pair in ksp_ex2=ksp/ksp/tutorials/ex2 ksp_ex5=ksp/ksp/tutorials/ex5 snes_ex5=snes/tutorials/ex5 \
    snes_ex19=snes/tutorials/ex19 ts_ex7=ts/tutorials/ex7; do
    name=${pair%%=*}
    # shellcheck disable=SC2086
    mpicc -O1 -w "$tutorials/${pair#*=}.c" -o "$build/$name" $petsc -lm || { fail "$kind: $name does not compile"; return; }
  done
  plugin="-dll_prepend $build/libreknit_petsc.so -ksp_type reknit"

  # Tight tolerances, so that what is printed is the solution and not the path to it.
  tight="-ksp_rtol 1e-11 -snes_rtol 1e-10"
  # shellcheck disable=SC2086
  {
    compare snes_ex5 "^[-0-9]" 1e-6 -da_grid_x 6 -da_grid_y 6 -snes_view_solution $tight
    compare snes_ex19 "^[-0-9]" 1e-6 -da_grid_x 8 -da_grid_y 8 -snes_view_solution $tight
    compare ts_ex7 "^timestep" 1e-6 -ts_max_steps 8 $tight
  }

  # These print errors and residuals, which need only be small.
  local ranks out
  for ranks in 1 4; do
    for with in "" "-ksp_reknit_method gcrodr" "-ksp_reknit_method cg" "-pc_type none"; do
      # shellcheck disable=SC2086
      out=$(tutorial ksp_ex2 "$ranks" -m 30 -n 30 -ksp_rtol 1e-10 $plugin $with)
      if awk '/^Norm of error/ { ++rows; if ($4 > 1e-6) bad = 1 } END { exit !(rows == 1 && !bad) }' <<<"$out"; then pass; else fail "$kind: ksp_ex2 on $ranks $with: $out"; fi
    done
    for with in "" "-ksp_reknit_method gcrodr" "-pc_type none"; do
      # The second system has other numbers in the same matrix.
      # shellcheck disable=SC2086
      out=$(tutorial ksp_ex5 "$ranks" -m 20 -ksp_rtol 1e-10 $plugin $with)
      if awk '/^Relative norm of the residual/ { ++rows; if ($6 + 0 > 1e-9) bad = 1 } END { exit !(rows == 2 && !bad) }' <<<"$out"; then pass; else fail "$kind: ksp_ex5 on $ranks $with: $out"; fi
    done
  done

  # Loaded by PETSc: listed by -help with its options, and shown by KSPView.
  out=$(tutorial ksp_ex2 1 $plugin -help)
  for words in "-ksp_reknit_method <now auto" "-ksp_reknit_restart <now 50" "-ksp_reknit_policy_costs <now counts" "-ksp_reknit_matrix" "-ksp_reknit_shadow"; do
    if grep -qF -e "$words" <<<"$out"; then pass; else fail "$kind: -help does not say '$words'"; fi
  done
  for words in "-ksp_reknit_rtol" "-ksp_reknit_iterations" "-ksp_reknit_max_iterations"; do
    if grep -qF -e "$words" <<<"$out"; then fail "$kind: -help says '$words'"; else pass; fi
  done
  out=$(tutorial ksp_ex2 1 $plugin -ksp_reknit_method gcrodr -ksp_view ::ascii_info_detail)
  for words in "type: reknit" "krylov: gcrodr" "last solve: converged" "gcrodr: converged"; do
    if grep -qF -e "$words" <<<"$out"; then pass; else fail "$kind: -ksp_view does not say '$words'"; fi
  done
  # One event a product, of which the program makes one more for its right-hand side and one for the error.
  out=$(tutorial ksp_ex2 1 $plugin -ksp_reknit_method cg -pc_type jacobi -log_view)
  if awk '/^MatMult / { all = $2 } /^RKNApply / { ours = $2 } /^RKNSolve / { solves = $2 } END { exit !(ours > 5 && all - ours >= 1 && all - ours <= 2 && solves == 1) }' <<<"$out"; then pass; else fail "$kind: -log_view: $(grep -E '^(MatMult|RKN)' <<<"$out")"; fi
  out=$(tutorial ksp_ex2 1 $plugin -ksp_reknit_method gmress)
  if grep -qF "unknown method 'gmress'; did you mean 'gmres'?" <<<"$out"; then pass; else fail "$kind: an unknown method is told as '$out'"; fi
  out=$(tutorial ksp_ex2 1 $plugin -sub_ksp_type reknit -pc_type bjacobi -sub_ksp_max_it 3 -sub_ksp_reknit_method gmres -sub_ksp_norm_type none -sub_ksp_convergence_test skip -ksp_reknit_side flexible)
  if grep -q "^Norm of error" <<<"$out"; then pass; else fail "$kind: as sub_ksp: $out"; fi
}

for kind in "${kinds[@]}"; do
  build=$root/build/petsc/$kind
  PKG_CONFIG_PATH=$(dirname "$(compgen -G "/usr/lib/petscdir/petsc*/*-$kind/lib/pkgconfig/petsc.pc" | tail -n 1)")
  export PKG_CONFIG_PATH
  petsc=$(pkg-config --cflags --libs petsc)
  mkdir -p "$build"
  if ! make -s -C bindings/petsc BUILD="$build"; then
    fail "the $kind plug-in does not build"
    continue
  fi
  if make -s -C bindings/petsc install BUILD="$build" PREFIX="$build/prefix" && [ -e "$build/prefix/lib/libreknit_petsc.so" ] &&
    [ -e "$build/prefix/include/reknit_ksp.h" ]; then pass; else fail "$kind: make install"; fi
  # shellcheck disable=SC2046
  if mpicc -std=c11 -O1 -g -Wall -Wextra -Werror -Iinclude -Ibindings/petsc $(pkg-config --cflags petsc | sed 's/-I/-isystem /g') \
    tests/petsc/test_ksp.c -o "$build/test_ksp" -L"$build" -lreknit_petsc -Wl,-rpath,"$build" \
    -L"$library" -lreknit -Wl,-rpath,"$library" $(pkg-config --libs petsc) -lm; then
    for ranks in 1 2 4; do run test_ksp "$ranks"; done
  else
    fail "test_ksp.c does not compile for the $kind PETSc"
  fi

  # What PETSc, MPI and the loader leave behind is theirs: only errors and losses with a function of ours in the trace count.
  if command -v valgrind >/dev/null && [ -e "$build/test_ksp" ]; then
    for only in lagging sequences "other solves"; do
      log=$build/valgrind.log
      OMPI_MCA_btl=self timeout -k 5 "$limit" valgrind --leak-check=full --show-leak-kinds=definite --log-file="$log" \
        "$build/test_ksp" -only "$only" >/dev/null 2>&1 </dev/null
      if grep -q "ERROR SUMMARY" "$log" && ! grep -qE 'Reknit|rkn_|reknit_ksp' "$log"; then pass; else grep -E -B8 'Reknit|rkn_|reknit_ksp' "$log" | head -40; fail "$kind: valgrind, $only"; fi
    done
  fi
  [ -z "$tutorials" ] || tutorials_with_plugin
done
finish
