#!/usr/bin/env bash
# The header alone: compiles in every dialect without a warning, links in two units, names what the library exports,
# and reads like text for people. Ends with a line `N passed, N failed`.
set -uo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/c
header=$root/include/reknit.h
library=$root/target/release/libreknit.so
passed=0
failed=0

check() {                                      # what, command
  local what=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "failed: $what"
  fi
}
nothing() { [ -z "$1" ] || { printf '%s\n' "$1" | head -n 20; return 1; }; }

mkdir -p "$build"
printf '#include "reknit.h"\n' >"$build/alone.c"
cp "$build/alone.c" "$build/alone.cpp"
printf '#include "reknit.hpp"\nint second() { return rkn::abi(); }\n' >"$build/hpp_two.cpp"
printf '#include "reknit.hpp"\nint second();\nint main() { return rkn::abi() == RKN_ABI && second() == RKN_ABI ? 0 : 1; }\n' >"$build/hpp_one.cpp"
printf '#include "reknit.h"\n#include "reknit.h"\nint second(void);\nint second(void) { return rkn_abi(); }\n' >"$build/two.c"
printf '#include "reknit.h"\nint second(void);\nint main(void) { return rkn_abi() == RKN_ABI && second() == RKN_ABI ? 0 : 1; }\n' >"$build/one.c"

warn=(-Wall -Wextra -pedantic -Werror -I"$root/include")
link=(-L"$root/target/release" -lreknit -Wl,-rpath,"$root/target/release")
for std in c99 c11 c17; do
  check "gcc -std=$std" gcc -std=$std "${warn[@]}" -Wstrict-prototypes -fsyntax-only "$build/alone.c"
done
for std in c++11 c++17 c++20; do
  check "g++ -std=$std" g++ -std=$std "${warn[@]}" -fsyntax-only "$build/alone.cpp"
done
for std in c++17 c++20; do
  check "g++ -std=$std, reknit.hpp" g++ -std=$std "${warn[@]}" -Wconversion -Wsign-conversion -Wshadow -fsyntax-only "$build/hpp_one.cpp"
done
check "two C units" gcc -std=c11 "${warn[@]}" "$build/one.c" "$build/two.c" -o "$build/two_units" "${link[@]}"
check "two C units, run" "$build/two_units"
check "two C++ units" g++ -std=c++17 "${warn[@]}" "$build/hpp_one.cpp" "$build/hpp_two.cpp" -o "$build/two_units_cpp" "${link[@]}"
check "two C++ units, run" "$build/two_units_cpp"

# Functions of the header: a name before an opening bracket, outside comments and typedefs.
gcc -E -P -I"$root/include" "$build/alone.c" | tr '\n' ' ' | tr ';' '\n' | grep -v typedef | grep -o '\brkn_[a-z0-9_]*[[:space:]]*(' | tr -d ' (\t' | sort -u >"$build/declared"
nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | sort -u >"$build/exported"
check "the header declares functions" test -s "$build/declared"
check "declared, but not exported" nothing "$(comm -23 "$build/declared" <(grep '^rkn_' "$build/exported"))"
check "exported, but not declared" nothing "$(comm -13 "$build/declared" <(grep '^rkn_' "$build/exported"))"
check "exported without the prefix rkn_" nothing "$(grep -v '^rkn_' "$build/exported")"
check "the soname" test "$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" = libreknit.so.0.1
check "nodelete" grep -q NODELETE <(readelf -d "$library")
check "no executable stack" nothing "$(readelf -lW "$library" | awk '/GNU_STACK/ && /E/ && $7 ~ /E/')"
# Every function is there in C++ too.
check "not reached by reknit.hpp" nothing "$(while read -r f; do grep -q "\b$f\b" "$root/include/reknit.hpp" || echo "$f"; done <"$build/declared")"

# The text: no Rust paths, no Markdown links, and nothing that keeps C99 or a foreign-function generator out.
check "Rust paths or links" nothing "$(grep -nE 'crate::|\]\(|\bSelf\b|::[a-z_]+\(' "$header")"
check "types that a binding cannot take" nothing "$(gcc -E -P -I"$root/include" "$build/alone.c" | grep -nE '\b(bool|_Bool|long double|va_list|size_t|uintptr_t|FILE)\b' | grep rkn_)"
check "each constant is an integer literal" nothing "$(grep -E '^#define RKN_' "$header" | grep -vE '^#define RKN_[A-Z0-9_]+ +([0-9]+|\(-[0-9]+\))$')"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
