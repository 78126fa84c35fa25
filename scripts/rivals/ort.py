"""Times an ONNX model under ONNX Runtime: `ort.py MODEL TOKENS THREADS SECONDS`. Prints one line of JSON.

`scripts/bench_encode.py` asks for it; the other engines have such a program too.
"""

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort


def resident(name: str) -> float:
    """Megabytes that the system counts for this process under a name; NaN where it does not."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith(name)), float("nan"))


def feed(session: ort.InferenceSession, tokens: int) -> dict:
    inputs = {}
    for port in session.get_inputs():
        shape = [s if isinstance(s, int) else (1 if i == 0 else tokens) for i, s in enumerate(port.shape)]
        if port.type == "tensor(float)":
            inputs[port.name] = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
        elif "mask" in port.name:
            inputs[port.name] = np.ones(shape, "int64")
        else:
            inputs[port.name] = 1000 + np.arange(tokens, dtype="int64").reshape(shape) * 7919 % 20_000
    return inputs


def main() -> None:
    path, tokens, threads, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    model = Path(path).read_bytes()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    before = resident("VmRSS:")
    with contextlib.suppress(OSError):
        # Where the system lets it, the peak is counted from here.
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    opened = (time.perf_counter() - start) * 1e3
    inputs, times = feed(session, tokens), []
    session.run(None, inputs)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, inputs)
        times.append((time.perf_counter() - start) * 1e3)
    row = {
        "engine": "ONNX Runtime",
        "ms_median": statistics.median(times),
        "open_ms": opened,
        "peak_mb": resident("VmHWM:") - before,
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
