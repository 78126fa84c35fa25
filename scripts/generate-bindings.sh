#!/usr/bin/env bash
# Builds the phone library for this machine and writes the Kotlin and Swift sources that call it:
#   target/phone/libshelfsight_ffi.so (.dylib on a Mac), libshelfsight_ffi.a, kotlin/; bindings/swift/Sources/
# Runs on Linux and on a Mac, with the bash and the tools that each brings.
set -euo pipefail
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}/release
out=target/phone
mkdir -p $out
library=libshelfsight_ffi.so
[ "$(uname)" != Darwin ] || library=libshelfsight_ffi.dylib
cargo build --release --locked -p shelfsight-bindgen
cargo build --release --locked -p shelfsight-ffi
cp "$built/$library" "$built/libshelfsight_ffi.a" $out/
for language in kotlin swift; do
    rm -rf "$out/$language.new"
    "$built/shelfsight-bindgen" generate --no-format --config bindings/ffi/bindings.toml \
        --language $language --out-dir "$out/$language.new" "$out/$library"
done
# Nothing generated is API: every top-level declaration is hidden in the module.
hide='s/^(public )?((data|sealed|open|abstract|enum|annotation|value|fun|inline|const) )?(class|object|interface|fun|typealias|val|var) /internal \2\4 /'
find $out/kotlin.new -name '*.kt' | while read -r file; do
    sed -E "$hide" "$file" >"$file.hidden"
    mv "$file.hidden" "$file"
done
# Files that did not change keep their date, so that nothing is compiled again.
update() {
    cmp -s "$1" "$2" && return
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2"
}
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
