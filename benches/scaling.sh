#!/usr/bin/env bash
# Time and memory from 64^2 to 512^2 unknowns, as JSON lines in build/scaling.json and as docs/scaling.png:
# benches/scaling.sh. Needs `make build` and, for the picture, `tools/setup.sh plots`.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
gcc -O2 -Iinclude benches/scaling.c -o build/scaling -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"
for m in 64 96 128 192 256 384 512; do
    build/scaling "$m" 10 auto none
    build/scaling "$m" 10 gcrodr ilu0 "restart=40 recycle=20"
    build/scaling "$m" 10 rcg ic0 "restart=40 recycle=20"
    build/scaling "$m" 10 cg ic0
    build/scaling "$m" 10 cg "amg precision=single"
    build/scaling "$m" 10 cg llt
done | tee build/scaling.json
.deps/venv/bin/python benches/plot_scaling.py build/scaling.json docs/scaling.png
