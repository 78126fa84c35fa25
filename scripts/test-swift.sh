#!/usr/bin/env bash
# Tests the Swift façade and the iOS app's core on Linux, against the library and a pack that the command makes.
#   scripts/test-swift.sh [ARGUMENTS OF swift test]      such as --filter RefusalTests
# Uses swift if it is there, else Debian trixie's in a folder that is made once (some 2 GB, in ~/.cache/shelfsight).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/generate-bindings.sh
scripts/make-demo.sh
mkdir -p target/phone/static
cp target/phone/libshelfsight_ffi.a target/phone/static/
arguments=(test --build-path target/phone/swift-build -Xlinker "-L$PWD/target/phone/static" "$@")
export SHELFSIGHT_DEMO=$PWD/target/phone/demo
if command -v swift >/dev/null; then
    exec swift "${arguments[@]}"
fi
root=${XDG_CACHE_HOME:-$HOME/.cache}/shelfsight/trixie
if [ ! -x "$root/usr/libexec/swift/bin/swift" ]; then
    export DEBIAN_FRONTEND=noninteractive
    command -v debootstrap >/dev/null || { apt-get update -qq; apt-get install -y -qq debootstrap >/dev/null; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -1)
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase trixie "$root" "$mirror" >/dev/null
    chroot "$root" apt-get install -y -qq --no-install-recommends swiftlang libc6-dev libstdc++-14-dev >/dev/null
fi
# Mounts of its own, which are gone when the tests are.
exec unshare --mount bash -c '
    set -e
    root=$1; shift
    mkdir -p "$root/$PWD"
    mount --bind "$PWD" "$root/$PWD"
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
    exec chroot "$root" /usr/bin/env PATH=/usr/libexec/swift/bin:/usr/bin:/bin HOME=/root bash -c "cd \"\$0\" && exec swift \"\$@\"" "$PWD" "$@"
' bash "$root" "${arguments[@]}"
