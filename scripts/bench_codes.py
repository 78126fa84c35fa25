#!/usr/bin/env python3
"""What codes of 8 to 64 bytes keep: our quantizers beside FAISS's PQ, OPQ and RQ, every row looked at.

  scripts/bench_codes.py VECTORS_DIR [--bytes 8,16,32,64] [--seeds 3] [--queries 1000] [--rows N]
      [--rivals pq,opq,rq] [--schemes pq,opq,…] [--out DIR] [--venv DIR] [--ablation PATH]

VECTORS_DIR holds base.npy, learn.npy and query.npy, u8 or f32, [n, d]. Installs FAISS from PyPI into a
virtual environment (DIR/venv unless --venv names one), trains every quantizer on learn, codes base, and
compares each query with every decoded row; ours by `examples/ablation` (built by `cargo build --release
--features build --example ablation`), FAISS's here, by the same rules. Writes DIR/codes.jsonl (a line a
quantizer and seed), DIR/codes.md and DIR/codes.svg.

recall@R: the exact nearest row is among the R best. ± is the 95 % interval of so many queries; seeds are
averaged, and the largest difference between them is in the last column.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time

from bench_search import ROOT, environment

BEST = 100
# Rows that FAISS encodes at once: its residual quantizer keeps a beam of partial sums for each.
CHUNK = 20_000
SAMPLE = 20_000


# ---- inside the environment ----


def codec(faiss, kind, d, size, seed):
    if kind == "rq":
        index = faiss.IndexResidualQuantizer(d, size, 8)
        index.rq.cp.seed = seed
        index.rq.max_mem_distances = 1 << 28
        return index
    index = faiss.IndexPQ(d, size, 8)
    index.pq.cp.seed = seed
    if kind == "opq":
        turn = faiss.OPQMatrix(d, size)
        turn.pq = index.pq
        return faiss.IndexPreTransform(turn, index)
    return index


def rivals(args):
    import faiss
    import numpy as np

    faiss.omp_set_num_threads(os.cpu_count())
    base, learn, query = (
        np.load(os.path.join(args.vectors, f"{name}.npy")).astype("f4") for name in ("base", "learn", "query")
    )
    base, query = base[: args.rows], query[: args.queries]
    d = base.shape[1]
    flat = faiss.IndexFlatL2(d)
    flat.add(base)
    truth = flat.search(query, 10)[1]
    del flat
    for size in args.bytes:
        for kind in args.rivals:
            if kind != "rq" and d % size:
                print(f"FAISS's {kind} has no codes of {size} bytes for {d} components", file=sys.stderr)
                continue
            for seed in range(1, args.seeds + 1):
                start = time.perf_counter()
                index = codec(faiss, kind, d, size, seed)
                index.train(learn)
                train_s = time.perf_counter() - start

                def decoded(rows, index=index):
                    return index.sa_decode(index.sa_encode(rows))

                near, ids = np.full((len(query), BEST), np.inf, "f4"), np.full((len(query), BEST), -1)
                for at in range(0, len(base), CHUNK):
                    rows = decoded(np.ascontiguousarray(base[at : at + CHUNK]))
                    cost, found = faiss.knn(query, rows, min(BEST, len(rows)))
                    cost, found = np.hstack([near, cost]), np.hstack([ids, found + at])
                    order = np.argsort(cost, axis=1, kind="stable")[:, :BEST]
                    near, ids = np.take_along_axis(cost, order, 1), np.take_along_axis(found, order, 1)

                def error(rows):
                    rows = np.ascontiguousarray(rows[:: max(1, -(-len(rows) // SAMPLE))])
                    return float(((rows - decoded(rows)) ** 2).sum(1).mean())

                def recall(best, ids=ids):
                    return float((ids[:, :best] == truth[:, :1]).any(1).mean())

                of_ten = np.mean([len(set(i[:10]) & set(t)) / 10 for i, t in zip(ids, truth, strict=True)])
                tables = {"pq": 1024 * d, "opq": 1024 * d + 4 * d * d, "rq": 1024 * d * size}[kind]
                print(
                    json.dumps(
                        dict(
                            scheme=f"FAISS {kind}",
                            code_bytes=size,
                            bytes_per_vector=round(size + tables / len(base), 2),
                            seed=seed,
                            mse_seen=error(learn),
                            mse_unseen=error(base),
                            recall1=round(recall(1), 4),
                            recall10=round(recall(10), 4),
                            recall100=round(recall(100), 4),
                            recall10_of_10=round(float(of_ten), 4),
                            queries=len(query),
                            train_s=round(train_s, 1),
                        )
                    ),
                    flush=True,
                )


def chart(args):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    groups = {}
    for row in summed(read(args.out)):
        groups.setdefault(row["scheme"], []).append(row)
    for scheme, rows in groups.items():
        rows.sort(key=lambda r: r["bytes_per_vector"])
        rival = scheme.startswith("FAISS")
        axes.errorbar(
            [r["bytes_per_vector"] for r in rows],
            [r["recall1"] for r in rows],
            yerr=[interval(r["recall1"], r["queries"]) for r in rows],
            fmt="--s" if rival else "-o",
            markersize=4,
            linewidth=1,
            capsize=2,
            label=scheme,
        )
    axes.set_xscale("log", base=2)
    axes.set_xlabel("bytes a vector, all in")
    axes.set_ylabel("recall@1, every row looked at")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(os.path.join(args.out, "codes.svg"))


# ---- the whole ----


def read(out):
    with open(os.path.join(out, "codes.jsonl")) as file:
        return [json.loads(line) for line in file]


def interval(share, queries):
    return 1.96 * math.sqrt(share * (1 - share) / queries)


def summed(rows):
    """One row a scheme and number of bytes: means over the seeds, and how far apart these are."""
    groups = {}
    for row in rows:
        groups.setdefault((row["code_bytes"], row["scheme"]), []).append(row)
    out = []
    for same in groups.values():
        means = {
            key: sum(r[key] for r in same) / len(same)
            for key in (
                "bytes_per_vector",
                "mse_seen",
                "mse_unseen",
                "recall1",
                "recall10",
                "recall100",
                "recall10_of_10",
            )
        }
        recalls = [r["recall1"] for r in same]
        out.append({**same[0], **means, "seeds": len(same), "apart": max(recalls) - min(recalls)})
    return sorted(out, key=lambda r: (r["code_bytes"], r["scheme"].startswith("FAISS")))


def table(rows, out):
    lines = [
        "| code bytes | scheme | all in | error seen | unseen | recall@1 | @10 | @100 | 10 in 10 | seeds |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        near = interval(r["recall1"], r["queries"])
        lines.append(
            f"| {r['code_bytes']} | {r['scheme']} | {r['bytes_per_vector']:.1f} | {r['mse_seen']:.5g} |"
            f" {r['mse_unseen']:.5g} | {r['recall1']:.3f} ± {near:.3f} | {r['recall10']:.3f} |"
            f" {r['recall100']:.3f} | {r['recall10_of_10']:.3f} | {r['seeds']}, {r['apart']:.3f} |"
        )
    lines.append("")
    for size in sorted({r["code_bytes"] for r in rows}):
        same = [r for r in rows if r["code_bytes"] == size]
        ours = [r for r in same if not r["scheme"].startswith("FAISS")]
        theirs = [r for r in same if r["scheme"].startswith("FAISS")]
        if not ours or not theirs:
            continue
        best, rival = (max(side, key=lambda r: r["recall1"]) for side in (ours, theirs))
        parts = [interval(r["recall1"], r["queries"]) / max(r["recall1"], 1e-9) for r in (best, rival)]
        ratio = best["recall1"] / max(rival["recall1"], 1e-9)
        lines.append(
            f"- {size} bytes of code: {best['scheme']} {best['recall1']:.3f} against {rival['scheme']}"
            f" {rival['recall1']:.3f}: {100 * (ratio - 1):+.0f} % ± {100 * ratio * math.hypot(*parts):.0f}"
            f" ({best['bytes_per_vector']:.1f} bytes all in against {rival['bytes_per_vector']:.1f})"
        )
    text = "\n".join(lines) + "\n"
    with open(os.path.join(out, "codes.md"), "w") as file:
        file.write(text)
    print(text)


def main():
    def words(text):
        return [w for w in text.split(",") if w]

    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("vectors")
    ask.add_argument("--bytes", default="8,16,32,64", type=lambda t: [int(w) for w in words(t)])
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--queries", type=int, default=1000)
    ask.add_argument("--rows", type=int, help="of base, at most")
    ask.add_argument("--rivals", default="pq,opq,rq", type=words)
    ask.add_argument("--schemes", help="ours: pq, opq, rq, 'lists + rotations', …; all without it")
    ask.add_argument("--out", default="bench-codes")
    ask.add_argument("--venv", help="environment to use instead of DIR/venv")
    ask.add_argument("--ablation", default=os.path.join(ROOT, "target", "release", "examples", "ablation"))
    ask.add_argument("--step", choices=("all", "rivals", "chart"), default="all", help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.step == "rivals":
        return rivals(args)
    if args.step == "chart":
        return chart(args)
    os.makedirs(args.out, exist_ok=True)
    python = environment(args.venv or os.path.join(args.out, "venv"), ["faiss"])
    # The same for both sides.
    shared = [
        "--bytes",
        ",".join(map(str, args.bytes)),
        "--seeds",
        str(args.seeds),
        "--queries",
        str(args.queries),
    ]
    shared += ["--rows", str(args.rows)] if args.rows else []
    again = [python, os.path.abspath(__file__), args.vectors, *shared, "--out", args.out]
    commands = [
        [args.ablation, args.vectors, *shared] + (["--schemes", args.schemes] if args.schemes else [])
    ]
    if args.rivals:
        commands.append([*again, "--rivals", ",".join(args.rivals), "--step", "rivals"])
    with open(os.path.join(args.out, "codes.jsonl"), "w") as file:
        for command in commands:
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                for line in process.stdout:
                    file.write(line)
                    file.flush()
            if process.returncode:
                sys.exit(f"{command[0]} failed with status {process.returncode}")
    table(summed(read(args.out)), args.out)
    subprocess.run([*again, "--step", "chart"], check=True)


if __name__ == "__main__":
    main()
