#!/usr/bin/env bash
# Measures what a call from Kotlin and Swift costs beside the library's own work, and prints it as the page that is kept
# under benches/record:
#   scripts/bench-calls.sh [kotlin|swift] > benches/record/DATE-calls.md
set -euo pipefail
cd "$(dirname "$0")/.."
which=${1:-kotlin swift}
cat <<EOF
# What a call costs, $(date -u +%F)

\`scripts/bench-calls.sh\` at $(git describe --always --dirty) on $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1),
$(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg) when it began. Of a frame it is the whole call less the stages that
the library times itself: handing over the planes, changing threads, and ten products with their texts on the way back.

\`\`\`
EOF
for language in $which; do
    case $language in
        kotlin)
            echo "Kotlin on the JVM"
            scripts/test-kotlin.sh -Dtest=CallCost -Dsurefire.useFile=false 2>&1 | grep 'median'
            ;;
        swift)
            echo "Swift on Linux, optimised"
            scripts/test-swift.sh -c release -Xswiftc -enable-testing --filter CallCost 2>&1 | grep 'median'
            ;;
    esac
done
echo '```'
echo "load $(cut -d' ' -f1 /proc/loadavg) when it ended"
