#!/usr/bin/env bash
# Installs what building and testing reknit needs, beyond Rust itself.
#
#   tools/setup.sh build    a C compiler and make
#   tools/setup.sh demo     Python 3 with its venv module
#   tools/setup.sh julia    Julia 1.5 or later, called as .deps/bin/julia
#   tools/setup.sh fpm      the Fortran package manager, from PyPI, called as .deps/bin/fpm
#   tools/setup.sh test     all of the above, the other compilers, MPI, Eigen, SUNDIALS, PETSc, valgrind, cmake and an older C library
#   tools/setup.sh plots    .deps/venv, a Python environment with numpy and matplotlib
#
# Several groups may be named at once. What is there already is left alone, so a second run is quick.
# Missing packages come from apt, as root or through sudo; everything else goes to .deps/ in the
# repository and can be deleted at any time.
#
# Julia: one found on PATH is used. Debian 12 has no julia package; there the script adds Debian 11
# as a second source (/etc/apt/sources.list.d/reknit-bullseye.*), pinned so low that nothing which
# the system has or offers itself ever comes from it (/etc/apt/preferences.d/reknit-bullseye).
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$root/.deps
log=$deps/setup.log
old=bullseye                                   # the Debian release that still packages julia
etc_apt=/etc/apt

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

usage() {
  sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

# ---------------------------------------------------------------- apt

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_usable() { have apt-get && { [ "$(id -u)" = 0 ] || have sudo; }; }

# Runs a command with its output in the log; shows the log's end if the command fails.
logged() {
  mkdir -p "$deps"
  if ! "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    return 1
  fi
}

updated=''
apt_update() {
  [ -n "$updated" ] && return
  # A source that is out of reach need not matter: whether it does, the installation will tell.
  logged as_root apt-get -q update || say "apt-get update did not succeed, going on with the lists at hand"
  updated=1
}

apt_install() {
  apt_usable || fail "no apt-get that can be used here (it needs root or sudo): install ${1// /, } yourself and run again"
  say "installing $1 with apt"
  apt_update
  # shellcheck disable=SC2086
  logged as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $1 ||
    fail "apt could not install ${1// /, } (the whole output is in .deps/setup.log): install what is missing yourself and run again"
}

# ---------------------------------------------------------------- what must be there

includes() { echo "#include <$2>" | "$1" -E -x "$3" - >/dev/null 2>&1; }       # compiler, header, language

missing=''
need() {                                                                       # packages, then the check
  local packages=$1
  shift
  "$@" || missing="$missing $packages"
}

usable_python() {
  local p
  for p in python3 /usr/bin/python3; do
    if have "$p" && "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then
      echo "$p"
      return
    fi
  done
  return 1
}
has_python() { usable_python >/dev/null; }
has_eigen() { [ -e /usr/include/eigen3/Eigen/SparseCore ]; }
has_hypre() { [ -e /usr/include/hypre/HYPRE.h ]; }
has_sundials() { [ -e /usr/include/sundials/sundials_version.h ]; }
has_petsc() {
  compgen -G "/usr/lib/petscdir/petsc*/*-real/include/petsc.h" >/dev/null && compgen -G "/usr/lib/petscdir/petsc*/*-complex/include/petsc.h" >/dev/null &&
    compgen -G "/usr/share/petsc/*/share/petsc/examples/src" >/dev/null
}
has_mpi() { have mpirun && have mpicc && includes mpicc mpi.h c; }

need_build() {
  need "gcc libc6-dev" includes gcc stdio.h c
  need make have make
}

need_demo() { need "python3 python3-venv" has_python; }

need_test() {
  need g++ includes g++ vector c++
  need gfortran have gfortran
  need pkg-config have pkg-config
  need binutils have readelf
  need "libopenmpi-dev openmpi-bin" has_mpi
  need libhypre-dev has_hypre
  need libsundials-dev has_sundials
  need "mpich libmpich-dev" have mpicc.mpich
  # The examples have the version in their name, which the lists of packages know.
  has_petsc || ! apt_usable || apt_update
  need "libpetsc-real-dev libpetsc-complex-dev $(apt-cache search --names-only '^libpetsc[0-9.]*-dev-examples$' 2>/dev/null | cut -d' ' -f1 | sort -V | tail -n 1)" has_petsc
  need libeigen3-dev has_eigen
  need valgrind have valgrind
  need cmake have cmake
}

# ---------------------------------------------------------------- Julia

# The `julia` on PATH, other than our own wrapper, if it is recent enough.
julia_on_path() {
  local j v
  while read -r j; do
    [ "$j" -ef "$deps/bin/julia" ] && continue
    v=$("$j" --version 2>/dev/null) || continue
    v=${v##* }
    [[ $v =~ ^([0-9]+)\.([0-9]+) ]] || continue
    if ((BASH_REMATCH[1] > 1 || (BASH_REMATCH[1] == 1 && BASH_REMATCH[2] >= 5))); then
      echo "$j"
      return
    fi
  done < <(type -aP julia)
  return 1
}

# Does it survive exceptions thrown in compiled code? Debian 11's julia does not with a later Debian's libunwind.
julia_sound() {                                # julia, folder to put before LD_LIBRARY_PATH or nothing
  (
    ulimit -c 0
    [ -z "${2-}" ] || export LD_LIBRARY_PATH="$2${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    "$1" --startup-file=no -e '
      f(x) = x > 0 ? error("f") : x
      for i in 1:3
        try f(i); catch e; sprint(showerror, e, catch_backtrace()); end
        try [1][i + 1]; catch; end
      end
      using Test
      @test_throws ErrorException f(1)' || exit 1          # here, so that a crash is reported to /dev/null
  ) >/dev/null 2>&1
}

julia_wrapper() {                              # julia, 1 if it needs the private libraries
  local w=$deps/bin/julia
  mkdir -p "$deps/bin"
  {
    echo '#!/bin/sh'
    echo "# Written by tools/setup.sh; delete it and run that again after a change of julia."
    echo "julia='$1'"
    if [ -n "${2-}" ]; then
      # shellcheck disable=SC2016
      printf '%s\n' 'lib=$(cd "$(dirname "$(readlink -f "$0")")/../julia/lib" && pwd) || exit 1' \
        'LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}' 'export LD_LIBRARY_PATH'
    fi
    # shellcheck disable=SC2016
    echo 'exec "$julia" "$@"'
  } >"$w.new"
  chmod 755 "$w.new"
  mv -f "$w.new" "$w"
}

# True if the wrapper is there and what it calls is there too.
julia_ready() {
  local w=$deps/bin/julia real
  [ -x "$w" ] || return 1
  real=$(sed -n "s/^julia='\(.*\)'\$/\1/p" "$w")
  [ -n "$real" ] && [ -x "$real" ] || return 1
  ! grep -q '^lib=' "$w" || compgen -G "$deps/julia/lib/libunwind.so.*" >/dev/null
}

# Prints, in the syntax of the file named, the system's own Debian source changed to the old release.
old_source() {                                 # file, this system's code name
  case $1 in
    *.sources)
      awk -v own="$2" -v old="$old" '
        BEGIN { RS = ""; FS = "\n" }
        {
          keep = ""; types = suites = components = ""; off = 0
          for (i = 1; i <= NF; i++) {
            line = $i
            if (line ~ /^#/) continue
            if (line !~ /^[ \t]/) {
              name = tolower(line); sub(/:.*/, "", name)
            }
            value = line; sub(/^[^ \t:]*:/, "", value)
            if (name == "types") types = types " " value " "
            else if (name == "suites") suites = suites " " value " "
            else if (name == "components") components = components " " value " "
            else if (name == "enabled") { if (tolower(value) ~ /no|false|0/) off = 1 }
            else if (name != "check-valid-until") keep = keep line "\n"
          }
          gsub(/\t/, " ", types); gsub(/\t/, " ", suites); gsub(/\t/, " ", components)
          if (!off && index(types, " deb ") && index(suites, " " own " ") && index(components, " main ")) {
            printf "Types: deb\nSuites: %s\nComponents: main\nCheck-Valid-Until: no\n%s", old, keep
            exit
          }
        }' "$1"
      ;;
    *.list)
      awk -v own="$2" -v old="$old" '
        $1 == "deb" {
          options = ""; i = 2
          if ($2 ~ /^\[/) {
            for (; i <= NF; i++) { options = options " " $i; if ($i ~ /\]$/) { i++; break } }
            gsub(/[][]/, "", options); gsub(/check-valid-until=[^ ]*/, "", options)
          }
          main = 0
          for (k = i + 2; k <= NF; k++) if ($k == "main") main = 1
          if ($i !~ /^cdrom:/ && $(i + 1) == own && main) {
            print "deb [check-valid-until=no" options "] " $i " " old " main"
            exit
          }
        }' "$1"
      ;;
  esac
}

old_source_files() { echo "$etc_apt/sources.list.d/reknit-$old.sources" "$etc_apt/sources.list.d/reknit-$old.list" "$etc_apt/preferences.d/reknit-$old"; }

offers_old() { apt-cache policy 2>/dev/null | grep "n=$old,.*c=main" >/dev/null; }

# Makes apt know the old release, or fails and leaves apt as it was.
add_old_source() {
  offers_old && return
  local own='' file text='' ending
  # shellcheck disable=SC1091
  own=$(. /etc/os-release 2>/dev/null && [ "$ID" = debian ] && echo "${VERSION_CODENAME-}") || true
  [ -n "$own" ] || return 1
  for file in "$etc_apt"/sources.list.d/debian.sources "$etc_apt"/sources.list "$etc_apt"/sources.list.d/*.sources "$etc_apt"/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    ending=${file##*.}
    text=$(old_source "$file" "$own")
    [ -z "$text" ] || break
  done
  [ -n "$text" ] || return 1
  say "adding Debian's $old as a source of julia, pinned below all others"
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n' "$old" | as_root tee "$etc_apt/preferences.d/reknit-$old" >/dev/null
  printf '%s\n' "$text" | as_root tee "$etc_apt/sources.list.d/reknit-$old.$ending" >/dev/null
  updated=''
  apt_update
  if ! offers_old; then
    # shellcheck disable=SC2046
    as_root rm -f $(old_source_files)
    logged as_root apt-get -q update || true
    return 1
  fi
}

# Debian 11's libunwind, for julia alone.
private_libunwind() {
  local work=$deps/julia/unpack
  rm -rf "$work"
  mkdir -p "$work" "$deps/julia/lib"
  say "unpacking $old's libunwind8 for julia into .deps/julia"
  (cd "$work" && logged apt-get -q download "libunwind8/$old" && dpkg-deb -x libunwind8_*.deb .) || return 1
  find "$work/usr/lib" -name 'libunwind*.so.*' -exec cp -P {} "$deps/julia/lib/" \;
  rm -rf "$work"
}

setup_julia() {
  julia_ready && return
  local julia by_hand="install Julia 1.5 or later yourself, put it on PATH and run again"
  if ! julia=$(julia_on_path); then
    apt_usable || fail "no julia on PATH, and no apt-get that can be used here (it needs root or sudo): $by_hand"
    apt_update
    if ! apt-cache policy julia 2>/dev/null | grep 'Candidate: [0-9]' >/dev/null; then
      add_old_source || fail "no julia on PATH, and apt has no package of it here: $by_hand"
    fi
    apt_install julia
    hash -r
    julia=$(julia_on_path) || fail "the julia that apt installed is not on PATH or is older than 1.5: $by_hand"
  fi
  if julia_sound "$julia"; then
    julia_wrapper "$julia"
  else
    if ! { have apt-get && have dpkg-deb && add_old_source && private_libunwind; }; then
      fail "$julia crashes on an exception: $by_hand"
    fi
    julia_sound "$julia" "$deps/julia/lib" || fail "$julia crashes on an exception, with $old's libunwind too: $by_hand"
    julia_wrapper "$julia" 1
  fi
  say "julia is $("$deps/bin/julia" --version | sed 's/.* //'), call it as .deps/bin/julia"
}

# ---------------------------------------------------------------- an older C library

# Debian 11's, to run the binary archive under; the test that wants it is skipped without.
setup_old_glibc() {
  local to=$deps/glibc
  [ -e "$to/lib" ] && return
  [ "$(uname -m)" = x86_64 ] && have apt-get && have dpkg-deb && add_old_source || return 0
  say "unpacking $old's C library into .deps/glibc"
  rm -rf "$to" "$to.new"
  mkdir -p "$to.new"
  if (cd "$to.new" && logged apt-get -q download "libc6/$old" "libgcc-s1/$old" &&
    for package in *.deb; do dpkg-deb -x "$package" . || exit 1; done); then
    rm "$to.new"/*.deb
    mv "$to.new" "$to"
  else
    say "no older C library here, the test that needs it will be skipped"
  fi
}

# ---------------------------------------------------------------- Python environment for plots

setup_plots() {
  local venv=$deps/venv python
  [ -e "$venv/.ready" ] && [ -x "$venv/bin/python" ] && return
  python=$(usable_python) || fail "no python3 with venv: run tools/setup.sh demo first"
  say "making .deps/venv with numpy and matplotlib"
  rm -rf "$venv"
  logged "$python" -m venv "$venv" || fail "python3 -m venv failed, see .deps/setup.log"
  if ! { logged "$venv/bin/python" -m pip install --disable-pip-version-check --prefer-binary numpy matplotlib &&
    logged "$venv/bin/python" -c 'import numpy, matplotlib.pyplot'; }; then
    fail "pip could not install numpy and matplotlib, see .deps/setup.log"
  fi
  : >"$venv/.ready"
}

# ---------------------------------------------------------------- fpm

# Its tests are left out where it cannot be had: PyPI has it as a program for few machines.
setup_fpm() {
  local venv=$deps/fpm python
  [ -x "$deps/bin/fpm" ] && return
  if have fpm; then
    mkdir -p "$deps/bin"
    ln -sfn "$(command -v fpm)" "$deps/bin/fpm"
    return
  fi
  python=$(usable_python) || fail "no python3 with venv: run tools/setup.sh demo first"
  say "installing fpm from PyPI into .deps/fpm"
  rm -rf "$venv"
  if logged "$python" -m venv "$venv" &&
    logged "$venv/bin/python" -m pip install --disable-pip-version-check --only-binary fpm fpm &&
    logged "$venv/bin/fpm" --version; then
    mkdir -p "$deps/bin"
    ln -sfn ../fpm/bin/fpm "$deps/bin/fpm"
  else
    rm -rf "$venv"
    say "fpm could not be had (see .deps/setup.log); going on without it"
  fi
}

# ---------------------------------------------------------------- main

[ $# -gt 0 ] || { usage; exit 2; }
julia=''
glibc=''
plots=''
fpm=''
for group in "$@"; do
  case $group in
    build) need_build ;;
    demo) need_demo ;;
    julia) julia=1 ;;
    fpm) need_demo; fpm=1 ;;
    test) need_build; need_demo; need_test; fpm=1; julia=1; glibc=1 ;;
    plots) need_demo; plots=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
missing=${missing# }
[ -z "$missing" ] || apt_install "$missing"
[ -z "$plots" ] || setup_plots
[ -z "$fpm" ] || setup_fpm
[ -z "$julia" ] || setup_julia
[ -z "$glibc" ] || setup_old_glibc
