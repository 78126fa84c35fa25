#!/usr/bin/env bash
# The library for iOS as an XCFramework: target/phone/ShelfSightFFI.xcframework
# On a Mac: phone and simulator slices, by rustup's targets. Elsewhere: the phone slice alone, to show that it builds; Debian's
# compiler brings the sources of the standard library.
set -euo pipefail
cd "$(dirname "$0")/.."
out=target/phone/ShelfSightFFI.xcframework
headers=bindings/swift/Sources/ShelfSightFFI
export IPHONEOS_DEPLOYMENT_TARGET=16.0
if [ "$(uname)" = Darwin ]; then
    # The Mac's own, for `swift test` there.
    slices="aarch64-apple-ios:ios-arm64 aarch64-apple-ios-sim:ios-arm64-simulator aarch64-apple-darwin:macos-arm64"
    rustup target add aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin
    std=""
else
    slices="aarch64-apple-ios:ios-arm64"
    if ! [ -x /usr/bin/rustc ] || ! [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src >/dev/null
    fi
    export PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1
    std="-Z build-std=std,panic_unwind -Z build-std-features=panic-unwind,optimize_for_size"
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/ios
rm -rf $out
libraries=""
for slice in $slices; do
    target=${slice%%:*} name=${slice##*:}
    # Only a static library: an app links it, and no Apple linker is needed.
    # shellcheck disable=SC2086 # several words, or none; a Mac's bash has no empty arrays
    cargo rustc --locked $std --target "$target" --profile release-mobile -p shelfsight-ffi --lib \
        --crate-type staticlib
    mkdir -p "$out/$name/Headers"
    cp "$CARGO_TARGET_DIR/$target/release-mobile/libshelfsight_ffi.a" "$out/$name/"
    cp $headers/ShelfSightFFI.h $headers/module.modulemap "$out/$name/Headers/"
    variant=""
    case $name in *-simulator) variant="<key>SupportedPlatformVariant</key><string>simulator</string>" ;; esac
    libraries+="<dict><key>LibraryIdentifier</key><string>$name</string>
        <key>LibraryPath</key><string>libshelfsight_ffi.a</string><key>HeadersPath</key><string>Headers</string>
        <key>SupportedArchitectures</key><array><string>arm64</string></array>
        <key>SupportedPlatform</key><string>${name%%-*}</string>$variant</dict>"
done
cat >$out/Info.plist <<EOF
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>AvailableLibraries</key><array>$libraries</array>
<key>CFBundlePackageType</key><string>XFWK</string>
<key>XCFrameworkFormatVersion</key><string>1.0</string>
</dict></plist>
EOF
python3 - $out <<'EOF'
"""Checks the parts against the plist, and that the library holds 64-bit ARM Mach-O."""
import pathlib, plistlib, sys

root = pathlib.Path(sys.argv[1])
for library in plistlib.loads((root / "Info.plist").read_bytes())["AvailableLibraries"]:
    slice_ = root / library["LibraryIdentifier"]
    data = (slice_ / library["LibraryPath"]).read_bytes()
    assert data.startswith(b"!<arch>\n"), "not an archive"
    # 64-bit Mach-O, CPU type ARM64, little-endian.
    assert b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01" in data, "no 64-bit ARM Mach-O inside"
    assert (slice_ / library["HeadersPath"] / "module.modulemap").exists()
    print(f"{root.name}/{library['LibraryIdentifier']}: {len(data):,} B")
EOF
[ "$(uname)" = Darwin ] || cat <<EOF
Not run, for want of a Mac: the simulator's slice, Xcode, and everything that imports Apple's frameworks (ios/App,
bindings/swift/Sources/ShelfSight/Apple.swift); scripts/test-swift.sh tests the rest.
EOF
