#!/usr/bin/env bash
# Builds the phone library for this machine and writes the Kotlin and Swift sources that call it:
#   target/phone/libshelfsight_ffi.so, libshelfsight_ffi.a, kotlin/; bindings/swift/Sources/
set -euo pipefail
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}/release
out=target/phone
mkdir -p $out
cargo build --release --locked -p shelfsight-bindgen
cargo build --release --locked -p shelfsight-ffi
cp "$built/libshelfsight_ffi.so" "$built/libshelfsight_ffi.a" $out/
for language in kotlin swift; do
    rm -rf "$out/$language.new"
    "$built/shelfsight-bindgen" generate --no-format --config bindings/ffi/bindings.toml \
        --language $language --out-dir "$out/$language.new" "$out/libshelfsight_ffi.so"
done
# Nothing generated is API: every top-level declaration is hidden in the module.
find $out/kotlin.new -name '*.kt' -exec sed -E -i \
    's/^(public )?((data|sealed|open|abstract|enum|annotation|value|fun|inline|const) )?(class|object|interface|fun|typealias|val|var) /internal \2\4 /' {} +
# Files that did not change keep their date, so that nothing is compiled again.
update() { [ -e "$2" ] && cmp -s "$1" "$2" || install -D -m 644 "$1" "$2"; }
(cd $out/kotlin.new && find . -name '*.kt') | while read -r file; do update "$out/kotlin.new/$file" "$out/kotlin/$file"; done
# Swift packages are built from their sources alone, so what is generated for Swift is kept in the repository.
swift=bindings/swift/Sources
if [ -n "${CI:-}" ] && ! cmp -s $out/swift.new/ShelfSightBridge.swift $swift/ShelfSightBridge/ShelfSightBridge.swift; then
    echo "$swift/ShelfSightBridge is stale: run scripts/generate-bindings.sh and commit it" >&2
    exit 1
fi
update $out/swift.new/ShelfSightBridge.swift $swift/ShelfSightBridge/ShelfSightBridge.swift
update $out/swift.new/ShelfSightFFI.h $swift/ShelfSightFFI/ShelfSightFFI.h
rm -rf $out/kotlin.new $out/swift.new
