"""Counts the instructions of one run of a program under qemu, and estimates its time on ARM cores.

    model_arm.py --qemu 'qemu-aarch64-static -cpu max' --name NAME PROGRAM ... RUNS ...

The program is called with the word RUNS replaced by `1x` and by `2x`; the difference is one run, without
starting and opening. qemu's log lists every block of instructions once and names it whenever it runs
(exact, and the same each time, where time under qemu says nothing). llvm-mca then gives the cycles of each
block, repeated, on a core's model with all data in the first-level cache, and the sum over blocks is an
estimate from below: memory, wrong branches and calls between blocks are not in it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

# Name, llvm's name, clock of a usual phone with it in GHz.
CORES = [("A55", "cortex-a55", 1.8), ("A76", "cortex-a76", 2.4), ("X1", "cortex-x1", 2.9)]
FEATURES = "+dotprod,+i8mm,+fullfp16,+rcpc,+lse"
# Blocks that together are this share of the instructions are modelled; the rest counts like their mean.
SHARE = 0.995


class Trace:
    """Blocks by the address of their first instruction: opcodes, function, times run."""

    def __init__(self, command: list[str]) -> None:
        self.codes: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        self.runs: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            pipe = Path(folder) / "log"
            subprocess.check_call(["mkfifo", str(pipe)])
            at = command.index("--")
            logged = ["-d", "in_asm,exec,nochain", "-D", str(pipe)]
            call = [*command[:at], *logged, *command[at + 1 :]]
            process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
            with pipe.open() as log:
                self.read(log)
            if process.wait():
                sys.exit(f"the program failed: {' '.join(call)}")

    def read(self, log) -> None:
        fresh: list[str] = []
        for line in log:
            if line.startswith("Trace"):
                part = line.split("/", 2)[1]
                if fresh:
                    self.codes[part] = fresh
                    self.names[part] = line.rsplit("]", 1)[1].strip()
                    fresh = []
                self.runs[part] += 1
            elif line.startswith("0x"):
                fresh.append(line.split(None, 2)[1])
            elif line.startswith("IN:"):
                fresh = []


def tool(name: str) -> str:
    found = sorted(Path("/usr/lib").glob(f"llvm-*/bin/{name}"), key=lambda p: int(p.parts[3].split("-")[1]))
    return str(found[-1]) if found else name


def listing(codes: list[list[str]]) -> list[str]:
    """Assembly of blocks, one text a block."""
    mark = "mov x0, x0"
    data = []
    for code in codes:
        words = [*code, "aa0003e0"]  # ends a block
        data.append("\n".join(" ".join(f"0x{w[i : i + 2]}" for i in (6, 4, 2, 0)) for w in words))
    text = subprocess.run(
        [tool("llvm-mc"), "--disassemble", "-triple=aarch64", f"-mattr={FEATURES}"],
        input="\n".join(data),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        line = line.strip().replace("\t", " ")
        if line == mark:
            blocks.append([])
        elif line and not line.startswith("."):
            blocks[-1].append(line)
    return ["\n".join(block) for block in blocks[: len(codes)]]


def cycles(blocks: list[str], core: str) -> list[float]:
    """Cycles of each block when it runs again and again."""
    rounds = 100
    text = "".join(
        f"// LLVM-MCA-BEGIN b{i}\n{block}\n// LLVM-MCA-END b{i}\n" for i, block in enumerate(blocks)
    )
    call = [tool("llvm-mca"), "-mtriple=aarch64", f"-mcpu={core}", f"-mattr={FEATURES}"]
    call += [f"-iterations={rounds}", "-instruction-info=0", "-resource-pressure=0"]
    call += ["-skip-unsupported-instructions=any"]
    done = subprocess.run(call, input=text, capture_output=True, text=True)
    found = [int(v) / rounds for v in re.findall(r"Total Cycles:\s+(\d+)", done.stdout)]
    if len(found) != len(blocks):
        sys.exit(f"llvm-mca: {len(found)} of {len(blocks)} blocks: {done.stderr[:500]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--functions", type=int, default=6, help="functions to list")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    qemu = options.qemu.split()

    def trace(runs: str) -> Trace:
        return Trace([*qemu, "--", *[runs if a == "RUNS" else a for a in options.program]])

    one, two = trace("1x"), trace("2x")
    more = {at: n - one.runs[at] for at, n in two.runs.items() if n > one.runs[at]}
    cost = {at: n * len(two.codes[at]) for at, n in more.items()}
    total = sum(cost.values())
    print(f"{options.name}: {total / 1e6:.1f} million instructions a run")
    functions: Counter[str] = Counter()
    for at, n in cost.items():
        functions[two.names[at] or "?"] += n
    for name, n in functions.most_common(options.functions):
        short = re.sub(r"17h[0-9a-f]{16}E?$", "", name)
        print(f"  {n / total:6.1%} {short}")
    hot, seen = [], 0
    for at in sorted(cost, key=cost.get, reverse=True):
        hot.append(at)
        seen += cost[at]
        if seen > SHARE * total:
            break
    blocks = listing([two.codes[at] for at in hot])
    for label, core, clock in CORES:
        spent = sum(c * more[at] for c, at in zip(cycles(blocks, core), hot, strict=True))
        spent *= total / seen
        ms = spent / clock / 1e6
        print(f"  estimate, {label} at {clock} GHz: {ms:.1f} ms ({total / spent:.2f} instructions a cycle)")


if __name__ == "__main__":
    main()
