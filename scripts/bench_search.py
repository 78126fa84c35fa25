#!/usr/bin/env python3
"""Our index beside FAISS, ScaNN, USearch and turbovec: same vectors, one query at a time on one thread.

  scripts/bench_search.py VECTORS_DIR [--queries 500] [--metric l2|ip] [--peers
      faiss,scann,usearch,turbovec] [--rounds 2] [--out DIR] [--venv DIR] [--shelfsight PATH] [--quick]
      [--wait FILE]

VECTORS_DIR holds base.npy, learn.npy and query.npy, u8 or f32, [n, d]. Installs the rivals from PyPI into a
virtual environment (DIR/venv unless --venv names one), runs `shelfsight bench search` and the rivals in
turns (--rounds times; of each configuration the median of the medians counts), and writes DIR/search.jsonl
(a line a configuration), DIR/search.md (a table, best time at each recall), DIR/recall-time.svg and
DIR/recall-bytes.svg.

bytes_per_vector is everything an index keeps for a vector: codes, row numbers, its share of centroids,
rotations and graph links. Rivals' are counted here (row numbers of FAISS lists are 8 bytes), ours are the
bytes of both sections. --wait builds the rivals' indexes at once and times nothing before FILE exists: a
machine that is busy now may be quiet later.
"""

import argparse
import json
import os
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PACKAGES = {"faiss": "faiss-cpu", "scann": "scann", "usearch": "usearch", "turbovec": "turbovec"}


def environment(venv: str, peers: list[str]) -> str:
    """A virtual environment with the rivals; returns its interpreter."""
    python = os.path.join(venv, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    # The exact answers are FAISS's whoever else runs.
    wanted = ["numpy", "matplotlib", *dict.fromkeys([PACKAGES["faiss"], *(PACKAGES[p] for p in peers)])]
    for package in wanted:
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", package]
        if (
            subprocess.run([python, "-m", "pip", "show", "-q", package], stderr=subprocess.DEVNULL).returncode
            == 0
        ):
            continue
        if subprocess.run(install).returncode:
            print(f"{package} cannot be installed here and is left out", file=sys.stderr)
    return python


# ---- below here runs inside the environment ----


def load(folder):
    import numpy as np

    return [np.load(os.path.join(folder, f"{name}.npy")).astype("f4") for name in ("base", "learn", "query")]


def exact(base, query, metric):
    import faiss

    faiss.omp_set_num_threads(os.cpu_count())
    flat = (faiss.IndexFlatL2 if metric == "l2" else faiss.IndexFlatIP)(base.shape[1])
    flat.add(base)
    ids = flat.search(query, 10)[1]
    faiss.omp_set_num_threads(1)
    return ids


class Runner:
    """Configurations of built indexes, timed in rounds."""

    def __init__(self, query, truth):
        self.query, self.truth, self.jobs = query, truth, []

    def add(self, peer, config, size, build_s, search):
        self.jobs.append((peer, config, size, build_s, search, []))

    def round(self):
        import numpy as np

        for *_, search, times in self.jobs:
            search(self.query[:1])
            spent = []
            for i in range(len(self.query)):
                start = time.perf_counter()
                search(self.query[i : i + 1])
                spent.append((time.perf_counter() - start) * 1e3)
            times.append((float(np.median(spent)), float(np.percentile(spent, 95))))

    def report(self):
        for peer, config, size, build_s, search, times in self.jobs:
            hits = first = 0
            for i in range(len(self.query)):
                found = [int(x) for x in search(self.query[i : i + 1])[:10]]
                hits += len(set(found) & set(self.truth[i].tolist()))
                first += bool(found) and found[0] == self.truth[i][0]
            middle = sorted(times)[len(times) // 2]
            print(
                json.dumps(
                    dict(
                        peer=peer,
                        config=config,
                        bytes_per_vector=round(size, 1),
                        recall10=round(hits / 10 / len(self.query), 4),
                        recall1_at_1=round(first / len(self.query), 4),
                        ms_median=round(middle[0], 4),
                        ms_p95=round(middle[1], 4),
                        build_s=round(build_s, 1),
                    )
                ),
                flush=True,
            )


def built(make):
    start = time.perf_counter()
    index = make()
    return index, time.perf_counter() - start


def add_faiss(run, base, learn, metric, quick):
    import faiss

    d = base.shape[1]
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    lists = max(16, 1 << (len(base) // 1024).bit_length() - 1)
    coarse = 4 * d * lists / len(base)
    jobs = [
        (f"PQ{d // 2}x4fs", d / 4, [0]),
        (f"PQ{d // 4}x4fs", d / 8, [0]),
        (f"IVF{lists},PQ{d // 2}", d / 2 + 8 + coarse, [4, 8, 16, 32, 64]),
        (f"IVF{lists},PQ{d // 4}x4fs,Refine(SQ8)", d / 8 + 8 + d + coarse, [4, 8, 16, 32, 64]),
        (f"IVF{lists},PQ{d // 2}x4fs,Refine(SQ6)", d / 4 + 8 + d * 6 / 8 + coarse, [4, 8, 16, 32, 64]),
    ]
    if not quick:
        jobs += [
            (f"IVF{lists},PQ{d // 4}", d / 4 + 8 + coarse, [8, 16, 32]),
            (f"OPQ{d // 4},IVF{lists},PQ{d // 4}", d / 4 + 8 + coarse, [8, 16, 32]),
            (f"OPQ{d // 2},IVF{lists},PQ{d // 2}", d / 2 + 8 + coarse, [8, 16, 32]),
            (f"IVF{lists},PQ{d // 4}x4fs,RFlat", d / 8 + 8 + 4 * d + coarse, [8, 16, 32]),
            (f"IVF{lists},SQ8", d + 8 + coarse, [8, 16, 32]),
            (f"IVF{lists},RaBitQ", d / 8 + 8 + 8 + coarse, [16, 32]),
        ]
    for spec, size, probes in jobs:

        def make(spec=spec):
            faiss.omp_set_num_threads(os.cpu_count())
            index = faiss.index_factory(d, spec, kind)
            index.train(learn)
            index.add(base)
            faiss.omp_set_num_threads(1)
            return index

        index, build_s = built(make)
        for probe in probes:
            for factor in [4, 16] if "Refine" in spec or "RFlat" in spec else [0]:

                def search(q, index=index, probe=probe, factor=factor):
                    space = faiss.ParameterSpace()
                    if probe:
                        space.set_index_parameter(index, "nprobe", probe)
                    if factor:
                        space.set_index_parameter(index, "k_factor_rf", factor)
                    run.current = (index, probe, factor)
                    return index.search(q, 10)[1][0]

                # Parameters are set once a configuration, not once a query.
                def quiet(q, index=index, probe=probe, factor=factor, search=search):
                    if getattr(run, "current", None) != (index, probe, factor):
                        return search(q)
                    return index.search(q, 10)[1][0]

                run.add("faiss", f"{spec} nprobe={probe} k_factor={factor}", size, build_s, quiet)


def add_scann(run, base, learn, metric, quick):
    import scann

    d = base.shape[1]
    leaves = max(16, len(base) // 1024)
    # Two dimensions a block, 4 bits a block; row numbers; the vectors themselves for the last step.
    builder = scann.scann_ops_pybind.builder(base, 10, "squared_l2" if metric == "l2" else "dot_product")
    builder = builder.tree(num_leaves=leaves, num_leaves_to_search=20, training_sample_size=len(learn))
    index, build_s = built(
        lambda: builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()
    )
    for probe, reorder in ((4, 40), (8, 40), (8, 100), (16, 100), (32, 100), (32, 200), (64, 200)):
        run.add(
            "scann",
            f"tree{leaves},ah2,reorder leaves={probe} reorder={reorder}",
            d / 4 + 4 + 4 * d,
            build_s,
            lambda q, probe=probe, reorder=reorder: index.search(
                q[0], final_num_neighbors=10, leaves_to_search=probe, pre_reorder_num_neighbors=reorder
            )[0],
        )


def add_usearch(run, base, learn, metric, quick):
    import numpy as np
    from usearch.index import Index

    d = base.shape[1]
    scale = float(np.linalg.norm(base, axis=1).max()) if metric == "l2" else 1.0
    index = Index(
        ndim=d,
        metric="l2sq" if metric == "l2" else "ip",
        dtype="i8" if metric == "l2" else "f16",
        connectivity=16,
        expansion_add=64,
    )
    _, build_s = built(lambda: index.add(np.arange(len(base)), base / scale, threads=os.cpu_count()))
    for expansion in (16, 32, 64, 128):

        def search(q, expansion=expansion):
            index.expansion_search = expansion
            return index.search(q[0] / scale, 10, threads=1).keys

        run.add("usearch", f"hnsw M16 ef={expansion}", index.memory_usage / len(base), build_s, search)


def add_turbovec(run, base, learn, metric, quick):
    import numpy as np
    import turbovec

    d = base.shape[1]
    unit = base / np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-9)
    for bits in (2, 4):

        def make(bits=bits):
            index = turbovec.TurboQuantIndex(d, bits)
            index.calibrate(unit[:2048])
            index.add(unit)
            index.prepare()
            return index

        index, build_s = built(make)
        run.add(
            "turbovec",
            f"{bits}-bit, whole scan (cosine of unit vectors)",
            d * bits / 8 + 4,
            build_s,
            lambda q, index=index: index.search(q, 10)[1][0],
        )


def rivals(args):
    base, learn, query = load(args.vectors)
    query = query[: args.queries]
    run = Runner(query, exact(base, query, args.metric))
    for peer in args.peers:
        try:
            {"faiss": add_faiss, "scann": add_scann, "usearch": add_usearch, "turbovec": add_turbovec}[peer](
                run, base, learn, args.metric, args.quick
            )
        except Exception as error:  # a rival that is not there or refuses the vectors is told of, not hidden
            print(f"{peer}: {error!r}", file=sys.stderr)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "round":
            run.round()
            print("done", flush=True)
        else:
            break
    run.report()


def chart(args):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with open(os.path.join(args.out, "search.jsonl")) as file:
        rows = [json.loads(line) for line in file]
    colours = dict(
        shelfsight="#d6336c", faiss="#1c7ed6", scann="#2f9e44", usearch="#f08c00", turbovec="#7048e8"
    )
    for name, key, label in (
        ("recall-time", "ms_median", "ms a query, one thread"),
        ("recall-bytes", "bytes_per_vector", "bytes a vector, all in"),
    ):
        figure, axes = plt.subplots(figsize=(9, 6))
        for peer, colour in colours.items():
            groups = {}
            for row in rows:
                if row["peer"] == peer:
                    # One line an index, one point a depth; against bytes one line a peer, one point an index.
                    group = index_of(row["config"]) if key == "ms_median" else ""
                    groups.setdefault(group, []).append(row)
            for group, members in groups.items():
                best = frontier(members, key)
                size = members[0]["bytes_per_vector"]
                axes.plot(
                    [r[key] for r in best],
                    [r["recall10"] for r in best],
                    "-o",
                    color=colour,
                    markersize=3,
                    linewidth=1.6 if peer == "shelfsight" else 0.8,
                    alpha=1 if peer == "shelfsight" else 0.6,
                    label=f"{peer}, {size:.0f} B: {group}" if group else peer,
                )
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.set_ylabel("recall@10")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=6, loc="lower right")
        figure.tight_layout()
        figure.savefig(os.path.join(args.out, f"{name}.svg"))


def index_of(config):
    """A configuration without its depth of search."""
    for word in (" nprobe", " probe", " leaves", " ef"):
        config = config.split(word)[0]
    return config


def frontier(rows, key):
    """Rows that no other beats in both recall and `key`."""
    best, top = [], -1.0
    for row in sorted(rows, key=lambda r: (r[key], -r["recall10"])):
        if row["recall10"] > top:
            best.append(row)
            top = row["recall10"]
    return best


# ---- the whole ----


def ours(args):
    rows = []
    for whole in ([], ["--whole"]):
        command = [args.shelfsight, "bench", "search", "--vectors", args.vectors, "--metric", args.metric]
        command += ["--queries", str(args.queries), "--json", *whole]
        if args.bytes and not whole:
            command += ["--bytes", str(args.bytes)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows += [json.loads(line) for line in done.stdout.splitlines()]
    return rows


def median(rounds):
    """Of each configuration of several runs, that of the median time."""
    out = []
    for same in zip(*rounds, strict=False):
        out.append(sorted(same, key=lambda r: r["ms_median"])[len(same) // 2])
    return out


def table(rows, out):
    lines = [
        "| recall@10 at least | "
        + " | ".join(("bytes at most " + str(b)) for b in (20, 42, 74, 160, 600))
        + " |",
        "|---|" + "---|" * 5,
    ]
    for want in (0.5, 0.7, 0.8, 0.85, 0.9, 0.94, 0.95, 0.97):
        cells = []
        for most in (20, 42, 74, 160, 600):
            best = {}
            for row in rows:
                if row["recall10"] < want or row["bytes_per_vector"] > most:
                    continue
                if row["peer"] not in best or row["ms_median"] < best[row["peer"]]["ms_median"]:
                    best[row["peer"]] = row
            cells.append(
                "<br>".join(
                    f"{peer} {row['ms_median']:.3f} ms ({row['bytes_per_vector']:.0f} B)"
                    for peer, row in sorted(best.items(), key=lambda p: p[1]["ms_median"])
                )
                or "none"
            )
        lines.append(f"| {want} | " + " | ".join(cells) + " |")
    with open(os.path.join(out, "search.md"), "w") as file:
        file.write("\n".join(lines) + "\n")


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("vectors")
    ask.add_argument("--queries", type=int, default=500)
    ask.add_argument("--metric", choices=("l2", "ip"), default="l2")
    ask.add_argument(
        "--peers", default="faiss,scann,usearch,turbovec", type=lambda v: [p for p in v.split(",") if p]
    )
    ask.add_argument("--rounds", type=int, default=2)
    ask.add_argument("--bytes", type=int, help="one number of bytes of ours instead of all")
    ask.add_argument("--quick", action="store_true", help="fewer configurations of FAISS")
    ask.add_argument("--out", default="bench-search")
    ask.add_argument("--venv", help="environment to use instead of DIR/venv")
    ask.add_argument("--shelfsight", default=os.path.join(ROOT, "target", "release", "shelfsight"))
    ask.add_argument("--wait", help="begin timing when this file exists")
    ask.add_argument("--step", choices=("all", "rivals", "chart"), default="all", help=argparse.SUPPRESS)
    args = ask.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if args.step == "rivals":
        return rivals(args)
    if args.step == "chart":
        return chart(args)
    os.makedirs(args.out, exist_ok=True)
    python = environment(args.venv or os.path.join(args.out, "venv"), args.peers)
    again = [
        python,
        os.path.abspath(__file__),
        args.vectors,
        "--queries",
        str(args.queries),
        "--metric",
        args.metric,
        "--peers",
        ",".join(args.peers),
        "--out",
        args.out,
    ] + (["--quick"] if args.quick else [])
    mine, theirs = [], []
    peers = subprocess.Popen(
        [*again, "--step", "rivals"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def hear(wanted):
        for line in peers.stdout:
            if line.strip() == wanted:
                return
        sys.exit(f"the peers ended before they were {wanted}; what is above says why")

    with peers:
        hear("ready")
        while args.wait and not os.path.exists(args.wait):
            time.sleep(1)
        for _ in range(args.rounds):
            print("round", file=peers.stdin, flush=True)
            hear("done")
            mine.append(ours(args))
        peers.stdin.close()
        theirs = [json.loads(line) for line in peers.stdout if line.startswith("{")]
    rows = median(mine) + theirs
    with open(os.path.join(args.out, "search.jsonl"), "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    table(rows, args.out)
    subprocess.run([*again, "--step", "chart"], check=True)
    with open(os.path.join(args.out, "search.md")) as file:
        print(file.read())


if __name__ == "__main__":
    main()
