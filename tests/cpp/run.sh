#!/usr/bin/env bash
# Builds the C++ tests against target/release and include, runs them, and ends with a line `N passed, N failed`.
# CXX chooses the compiler (g++). Each test is built as C++17 and as C++20; the C++17 one runs. EIGEN names the folder of
# Eigen's headers (/usr/include/eigen3); without it test_eigen is left out.
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
eigen=${EIGEN:-/usr/include/eigen3}
if [ -e "$eigen/Eigen/SparseCore" ]; then flags+=(-isystem "$eigen"); else
  eigen=''
  echo "tests/cpp: no Eigen here, skipped: test_eigen"
fi

for source in "$here"/test_*.cpp; do
  name=$(basename "$source" .cpp)
  [ "$name" != test_eigen ] || [ -n "$eigen" ] || continue
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

# The same for Eigen: what is no array in memory, or not to last, stops the compiler with words about it.
cat >"$build/eigen.cpp" <<'END'
#include "reknit_eigen.hpp"
using Sparse = Eigen::SparseMatrix<double>;
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
void f(rkn::Krylov &s, rkn::Operator &A, Sparse &K, Eigen::MatrixXd &B, Eigen::VectorXd &b, Eigen::VectorXd &x, Rows &rows) {
    STATEMENT;
    (void)s, (void)A, (void)K, (void)B, (void)b, (void)x, (void)rows;
}
END
eigen_compiles() {
  ${CXX:-g++} -std=c++17 -I"$root/include" -isystem "$eigen" -fsyntax-only "-DSTATEMENT=$1" "$build/eigen.cpp" 2>"$build/eigen.out"
}
eigen_check() {                                # words of the refusal, or nothing; statement
  local ok=''
  if [ -z "$1" ]; then eigen_compiles "$2" && ok=1; else ! eigen_compiles "$2" && grep -qF "$1" "$build/eigen.out" && ok=1; fi
  if [ -n "$ok" ]; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "Eigen: $2: must be ${1:+refused with: }${1:-accepted}"
    head -n 5 "$build/eigen.out"
  fi
}
if [ -n "$eigen" ]; then
  eigen_check '' 's.solve(A, b, x)'
  eigen_check 'evaluate it into a variable' 's.solve(A, b + x, x)'
  eigen_check 'evaluate it into a variable' 's.solve(A, K * b, x)'
  eigen_check 'evaluate it into a variable' 'A.apply(b + x, x)'
  eigen_check '' 's.solve(A, (b + x).eval(), x)'
  eigen_check 'evaluate it into a variable' 's.solve(A, B + B, B)'
  eigen_check 'this one is by rows' 's.solve(A, rows, B)'
  eigen_check 'name it' 's.start(A, (b + x).eval(), x)'
  eigen_check 'x is written to' 's.solve(A, b, static_cast<const Eigen::VectorXd &>(x))'
  eigen_check 'b and x are of one type' 's.solve(A, b.cast<float>().eval(), x)'
  eigen_check 'cannot be lent' 'rkn::eigen::borrow(Sparse(K))'
  eigen_check 'cannot be lent' 'rkn::eigen::borrow(K + K)'
  eigen_check 'cannot be lent' 'rkn::eigen::borrow(B.topRows(2))'
  eigen_check 'evaluate it into a matrix' 'const auto sum = K + K; rkn::eigen::borrow(sum)'
  eigen_check 'evaluate it into a matrix' 'const auto sum = B + B; rkn::eigen::borrow(sum)'
  eigen_check 'have gaps' 'auto d = B.diagonal(); rkn::eigen::borrow(d)'
  eigen_check 'signed integers of 4 or 8 bytes' 'Eigen::SparseMatrix<double, 0, short> S; rkn::eigen::borrow(S)'
  eigen_check 'takes Eigen' 'std::vector<double> v; rkn::eigen::borrow(v)'
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
