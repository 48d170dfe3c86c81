#!/usr/bin/env bash
# Links target/release/libreknit.a again, as a shared library for machines with an old C library.
#
#   tools/relink.sh OUT [GLIBC]      GLIBC: the oldest that shall do, 2.17 if not given
#
# A linker takes each function at the newest version that this machine's C library has, and a program wants at least
# that version wherever it runs. The older versions are still in the library, for the programs of their time. So this
# script makes libraries without code, in which each function that we need has only its newest version up to GLIBC,
# and links against those. What came later than GLIBC and is named weakly (the Rust library does that where it has
# another way) stays without version and may be missing.
#
# Needs gcc and binutils on x86_64 Linux; no Rust.
set -euo pipefail
export LC_ALL=C

fail() { printf 'relink: %s\n' "$*" >&2; exit 1; }

[ $# = 1 ] || [ $# = 2 ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
out=$1 floor=${2-2.17}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
release=$root/target/release
cc=${CC:-gcc}
[ "$(uname -sm)" = "Linux x86_64" ] || fail "made for x86_64 Linux, this is $(uname -sm)"
for file in libreknit.a libreknit.so; do
  [ -e "$release/$file" ] || fail "target/release/$file is missing: run make build target/release/libreknit.a"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The functions that glibc had under other names before 2.33, from what it had.
cat >"$work/renamed.c" <<'C'
extern int __xstat64(int, const char *, void *), __fxstat64(int, int, void *);
enum { version = 1 };                          /* of struct stat, the only one on x86_64 */
__attribute__((visibility("hidden"))) int stat64(const char *path, void *to) { return __xstat64(version, path, to); }
__attribute__((visibility("hidden"))) int fstat64(int file, void *to) { return __fxstat64(version, file, to); }
C
"$cc" -O2 -fPIC -c "$work/renamed.c" -o "$work/renamed.o"

# Lines: symbol, version, library as it was called before all went into libc.so.6.
wanted=$({ nm -D --undefined-only "$release/libreknit.so"; nm --undefined-only "$work/renamed.o"; } | sed 's/@.*//')
for library in libc.so.6 libm.so.6 ld-linux-x86-64.so.2; do
  path=$("$cc" -print-file-name="$library")
  [ -e "$path" ] || fail "$cc does not know where $library is"
  objdump -T "$path" | awk -v library="$library" '/GLIBC_[0-9]/ && !/\*UND\*/ {gsub(/[()]/, "", $(NF - 1)); print $NF, $(NF - 1), library}'
done | awk -v floor="$floor" -v wanted="$wanted" -v out="$work/chosen" '
  function number(version,   part) { sub(/^GLIBC_/, "", version); split(version, part, "."); return part[1] * 1e6 + part[2] * 1e3 + part[3] }
  BEGIN {
    count = split(wanted, word, /[ \n]+/)
    for (i = 1; i <= count; i++) if (word[i] ~ /^[Uw]$/) strong[word[i + 1]] = word[i] == "U"
    strong["stat64"] = strong["fstat64"] = 0
  }
  $1 in strong {
    known[$1] = 1
    if (number($2) <= number(floor) && number($2) > number(best[$1])) {
      best[$1] = $2
      home[$1] = $1 ~ /^pthread_/ ? "libpthread.so.0" : $1 ~ /^dl/ ? "libdl.so.2" : $3
    }
  }
  END {
    for (symbol in known) {
      if (symbol in home) print symbol, best[symbol], home[symbol] >out
      else if (strong[symbol]) { print "relink: " symbol " is not in glibc " floor >"/dev/stderr"; bad = 1 }
    }
    exit bad
  }'

libraries=()
for library in $(cut -d' ' -f3 "$work/chosen" | sort -u); do
  awk -v library="$library" '$3 == library {print "void " $1 "(void) {}"}' "$work/chosen" >"$work/stub.c"
  awk -v library="$library" '
    $3 == library {of[$2] = of[$2] " " $1 ";"}
    END {for (version in of) print version " { global:" of[version] " };"}' "$work/chosen" >"$work/stub.map"
  "$cc" -shared -nostdlib -fPIC -fno-builtin -w "$work/stub.c" -o "$work/$library" \
    -Wl,-soname,"$library" -Wl,--version-script,"$work/stub.map"
  libraries+=("$work/$library")
done

# As rustc links it: the same names outward, what nothing uses left out, everything resolved at load.
soname=$(readelf -dW "$release/libreknit.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
echo '{ global: rkn_*; local: *; };' >"$work/exports.map"
"$cc" -shared -nodefaultlibs -o "$out" -Wl,--whole-archive "$release/libreknit.a" -Wl,--no-whole-archive "$work/renamed.o" \
  -Wl,--version-script,"$work/exports.map" -Wl,--gc-sections -Wl,-O1 -Wl,-z,defs -Wl,-z,relro,-z,now -Wl,-z,noexecstack \
  -Wl,-soname,"$soname" -Wl,-z,nodelete -Wl,--strip-debug -Wl,--build-id=none "${libraries[@]}" -lgcc_s -lgcc
