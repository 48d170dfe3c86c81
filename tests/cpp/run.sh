#!/usr/bin/env bash
# Builds the C++ tests against target/release and include, runs them, and ends with a line `N passed, N failed`.
# CXX chooses the compiler (g++). Each test is built as C++17 and as C++20; the C++17 one runs.
set -uo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/tests/cpp
build=$root/build/cpp
lib=$root/target/release
passed=0
failed=0

mkdir -p "$build"
if [ ! -e "$lib/libreknit.so" ]; then
  echo "tests/cpp: $lib/libreknit.so is missing: run make build"
  echo "0 passed, 1 failed"
  exit 1
fi

flags=(-O1 -g -Wall -Wextra -pedantic -Wconversion -Werror -pthread -I"$root/include")
for source in "$here"/test_*.cpp; do
  name=$(basename "$source" .cpp)
  if ! ${CXX:-g++} -std=c++20 "${flags[@]}" -fsyntax-only "$source" ||
    ! ${CXX:-g++} -std=c++17 "${flags[@]}" "$source" -o "$build/$name" -L"$lib" -lreknit -Wl,-rpath,"$lib"; then
    failed=$((failed + 1))
    echo "$name: does not compile"
    continue
  fi
  code=0
  (cd "$build" && "./$name") >"$build/$name.out" 2>&1 || code=$?
  sed "s|^|$name: |" "$build/$name.out"
  last=$(tail -n 1 "$build/$name.out")
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
  else
    failed=$((failed + 1))
    echo "$name: ended without its counts, exit code $code"
  fi
done

# Code that must not compile: a temporary array cannot be lent.
cat >"$build/lent.cpp" <<'END'
#include "reknit.hpp"
int main() {
    rkn::Operator::diagonal(std::vector<double>{1, 2}, MEMORY);
}
END
refused() { ! ${CXX:-g++} -std=c++17 -I"$root/include" -fsyntax-only -DMEMORY=rkn::borrow "$build/lent.cpp" 2>"$build/lent.out" && grep -q 'cannot be lent' "$build/lent.out"; }
accepted() { ${CXX:-g++} -std=c++17 -I"$root/include" -fsyntax-only -DMEMORY=rkn::copy "$build/lent.cpp"; }
for what in refused accepted; do
  if $what; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "lending a temporary: not $what"
  fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
