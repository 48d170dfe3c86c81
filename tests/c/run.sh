#!/usr/bin/env bash
# Builds the C tests against target/release and include, runs them, and ends with a line `N passed, N failed`.
#
#   tests/c/run.sh               every test_*.c (the header has its own script, header.sh)
#   tests/c/run.sh --valgrind    those tests that valgrind can follow, under it
#
# CC chooses the compiler (gcc).
set -uo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/tests/c
build=$root/build/c
lib=$root/target/release
passed=0
failed=0

# Adds the counts in a program's last line; a program that ends otherwise is one failure.
count() {                                      # name, exit code, its output
  local last
  last=$(tail -n 1 "$3")
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    if [ "$2" -ne 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ]; then
      failed=$((failed + 1))
      echo "$1: exit code $2"
    fi
  else
    failed=$((failed + 1))
    echo "$1: ended without its counts, exit code $2"
  fi
}

run() {                                        # name, command
  local name=$1 code=0
  shift
  (cd "$build" && "$@") >"$build/$name.out" 2>&1 || code=$?
  sed "s|^|$name: |" "$build/$name.out"
  count "$name" "$code" "$build/$name.out"
}

mkdir -p "$build"
if [ ! -e "$lib/libreknit.so" ]; then
  echo "tests/c: $lib/libreknit.so is missing: run make build"
  echo "0 passed, 1 failed"
  exit 1
fi

# A German locale for test_hostile, made here where the system has the sources but not the locale.
if ! locale -a 2>/dev/null | grep -qi '^de_DE'; then
  if [ -d "$build/locale/de_DE.UTF-8" ] || { mkdir -p "$build/locale" && localedef -i de_DE -f UTF-8 "$build/locale/de_DE.UTF-8" >/dev/null 2>&1; }; then
    export LOCPATH=$build/locale
  fi
fi

valgrind=()
tests=("$here"/test_*.c)
if [ "${1-}" = --valgrind ]; then
  if ! command -v valgrind >/dev/null; then
    echo "tests/c: no valgrind here, skipped"
    echo "0 passed, 0 failed"
    exit 0
  fi
  valgrind=(valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect)
  tests=("$here"/test_{context,operator,krylov,block,learned,reverse,sequence}.c)
fi

for source in "${tests[@]}"; do
  name=$(basename "$source" .c)
  link=(-L"$lib" -lreknit -Wl,-rpath,"$lib")
  [ "$name" = test_load ] && link=(-ldl)
  if ${CC:-gcc} -std=c11 -O1 -g -Wall -Wextra -pedantic -Werror -pthread -I"$root/include" "$source" -o "$build/$name" "${link[@]}" -lm; then
    run "$name" env REKNIT_LIBRARY="$lib/libreknit.so" "${valgrind[@]}" "./$name"
  else
    failed=$((failed + 1))
    echo "$name: does not compile"
  fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
