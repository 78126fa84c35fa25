#!/usr/bin/env bash
# What the shipped models take on 64-bit ARM processors that nobody has here: instructions, counted under qemu, and an
# estimate of the time, by llvm-mca's models of the cores (scripts/model_arm.py).
#   scripts/model-arm.sh [image|text|detector ...]
# Needs llvm-mca and llvm-mc 16 or later (Debian: llvm-22).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/arm-env.sh
cargo build --release --quiet --locked --target $target -p shelfsight --no-default-features --example run_plan
program=$CARGO_TARGET_DIR/$target/release/examples/run_plan
[ $# -gt 0 ] || set -- image text detector
for model; do
    # The processor decides which kernels run: A76 and X1 have SDOT, A55 too; later cores have I8MM.
    for path in dotprod i8mm; do
        python3 scripts/model_arm.py --qemu "${qemu[*]} -cpu max" --name "$model, $path" \
            "$program" "models/weights/$model.plan" "${TOKENS:-8}" 1 RUNS "$path"
    done
done
