#!/usr/bin/env bash
# Installs into temporary trees and uses the result as strangers would: pkg-config, CMake, a moved tree, the static
# library. The programs are the snippets of docs/, compared with the closed form of what they compute.
# Ends with a line `N passed, N failed`. Takes target/release/libreknit.{so,a} as they are; builds what is missing.
set -uo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/tests/packaging
release=$root/target/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() {                                      # what, command
  local what=$1
  shift
  if "$@" >"$work/out" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "failed: $what"
    head -n 20 "$work/out" | sed 's/^/    /'
  fi
}
skip() { echo "packaging: no $1 here, skipped: $2"; }
have() { command -v "$1" >/dev/null 2>&1; }
same() { diff <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }
nothing() { [ -z "$1" ] || { printf '%s\n' "$1"; return 1; }; }
refused() {                                    # words of the message, command
  local words=$1
  shift
  if "$@" >"$work/refused" 2>&1; then return 1; fi
  grep -F "$words" "$work/refused" || { cat "$work/refused"; return 1; }
}

cd "$root" || exit 1
if [ ! -e "$release/libreknit.so" ] || [ ! -e "$release/libreknit.a" ]; then
  make --no-print-directory build target/release/libreknit.a || { echo "0 passed, 1 failed"; exit 1; }
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
soname=libreknit.so.${version%.*}

# ---------------------------------------------------------------- laying out

# CARGO names nothing, so that what is built is installed as it is.
installed() { make --no-print-directory install CARGO=no-cargo "$@"; }
tree() { (cd "$1" && find . -type f -o -type l | LC_ALL=C sort); }

P=$work/plain
D=$work/stage
multiarch=/usr/lib/$(gcc -print-multiarch 2>/dev/null || echo here)
check "install" installed PREFIX="$P"
check "install with DESTDIR and LIBDIR" installed DESTDIR="$D" PREFIX=/usr LIBDIR="$multiarch"
check "install a second time over the first" installed PREFIX="$P"

expected() {                                   # PREFIX, LIBDIR
  local f
  printf '.%s\n' "$2/libreknit.so" "$2/$soname" "$2/libreknit.so.$version" "$2/libreknit.a" "$2/pkgconfig/reknit.pc" \
    "$2/cmake/reknit/reknitConfig.cmake" "$2/cmake/reknit/reknitConfigVersion.cmake" \
    "$1/share/doc/reknit/LICENSE" "$1/share/doc/reknit/LICENSE-MIT" "$1/share/doc/reknit/LICENSE-APACHE" \
    "$1/include/reknit.h" "$1/include/reknit.hpp" "$1/include/reknit_mpi.h"
  for f in bindings/fortran/src/*.f90; do echo ".$1/share/reknit/fortran/$(basename "$f")"; done
}
check "the files of a plain tree" same "$(expected '' /lib | sort)" "$(tree "$P")"
check "the files of a staged tree" same "$(expected /usr "$multiarch" | sort)" "$(tree "$D")"
check "DESTDIR is in no file" nothing "$(grep -rlIF "$D" "$D")"
check "no placeholder is left" nothing "$(grep -rnI '@[A-Z_]*@' "$P/lib/pkgconfig" "$P/lib/cmake")"
check "the chain of links" same "$soname libreknit.so.$version" "$(readlink "$P/lib/libreknit.so") $(readlink "$P/lib/$soname")"
check "the shared library may be executed, the static one not" test -x "$P/lib/$soname" -a ! -x "$P/lib/libreknit.a"
check "all may read it" nothing "$(find "$P" ! -perm -o=r ! -type l)"
for f in include/*.h include/*.hpp; do
  check "$f is installed as it is" cmp "$f" "$P/include/$(basename "$f")"
done

check "uninstall" make --no-print-directory uninstall PREFIX=/usr DESTDIR="$D" LIBDIR="$multiarch"
check "uninstall leaves no file" nothing "$(tree "$D")"
check "uninstall leaves no folder of its own" nothing "$(find "$D" -name 'reknit*')"
check "a relative PREFIX is refused" refused "absolute" tools/install.sh "$D" some/where /usr/lib "$version"
check "a version of two numbers is refused" refused "three numbers" tools/install.sh "$D" /usr /usr/lib 0.1
check "refused installations write nothing" nothing "$(tree "$D")"
installed DESTDIR="$D" PREFIX=/usr LIBDIR="$multiarch" >/dev/null

# ---------------------------------------------------------------- the shared library

library=$P/lib/libreknit.so
dynamic=$(readelf -dW "$library")
check "the soname" same "$soname" "$(sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p' <<<"$dynamic")"
check "no RPATH, no RUNPATH" nothing "$(grep -E 'RPATH|RUNPATH' <<<"$dynamic")"
check "it needs the C library and its kin only" nothing \
  "$(sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' <<<"$dynamic" | grep -vE '^(libc|libm|libgcc_s|libpthread|libdl|librt|libutil|ld-linux.*)\.so')"

printf '#include "reknit.h"\n' >"$work/alone.c"
declared=$(gcc -E -P -I"$P/include" "$work/alone.c" | tr '\n' ' ' | tr ';' '\n' | grep -v typedef |
  grep -oE '\brkn_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u)
check "the header declares functions" test "$(wc -l <<<"$declared")" -gt 50
check "what is exported is what the header declares" same "$declared" "$(nm -D --defined-only "$library" | awk '{print $NF}' | sort -u)"
check "the versions of header and package" same "#define RKN_VERSION_MAJOR ${version%%.*}" "$(grep '^#define RKN_VERSION_MAJOR' "$P/include/reknit.h")"
check "the whole version of the header" same "$version" \
  "$(sed -n 's/^#define RKN_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$P/include/reknit.h" | paste -sd.)"

# ---------------------------------------------------------------- the programs of the documentation

snippet() { awk -v open="\`\`\`$2" '$0 == open && !seen {inside = seen = 1; next} /^```/ {inside = 0} inside' "docs/$1.md"; }
snippet c-api c >"$work/rod.c"
snippet cpp cpp >"$work/rod.cpp"
snippet fortran fortran >"$work/rod.f90"
snippet julia julia >"$work/rod.jl"

# The rod: -x(i-1) + (2 + s) x(i) - x(i+1) = 1, i = 1..199, x(0) = x(200) = 0, s = 0.001 step. With
# 2 cosh(t) = 2 + s the solution at i = 100 is (1 - 1 / cosh(100 t)) / s.
truth=$(awk 'BEGIN {
  for (step = 1; step <= 5; ++step) {
    s = 0.001 * step; c = 1 + s / 2; t = log(c + sqrt(c * c - 1))
    printf "step %d: middle %.4f\n", step, (1 - 2 / (exp(100 * t) + exp(-100 * t))) / s
  }}')
rod() {                                        # what, command: the right numbers, and fewer iterations with memory
  local what=$1
  shift
  "$@" >"$work/rod.out" 2>"$work/rod.err" || { cat "$work/rod.err"; return 1; }
  nothing "$(<"$work/rod.err")" && same "$truth" "$(sed 's/,.*//' "$work/rod.out")" &&
    awk '{n[NR] = $(NF - 1)} END {exit !(NR == 5 && n[1] > 0 && n[5] < n[1])}' "$work/rod.out" || { cat "$work/rod.out"; return 1; }
}
with() { env LD_LIBRARY_PATH="$1" "${@:2}"; }

cc=${CC:-gcc}
strict=(-std=c11 -O1 -Wall -Wextra -Werror)
if have pkg-config; then
  pc() { env PKG_CONFIG_PATH="$P/lib/pkgconfig" pkg-config "$@"; }
  check "pkg-config: version" same "$version" "$(pc --modversion reknit)"
  check "pkg-config: compile and link" "$cc" "${strict[@]}" "$work/rod.c" -o "$work/rod_pc" $(pc --cflags --libs reknit)
  check "pkg-config: run" rod pc with "$P/lib" "$work/rod_pc"
  check "the program asks for the soname" grep -qF "[$soname]" <(readelf -dW "$work/rod_pc")
  check "the program has no RPATH" nothing "$(readelf -dW "$work/rod_pc" | grep -E 'RPATH|RUNPATH')"
  check "pkg-config finds the Fortran sources" test -e "$(pc --variable=fortrandir reknit)/reknit.f90"

  staged() { env PKG_CONFIG_SYSROOT_DIR="$D" PKG_CONFIG_LIBDIR="$D$multiarch/pkgconfig" pkg-config "$@"; }
  check "pkg-config, staged" "$cc" "${strict[@]}" "$work/rod.c" -o "$work/rod_staged" $(staged --cflags --libs reknit)
  check "pkg-config, staged: run" rod staged with "$D$multiarch" "$work/rod_staged"
  check "pkg-config: no flag for the system's own folders" same "-lreknit" \
    "$(env PKG_CONFIG_LIBDIR="$D$multiarch/pkgconfig" pkg-config --cflags --libs reknit | sed 's/ *$//')"

  # The static library, with the list of the .pc file and without the shared one.
  private=$(pc --static --libs-only-l reknit | sed 's/-lreknit *//; s/ *$//')
  check "static: compile and link" "$cc" "${strict[@]}" "$work/rod.c" -o "$work/rod_static" $(pc --cflags reknit) "$P/lib/libreknit.a" $private
  check "static: run" rod static "$work/rod_static"
  check "static: no libreknit is loaded" nothing "$(ldd "$work/rod_static" | grep reknit)"
  # No crate of ours asks for more than the standard library, so an empty static library has the whole list.
  if have rustc; then
    check "static: the list is that of rustc" same "$private" "$(cd "$work" && rustc --crate-name none --crate-type staticlib \
      --print native-static-libs -o none.a - </dev/null 2>&1 | sed -n 's/.*native-static-libs: //p')"
  else
    skip rustc "the list of libraries for static linking"
  fi
else
  skip pkg-config "the pkg-config file and the static library"
fi

# ---------------------------------------------------------------- a moved tree

M="$work/moved here"
mv "$P" "$M"
if have pkg-config; then
  check "moved: pkg-config --define-prefix" same "$M/include" \
    "$(env PKG_CONFIG_PATH="$M/lib/pkgconfig" pkg-config --define-prefix --variable=includedir reknit | tr -d '\\')"
fi

if have cmake; then
  found() {                                    # version asked for
    cmake -S "$here/find" -B "$work/find" -DCMAKE_PREFIX_PATH="$M" -DASKED="$1" --fresh
  }
  languages="C"
  have "${CXX:-g++}" && languages+=";CXX"
  have "${FC:-gfortran}" && languages+=";Fortran"
  check "CMake: configure" cmake -S "$here/project" -B "$work/project" -DCMAKE_PREFIX_PATH="$M" -DSOURCES="$work" -DLANGUAGES="$languages"
  check "CMake: build" cmake --build "$work/project" --parallel 2
  for program in rod_c rod_static rod_cxx rod_f rod_f_shared; do
    case $program:$languages in
      rod_cxx:*CXX* | rod_f*:*Fortran* | rod_c:* | rod_static:*) check "CMake: $program" rod "$program" "$work/project/$program" ;;
      *) skip "compiler for it" "$program" ;;
    esac
  done
  if [ -e "$work/project/ranks_f" ]; then
    check "CMake: ranks_f" same ".500 T" "$("$work/project/ranks_f" 2>&1)"
  else
    skip "MPI with mpi_f08" "ranks_f"
  fi
  check "CMake: the static one needs no libreknit" nothing "$(readelf -dW "$work/project/rod_static" | grep reknit)"
  check "CMake: any version" found ""
  for ok in "$version" "${version%.*}" "${version%%.*}" "$version;EXACT" "0.0.1...0.5"; do check "CMake: version $ok is found" found "$ok"; done
  for no in "${version%.*}.99" 0.0 99 "0.2...0.5" "0.0.1...<$version"; do
    check "CMake: version $no is not found" refused "not accepted" found "$no"
  done
  rm "$M/lib/libreknit.a"
  check "CMake: an incomplete tree is not found" refused "libreknit.a is missing" found ""
else
  skip cmake "the CMake package"
fi

julia=${JULIA:-$root/.deps/bin/julia}
if have "$julia"; then
  check "Julia: the documentation's program" rod julia env REKNIT_LIBRARY="$M/lib/libreknit.so" \
    JULIA_LOAD_PATH="$root/bindings/julia:@stdlib" "$julia" --startup-file=no --color=no "$work/rod.jl"
else
  skip julia "the program of docs/julia.md"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
