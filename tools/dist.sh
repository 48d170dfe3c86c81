#!/usr/bin/env bash
# Makes the archives of a release in build/. The same tree gives the same bytes.
#
#   tools/dist.sh source VERSION     reknit-VERSION.tar.gz: the files under version control as they are now, all
#                                    crates in vendor/, and a configuration by which cargo takes them from there
#   tools/dist.sh binary VERSION     reknit-VERSION-x86_64-linux.tar.gz: what `make build` and
#                                    `make target/release/libreknit.a` made, installed into a tree that may lie
#                                    anywhere, the shared library linked for glibc 2.17
#
# Times inside are those of the last commit, or SOURCE_DATE_EPOCH.
set -euo pipefail
export LC_ALL=C
umask 022

fail() { printf 'dist: %s\n' "$*" >&2; exit 1; }

[ $# = 2 ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
version=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)} ||
  fail "no repository here: set SOURCE_DATE_EPOCH to the release's time in seconds"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p build

# The tree $work/NAME as build/NAME.tar.gz, without the traces of who packed it and when.
packed() {
  tar -C "$work" --format=gnu --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner \
    --mode=u+rwX,go+rX,go-w -cf - "$1" | gzip -n >"build/$1.tar.gz"
  (cd build && sha256sum "$1.tar.gz")
}

case $1 in
  source)
    name=reknit-$version tree=$work/reknit-$version
    mkdir "$tree"
    git ls-files -z >"$work/files" 2>/dev/null || fail "no repository here: a release is made from one"
    tar --null -T "$work/files" -cf - | tar -xf - -C "$tree"
    cargo vendor --quiet --locked --manifest-path "$tree/Cargo.toml" "$tree/vendor" >/dev/null
    mkdir "$tree/.cargo"
    cat >"$tree/.cargo/config.toml" <<'C'
# The crates are in vendor/: nothing is fetched.
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"

[net]
offline = true
C
    "$tree/tools/notices.py" --all
    packed "$name"
    ;;
  binary)
    name=reknit-$version-x86_64-linux tree=$work/reknit-$version-x86_64-linux
    std=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
    [ -e "$std" ] || fail "the Rust toolchain has no $std; the notices of the standard library must go with a binary"
    tools/install.sh "$work" "/$name" "/$name/lib" "$version" >/dev/null
    tools/relink.sh "$tree/lib/libreknit.so.$version"
    install -m 644 "$std" "$tree/share/doc/reknit/rust-standard-library.html"
    install -m 644 docs/install.md "$tree/README.md"
    # shellcheck disable=SC2016
    sed -i 's|^prefix=.*|prefix=${pcfiledir}/../..|' "$tree/lib/pkgconfig/reknit.pc"
    packed "$name"
    ;;
  *) fail "'$1' is neither source nor binary" ;;
esac
