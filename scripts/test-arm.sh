#!/usr/bin/env bash
# Tests the kernels' ARM paths on an x86-64 Debian machine: builds the library for 64-bit ARM and runs its kernel tests
# under qemu on three processors, each with more instructions than the one before.
#   scripts/test-arm.sh [FILTER...]   filters name tests; by default kernels:: and the fingerprint of the index
# scripts/arm-env.sh says which compiler it uses, or installs.
set -euo pipefail
cd "$(dirname "$0")/.."
filters=("$@")
[ $# -gt 0 ] || filters=(kernels:: every_instruction_set)
. scripts/arm-env.sh

run() { # PROCESSOR PATH...
    local processor=$1
    shift
    printf '\n== %s: %s\n' "$processor" "$*"
    # A test compares the paths it finds with these, so that none is left out without a word.
    SHELFSIGHT_PATHS="$*" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="${qemu[*]} -cpu $processor" \
        cargo test --release --locked --target $target -p shelfsight --no-default-features --lib -- "${filters[@]}"
}
run cortex-a53 Neon Scalar
run cortex-a76 Dotprod Neon Scalar
run max I8mm Dotprod Neon Scalar
