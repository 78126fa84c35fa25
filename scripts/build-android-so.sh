#!/usr/bin/env bash
# The library for 64-bit ARM phones, without the NDK: target/phone/jniLibs/arm64-v8a/libshelfsight_ffi.so
# Checks what a phone asks of it: 16 KB pages, what it links against, and its size (scripts/size-ledger.py).
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shelfsight
if ! [ -x /usr/bin/rustc ] || ! [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src >/dev/null
fi
scripts/android-toolchain.sh "$cache/android"
# Debian's compiler, which brings the sources of its standard library; a folder of its own for what it builds.
export PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/android
export CARGO_TARGET_AARCH64_LINUX_ANDROID_LINKER=$cache/android/linker
# The standard library without what symbolises backtraces (there are no symbols on a phone, and nothing prints them), and with its
# small algorithms: each of our sorts is 4 kB less. A query sorts some hundreds of candidates, 5 microseconds more for 400.
# Stripped below, so that the ledger can say whose code it is.
cargo rustc --locked -Z build-std=std,panic_unwind -Z build-std-features=panic-unwind,optimize_for_size --target aarch64-linux-android \
    --profile release-mobile -p shelfsight-ffi --lib --crate-type cdylib -- -C strip=none
out=target/phone/jniLibs/arm64-v8a
mkdir -p $out
built=$CARGO_TARGET_DIR/aarch64-linux-android/release-mobile/libshelfsight_ffi.so
cp "$built" $out/
so=$out/libshelfsight_ffi.so
llvm-strip-22 --strip-all $so
# Loadable parts must lie on 16 KB boundaries.
llvm-readelf-22 -lW $so | python3 -c '
import sys
parts = [line.split()[-1] for line in sys.stdin if line.strip().startswith("LOAD")]
sys.exit(None if parts and all(int(part, 16) >= 16384 for part in parts) else f"parts aligned to {parts}, not 16 KB")'
needed=$(llvm-readelf-22 -dW $so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')
[ "$needed" = "libc.so libdl.so libjnigraphics.so libm.so " ] || { echo "links against: $needed" >&2; exit 1; }
python3 scripts/size-ledger.py $so --symbols "$built"
