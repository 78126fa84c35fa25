#!/usr/bin/env bash
# Measures what a call from Kotlin and Swift costs beside the library's own work: benches/record/*-calls.md
set -euo pipefail
cd "$(dirname "$0")/.."
echo "== Kotlin on the JVM"
scripts/test-kotlin.sh -Dtest=CallCost -Dsurefire.useFile=false | grep -E 'median'
echo "== Swift"
scripts/test-swift.sh -c release -Xswiftc -enable-testing --filter CallCost | grep -E 'median'
