#!/usr/bin/env bash
# Installs what `make build` and `make target/release/libreknit.a` made, or takes it away again.
#
#   tools/install.sh DESTDIR PREFIX LIBDIR VERSION
#   tools/install.sh --remove DESTDIR PREFIX LIBDIR VERSION
#
#   LIBDIR/libreknit.so -> libreknit.so.0.1 -> libreknit.so.0.1.0, libreknit.a
#   LIBDIR/pkgconfig/reknit.pc
#   LIBDIR/cmake/reknit/reknitConfig.cmake, reknitConfigVersion.cmake    can be moved with the tree
#   PREFIX/include/*.h, *.hpp
#   PREFIX/share/reknit/fortran/*.f90    sources: .mod files belong to one compiler
#   PREFIX/share/doc/reknit/LICENSE*, THIRD-PARTY
#
# DESTDIR stands in front of every path that is written and inside none of the files; it may be "".
set -euo pipefail
export LC_ALL=C
umask 022

fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

remove=''
if [ "${1-}" = --remove ]; then
  remove=1
  shift
fi
[ $# = 4 ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
destdir=$1 prefix=${2%/} libdir=${3%/} version=$4
for path in "$prefix/" "$libdir/"; do
  [[ $path = /* ]] || fail "PREFIX and LIBDIR must be absolute paths, one of them is '${path%/}'"
done
[[ $version =~ ^([0-9]+)\.([0-9]+)\.([0-9]+)$ ]] || fail "VERSION is '$version', must be three numbers"
major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
release=$root/target/release
templates=$root/tools/install
soname=libreknit.so.$major.$minor
include=$prefix/include
fortran=$prefix/share/reknit/fortran
licences=$prefix/share/doc/reknit
config=$libdir/cmake/reknit

# What the static library needs: `rustc --print native-static-libs`; a test compares.
private='-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc'

shopt -s nullglob
headers=("$root"/include/*.h "$root"/include/*.hpp)
sources=("$root"/bindings/fortran/{src,mpi}/*.f90)

file() {                                       # source, target folder, name, mode (644)
  if [ -n "$remove" ]; then
    rm -f "$destdir$2/$3"
  else
    install -D -m "${4-644}" "$1" "$destdir$2/$3"
  fi
}

link() {                                       # what it points to, name in LIBDIR
  if [ -n "$remove" ]; then
    rm -f "$destdir$libdir/$2"
  else
    ln -sfn "$1" "$destdir$libdir/$2"
  fi
}

filled() {                                     # template, target folder
  local text name
  name=$(basename "$1" .in)
  text=$(<"$1")
  text=${text//@VERSION@/"$version"}
  text=${text//@MAJOR@/"$major"}
  text=${text//@MINOR@/"$minor"}
  text=${text//@SONAME@/"$soname"}
  text=${text//@PREFIX@/"$prefix"}
  text=${text//@LIBDIR@/"$pc_libdir"}
  text=${text//@UP@/"$(realpath -ms --relative-to "$config" "$prefix/")"}
  text=${text//@PRIVATE@/"$private"}
  text=${text//@PRIVATE_LIST@/"${private// /;}"}
  text=${text//@FORTRAN@/"${sources[*]##*/}"}
  file <(printf '%s\n' "$text") "$2" "$name"
}

# The directory of the libraries as the .pc file has it: below the prefix, so that
# `pkg-config --define-prefix` follows a moved tree.
pc_libdir=$libdir
[[ $libdir/ != "$prefix"/* ]] || pc_libdir="\${prefix}${libdir#"$prefix"}"

if [ -z "$remove" ]; then
  [ -e "$release/libreknit.so" ] || fail "target/release/libreknit.so is missing: run make build"
  [ -e "$release/libreknit.a" ] || fail "target/release/libreknit.a is missing: run make target/release/libreknit.a"
fi

file "$release/libreknit.so" "$libdir" "libreknit.so.$version" 755
link "libreknit.so.$version" "$soname"
link "$soname" libreknit.so
file "$release/libreknit.a" "$libdir" libreknit.a
filled "$templates/reknit.pc.in" "$libdir/pkgconfig"
filled "$templates/reknitConfig.cmake.in" "$config"
filled "$templates/reknitConfigVersion.cmake.in" "$config"
for header in "${headers[@]}"; do file "$header" "$include" "$(basename "$header")"; done
for source in "${sources[@]}"; do file "$source" "$fortran" "$(basename "$source")"; done
for licence in "$root"/LICENSE* "$root/THIRD-PARTY"; do file "$licence" "$licences" "$(basename "$licence")"; done

if [ -n "$remove" ]; then
  for folder in "$config" "$fortran" "$prefix/share/reknit" "$licences"; do
    [ ! -d "$destdir$folder" ] || rmdir --ignore-fail-on-non-empty "$destdir$folder"
  done
  echo "removed reknit $version from $destdir$prefix"
else
  echo "installed reknit $version in $destdir$prefix"
fi
