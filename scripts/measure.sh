#!/usr/bin/env bash
# Measures the shipped models on real photos; the figures of docs/benchmarks.md come from here.
#   scripts/measure.sh DATA OUT [SPLIT]      SHELFSIGHT_BIN names a command that is built already
# COMPRESSED=1 measures PQ and RQ of the Grocery gallery too.
# DATA holds grocery/ and datakick/ (see scripts/real_data.py); OUT gets packs, JSON and HTML reports.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?folder with grocery/ and datakick/}")
out=${2:?folder for packs and reports}
split=${3:-val}
mkdir -p "$out"
python3 scripts/real_data.py --data "$data" --out "$out" --grocery-split "$split"
bin=${SHELFSIGHT_BIN:-}
if [ -z "$bin" ]; then
    cargo build --release --locked --quiet -p shelfsight-cli
    bin=${CARGO_TARGET_DIR:-target}/release/shelfsight
fi

build() { # NAME CATALOGUE [FLAG...]
    local name=$1 catalogue=$2
    shift 2
    "$bin" pack build --catalog "$out/$catalogue.csv" --images "$data" --out "$out/$name.shelf" --json "$@" \
        >"$out/$name.build.json"
}
evaluate() { # LABEL PACK QUERIES [FLAG...]
    local label=$1 pack=$2 queries=$3
    shift 3
    printf '%-58s ' "$label"
    "$bin" eval --pack "$out/$pack.shelf" --queries "$out/$queries.csv" --images "$data" \
        --report "$out/$pack-$queries.html" --json "$@" >"$out/$pack-$queries.json"
    python3 - "$out/$pack-$queries.json" <<'PY'
import json, sys

e = json.load(open(sys.argv[1]))
low, high = e["recall@1_95"]
parts = {k: v for k, v in e["by_stage"]["evidence"].items() if k != "fused@1"}
parts = "  ".join(f"{k} {v:.3f}" for k, v in parts.items())
print(f"R@1 {e['recall@1']:.3f} [{low:.3f}, {high:.3f}]  R@10 {e['recall@10']:.3f}  n {e['queries']}  {parts}")
PY
}

if [ -f "$out/grocery_photos.csv" ]; then
    build grocery_photos grocery_photos
    build grocery_iconic grocery_iconic
    if [ -n "${COMPRESSED:-}" ]; then
        build grocery_pq grocery_photos --index pq --bytes 32
        build grocery_rq grocery_photos --index rq --bytes 32
    fi
    evaluate "Grocery $split photos, training photos as gallery" grocery_photos grocery_queries
    if [ -n "${COMPRESSED:-}" ]; then
        evaluate "  the same, PQ 32 B" grocery_pq grocery_queries
        evaluate "  the same, RQ 32 B" grocery_rq grocery_queries
    fi
    evaluate "Grocery $split photos, 81 iconic pictures as gallery" grocery_iconic grocery_queries
    evaluate "Grocery product names, 81 products" grocery_iconic grocery_names
fi
if [ -f "$out/datakick.csv" ]; then
    build datakick datakick
    evaluate "Datakick photos, all products" datakick datakick_queries
    evaluate "  the same, looks only" datakick datakick_queries --no-barcode
    evaluate "  the same, photo and words" datakick datakick_both
fi
