#!/usr/bin/env python3
"""auto beside the best that a careful user of PETSc and Belos finds by trial: benches/auto.py DRIVERS FILE...

DRIVERS is a folder with the peers' drivers (petsc_real, petsc_complex, belos), FILE a sequence (layout in
benches/sequence.c; build/sequence is built by benches/sequences.sh). A trial runs every row of the peers once: sparse factors whose
numeric part is renewed every 1, 3, 5, 10 or 20 systems (not in three dimensions, where they take minutes), incomplete
factors with CG, BiCGStab and GMRES, multigrid, GCRO-DR and RCG, from zero and from the previous solution. The three fastest
then run twice more, in turn with auto; the best of three counts. One thread each, true residual 1e-8.
"""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENV = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
           OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
SYMMETRIC = ("darcy", "bratu", "thermal")


def run(words, limit):
    """Seconds and iterations of one run; None where it failed, missed the tolerance or ran out of time."""
    try:
        out = subprocess.run(words, capture_output=True, text=True, env=ENV, timeout=limit).stdout
        got = json.loads(out.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return None
    if got["failed"] or got["worst_residual"] > 2e-8:
        return None
    return got["setup_s"] + got["solve_s"], got["iterations"]


def rows(drivers, file):
    name = os.path.basename(file)
    with open(file, "rb") as f:
        is_complex = f.read(40)[24] == 3
    spd, deep = name.startswith(SYMMETRIC), "3d" in name
    petsc = [os.path.join(drivers, "petsc_complex" if is_complex else "petsc_real"), file, "-ksp_rtol", "1e-8", "-ksp_max_it", "5000"]
    gmres = ["-ksp_type", "gmres", "-ksp_gmres_restart", "60", "-ksp_pc_side", "right"]
    krylov = ["-ksp_type", "cg", "-ksp_norm_type", "unpreconditioned"] if spd else gmres
    method = "CG" if spd else "GMRES(60)"
    factors = [("cholesky", "petsc", "nd"), ("cholesky", "cholmod", None)] if spd else [("lu", "petsc", "nd"), ("lu", "umfpack", None)]
    for guess in ("zero", "previous"):
        start = ["-guess", guess]
        said = "" if guess == "zero" else ", previous solution"
        if not deep:
            for kind, package, ordering in factors:
                words = ["-pc_type", kind, "-pc_factor_mat_solver_type", package]
                words += ["-pc_factor_mat_ordering_type", ordering] if ordering else []
                for lag in (1, 3, 5, 10, 20):
                    yield f"{method} + {package} {kind}, every {lag}{said}", petsc + krylov + words + ["-lag", str(lag)] + start
        if spd:
            yield f"CG + ICC{said}", petsc + krylov + ["-pc_type", "icc"] + start
            for lag in (1, 5, 20):
                yield f"CG + GAMG, every {lag}{said}", petsc + krylov + ["-pc_type", "gamg", "-lag", str(lag)] + start
        yield f"BiCGStab + ILU{said}", petsc + ["-ksp_type", "bcgs", "-ksp_pc_side", "right", "-pc_type", "ilu"] + start
    yield "GMRES(60) + ILU", petsc + gmres + ["-pc_type", "ilu"]
    if not is_complex:
        yield "Belos GCRO-DR + ILU", [os.path.join(drivers, "belos"), file, "gcrodr", "ilu", "1e-8"]
        if spd:
            yield "Belos RCG + IC", [os.path.join(drivers, "belos"), file, "rcg", "ic", "1e-8"]


def main():
    drivers, files = sys.argv[1], sys.argv[2:]
    limit = float(os.environ.get("LIMIT", "120"))
    print("| sequence | best of the peers, tuned by hand | its | s | auto, its | s | ratio |\n|---|---|---|---|---|---|---|", flush=True)
    for file in files:
        auto = [os.path.join(ROOT, "build/sequence"), file, "auto", "none"]
        tried = []
        for name, words in rows(drivers, file):
            got = run(words, limit)
            if got:
                tried.append((got, name, words))
                limit = min(limit, max(10.0, 8 * min(tried)[0][0]))
            if "TRIALS" in os.environ:
                print(f"  {name}: {got}", file=sys.stderr, flush=True)
        ours, best = run(auto, 600), sorted(tried)[:3]
        for _ in range(2):
            best = [(min(got, run(words, 600) or got), name, words) for got, name, words in best]
            ours = min(ours, run(auto, 600))
        (seconds, its), name, _ = min(best)
        print(f"| {os.path.basename(file)[:-4]} | {name} | {its} | {seconds:.3f} | {ours[1]} | {ours[0]:.3f} | {ours[0] / seconds:.2f} |", flush=True)
        limit = float(os.environ.get("LIMIT", "120"))


if __name__ == "__main__":
    main()
