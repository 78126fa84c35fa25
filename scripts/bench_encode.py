#!/usr/bin/env python3
"""Times the shipped models: plans and tract (`shelfsight bench encode`) and ONNX Runtime, in turns.

    scripts/bench_encode.py [--rounds N] [--seconds S] [--tokens N ...] [--threads N]

SHELFSIGHT_BIN names a command that is built already. Installs onnxruntime into target/bench if it is not
there. Prints a Markdown table: medians over the rounds, and the ratio to ONNX Runtime
round by round (median, lowest, highest), since only runs in the same minute can be compared.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target/bench"


def with_onnxruntime() -> None:
    """Starts this script anew inside a virtual environment that has ONNX Runtime."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        python = PLACE / "bin/python"
        if Path(sys.executable) == python:
            raise
        if not python.is_file():
            venv.create(PLACE, with_pip=True)
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", "onnxruntime", "numpy"])
        os.execv(python, [str(python), *sys.argv])


def binary() -> str:
    """The command, built if SHELFSIGHT_BIN names none."""
    found = os.environ.get("SHELFSIGHT_BIN")
    if found:
        return found
    subprocess.check_call(
        ["cargo", "build", "--release", "--locked", "--workspace", "--all-features"], cwd=ROOT
    )
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/shelfsight")


def resident_mb() -> float:
    """Resident memory of this process, where the system tells."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1000
    except OSError:
        pass
    return float("nan")


def session(model: str, threads: int):
    """ONNX Runtime; milliseconds to open, resident megabytes it added."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    before, start = resident_mb(), time.perf_counter()
    path = ROOT / f"models/weights/{model}.onnx"
    made = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    opened = (time.perf_counter() - start) * 1e3
    feed(made, 8, run=True)
    return made, opened, resident_mb() - before


def feed(made, tokens: int, run: bool = False) -> dict:
    """Inputs like those of `shelfsight bench encode`."""
    import numpy as np

    inputs = {}
    for port in made.get_inputs():
        shape = [s if isinstance(s, int) else (1 if i == 0 else tokens) for i, s in enumerate(port.shape)]
        if port.type == "tensor(float)":
            inputs[port.name] = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
        elif "mask" in port.name:
            inputs[port.name] = np.ones(shape, "int64")
        else:
            inputs[port.name] = 1000 + np.arange(tokens, dtype="int64").reshape(shape) * 7919 % 20_000
    if run:
        made.run(None, inputs)
    return inputs


def theirs(made, tokens: int, seconds: float) -> float:
    """Median milliseconds of ONNX Runtime."""
    inputs, times = feed(made, tokens), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        made.run(None, inputs)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def ours(command: str, model: str, tokens: int, seconds: int, threads: int) -> dict[str, dict]:
    """What `shelfsight bench encode` says, by engine."""
    call = [command, "bench", "encode", "--model", model, "--tokens", str(tokens)]
    call += ["--threads", str(threads)]
    if threads == 1:
        call += ["--models", str(ROOT / "models/weights")]
    out = subprocess.check_output([*call, "--seconds", str(seconds), "--json"], text=True)
    return {row["engine"]: row for row in map(json.loads, out.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="a round and engine")
    parser.add_argument("--tokens", type=int, nargs="*", default=[8, 32, 128])
    parser.add_argument("--threads", type=int, default=1, help="tract has no threads and is left out above 1")
    options = parser.parse_args()
    with_onnxruntime()
    import onnxruntime as ort

    command = binary()
    print(
        f"{platform.platform()}, ONNX Runtime {ort.__version__}, "
        f"threads: {options.threads}, {options.rounds} rounds\n"
    )
    print("| model | engine | median ms | of ONNX Runtime's, paired | open ms | RSS added MB |")
    print("|---|---|---:|---|---:|---:|")
    cases = [("image", 0), ("detector", 0), *(("text", n) for n in options.tokens)]
    for model, tokens in cases:
        made, opened, memory = session(model, options.threads)
        rounds: dict[str, list[float]] = {}
        rows: dict[str, dict] = {}
        base = []
        for _ in range(options.rounds):
            base.append(theirs(made, tokens or 8, options.seconds))
            for engine, row in ours(command, model, tokens or 32, options.seconds, options.threads).items():
                rounds.setdefault(engine, []).append(row["ms_median"])
                rows[engine] = row
        name = f"{model}, {tokens} tokens" if tokens else model
        print(f"| {name} | ONNX Runtime | {statistics.median(base):.2f} | 1 | {opened:.0f} | {memory:.0f} |")
        for engine, times in rounds.items():
            ratios = [a / b for a, b in zip(times, base, strict=True)]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            row = rows[engine]
            print(
                f"| {name} | {engine} | {statistics.median(times):.2f} | {ratio} "
                f"| {row['open_ms']:.1f} | {row['rss_mb'] or 0:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
