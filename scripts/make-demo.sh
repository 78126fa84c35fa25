#!/usr/bin/env bash
# The catalogue, pictures and pack on which the bindings are tested, in target/phone/demo, with what the command answers to
# some of the pictures: the bindings must answer the same. SHELFSIGHT_BIN names a command that is built already.
# target/phone/assets gets what comes with the camera apps: the pack, a shelf, and photos of known products.
set -euo pipefail
cd "$(dirname "$0")/.."
demo=target/phone/demo
bin=${SHELFSIGHT_BIN:-}
if [ -z "$bin" ]; then
    cargo build --release --locked -p shelfsight-cli
    bin=${CARGO_TARGET_DIR:-target}/release/shelfsight
fi
# Made anew when the command is.
if [ "$demo/done" -nt "$bin" ] && [ -d target/phone/assets ]; then
    exit 0
fi
rm -rf $demo
"$bin" demo --out $demo --json >/dev/null
mkdir -p $demo/answers
for photo in $(ls $demo/photos/*.jpg | head -6); do
    "$bin" find "$photo" --pack $demo/demo.shelf --json >"$demo/answers/$(basename "$photo" .jpg).json"
done
"$bin" find --text "sweet chili chips" --pack $demo/demo.shelf --json >$demo/answers/words.json
"$bin" scan $demo/shelf.jpg --pack $demo/demo.shelf --json >$demo/answers/shelf.json
assets=target/phone/assets
rm -rf $assets
mkdir -p $assets/probes
cp $demo/demo.shelf $demo/shelf.jpg $assets/
for photo in $(ls $demo/photos/*.jpg | head -12); do cp "$photo" $assets/probes/; done
touch $demo/done
