#!/usr/bin/env bash
# Runs the main job and draws it: examples/heat_sequence.c at full size, its output in build/demo, the picture in
# demo.png. `make demo` calls it when the library and the Python environment are there.
#
#   tools/demo.sh [cells a side, 208] [steps, 64]
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
cells=${1:-208}
steps=${2:-64}
lib=$root/target/release
out=build/demo

# Of each way the iterations and milliseconds, in 80 columns.
narrow() {
  local step way iterations applies ms rest ways
  while IFS='|' read -r step rest; do
    IFS='|' read -ra ways <<<"$rest"
    case $step in
      heat*) echo "$step" && echo "five ways (see the head of examples/heat_sequence.c): iterations and milliseconds" ;;
      hottest*) ;;
      '     ') printf '    '; printf ' | %-12s' "${ways[@]// /}"; echo ;;
      step*) printf 'step'; printf ' | iter %7s' ms ms ms ms ms; echo ;;
      *)
        printf '%s' "${step% }"
        for way in "${ways[@]}"; do
          read -r iterations applies ms _ <<<"$way"
          printf ' |%5s %7.0f' "$iterations" "$ms"
        done
        echo
        ;;
    esac
  done
}

mkdir -p "$out"
rm -f "$out"/steps.csv "$out"/temperature_*.txt
${CC:-cc} -std=c11 -O2 -Iinclude examples/heat_sequence.c -o "$out/heat_sequence" -L"$lib" -lreknit -Wl,-rpath,"$lib"
"$out/heat_sequence" "$cells" "$steps" "$out" | tee "$out/table.txt" | narrow
.deps/venv/bin/python examples/plot_heat.py "$out" demo.png

awk -F, -v cells="$cells" -v steps="$steps" '
  NR > 1 { iterations[$2] += $3; seconds[$2] += $5 }
  END {
    printf "\nShown: %d heat-conduction systems of %d unknowns; with memory GCRO-DR took %d iterations and %.1f s, " \
      "without %d and %.1f s (CG + IC(0) %.1f s, Cholesky %.1f s, Cholesky kept for 8 steps %.1f s).\n", \
      steps, cells * cells, iterations["memory"], seconds["memory"], iterations["forget"], seconds["forget"], \
      seconds["cg+ic0"], seconds["direct"], seconds["lagged"]
  }' "$out/steps.csv"
echo "Picture: demo.png, and the whole table with residuals in $out/table.txt."
echo "Read next: README.md for your own problem in four languages, docs/ for the rest."
