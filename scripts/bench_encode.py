#!/usr/bin/env python3
"""Times the shipped models: our plans beside ONNX Runtime, rten and tract, in turns.

    scripts/bench_encode.py [--rounds N] [--seconds S] [--tokens N ...] [--threads N ...]
                            [--hide amx,avx512 ...] [--out FOLDER]

Every engine runs in a process of its own, one after the other, round after round: only runs of the same
minute can be compared. Installs what it needs into target/bench (ONNX Runtime, numpy) and builds the
other programs (scripts/rivals). Prints a Markdown table: medians over the rounds, the ratio to ONNX
Runtime round by round (median, lowest, highest), time to open, memory at its peak beyond the file's bytes,
and the size of the library. --out also writes it as encode.md, with a chart, encode.svg.

--hide runs everything once more with instruction sets hidden from every engine alike, where the processor
lets CPUID be hidden (scripts/rivals/hide_cpu.c): `amx` is what phones and most desks do not have.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PLACE = TARGET / "bench"
RIVALS = ROOT / "scripts/rivals"
WEIGHTS = ROOT / "models/weights"
BASE = "ONNX Runtime"
COLOURS = {"plan": "#0b6e4f", BASE: "#8a8d91", "rten": "#c8963e", "tract": "#7a6c9d"}


def install() -> dict[str, list[str]]:
    """Builds every program; what to call for each engine, a model's path to be put first."""
    python = PLACE / "bin/python"
    if not python.is_file():
        venv.create(PLACE, with_pip=True)
    subprocess.check_call([python, "-m", "pip", "install", "--quiet", "onnxruntime", "numpy"])
    cargo = ["cargo", "build", "--release", "--quiet"]
    # With the flags of everything else, so that tract is compiled once; programs hold only what they call.
    ours = [*cargo, "--locked", "--workspace", "--all-features", "--example", "run_plan"]
    ours += ["--example", "run_onnx"]
    subprocess.check_call(ours, cwd=ROOT, env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    rten = os.environ | {"CARGO_TARGET_DIR": str(PLACE / "rten")}
    subprocess.check_call(cargo, cwd=RIVALS / "rten", env=rten)
    return {
        "plan": [str(TARGET / "release/examples/run_plan")],
        BASE: [str(python), str(RIVALS / "ort.py")],
        "rten": [str(PLACE / "rten/release/rival-rten")],
        "tract": [str(TARGET / "release/examples/run_onnx")],
    }


def megabytes(programs: dict[str, list[str]]) -> dict[str, float]:
    """Size of what an app carries: the least program that runs a model, stripped; ONNX Runtime's library."""
    sizes = {}
    for engine, call in programs.items():
        if engine == BASE:
            capi = "lib/python*/site-packages/onnxruntime/capi"
            found = list(PLACE.glob(f"{capi}/onnxruntime_pybind11_state*.so"))
            sizes[engine] = max((f.stat().st_size for f in found), default=0) / 1e6
            continue
        small = PLACE / f"{engine}.stripped"
        subprocess.check_call(["strip", "-o", small, call[0]])
        sizes[engine] = small.stat().st_size / 1e6
    return sizes


def hiding(what: str) -> dict[str, str]:
    """The environment in which instruction sets are hidden."""
    if not what:
        return dict(os.environ)
    library = PLACE / "hide.so"
    subprocess.check_call(["cc", "-O2", "-shared", "-fPIC", "-o", library, RIVALS / "hide_cpu.c"])
    return os.environ | {"HIDE": what, "LD_PRELOAD": str(library)}


def run(engine: str, call: list[str], case: tuple[str, int, int], seconds: float, env: dict) -> dict | None:
    """One process; `None` where the engine does not do it."""
    model, tokens, threads = case
    if engine == "tract" and threads > 1:
        return None  # It has no threads.
    path = WEIGHTS / f"{model}.{'plan' if engine == 'plan' else 'onnx'}"
    middle = [] if engine == "tract" else [str(threads)]
    done = subprocess.run(
        [*call, str(path), str(tokens or 8), *middle, str(seconds)], env=env, capture_output=True, text=True
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["it failed"]
        print(f"{engine} does not run {model}: {why[0][:200]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def compare(programs: dict, case: tuple[str, int, int], options: argparse.Namespace, env: dict) -> list[dict]:
    """Rows of one model at one length on so many threads."""
    rounds: dict[str, list[dict]] = {engine: [] for engine in programs}
    for _ in range(options.rounds):
        for engine, call in programs.items():
            row = run(engine, call, case, options.seconds, env)
            if row:
                rounds[engine].append(row)
    base = [row["ms_median"] for row in rounds[BASE]]
    rows = []
    for engine, runs in rounds.items():
        if len(runs) != options.rounds:
            continue
        ratios = [row["ms_median"] / b for row, b in zip(runs, base, strict=True)]
        rows.append(
            {
                "engine": runs[0]["engine"],
                "kind": engine,
                "ms": statistics.median(row["ms_median"] for row in runs),
                "ratio": statistics.median(ratios),
                "low": min(ratios),
                "high": max(ratios),
                "open": statistics.median(row["open_ms"] for row in runs),
                "peak": statistics.median(row["peak_mb"] for row in runs),
            }
        )
    return rows


def title(case: tuple[str, int, int], hidden: str) -> str:
    model, tokens, threads = case
    name = f"{model}, {tokens} tokens" if tokens else model
    name += f", {threads} thread{'s' if threads > 1 else ''}"
    return name + (f", without {hidden}" if hidden else "")


def chart(groups: list[tuple[str, list[dict]]]) -> str:
    """Bars of time beside ONNX Runtime's, cut at three times its own."""
    cut, bar, width, left = 3.0, 16, 900, 330
    scale = (width - left - 130) / cut
    parts, y = [], 40
    for name, rows in groups:
        parts.append(f'<text x="10" y="{y + 12}" font-weight="bold">{name}</text>')
        for row in rows:
            long = min(row["ratio"], cut) * scale
            more = " …" if row["ratio"] > cut else ""
            label = f"{row['ms']:.2f} ms, × {row['ratio']:.2f}{more}"
            parts.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{row["engine"]}</text>')
            colour = COLOURS[row["kind"]]
            parts.append(f'<rect x="{left}" y="{y}" width="{long:.1f}" height="{bar - 3}" fill="{colour}"/>')
            parts.append(f'<text x="{left + long + 6:.1f}" y="{y + 12}">{label}</text>')
            y += bar
        y += 10
    line = left + scale
    parts.append(f'<line x1="{line}" y1="30" x2="{line}" y2="{y}" stroke="#444" stroke-dasharray="3 3"/>')
    head = '<text x="10" y="20">Time of one run beside ONNX Runtime (1); shorter is better</text>'
    size = f'width="{width}" height="{y + 10}" viewBox="0 0 {width} {y + 10}"'
    style = 'font-family="sans-serif" font-size="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f"{head}{''.join(parts)}</svg>\n"
    )


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="a round and engine")
    parser.add_argument("--models", nargs="*", default=["image", "detector", "text"])
    parser.add_argument("--tokens", type=int, nargs="*", default=[8, 32, 128])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--hide", nargs="*", default=[""], help="as amx or amx,avx512; '' hides nothing")
    parser.add_argument("--engines", nargs="*", default=["plan", "rten", "tract"], help="beside ONNX Runtime")
    parser.add_argument("--out", type=Path, help="folder for encode.md and encode.svg")
    options = parser.parse_args()
    programs = {name: call for name, call in install().items() if name in [BASE, *options.engines]}
    lines = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    version = subprocess.check_output(
        [PLACE / "bin/python", "-c", "import onnxruntime; print(onnxruntime.__version__)"], text=True
    )
    say(f"{datetime.date.today()}, {processor()}, {os.cpu_count()} processors, {platform.platform()}")
    rounds = f"{options.rounds} rounds of {options.seconds:g} s"
    say(f"ONNX Runtime {version.strip()}, {rounds}, load before: {load:.2f}")
    say("")
    say("| program | MB |\n|---|---:|")
    for engine, size in megabytes(programs).items():
        say(f"| {engine} | {size:.1f} |")
    say("")
    say("| model | engine | median ms | of ONNX Runtime's, paired | open ms | peak MB |")
    say("|---|---|---:|---|---:|---:|")
    groups = []
    cases = [(m, n) for m in options.models for n in (options.tokens if m == "text" else [0])]
    for hidden in options.hide:
        env = hiding(hidden)
        for threads in options.threads:
            for model, tokens in cases:
                case = (model, tokens, threads)
                rows = compare(programs, case, options, env)
                groups.append((title(case, hidden), rows))
                for row in rows:
                    ratio = f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
                    say(
                        f"| {title(case, hidden)} | {row['engine']} | {row['ms']:.2f} | {ratio} "
                        f"| {row['open']:.1f} | {row['peak']:.1f} |"
                    )
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "encode.md").write_text("\n".join(lines) + "\n")
        (options.out / "encode.svg").write_text(chart(groups))


if __name__ == "__main__":
    main()
