#!/usr/bin/env python3
"""Is the right product still among the first ten when the catalogue has a million pictures?

  scripts/scale_curve.py --data DIR --out OUT [--distractors 1100000] [--bytes 72,40] [--binaries DIR]
      [--venv DIR]

DIR holds `grocery/` and `datakick/` as for scripts/real_data.py. Queries: Grocery's `val` photos. Gallery:
its training photos and iconic pictures. Distractors: crops at random places of the training photos and of
Datakick's photos; crops of a query's own product are neither right nor wrong. Runs `examples/crop_vectors`
and `examples/scale_curve` (built by `cargo build --release --features build --examples`; --binaries names
their folder), keeps the vectors in OUT (0.85 GB for 1.1 million) and uses them again. Writes OUT/scale.jsonl,
OUT/scale.md and OUT/scale.svg.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from bench_search import ROOT, environment
from real_data import photos

SIZES = [0, 10_000, 30_000, 100_000, 300_000, 1_100_000]


def named(folder, name, rows):
    """Writes the list of photos and returns the product of each."""
    (folder / f"{name}.list").write_text("".join(f"{path}\n" for path, _ in rows), encoding="utf-8")
    return [product for _, product in rows]


def lists(data, out):
    """The product of each photo of gallery, queries and distractors, whose paths are written to OUT."""
    with (data / "grocery/classes.csv").open(encoding="utf-8") as file:
        classes = list(csv.DictReader(file))
    iconic = [
        (data / "grocery" / row["Iconic Image Path (str)"].lstrip("/"), int(row["Class ID (int)"]))
        for row in classes
    ]
    train = [(data / path, product) for path, product in photos(data, "train")]
    queries = [(data / path, product) for path, product in photos(data, "val")]
    with (data / "datakick/items.csv").open(encoding="utf-8") as file:
        packages = [
            (data / "datakick/images" / name, f"datakick-{row['gtin14']}")
            for row in csv.DictReader(file)
            for name in row["images"].split()
        ]
    return {
        "gallery": named(out, "gallery", train + iconic),
        "queries": named(out, "queries", queries),
        "distractors": named(out, "distractors", shuffled(train + packages)),
    }


def shuffled(rows):
    """The same order every time, photos of a product apart: a smaller catalogue has the first of them."""
    import random

    rows = list(rows)
    random.Random(1).shuffle(rows)
    return rows


def encode(args, products):
    for name, labels in products.items():
        # Rounded up, the rest is not read.
        crops = -(-args.distractors // len(labels)) if name == "distractors" else 0
        vectors = args.out / f"{name}.npy"
        done = args.out / f"{name}.txt"
        wanted = "".join(f"{label}\n" * max(crops, 1) for label in labels)
        if vectors.is_file() and done.is_file() and done.read_text(encoding="utf-8") == wanted:
            continue
        command = [args.binaries / "crop_vectors", args.manifest, args.out / f"{name}.list", vectors]
        command += ["--crops", str(crops)] if crops else []
        subprocess.run([str(part) for part in command], check=True)
        done.write_text(wanted, encoding="utf-8")


def table(rows, out):
    lines = [
        "| pictures | index | bytes each | right product among ten | first | right of the ten | ms |",
        "|---:|---|---:|---|---:|---:|---:|",
    ]
    for r in rows:
        low, high = r["recall10_95"]
        lines.append(
            f"| {r['rows']:,} | {r['index']} | {r['bytes_per_vector']:.0f} | {r['recall10']:.3f} [{low:.3f},"
            f" {high:.3f}] | {r['recall1']:.3f} | {r['mar10_capped']:.3f} | {r['ms_median'] or '–'} |"
        )
    text = "\n".join(lines) + "\n"
    (out / "scale.md").write_text(text, encoding="utf-8")
    print(text)


def chart(out):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = {}
    for row in read(out):
        groups.setdefault(row["index"], []).append(row)
    figure, axes = plt.subplots(figsize=(8, 5))
    for label, rows in groups.items():
        found = [r["recall10"] for r in rows]
        errors = [
            [f - r["recall10_95"][0] for f, r in zip(found, rows, strict=True)],
            [r["recall10_95"][1] - f for f, r in zip(found, rows, strict=True)],
        ]
        sizes = [r["rows"] for r in rows]
        axes.errorbar(sizes, found, yerr=errors, fmt="-o", markersize=4, capsize=2, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("pictures in the catalogue")
    axes.set_ylabel("right product among the first ten")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(out / "scale.svg")


def read(out):
    with (out / "scale.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--distractors", type=int, default=SIZES[-1])
    ask.add_argument("--bytes", default="72,40")
    ask.add_argument("--binaries", type=Path, default=Path(ROOT) / "target/release/examples")
    ask.add_argument("--manifest", type=Path, default=Path(ROOT) / "models/weights/image.json")
    ask.add_argument("--venv", help="environment to use instead of OUT/venv")
    ask.add_argument("--step", choices=("all", "chart"), default="all", help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.step == "chart":
        return chart(args.out)
    if not (args.data / "grocery").is_dir():
        sys.exit(f"no grocery/ in {args.data}; scripts/real_data.py says what is expected")
    args.data, args.out = args.data.resolve(), args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    encode(args, lists(args.data, args.out))
    sizes = [size for size in SIZES if size < args.distractors] + [args.distractors]
    command = [str(args.binaries / "scale_curve"), str(args.out)]
    command += ["--sizes", ",".join(map(str, sizes)), "--bytes", args.bytes]
    with (args.out / "scale.jsonl").open("w", encoding="utf-8") as file:
        subprocess.run(command, stdout=file, check=True)
    table(read(args.out), args.out)
    python = environment(args.venv or os.path.join(args.out, "venv"), [])
    subprocess.run([python, os.path.abspath(__file__), *sys.argv[1:], "--step", "chart"], check=True)
    return None


if __name__ == "__main__":
    main()
