# Sourced by the scripts that build for 64-bit ARM on an x86-64 Debian machine: a compiler with the target, a linker, qemu.
# Uses rustc if it has the target (rustup target add aarch64-unknown-linux-gnu), else installs Debian's compiler beside.
target=aarch64-unknown-linux-gnu
has_target() { [ -d "$("$1" --print sysroot)/lib/rustlib/$target/lib" ]; }

packages=()
command -v qemu-aarch64-static >/dev/null || packages+=(qemu-user-static)
command -v aarch64-linux-gnu-gcc >/dev/null || packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
if ! has_target rustc && ! { [ -x /usr/bin/rustc ] && has_target /usr/bin/rustc; }; then
    packages+=(rustc-web cargo-web libstd-rust-web-dev:arm64)
fi
if [ ${#packages[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    dpkg --add-architecture arm64
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
# Debian's cargo goes with Debian's compiler.
has_target rustc || export PATH=/usr/bin:$PATH
has_target rustc || { echo "no rustc with the target $target" >&2; exit 1; }

# A folder of its own: another compiler would build everything in the usual one again.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/arm
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
qemu=(timeout "${QEMU_SECONDS:-300}" qemu-aarch64-static)
# Never both: with two C libraries in its way, a program under qemu hangs.
[ -e /lib/ld-linux-aarch64.so.1 ] || qemu+=(-L /usr/aarch64-linux-gnu)
