#!/usr/bin/env bash
# Builds the MPI tests and the MPI example into build/mpi and runs them on 1 to 4 ranks (MPICH: as many as there are
# cores) with the release library, under Open MPI and under MPICH where Debian's names for both are there, else under the mpicc at hand.
# The last line reads "N passed, N failed". Without mpicc or mpirun nothing is run, and that is said.
#
# The Fortran part is left out, with a message, where the MPI has no mpi_f08.
set -uo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

library=$PWD/target/release
limit=${RKN_MPI_TIME_LIMIT:-180}               # seconds a program may take; a rank that waits for ever takes longer
binding=(reknit_c reknit_support reknit_library reknit_callbacks reknit_context reknit_scalar reknit_operator_base
         reknit_operator_arrays reknit_arrays reknit_operator reknit_request reknit_krylov reknit_sequence
         reknit_sinkhorn reknit_batch reknit_line reknit_membership reknit reknit_mpi)
passed=0
failed=0

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

fail() {
  failed=$((failed + 1))
  echo "tests/mpi: $*"
}

if [ ! -e "$library/libreknit.so" ]; then
  fail "$library/libreknit.so is missing: run make build"
  finish
fi

link=(-L"$library" -lreknit -Wl,-rpath,"$library" -lm)

compile() {                                    # NAME SOURCE FLAG...
  local name=$1 source=$2
  shift 2
  "mpicc$flavour" -O1 -g -Wall -Wextra -pedantic -Wstrict-prototypes -Werror -Iinclude "$source" -o "$build/$name" "$@" "${link[@]}" && return
  fail "$name does not compile"
  return 1
}

# Runs a program on some ranks; its output is shown if something failed.
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
    echo "$mpi: $name on $ranks: $last"
    return
  fi
  grep -a failed: "$out"
  if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then
    fail "$name on $ranks: not done after $limit s, in '$(grep -a '^on ' "$out" | tail -n 1)'"
  else
    tail -n 20 "$out"
    fail "$name on $ranks: ended without its counts, exit code $code"
  fi
}

# The header alone, in the languages that it is written for.
header() {                                     # COMPILER STANDARD EXTENSION FLAG...
  local compiler=$1 standard=$2 unit=$build/header.$3
  shift 3
  printf '#include "reknit_mpi.h"\nint attach(rkn_context *ctx);\nint attach(rkn_context *ctx) { return rkn_mpi_attach(ctx, MPI_COMM_WORLD); }\n' >"$unit"
  if "$compiler" -std="$standard" -Wall -Wextra -pedantic -Werror -Iinclude "$@" -c "$unit" -o "$build/header.o"; then
    passed=$((passed + 1))
  else
    fail "reknit_mpi.h is no $standard"
  fi
}

fortran() {
  local objects=() flags=(-std=f2018 -Wall -Wextra -Wtrampolines -Werror -fcheck=all -g -J "$build" -I "$build") unit source
  for unit in "${binding[@]}"; do
    source=bindings/fortran/src/$unit.f90
    [ -e "$source" ] || source=bindings/fortran/mpi/$unit.f90
    "mpif90$flavour" "${flags[@]}" -c "$source" -o "$build/$unit.o" || return 1
    objects+=("$build/$unit.o")
  done
  "mpif90$flavour" "${flags[@]}" tests/mpi/test_mpi.f90 "${objects[@]}" -o "$build/test_mpi_f" "${link[@]}"
}

suite() {
  header "mpicc$flavour" c99 c -Wstrict-prototypes -Wconversion
  header "mpicc$flavour" c17 c -Wstrict-prototypes -Wconversion
  if command -v "mpicxx$flavour" >/dev/null; then
    header "mpicxx$flavour" c++11 cpp -DOMPI_SKIP_MPICXX
    header "mpicxx$flavour" c++20 cpp -DOMPI_SKIP_MPICXX
  fi

  compile test_mpi tests/mpi/test_mpi.c -std=c11 && for ranks in $(seq "$most"); do run test_mpi "$ranks"; done
  compile test_failure tests/mpi/test_failure.c -std=c11 && for ranks in $(seq "$most"); do run test_failure "$ranks"; done
  compile test_empty tests/mpi/test_empty.c -std=c11 && for ranks in $(seq "$three"); do run test_empty "$ranks"; done
  compile test_block tests/mpi/test_block.c -std=c11 && for ranks in $(seq "$three"); do run test_block "$ranks"; done
  # Once more with reductions that are split into three numbers a call.
  compile test_split tests/mpi/test_mpi.c -std=c11 -DRKN_MPI_MAX_COUNT=3 && run test_split "$three" hook && run test_split "$three" rtol

  printf 'program probe\nuse mpi_f08\nend program\n' >"$build/probe.f90"
  if command -v "mpif90$flavour" >/dev/null && "mpif90$flavour" -c "$build/probe.f90" -o "$build/probe.o" 2>/dev/null; then
    if fortran; then
      for ranks in $(seq "$three"); do run test_mpi_f "$ranks"; done
    else
      fail "test_mpi.f90 does not compile"
    fi
  else
    echo "tests/mpi: no mpif90 with mpi_f08 here, Fortran skipped"
  fi

  # The example: it meets its tolerances, its solutions are right, and GCRO-DR is cheaper the second time.
  if compile mpi_poisson examples/mpi_poisson.c -std=c99; then
    for ranks in 1 2 3; do
      out=$build/mpi_poisson.$ranks.out
      if timeout -k 5 "$limit" "${launch[@]}" -n "$ranks" "$build/mpi_poisson" 60 >"$out" 2>&1 </dev/null &&
        awk '/^(cg|gmres|gcrodr) / { ++rows; if ($7 > 1e-8) bad = 1; n[$1, $2] = $3 }
             END { exit !(rows == 6 && !bad && n["gcrodr", 2] < n["gcrodr", 1]) }' "$out"; then
        passed=$((passed + 1))
      else
        cat "$out"
        fail "mpi_poisson on $ranks ranks"
      fi
    done
  fi

  # The caller's own AMG: where hypre is at hand (Debian links it with Open MPI), "auto" solves with fewer set-ups than steps and fewer iterations than
  # the first set-up kept for good.
  hypre=$(for folder in /usr/include/hypre /usr/include; do [ -e "$folder/HYPRE_parcsr_ls.h" ] && echo "$folder" && break; done)
  if [ "$mpi" = MPICH ]; then
    :
  elif [ -z "$hypre" ]; then
    echo "tests/mpi: no hypre here, its example skipped (Debian: apt install libhypre-dev)"
  elif compile hypre_amg examples/hypre_amg.c -std=c11 -D_POSIX_C_SOURCE=200809L -isystem "$hypre" -lHYPRE; then
    out=$build/hypre_amg.out
    if OMP_NUM_THREADS=1 timeout -k 5 "$limit" "${launch[@]}" -n 1 "$build/hypre_amg" 16 10 >"$out" 2>&1 </dev/null &&
      awk '/^CG, set up once/ { once = $6 } /^auto/ { setups = $2; its = $3 } END { exit !(setups >= 1 && setups < 10 && its > 0 && its <= once) }' "$out"; then
      passed=$((passed + 1))
    else
      cat "$out"
      fail "hypre_amg"
    fi
  fi
}

# Where both are there, Debian's alternatives give one the plain names.
flavours=()
for mpi in openmpi mpich; do
  if command -v "mpicc.$mpi" >/dev/null && command -v "mpirun.$mpi" >/dev/null; then flavours+=(".$mpi"); fi
done
if [ "${#flavours[@]}" -eq 0 ] && command -v mpicc >/dev/null && command -v mpirun >/dev/null; then flavours=(''); fi
if [ "${#flavours[@]}" -eq 0 ]; then
  echo "tests/mpi: no mpicc and mpirun here, skipped (Debian: apt install libopenmpi-dev openmpi-bin)"
fi
for flavour in ${flavours[@]+"${flavours[@]}"}; do
  launch=("mpirun$flavour")
  if "mpirun$flavour" --version 2>/dev/null | grep -qE "Open MPI|OpenRTE"; then
    mpi="Open MPI" build=build/mpi/openmpi most=4
    launch+=(--oversubscribe --allow-run-as-root)
  else
    # MPICH's ranks spin while they wait: with more ranks than cores each sum takes a time slice.
    mpi=MPICH build=build/mpi/mpich most=$(nproc)
    [ "$most" -le 4 ] || most=4
  fi
  three=$((most < 3 ? most : 3))
  mkdir -p "$build"
  suite
done
finish
