#!/usr/bin/env bash
# Compiles the Fortran binding and its tests into build/fortran and runs them with the release library.
# The last line reads "N passed, N failed"; the exit status is nonzero when something failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

source=bindings/fortran/src
build=build/fortran
library=$PWD/target/release
fc=${FC:-gfortran}
flags=(-std=f2018 -Wall -Wextra -Wtrampolines -Werror -fcheck=all -g -J "$build" -I "$build")
binding=(reknit_c reknit_support reknit_library reknit_callbacks reknit_context reknit_scalar reknit_operator_base
         reknit_operator_arrays reknit_arrays reknit_operator reknit_request reknit_krylov reknit_sequence
         reknit_sinkhorn reknit_batch reknit_line reknit_membership reknit)
tests=(test_operator test_krylov test_block test_learned test_reverse test_sequence test_sinkhorn test_barycenter test_line test_derivative
       test_context)

passed=0
failed=0
check() {   # check TEXT COMMAND...: one test, passed when the command succeeds
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $what" >&2
  fi
}

mkdir -p "$build"
objects=()
for unit in "${binding[@]}"; do
  "$fc" "${flags[@]}" -c "$source/$unit.f90" -o "$build/$unit.o"
  objects+=("$build/$unit.o")
done
for unit in check poisson; do
  "$fc" "${flags[@]}" -c "tests/fortran/$unit.f90" -o "$build/$unit.o"
  objects+=("$build/$unit.o")
done
for program in "${tests[@]}" stops; do
  "$fc" "${flags[@]}" "tests/fortran/$program.f90" "${objects[@]}" -L "$library" -lreknit -Wl,-rpath,"$library" \
    -o "$build/$program"
done

check "generated files are up to date" python3 bindings/tools/bindgen.py --check
for name in $(sed -nE 's/.*bind\(c, name="(\w+)"\).*/\1/p' "$source/reknit_c.f90" | sort -u); do
  check "no noun gives access to $name" grep -qrwF --include='*.f90' --exclude=reknit_c.f90 "$name" "$source"
done

stopped() {
  local status=0
  "$build/stops" >"$build/stops.out" 2>&1 || status=$?
  [ "$status" -ne 0 ] && grep -q restrt "$build/stops.out" && ! grep -q running "$build/stops.out"
}
check "an error without stat ends the program with its message" stopped

for program in "${tests[@]}"; do
  echo "$program"
  status=0
  (cd "$build" && "./$program") >"$build/$program.out" 2>"$build/$program.err" || status=$?
  cat "$build/$program.err" >&2
  total=$(tail -n 1 "$build/$program.out")
  if [[ $total =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
  else
    echo "FAILED: $program ended early with status $status" >&2
    failed=$((failed + 1))
  fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
