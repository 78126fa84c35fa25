#!/usr/bin/env bash
# Tests the Kotlin façade on the JVM against the library and a pack that the command makes.
#   scripts/test-kotlin.sh [MAVEN ARGUMENTS]      such as -Dtest=FindTest
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v mvn >/dev/null || ! command -v javac >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends maven openjdk-17-jdk-headless >/dev/null
fi
scripts/generate-bindings.sh
scripts/make-demo.sh
mvn -B -q --no-transfer-progress -f bindings/kotlin/pom.xml "$@" install
