# reknit: `make demo` shows the main job, `make test` tests everything.
# Also: build, header, bindings, bench, install PREFIX=... DESTDIR=..., dist, dist-binary, notices, clean.

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
CARGO   ?= cargo

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
SOVERSION := $(shell echo $(VERSION) | cut -d. -f1-2)
RELEASE := target/release
# The tree that `make dist` makes has the crates in vendor/: no other versions, and no network.
LOCKED  := $(if $(wildcard vendor/),--locked --offline)

.PHONY: all build header bindings docs notices demo test bench install uninstall dist dist-binary clean

all: build

# One crate type a call: a list that holds an rlib would switch link-time optimisation off.
build: include/reknit.h
	$(CARGO) rustc $(LOCKED) --quiet --release --lib --crate-type cdylib
	ln -sf libreknit.so $(RELEASE)/libreknit.so.$(SOVERSION)

$(RELEASE)/libreknit.a: build
	$(CARGO) rustc $(LOCKED) --quiet --release --lib --crate-type staticlib

# The checked-in header is written only here; a test compares it with the sources.
header:
	REKNIT_WRITE_HEADER=1 $(CARGO) check --quiet --lib

bindings: header
	python3 bindings/tools/bindgen.py

# docs/options.md is printed by the option registry.
docs:
	REKNIT_WRITE_DOCS=1 $(CARGO) test --quiet --test options

# The licences of the crates; a test compares.
notices:
	@mkdir -p build
	tools/notices.py >build/THIRD-PARTY && mv build/THIRD-PARTY THIRD-PARTY

demo:
	@tools/setup.sh build demo plots
	@$(MAKE) --no-print-directory build
	@tools/demo.sh

test:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build $(RELEASE)/libreknit.a
	@tests/run.sh

# Against PETSc and Belos: benches/sequences.sh DRIVERS FILE...
bench: build
	$(CARGO) bench --bench spmv
	@mkdir -p build
	$(CC) -O2 -Iinclude benches/calls.c -o build/calls -L$(RELEASE) -lreknit -Wl,-rpath,$(CURDIR)/$(RELEASE)
	build/calls

# `sudo make install` has no cargo as a rule; then it takes what `make build` and `make $(RELEASE)/libreknit.a` left.
install:
	@if command -v $(CARGO) >/dev/null; then $(MAKE) --no-print-directory build $(RELEASE)/libreknit.a; fi
	@tools/install.sh "$(DESTDIR)" "$(PREFIX)" "$(LIBDIR)" "$(VERSION)"

uninstall:
	@tools/install.sh --remove "$(DESTDIR)" "$(PREFIX)" "$(LIBDIR)" "$(VERSION)"

# build/reknit-VERSION.tar.gz: the sources with all crates, to be built without network.
dist:
	@tools/dist.sh source "$(VERSION)"

# build/reknit-VERSION-x86_64-linux.tar.gz: the library itself, for glibc 2.17 and later.
dist-binary: build $(RELEASE)/libreknit.a
	@tools/dist.sh binary "$(VERSION)"

clean:
	rm -rf target build
