#!/usr/bin/env bash
# Installs into temporary trees and uses the result as strangers would: pkg-config, CMake, a moved tree, the static
# library, the archives of a release. The programs are the snippets of docs/, compared with the closed form of what
# they compute. The Fortran project of examples/ is built by CMake and by fpm, and compared with the solution of its
# difference equations. FPM names the fpm to use (.deps/bin/fpm). Ends with a line `N passed, N failed`. Takes
# target/release/libreknit.{so,a} as they are; builds what is missing.
#
# RKN_TEST_OFFLINE_BUILD=1: also builds the unpacked source archive with the network cut off, which takes minutes.
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
    "$1/share/doc/reknit/THIRD-PARTY" \
    "$1/include/reknit.h" "$1/include/reknit.hpp" "$1/include/reknit_eigen.hpp" "$1/include/reknit_mpi.h"
  for f in bindings/fortran/{src,mpi}/*.f90; do echo ".$1/share/reknit/fortran/$(basename "$f")"; done
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

# The plate of examples/fortran_project: off its series, and the middle at the end of a run of n points, by the modes that
# the differences have. 16 x (1 - x) y (1 - y) is a sum of products of sines; each decays by its own factor in a step.
plate_off() { "$@" | sed -n 's/^off by *\([^ ]*\) .*/\1/p'; }
plate_counts() { "$@" | sed -n 's/^off by.*, \([0-9]*\) iterations, \([0-9]*\) products/\1 \2/p'; }
plate_is_right() {
  "$1" 15 10 >"$work/plate.out" || return 1
  awk 'BEGIN { n = 15; h = 1 / (n + 1); pi = atan2(0, -1); steps = 10; dt = 0.1 / steps
      for (k = 1; k <= n; k++) {
        for (i = 1; i <= n; i++) c[k] += 2 * h * i * h * (1 - i * h) * sin(k * pi * i * h)
        e[k] = 4 / (h * h) * sin(k * pi * h / 2) ^ 2
      }
      for (s = 1; s <= steps; s++) {
        conductivity = 1 + 0.5 * sin(40 * (s - 0.5) * dt); truth[s] = 0
        for (k = 1; k <= n; k += 2) for (l = 1; l <= n; l += 2) {
          if (s == 1) mode[k, l] = 16 * c[k] * c[l] * sin(k * pi / 2) * sin(l * pi / 2)
          r = conductivity * dt / 2 * (e[k] + e[l]); mode[k, l] *= (1 - r) / (1 + r); truth[s] += mode[k, l]
        }
      } }
    /^ *[0-9]+ / { d = $3 - truth[$1]; if (d > 6e-6 || d < -6e-6) { print $0, truth[$1]; bad = 1 } n_seen++ }
    END { exit bad || n_seen != steps }' "$work/plate.out" || { cat "$work/plate.out"; return 1; }
}
plate_converges() {
  awk -v coarse="$(plate_off "$1" 31 32)" -v fine="$(plate_off "$1" 63 64)" \
    'BEGIN { print coarse, fine; exit !(fine > 0 && coarse / fine > 3.5 && coarse / fine < 4.5) }'
}
plate_remembers() {                            # a quarter of the iterations less, and not by more products
  { plate_counts "$1" 63 40; plate_counts "$1" 63 40 cg initial_guess=zero; } |
    awk '{ print; iterations[NR] = $1; products[NR] = $2 }
      END { exit !(NR == 2 && iterations[1] > 0 && 4 * iterations[1] < 3 * iterations[2] && products[1] < products[2]) }'
}

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

  # A Fortran code of several modules. The middle of its plate is close to the series of the differential equation, closer
  # by four with half the mesh width and half the time step, and the same as another program gets mode by mode.
  if have "${FC:-gfortran}"; then
    check "Fortran project, CMake: configure" cmake -S examples/fortran_project -B "$work/plate" -DCMAKE_PREFIX_PATH="$M"
    check "Fortran project, CMake: build" cmake --build "$work/plate" --parallel 2
    check "Fortran project, CMake: its numbers" plate_is_right "$work/plate/cooling_plate"
    check "Fortran project: second order" plate_converges "$work/plate/cooling_plate"
    check "Fortran project: memory pays" plate_remembers "$work/plate/cooling_plate"
    check "Fortran project: an unknown method is told" refused "did you mean" "$work/plate/cooling_plate" 31 10 rgc
  fi
  rm "$M/lib/libreknit.a"
  check "CMake: an incomplete tree is not found" refused "libreknit.a is missing" found ""
else
  skip cmake "the CMake package"
fi

# fpm builds the binding from its sources, which the project names by a path relative to its own, and links to the installed library.
fpm=${FPM:-$root/.deps/bin/fpm}
if have "$fpm" && have "${FC:-gfortran}"; then
  mkdir -p "$work/fpm/examples" "$work/fpm/bindings"
  cp -r examples/fortran_project "$work/fpm/examples"
  cp -r bindings/fortran "$work/fpm/bindings"
  by_fpm() {
    (cd "$work/fpm/examples/fortran_project" && LIBRARY_PATH=$M/lib "$fpm" install --profile release --prefix "$work/by_fpm" --compiler "${FC:-gfortran}")
  }
  plate() { with "$M/lib" "$work/by_fpm/bin/cooling_plate" "$@"; }
  check "Fortran project, fpm: build" by_fpm
  check "Fortran project, fpm: its numbers" plate_is_right plate
else
  skip fpm "the build of examples/fortran_project by it"
fi

julia=${JULIA:-$root/.deps/bin/julia}
if have "$julia"; then
  check "Julia: the documentation's program" rod julia env REKNIT_LIBRARY="$M/lib/libreknit.so" \
    JULIA_LOAD_PATH="$root/bindings/julia:@stdlib" "$julia" --startup-file=no --color=no "$work/rod.jl"
else
  skip julia "the program of docs/julia.md"
fi

# ---------------------------------------------------------------- licences

if have cargo && have python3; then
  check "THIRD-PARTY and deny.toml fit the crates" tools/notices.py --check
  if have cargo-deny; then
    check "cargo deny" cargo-deny --offline check licenses
  else
    skip cargo-deny "the licences by it; tools/notices.py holds them to the same list"
  fi
else
  skip "cargo or no python3" "the licences"
fi

# ---------------------------------------------------------------- the source archive

# A command without network, and without what cargo has fetched before.
cut=(env CARGO_HOME="$work/cargo-home")
if unshare -rn true 2>/dev/null; then
  cut+=(unshare -rn)
else
  echo "packaging: namespaces are not permitted here, so a proxy that does not answer cuts the network off"
  cut+=(http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 CARGO_NET_RETRY=0)
fi

archive=reknit-$version
dist() { make --no-print-directory "$1" CARGO="${2-cargo}" && cp "build/$3.tar.gz" "$work/$4"; }
if ! have cargo || ! git rev-parse --git-dir >/dev/null 2>&1; then
  skip "cargo or no repository" "the source archive"
elif ! cargo fetch --quiet --locked 2>/dev/null; then
  skip "way to the crates of other platforms" "the source archive"
else
  check "make dist" dist dist cargo "$archive" first
  (umask 077 && TZ=Asia/Tokyo LANG=de_DE dist dist cargo "$archive" second) >/dev/null 2>&1
  check "make dist again: the same bytes" cmp "$work/first" "$work/second"
  mkdir -p "$work/un packed"
  check "unpack it" tar -C "$work/un packed" -xzf "$work/first"
  U="$work/un packed/$archive"
  alike() { git ls-files -z | while IFS= read -rd '' f; do cmp "$f" "$U/$f" || return; done; }
  check "it has the files under version control" alike
  check "it has nothing else but crates and their configuration" same ".cargo/config.toml" \
    "$(comm -13 <(git ls-files | sort) <(cd "$U" && find . -path ./vendor -prune -o -type f -print | sed 's|^\./||' | sort))"
  check "one owner and one time in it" same "0/0 $(TZ=UTC date -d "@$(git log -1 --format=%ct)" '+%F %H:%M')" \
    "$(TZ=UTC tar -tvzf "$work/first" --numeric-owner | awk '{print $2, $4, $5}' | sort -u)"
  check "the configuration names no host" nothing "$(grep -nE '://|registry|index' "$U/.cargo/config.toml")"
  check "make takes the crates in it only" test "$(make -C "$U" -n build CARGO=cargo | grep -c -- '--locked --offline')" = 1
  check "make in the repository does not" test "$(make -n build CARGO=cargo | grep -c -- '--locked')" = 0

  crates() { (cd "$U" && "${cut[@]}" cargo metadata --format-version 1 "$@" 2>"$work/metadata.err"); }
  named=$(crates | python3 -c 'import json, sys; print("\n".join(sorted(p["name"] + " " + p["version"] for p in json.load(sys.stdin)["packages"])))')
  check "all crates of Cargo.lock are in it, without network" same \
    "$(sed -n 's/^name = "\(.*\)"/\1/p; s/^version = "\(.*\)"/\1/p' Cargo.lock | paste -d' ' - - | sort)" "$named"
  without_rayon() { mv "$U/vendor/rayon" "$work/rayon" && crates; local code=$?; cat "$work/metadata.err"; mv "$work/rayon" "$U/vendor/rayon"; return $code; }
  check "a crate that is missing is missed" refused "rayon" without_rayon
  not_allowed() { sed -i.kept '/unicode-ident/d' "$U/deny.toml"; "${cut[@]}" "$U/tools/notices.py" --all; local code=$?; mv "$U/deny.toml.kept" "$U/deny.toml"; return $code; }
  check "the licences of all crates, without network" "${cut[@]}" "$U/tools/notices.py" --all
  check "a licence that is not allowed is refused" refused "unicode-ident" not_allowed

  I="$work/from archive"
  if [ -n "${RKN_TEST_OFFLINE_BUILD-}" ]; then
    check "build and install without network" "${cut[@]}" make -C "$U" --no-print-directory install PREFIX="$I"
    check "the C tests in the unpacked tree" "${cut[@]}" "$U/tests/c/run.sh"
  else
    mkdir -p "$U/target"
    ln -s "$release" "$U/target/release"
    check "install from the unpacked tree" make -C "$U" --no-print-directory install CARGO=no-cargo PREFIX="$I"
  fi
  check "the files of that tree" same "$(expected '' /lib | sort)" "$(tree "$I")"
  check "its notices" cmp THIRD-PARTY "$I/share/doc/reknit/THIRD-PARTY"
  "$cc" "${strict[@]}" "$work/rod.c" -o "$work/rod_archive" -I"$I/include" -L"$I/lib" -lreknit
  check "a program with it" rod archive with "$I/lib" "$work/rod_archive"
fi

# ---------------------------------------------------------------- the binary archive

floor=2.17                                     # docs/install.md
binary=reknit-$version-x86_64-linux
newest() { objdump -T "$1" | grep -o 'GLIBC_[0-9.]*[0-9]' | sort -uV | tail -n 1; }
no_newer() {
  newest "$1"
  [ "$(printf '%s\n' "$(newest "$1")" "GLIBC_$floor" | sort -V | tail -n 1)" = "GLIBC_$floor" ]
}
if [ "$(uname -sm)" != "Linux x86_64" ] || ! have rustc || ! [ -e "$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html" ]; then
  skip "x86_64 Linux with a Rust toolchain that brings its notices" "the binary archive"
else
  export SOURCE_DATE_EPOCH=1700000000
  check "make dist-binary" dist dist-binary true "$binary" first
  (umask 077 && TZ=Asia/Tokyo dist dist-binary true "$binary" second) >/dev/null 2>&1
  check "make dist-binary again: the same bytes" cmp "$work/first" "$work/second"
  mkdir -p "$work/some where"
  check "unpack it" tar -C "$work/some where" -xzf "$work/first"
  B="$work/some where/$binary"
  check "the files of the binary archive" same \
    "$({ expected '' /lib; printf '.%s\n' /README.md /share/doc/reknit/rust-standard-library.html; } | sort)" "$(tree "$B")"
  check "its notices" cmp THIRD-PARTY "$B/share/doc/reknit/THIRD-PARTY"
  check "no path of this machine in its texts" nothing "$(grep -rlIF -e "$root" -e "$work" "$B")"
  check "the C library that it needs" no_newer "$B/lib/$soname"
  check "the measure sees a newer need" refused "GLIBC_2." no_newer "$release/libreknit.so"
  check "it exports what the header declares" same "$declared" "$(nm -D --defined-only "$B/lib/$soname" | awk '{print $NF}' | sort -u)"
  check "the same soname" same "$soname" "$(readelf -dW "$B/lib/$soname" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')"
  check "no RPATH, no RUNPATH in it" nothing "$(readelf -dW "$B/lib/$soname" | grep -E 'RPATH|RUNPATH')"
  if have pkg-config; then
    bpc() { env PKG_CONFIG_PATH="$B/lib/pkgconfig" pkg-config "$@"; }
    eval "flags=($(bpc --cflags --libs reknit))"
    check "pkg-config where it lies" "$cc" "${strict[@]}" "$work/rod.c" -o "$work/rod_binary" "${flags[@]}"
    check "a program with it" rod binary with "$B/lib" "$work/rod_binary"
  else
    skip pkg-config "the binary archive by it"
  fi
  if have cmake; then
    check "the CMake example: configure" cmake -S examples/cmake -B "$work/cmake" -DCMAKE_PREFIX_PATH="$B"
    check "the CMake example: build" cmake --build "$work/cmake"
    # As Gaussian elimination of the dense matrices in another program gave it.
    check "the CMake example: run" grep -x "hottest cell at the end: 432.396701 K" <("$work/cmake/heat_sequence" 16 8)
  else
    skip cmake "the CMake example"
  fi

  # Under an older C library: the start is our own, since this machine's would ask for a new one.
  old=$root/.deps/glibc/lib/x86_64-linux-gnu
  if [ -e "$old/ld-linux-x86-64.so.2" ]; then
    cat >"$work/start.c" <<'C'
#include <stdlib.h>
int main(void);
__attribute__((force_align_arg_pointer)) void _start(void) { exit(main()); }
C
    under() { "$old/ld-linux-x86-64.so.2" --library-path "$1:$old" "$work/rod_old"; }
    check "a program for any C library" "$cc" "${strict[@]}" -nostartfiles "$work/rod.c" "$work/start.c" -o "$work/rod_old" \
      -I"$B/include" -L"$B/lib" -lreknit
    check "it runs under $(basename "$(readlink -f "$old/libc.so.6")" .so)" rod old under "$B/lib"
    check "the library that was linked here does not" refused "not found" under "$release"
  else
    skip "older C library in .deps/glibc" "running under it"
  fi
fi

# ---------------------------------------------------------------- the recipe for Spack

if have python3; then
  check "the recipe is Python" python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' packaging/spack/package.py
fi
check "the recipe has this version" grep -qF "version(\"$version\")" packaging/spack/package.py
check "the recipe wants the Rust that Cargo.toml wants" same "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" \
  "$(sed -n 's/.*"rust@\(.*\):".*/\1/p' packaging/spack/package.py)"
check "docs/install.md names that Rust" grep -q "Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" docs/install.md
check "docs/install.md names the oldest glibc" grep -q "glibc $floor" docs/install.md

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
