#!/usr/bin/env bash
# Builds the heat sequence in C, C++ and Fortran into build/examples, runs it in four languages on a small plate, and
# compares the tables: all but the milliseconds must agree to the last character. Then looks at the solvers' part in
# the table of a larger plate. Two ranks in one thread, in C and Fortran, print the same table and the solution of
# elimination. Many right-hand sides take the same products at once and one by one. A run that is killed and resumed
# ends with the bits of one that is not. The Eigen example agrees with Eigen's own factorization. The transport example prints
# one table in four languages, with the numbers of plain iterations. The colours of one picture for another: the same bytes in
# four languages, with the numbers of other programs. The diffusion prints one table, near that of the equation. Ends with a line
# `N passed, N failed`.
#
# CC, CXX, FC and JULIA choose the compilers and the julia to use.
set -uo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source=$root/examples/heat_sequence
build=$root/build/examples
lib=$root/target/release
cells=48
steps=16
passed=0
failed=0

check() {                                      # text, command
  local what=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "examples: FAILED: $what"
  fi
}

# Contraction to fused multiply-adds would change the matrices from language to language.
flags=(-O2 -ffp-contract=off -Wall -Wextra -pedantic -Werror)
link=(-L"$lib" -lreknit -Wl,-rpath,"$lib")

build_c() { ${CC:-gcc} -std=c11 "${flags[@]}" -I"$root/include" "$source.c" -o "$build/heat_c" "${link[@]}"; }
build_cpp() { ${CXX:-g++} -std=c++17 "${flags[@]}" -I"$root/include" "$source.cpp" -o "$build/heat_cpp" "${link[@]}"; }
# gfortran takes the length of a deferred-length string that a procedure allocates for uninitialized.
build_f90() {
  local binding=$root/bindings/fortran/src unit
  objects=()
  for unit in reknit_{c,support,library,callbacks,context,scalar} \
    reknit_{operator_base,operator_arrays,arrays,operator,request,krylov,sequence,sinkhorn,batch,line,membership} reknit; do
    ${FC:-gfortran} -O1 -J "$build" -I "$build" -c "$binding/$unit.f90" -o "$build/$unit.o" || return
    objects+=("$build/$unit.o")
  done
  ${FC:-gfortran} -std=f2018 "${flags[@]}" -Wno-uninitialized -Wno-maybe-uninitialized -J "$build" -I "$build" \
    "$source.f90" "${objects[@]}" -o "$build/heat_f90" "${link[@]}"
}

build_ranks_c() {
  ${CC:-gcc} -std=c11 "${flags[@]}" -I"$root/include" "$root/examples/two_ranks.c" -o "$build/ranks_c" "${link[@]}"
}
build_ranks_f90() {
  ${FC:-gfortran} -std=f2018 "${flags[@]}" -J "$build" -I "$build" "$root/examples/two_ranks.f90" "${objects[@]}" \
    -o "$build/ranks_f90" "${link[@]}"
}
ranks_table() { "$build/ranks_$1" >"$build/ranks_$1.out" && [ "$(wc -l <"$build/ranks_$1.out")" -eq 7 ]; }
same_ranks() { diff "$build/ranks_c.out" "$build/ranks_f90.out"; }
# Later steps take fewer iterations than the first, and every middle is that of the Thomas algorithm.
ranks_are_right() {
  awk 'NR == 2 { first = $2 } NR > 2 && $2 >= first { bad = 1 }
    NR > 1 {
      n = 200; diagonal = 2 + 0.001 * $1; c[1] = -1 / diagonal; d[1] = 1 / diagonal
      for (i = 2; i <= n; i++) { p = diagonal + c[i - 1]; c[i] = -1 / p; d[i] = (1 + d[i - 1]) / p }
      t = d[n]; for (i = n - 1; i >= 100; i--) t = d[i] - c[i] * t
      if (t - $5 > 2e-4 || $5 - t > 2e-4) { print $0, t; bad = 1 }
    } END { exit bad }' "$build/ranks_c.out"
}

build_sides() {
  ${CC:-gcc} -std=c11 "${flags[@]}" -I"$root/include" "$root/examples/many_sides.c" -o "$build/sides" "${link[@]}" -lm
}
sides_table() { "$build/sides" 32 >"$build/sides.out" && [ "$(wc -l <"$build/sides.out")" -eq 6 ]; }
# A call of A a step at once, sixteen one by one, for the same columns.
sides_share_calls() {
  awk '/^at once/ { steps = $3; calls = $4; columns = $5 }
    /^one by one/ { if ($4 != steps || $6 != columns || $5 < 10 * calls) bad = 1; n++ }
    END { exit bad || n != 1 || calls > steps + 16 }' "$build/sides.out"
}
# The same numbers, reciprocity, and a watt that leaves for each that comes in.
sides_are_right() {
  awk '/^largest/ { n++; if (!($5 <= 1e-12)) bad = 1 }
    /^G is/ { n++; if (!($5 + 0 <= 1e-8) || !($NF <= 1e-8)) bad = 1 } END { exit bad || n != 2 }' "$build/sides.out"
}
sides_refused() { "$build/sides" 20 >/dev/null 2>&1; [ $? -eq 2 ]; }

build_restart() {
  ${CC:-gcc} -std=c11 -D_POSIX_C_SOURCE=200809L "${flags[@]}" -I"$root/include" "$root/examples/restart.c" -o "$build/restart" \
    "${link[@]}" -lm
}
# Through without a stop, and killed twice: the same steps, iterations and bits.
whole_run() { rm -f "$build/whole.state" && "$build/restart" "$build/whole.state" >"$build/whole.out"; }
killed_run() {
  local at
  rm -f "$build/killed.state"
  for at in 37 75; do
    "$build/restart" "$build/killed.state" --kill "$at" >"$build/killed.out" 2>&1
    [ $? -eq 137 ] || return
  done
  "$build/restart" "$build/killed.state" >"$build/killed.out" && grep -q '^resumed after step 70$' "$build/killed.out"
}
same_bits() { diff <(tail -n 1 "$build/whole.out") <(tail -n 1 "$build/killed.out") && grep -q '^end: .* bits [0-9a-f]*$' "$build/killed.out"; }
steps_were_rejected() { awk '/^end:/ { n = $4 } END { exit !(n > 0) }' "$build/whole.out"; }
eigen=${EIGEN:-/usr/include/eigen3}
build_eigen() {
  ${CXX:-g++} -std=c++17 "${flags[@]}" -I"$root/include" -isystem "$eigen" "$root/examples/eigen_sequence.cpp" -o "$build/eigen" "${link[@]}"
}
eigen_table() { "$build/eigen" 48 12 >"$build/eigen.out" && [ "$(wc -l <"$build/eigen.out")" -eq 14 ]; }
# Eigen's LDLT agrees at each step, and the residual of the four sources is small.
eigen_is_right() {
  awk -F'|' 'NF == 5 && NR > 1 { n++; if (!($4 + 0 <= 1e-8)) bad = 1 }
    /^four/ { split($0, word, " "); n++; if (!(word[6] + 0 <= 1e-8 && word[6] + 0 > 0)) bad = 1 } END { exit bad || n != 13 }' "$build/eigen.out" ||
    { cat "$build/eigen.out"; return 1; }
}
# With memory and an ageing factorization a step takes less than a third of what it takes from scratch.
eigen_remembers() { awk -F'|' 'NF == 5 && NR > 1 { m += $2; f += $3 } END { exit !(m > 0 && 3 * m < f) }' "$build/eigen.out"; }
eigen_refused() { "$build/eigen" 3 >/dev/null 2>&1; [ $? -eq 2 ]; }

# The examples of transport: name, language, arguments.
build_example() {
  local from=$root/examples/$1 to=$build/$1_$2
  case $2 in
    c) ${CC:-gcc} -std=c11 "${flags[@]}" -I"$root/include" "$from.c" -o "$to" "${link[@]}" -lm ;;
    cpp) ${CXX:-g++} -std=c++17 "${flags[@]}" -I"$root/include" "$from.cpp" -o "$to" "${link[@]}" ;;
    f90)
      ${FC:-gfortran} -std=f2018 "${flags[@]}" -Wno-uninitialized -Wno-maybe-uninitialized -J "$build" -I "$build" "$from.f90" \
        "${objects[@]}" -o "$to" "${link[@]}"
      ;;
  esac
}
run_example() {
  local name=$1 language=$2
  shift 2
  if [ "$language" = jl ]; then
    REKNIT_LIBRARY=$lib/libreknit.so "${JULIA:-$root/.deps/bin/julia}" --startup-file=no "$root/examples/$name.jl" "$@"
  else "$build/${name}_$language" "$@"; fi
}
same_as_c() { diff "$build/$1_c.out" "$build/$1_$2.out"; }
run_transport() { run_example transport "$@"; }
transport_table() { run_transport "$1" 16 8 >"$build/transport_$1.out" && [ "$(wc -l <"$build/transport_$1.out")" -eq 12 ]; }
# Every step meets the tolerance; warm begins as cold does, no later step takes more passes, and all together take a fifth less.
transport_remembers() {
  awk -F'[| ]+' '/^ +[0-9]+ \|/ { n++; if (!($6 <= 1e-9) || ($2 == 0 && $3 != $4) || $4 > $3) { print; bad = 1 }
      if ($2 > 0) { cold += $3; warm += $4 } } END { exit bad || n != 8 || 5 * warm > 4 * cold }' "$build/transport_c.out"
}
# Costs, mean and longest way of 8 x 8 cells as 5000 plain iterations in logarithms in another program (Julia) gave them.
transport_is_right() {
  run_transport c 8 4 >"$build/transport_8.out" && grep -q '^   0 .*|  0\.24059608 ' "$build/transport_8.out" &&
    grep -q '^   3 .*|  0\.10748926 ' "$build/transport_8.out" &&
    grep -qx 'mass arrives around (0.681157, 0.522141), the longest way is 0.401089' "$build/transport_8.out"
}
# The program of docs/transport.md: costs of a block that slides are squares of the way left.
transport_program() {
  awk '/^```c$/ && !seen { inside = seen = 1; next } /^```/ { inside = 0 } inside' "$root/docs/transport.md" >"$build/slide.c" &&
    ${CC:-gcc} -std=c11 "${flags[@]}" -I"$root/include" "$build/slide.c" -o "$build/slide" "${link[@]}" && "$build/slide" >"$build/slide.out" &&
    awk -F'[, ]+' '/^step/ { n++; way = (33 - n) / 64; if (!($4 - way * way < 2e-4 && way * way - $4 < 2e-4) || (n > 1 && $7 >= first)) bad = 1
      if (n == 1) first = $7 } END { exit bad || n != 5 }' "$build/slide.out"
}
# Its second program: 0.304401106 is ot.emd2 of POT 0.9.7 for the same points.
transport_bounds() {
  awk '/^## Bounds/ { there = 1 } there && /^```c$/ && !seen { inside = seen = 1; next } /^```/ { inside = 0 } inside' "$root/docs/transport.md" >"$build/bounds.c" &&
    ${CC:-gcc} -std=c11 "${flags[@]}" -I"$root/include" "$build/bounds.c" -o "$build/bounds" "${link[@]}" && "$build/bounds" >"$build/bounds.out" &&
    sed -E 's/.*between ([0-9.]+) and ([0-9.]+).*/\1 \2/' "$build/bounds.out" |
    awk '{ wrong += !($1 <= 0.304401106 + 5e-6 && $2 >= 0.304401106 - 5e-6); gap = $2 - $1 } END { exit wrong || NR != 2 || gap > 1e-3 * $2 + 1e-5 }'
}
transport_refused() { run_transport c 3 >/dev/null 2>&1; [ $? -eq 2 ]; }

# Pictures of 48 x 32 pixels: source, the same with 32 more red, and target.
picture() {
  awk -v kind="$1" 'BEGIN {
    printf "P6\n# made by a test\n48 32\n255\n"
    for (y = 0; y < 32; y++) for (x = 0; x < 48; x++) {
      if (kind == "target") { r = 240 - int(x * x / 16); g = 20 + (5 * x + 3 * y) % 100; b = 60 + 4 * y + x }
      else { r = 16 + 4 * x + (kind == "redder" ? 32 : 0); g = 30 + 5 * y; b = 16 + (7 * x + 11 * y + x * y) % 128 }
      printf "%c%c%c", r, g, b
    } }' >"$build/$1.ppm" && [ "$(wc -c <"$build/$1.ppm")" -eq 4638 ]
}
run_colours() { run_example colours "$1" "$build/source.ppm" "$build/$2.ppm" "$build/colours_$1.ppm" "${@:3}"; }
colours_table() { run_colours "$1" target 16 >"$build/colours_$1.out" && [ "$(wc -l <"$build/colours_$1.out")" -eq 7 ]; }
same_colours() { same_as_c colours "$1" && cmp "$build/colours_c.ppm" "$build/colours_$1.ppm"; }
# The cost and the pixels (but for one or two that may round the other way) are those of ot.sinkhorn of POT 0.9.7 and the same map
# in numpy, and 0.213773 is its ot.emd2.
colours_are_right() {
  awk 'function off(x, y) { return x - y > 5e-6 || y - x > 5e-6 }
    /^palettes/ { n++; if ($3 != 880 || $5 != 239) bad = 1 }
    / passes/ { n++; if ($4 + 0 != 0.215693 || !($8 <= 0.213773 && $10 >= 0.213773 && $10 - $8 < 0.003)) bad = 1 }
    /^(target|moved)/ { n++; if ($(NF - 2) != 0.759641 || $(NF - 1) != 0.272988 || $NF != 0.570588) bad = 1 }
    /^result/ { n++; if (off($2, 0.761152) || off($3, 0.272891) || off($4, 0.571372)) bad = 1 }
    END { exit bad || n != 5 }' "$build/colours_c.out" || { cat "$build/colours_c.out"; return 1; }
}
# Two cells further in red: no plan is cheaper than this shift, (32 / 255)^2.
colours_shift() {
  run_colours c redder 16 >"$build/redder.out" &&
    awk '/ passes/ { exact = (32 / 255) ^ 2; n++; if (!($8 <= exact + 1e-6 && $10 >= exact - 1e-6 && exact - $8 < 1e-5)) bad = 1 }
      /^source/ { red = $2 } /^moved/ { n++; off = $3 - red - 32 / 255; if (off > 2e-6 || off < -2e-6) bad = 1 }
      END { exit bad || n != 2 }' "$build/redder.out"
}
colours_refused() {                            # language
  local code
  run_example colours "$1" >/dev/null 2>&1
  [ $? -eq 2 ] || return
  head -c 3000 "$build/target.ppm" >"$build/short.ppm"
  code=$(run_colours "$1" short 2>&1 >/dev/null)
  [ $? -eq 1 ] && [ "$code" = "$build/short.ppm: ends early" ]
}

diffusion_table() { run_example diffusion "$1" 48 12 >"$build/diffusion_$1.out" && [ "$(wc -l <"$build/diffusion_$1.out")" -eq 16 ]; }
# The columns that are said to be exact and those of unblurred steps, formed anew; the density is near these, off the equation by
# the order of a step, and its energy falls. Each warm step after the first takes less than the cold one, all together less than
# three quarters.
diffusion_is_right() {
  awk -F'[| ]+' 'function off(x, y) { return x > y ? x - y : y - x }
    function step_of_variance(k, v,    s) { s = 1 + k * tau; return ((sqrt(v) + sqrt(v + 4 * tau * s)) / (2 * s)) ^ 2 }
    BEGIN { tau = 0.05; mean = 2; x = 0.25; y = 0.36; energy = 1e9 }
    /^ +[0-9]+ \|/ {
      n++; t = tau * $2; mean /= 1 + tau; x = step_of_variance(1, x); y = step_of_variance(2, y)
      if (off($6, 2 * exp(-t)) > 2e-6 || off($9, 1 - 0.75 * exp(-2 * t)) > 2e-6 || off($12, 0.5 - 0.14 * exp(-4 * t)) > 2e-6 ||
        off($7, mean) > 2e-6 || off($10, x) > 2e-6 || off($13, y) > 2e-6 || off($5, mean) > 1e-3 || off($8, x) > 3e-3 ||
        off($11, y) > 3e-3 || off($5, $6) > 0.02 || off($8, $9) > 0.02 || off($11, $12) > 0.02 || $14 >= energy ||
        ($2 == 1 ? $4 != $3 : $4 >= $3)) { print; bad = 1 }
      energy = $14; cold += $3; warm += $4
    } END { exit bad || n != 12 || 4 * warm > 3 * cold }' "$build/diffusion_c.out"
}
diffusion_refused() { run_example diffusion "$1" 3 >/dev/null 2>&1; [ $? -eq 2 ]; }

run_c() { "$build/heat_c" "$@"; }
run_cpp() { "$build/heat_cpp" "$@"; }
run_f90() { "$build/heat_f90" "$@"; }
run_jl() { REKNIT_LIBRARY=$lib/libreknit.so "${JULIA:-$root/.deps/bin/julia}" --startup-file=no "$source.jl" "$@"; }

# The table of a language; every step must be there, and the totals.
table() {                                      # language
  "run_$1" "$cells" "$steps" >"$build/$1.out" && [ "$(wc -l <"$build/$1.out")" -eq $((steps + 5)) ] &&
    grep -q '^ all' "$build/$1.out"
}

masked() { sed -E 's/( \|[ 0-9]{12})[ 0-9.]{8}/\1      ms/g' "$1"; }
same_table() { diff <(masked "$build/c.out") <(masked "$build/$1.out"); }
milliseconds_are_masked() { [ "$(masked "$build/c.out" | grep -c '\(|[ 0-9]*ms [^|]*\)\{5\}$')" -eq $((steps + 1)) ]; }

large_plate() { run_c 104 16 "$build/large" >/dev/null; }
# In steps.csv: step,way,iterations,applies,seconds,residual
iterations() { awk -F, -v way="$1" '$2 == way { n += $3 } END { print n + 0 }' "$build/large/steps.csv"; }
memory_helps() { [ "$(iterations memory)" -gt 0 ] && [ $((2 * $(iterations memory))) -lt "$(iterations forget)" ]; }
all_converged() {
  awk -F, 'NR > 1 { n++; if (!($6 <= 1e-8)) { print; bad = 1 } } END { exit bad || n != 16 * 5 }' \
    "$build/large/steps.csv"
}
# The hottest cell as Gaussian elimination of the dense matrices in another program (numpy) gave it.
right_answer() { run_c 16 8 | grep -qx 'hottest cell at the end: 432.396701 K'; }
refused() { "$build/heat_c" 3 >/dev/null 2>&1; [ $? -eq 2 ]; }

mkdir -p "$build/large"
if [ ! -e "$lib/libreknit.so" ]; then
  echo "tests/examples: $lib/libreknit.so is missing: run make build"
  echo "0 passed, 1 failed"
  exit 1
fi

for language in c cpp f90; do
  check "$language does not compile" "build_$language"
done
for language in c cpp f90 jl; do
  check "$language does not print the table" table "$language"
done
check "the milliseconds are not where they should be" milliseconds_are_masked
for language in cpp f90 jl; do
  check "$language prints another table than c" same_table "$language"
done

for language in c f90; do
  check "two ranks: $language does not compile" "build_ranks_$language"
  check "two ranks: $language does not print the table" ranks_table "$language"
done
check "two ranks: f90 prints another table than c" same_ranks
check "two ranks: the table is wrong" ranks_are_right

check "many sides: c does not compile" build_sides
check "many sides: c does not print the table" sides_table
check "many sides: products are not shared" sides_share_calls
check "many sides: the temperatures are wrong" sides_are_right
check "many sides: a plate of 20 x 20 cells is not refused" sides_refused

check "restart: c does not compile" build_restart
check "restart: it does not run to its end" whole_run
check "restart: no step was rejected" steps_were_rejected
check "restart: a killed run is not resumed" killed_run 2>/dev/null
check "restart: the resumed run is another one" same_bits
if [ -e "$eigen/Eigen/SparseCore" ]; then
  check "Eigen: does not compile" build_eigen
  check "Eigen: does not print the table" eigen_table
  check "Eigen: the temperatures are wrong" eigen_is_right
  check "Eigen: memory does not help" eigen_remembers
  check "Eigen: a plate of 3 x 3 cells is not refused" eigen_refused
else
  echo "tests/examples: no Eigen here, skipped: eigen_sequence"
fi

for language in c cpp f90; do
  check "transport: $language does not compile" build_example transport "$language"
done
for language in c cpp f90 jl; do
  check "transport: $language does not print the table" transport_table "$language"
done
for language in cpp f90 jl; do
  check "transport: $language prints another table than c" same_as_c transport "$language"
done
check "transport: memory does not help" transport_remembers
check "transport: the numbers are wrong" transport_is_right
check "transport: the program of docs/transport.md" transport_program
check "transport: the second program of docs/transport.md" transport_bounds
check "transport: a square of 3 x 3 cells is not refused" transport_refused

for name in source target redder; do
  check "colours: no picture $name" picture "$name"
done
for language in c cpp f90; do
  check "colours: $language does not compile" build_example colours "$language"
done
for language in c cpp f90 jl; do
  check "colours: $language does not print the table" colours_table "$language"
  check "colours: $language does not refuse what is no picture" colours_refused "$language"
done
for language in cpp f90 jl; do
  check "colours: $language gives another table or picture than c" same_colours "$language"
done
check "colours: the numbers are wrong" colours_are_right
check "colours: a shift is not found" colours_shift

for language in c cpp f90; do
  check "diffusion: $language does not compile" build_example diffusion "$language"
done
for language in c cpp f90 jl; do
  check "diffusion: $language does not print the table" diffusion_table "$language"
  check "diffusion: $language does not refuse a square of 3 x 3 cells" diffusion_refused "$language"
done
for language in cpp f90 jl; do
  check "diffusion: $language prints another table than c" same_as_c diffusion "$language"
done
check "diffusion: the numbers are wrong" diffusion_is_right

check "c does not run on a larger plate" large_plate
check "memory does not halve the iterations" memory_helps
check "a residual is too large" all_converged
check "a snapshot is missing" test -s "$build/large/temperature_016.txt"
check "the temperature is wrong" right_answer
check "a plate of 3 x 3 cells is not refused" refused

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
