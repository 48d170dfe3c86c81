#!/usr/bin/env bash
# Random calls across the C boundary under AddressSanitizer: tests/sanitize.sh [SECONDS, 300]
# The calls and what is expected of them are those of tests/rust/abi.rs, from a seed that each round moves on. The sanitizer is an
# unstable flag of the compiler, so this is not part of `make test`; it takes a build of its own in target/sanitize.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitize
# Memory beyond measure is asked for on purpose: that is to be refused, as by any allocator, and no error.
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
binary=$(cargo test --quiet --no-run --message-format=json --target "$target" --test abi |
  sed -n 's/.*"executable":"\([^"]*abi-[^"]*\)".*/\1/p' | tail -1)
end=$((SECONDS + seconds)) first=$((10#$(date +%N))) rounds=0
while [ "$SECONDS" -lt "$end" ]; do
  REKNIT_ABI_FIRST=$first REKNIT_ABI_SEEDS=40 "$binary" --quiet
  first=$((first + 40)) rounds=$((rounds + 1))
done
echo "$((40 * rounds)) sequences of calls, no complaint"
