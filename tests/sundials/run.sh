#!/usr/bin/env bash
# Builds the SUNDIALS tests and examples into build/sundials and runs them with the release library: the linear solver
# on vectors of one process and of two ranks, under valgrind too where that is at hand, and the examples on small plates,
# whose claims are checked. The last line reads "N passed, N failed". Without SUNDIALS nothing is run, and that is said.
set -uo pipefail
export LC_ALL=C OMP_NUM_THREADS=1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=build/sundials
library=$PWD/target/release
limit=${RKN_SUNDIALS_TIME_LIMIT:-300}          # seconds a program may take
passed=0
failed=0

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

fail() {
  failed=$((failed + 1))
  echo "tests/sundials: $*"
}

cc=${CC:-gcc}
if ! printf '#include <sundials/sundials_version.h>\n#if SUNDIALS_VERSION_MAJOR != 6\n#error\n#endif\n' |
  $cc -E -x c - >/dev/null 2>&1; then
  echo "tests/sundials: no SUNDIALS 6 here, skipped (Debian: apt install libsundials-dev)"
  finish
fi
if [ ! -e "$library/libreknit.so" ]; then
  fail "$library/libreknit.so is missing: run make build"
  finish
fi
mkdir -p "$build"
flags=(-D_XOPEN_SOURCE=700 -O1 -g -Wall -Wextra -Wstrict-prototypes -Werror -Iinclude -Ibindings/sundials)
link=(-L"$library" -lreknit -Wl,-rpath,"$library" -lsundials_generic -lm)
solver=bindings/sundials/sunlinsol_reknit.c

compile() {                                    # COMPILER NAME SOURCE FLAG...
  local compiler=$1 name=$2 source=$3
  shift 3
  $compiler -std=c11 "${flags[@]}" "$source" "$solver" -o "$build/$name" "$@" "${link[@]}" && return
  fail "$name does not compile"
  return 1
}

# Runs a test program and adds up its counts.
run() {                                        # NAME COMMAND...
  local name=$1 out=$build/$1.out code=0 last
  shift
  timeout -k 5 "$limit" "$@" >"$out" 2>&1 </dev/null || code=$?
  last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$out" | tail -n 1)
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    [ "${BASH_REMATCH[2]}" -eq 0 ] || grep -a 'failed:' "$out"
    [ "$code" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || { tail -n 20 "$out"; fail "$name: exit code $code"; }
    echo "$name: $last"
  else
    tail -n 20 "$out"
    fail "$name: ended without its counts, exit code $code"
  fi
}

# The two files alone are C99, and the header is C++.
if $cc -std=c99 -pedantic "${flags[@]:2}" -c "$solver" -o "$build/solver.o"; then passed=$((passed + 1)); else fail "$solver is no C99"; fi
if command -v "${CXX:-g++}" >/dev/null; then
  if printf '#include "sunlinsol_reknit.h"\n' | ${CXX:-g++} -std=c++17 -Wall -Wextra -Werror -Iinclude -Ibindings/sundials -fsyntax-only -x c++ -; then
    passed=$((passed + 1))
  else
    fail "sunlinsol_reknit.h is no C++"
  fi
fi

vectors=(-lsundials_nvecserial -lsundials_nvecopenmp -lsundials_nvecpthreads -lsundials_nvecmanyvector)
matrices=(-lsundials_sunmatrixdense -lsundials_sunmatrixband -lsundials_sunmatrixsparse)
if compile "$cc" test_sunlinsol tests/sundials/test_sunlinsol.c "${vectors[@]}" "${matrices[@]}"; then
  run test_sunlinsol "$build/test_sunlinsol"
  if command -v valgrind >/dev/null; then
    out=$build/valgrind.out
    if timeout -k 5 "$limit" valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect \
      "$build/test_sunlinsol" >"$out" 2>&1 </dev/null; then
      passed=$((passed + 1))
    else
      tail -n 30 "$out"
      fail "test_sunlinsol under valgrind"
    fi
  else
    echo "tests/sundials: no valgrind here, memory is not checked"
  fi
fi

if command -v mpicc >/dev/null && command -v mpirun >/dev/null &&
  printf '#include <nvector/nvector_parallel.h>\n' | mpicc -E -x c - >/dev/null 2>&1; then
  launch=(mpirun)
  mpirun --version 2>/dev/null | grep -q "Open MPI" && launch+=(--oversubscribe --allow-run-as-root)
  parallel=(-lsundials_nvecparallel "${matrices[@]}")
  compile mpicc test_parallel tests/sundials/test_parallel.c -DSUNLINSOL_REKNIT_MPI "${parallel[@]}" &&
    for ranks in 1 2 3; do run "test_parallel" "${launch[@]}" -n "$ranks" "$build/test_parallel"; done
  compile mpicc test_refused tests/sundials/test_parallel.c "${parallel[@]}" &&
    run test_refused "${launch[@]}" -n 2 "$build/test_refused"
else
  echo "tests/sundials: no MPI here, vectors over ranks are not tested"
fi

# The examples. Rows are: name, steps, Newton iterations, linear iterations, products, seconds, error. Both methods need
# fewer iterations than SPGMR, gcrodr no more than the given part of its products, and nobody is less accurate than asked.
example() {                                    # NAME PART ERROR ARGUMENT...
  local name=$1 part=$2 error=$3 out=$build/$1.out
  shift 3
  if timeout -k 5 "$limit" "$build/sundials_$name" "$@" >"$out" 2>&1 </dev/null &&
    awk -v part="$part" -v error="$error" '
      /^(spgmr|gcrodr|auto) / { ++rows; its[$1] = $4; products[$1] = $5; if ($7 > error) bad = 1 }
      END { exit !(rows == 3 && !bad && its["gcrodr"] < its["spgmr"] && its["auto"] < its["spgmr"] &&
                   products["gcrodr"] <= part * products["spgmr"]) }' "$out"; then
    passed=$((passed + 1))
  else
    cat "$out"
    fail "examples/sundials_$name.c"
  fi
}
packages=(-lsundials_nvecserial)
compile "$cc" sundials_cvode examples/sundials_cvode.c -O2 -lsundials_cvode "${packages[@]}" && example cvode 0.8 2e-4 32 1e4 1
compile "$cc" sundials_kinsol examples/sundials_kinsol.c -O2 -lsundials_kinsol "${packages[@]}" && example kinsol 0.5 2e-6 32 1e3 5
compile "$cc" sundials_arkode examples/sundials_arkode.c -O2 -lsundials_arkode "${packages[@]}" && example arkode 0.6 2e-4 24 1e4 0.2
finish
