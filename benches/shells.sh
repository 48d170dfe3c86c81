#!/usr/bin/env bash
# auto with the user's product and preconditioner as callbacks beside PETSc with shells: benches/shells.sh FILE...
#
# PETSc's rows are all of CG, GMRES(60) and BiCGStab, set up every 1, 5 and 20 systems, from zero and from the previous
# solution; the fastest counts, tried once, then twice more in turn with auto. One thread.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
mkdir -p build
mpicc -O2 -Iinclude benches/shells.c -o build/shells $(pkg-config --cflags --libs petsc) -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"
python3 - "$@" <<'END'
import json, os, subprocess, sys

def run(words, hermitian, limit=600):
    env = dict(os.environ, HERMITIAN="1") if hermitian else os.environ
    try:
        out = subprocess.run(["build/shells"] + words, capture_output=True, text=True, env=env, timeout=limit).stdout
        got = json.loads(out.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return None
    return None if got["failed"] or got["worst_residual"] > 2e-8 else (got["solve_s"], got["applies"], got["setups"])

print("| sequence | best of PETSc | applies | set-ups | s | auto, applies | set-ups | s | ratio |\n|---|---|---|---|---|---|---|---|---|", flush=True)
for file in sys.argv[1:]:
    name = os.path.basename(file)[:-4]
    methods = [("GMRES(60)", "-ksp_type gmres -ksp_gmres_restart 60 -ksp_pc_side right"), ("BiCGStab", "-ksp_type bcgs -ksp_pc_side right")]
    hermitian = not name.startswith("convdiff")
    if hermitian:
        methods.append(("CG", "-ksp_type cg -ksp_norm_type unpreconditioned"))
    rows = []
    for method, words in methods:
        for lag in (1, 5, 20):
            for guess in ("zero", "previous"):
                row = [file, "petsc"] + words.split() + ["-lag", str(lag), "-guess", guess]
                got = run(row, hermitian, 4 * min(rows)[0][0] + 1 if rows else 60)
                if got:
                    rows.append((got, f"{method}, every {lag}" + ("" if guess == "zero" else ", previous solution"), row))
    best, auto = min(rows), [file, "reknit", "auto"]
    ours = run(auto, hermitian)
    for _ in range(2):
        best = (min(best[0], run(best[2], hermitian) or best[0]),) + best[1:]
        ours = min(ours, run(auto, hermitian) or ours)
    (s, applies, setups), method, _ = best
    print(f"| {name} | {method} | {applies} | {setups} | {s:.3f} | {ours[1]} | {ours[2]} | {ours[0]:.3f} | {ours[0] / s:.2f} |", flush=True)
END
