#!/usr/bin/env bash
# Memory against none, in products with A: benches/memory.sh FILE... ; sequences as benches/sequence.c reads them, for
# "fixed" with the matrix of the first system alone and twenty right-hand sides. FORGET throws away what was learned
# before each system. Real symmetric files take all rows; convdiff is not symmetric, helmholtz complex.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1
mkdir -p build
for program in sequence block; do
    gcc -O2 -Iinclude "benches/$program.c" -o "build/$program" -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"
done

applies() { python3 -c 'import json, sys; run = json.loads(sys.stdin.readline()); print(run["applies"] if not run["failed"] else "-", end=" | ")'; }

printf '| sequence | gcrodr | the same, forgetting | gmres | rbicgstab | bicgstab | rcg | cg | rminres | minres |\n|---|---|---|---|---|---|---|---|---|---|\n'
for file in "$@"; do
    space="restart=40 recycle=20 max_iterations=20000" cycle="restart=40 max_iterations=20000"
    case $file in *helmholtz*) space="restart=60 recycle=30 max_iterations=20000" cycle="restart=60 max_iterations=20000" ;; esac
    printf '| %s | ' "$(basename "$file" .rks)"
    build/sequence "$file" gcrodr ilu0 "$space" | applies
    FORGET=1 build/sequence "$file" gcrodr ilu0 "$space" | applies
    build/sequence "$file" gmres ilu0 "$cycle" | applies
    build/sequence "$file" rbicgstab ilu0 "$space" | applies
    build/sequence "$file" bicgstab ilu0 max_iterations=20000 | applies
    case $file in
    *convdiff* | *helmholtz*) ;;
    *)
        build/sequence "$file" rcg ic0 "restart=60 recycle=20" | applies
        build/sequence "$file" cg ic0 | applies
        build/sequence "$file" rminres ic0 "restart=60 recycle=20" | applies
        build/sequence "$file" minres ic0 | applies
        ;;
    esac
    echo
    case $file in *helmholtz*) continue ;; esac
    printf '| %s, fixed | ' "$(basename "$file" .rks)"
    export SYSTEMS=1
    build/block "$file" gcrodr ilu0 20 one "$space" | applies
    printf ' | '
    build/block "$file" gmres ilu0 20 one "$cycle" | applies
    build/block "$file" rbicgstab ilu0 20 one "$space" | applies
    build/block "$file" bicgstab ilu0 20 one | applies
    case $file in
    *convdiff*) ;;
    *)
        build/block "$file" rcg ic0 20 one "restart=60 recycle=20" | applies
        build/block "$file" cg ic0 20 one | applies
        ;;
    esac
    unset SYSTEMS
    echo
done
