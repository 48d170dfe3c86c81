#!/usr/bin/env bash
# GCRO-DR sorted and unsorted on the four data sets of SKR (benches/skr.py), beside GMRES(40), which they
# compare with, and the baselines that they leave out: benches/skr.sh [UNKNOWNS [SYSTEMS]].
# One thread, x = 0 at the start, at most 10 000 iterations, true residuals; some ten minutes. Needs
# `make build` and a PYTHON with numpy and scipy. Means a system, iterations first, then milliseconds; a cell
# has the three tolerances of the paper's Table 1 one after the other, > where systems were left unsolved.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
python=${PYTHON:-python3}
unknowns=${1:-6400}
systems=${2:-100}
runs=build/skr-$unknowns-$systems.txt
# The paper's m and k. MEMORY: other options of GCRO-DR.
memory=${MEMORY:-restart=40 recycle=20 test_basis=search}
mkdir -p build
gcc -O2 -Iinclude benches/sequence.c -o build/sequence -Ltarget/release -lreknit -lm -Wl,-rpath,"$PWD/target/release"

run() {  # COLUMN, then arguments of build/sequence after the file
    local column=$1
    shift
    printf '%s %s %s %s %s\n' "$kind" "$tolerance" "$pc" "$column" "$(build/sequence "$file" "$@")" >> "$runs"
}

: > "$runs"
for kind in darcy thermal poisson helmholtz; do
    file=build/skr-$kind-$unknowns-$systems.rks
    "$python" benches/skr.py "$kind" --n "$unknowns" --count "$systems" --out "$file"
    tolerances="1e-5 1e-8 1e-11"
    if [ $kind = darcy ]; then tolerances="1e-2 1e-5 1e-8"; fi
    if [ $kind = helmholtz ]; then tolerances="1e-2 1e-5 1e-7"; fi
    for tolerance in $tolerances; do
        for pc in none jacobi ssor ilu0; do
            # Twenty systems tell what a method without memory does.
            export SYSTEMS=20
            run gmres gmres $pc "restart=40 rtol=$tolerance"
            FORGET=1 run gmresdr gcrodr $pc "$memory rtol=$tolerance"
            run bicgstab bicgstab $pc "rtol=$tolerance"
            case $kind in thermal|poisson) run cg cg ${pc/ilu0/ic0} "rtol=$tolerance" ;; esac
            unset SYSTEMS
            run unsorted gcrodr $pc "$memory rtol=$tolerance"
            run sorted gcrodr $pc "$memory rtol=$tolerance" method=chain
        done
        pc=-
        case $kind in
            thermal|poisson) run factored cg llt "rtol=$tolerance"
                run project gcrodr ilu0 "$memory initial_guess=project window=25 rtol=$tolerance" ;;
            *) run factored gmres lu "rtol=$tolerance" ;;
        esac
    done
done

"$python" - "$runs" <<'PY'
import json, sys
# GMRES/SKR of Table 1, time/iterations: 6400, 11063, 71313 and 10000 unknowns; columns None, Jacobi, SOR, ILU.
paper = {"darcy": """2.62/19.2 2.88/22.6 2.69/23.3 1.93/9.44  2.92/21.1 3.42/24.5 3.45/27.9 3.08/14.4
                     2.70/19.1 3.09/22.9 3.54/27.5 3.70/17.2""",
         "thermal": """4.53/20.8 3.32/15.0 1.96/8.76 2.35/10.3  5.35/23.6 3.06/13.5 2.34/9.30 2.69/11.1
                       5.47/24.9 2.93/12.8 2.62/10.2 3.01/11.7""",
         "poisson": """1.27/4.69 1.28/4.68 1.19/4.05 0.98/3.92  1.74/6.29 1.75/6.30 1.35/4.45 1.30/4.87
                       1.90/6.83 1.91/6.82 1.33/4.35 1.38/5.13""",
         "helmholtz": """7.74/17.3 8.44/20.3 8.37/22.3 3.88/17.6  7.61/16.5 8.62/20.0 10.5/26.2 6.13/27.2
                         6.47/13.7 7.96/18.1 10.6/25.9 6.34/28.0"""}
names = {"none": "none", "jacobi": "Jacobi", "ssor": "SSOR", "ilu0": "ILU(0)"}
cells = {}
for line in open(sys.argv[1]):
    kind, tolerance, pc, column, run = line.split(" ", 4)
    cells.setdefault((kind, pc, column), []).append((tolerance, json.loads(run)))


def cell(kind, pc, column, what):
    return [what(run) / run["systems"] for _, run in cells.get((kind, pc, column), [])]


def text(values, form, marks=("", "", "")):
    return " / ".join(m + form % v for m, v in zip(marks, values)) or "-"


def table(unit, form, measure, fair):
    columns = ["gmres", "gmresdr", "unsorted", "sorted", "bicgstab", "cg"]
    print("| set, tolerances | M | GMRES(40) | GMRES-DR | GCRO-DR | sorted | BiCGStab | CG | GMRES / sorted "
          "| published | GMRES-DR / sorted |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for kind in paper:
        published = [p.split("/")[unit == "iterations"] for p in paper[kind].split()]
        for i, pc in enumerate(names):
            row = {c: cell(kind, pc, c, measure) for c in columns}
            unsolved = {c: [">" if run["failed"] else "" for _, run in cells.get((kind, pc, c), [])] for c in columns}
            ratio = [a / b for a, b in zip(row["gmres"], row["sorted"])]
            worth = [a / b for a, b in zip(cell(kind, pc, "gmresdr", fair), cell(kind, pc, "sorted", fair))]
            first = kind + ", " + " / ".join(t for t, _ in cells[kind, pc, "gmres"]) if i == 0 else ""
            print("|", " | ".join([first, names[pc]] + [text(row[c], form, unsolved[c]) for c in columns]
                  + [text(ratio, "%.1f", unsolved["gmres"]), " / ".join(published[i::4]),
                     text(worth, "%.2f")]), "|")
    print()
    for kind in paper:
        for column in ("factored", "project"):
            if (kind, "-", column) in cells:
                print("%s, %s: %s %s" % (kind, column, text(cell(kind, "-", column, measure), form), unit))
    print()


# A U costs products, too: where it is asked what recycling itself is worth they are counted.
table("iterations", "%.0f", lambda r: r["iterations"], lambda r: r["applies"])
milliseconds = lambda r: 1e3 * (r["sort_s"] + r["setup_s"] + r["solve_s"])
table("milliseconds", "%.1f", milliseconds, milliseconds)
for kind in paper:
    run = cells[kind, "ilu0", "sorted"][0][1]
    print("%s: sorted in %.4f s, path %.3f" % (kind, run["sort_s"], run["path"]))
PY
