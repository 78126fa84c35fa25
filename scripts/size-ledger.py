#!/usr/bin/env python3
"""Compares the size of the phone library with the ledger in docs/size-ledger.json.

scripts/size-ledger.py LIBRARY            check
scripts/size-ledger.py LIBRARY --note WHY  add an entry: after a change that is worth its bytes
scripts/size-ledger.py LIBRARY --symbols UNSTRIPPED  check, and say whose code it is
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import zlib

LEDGER = pathlib.Path(__file__).parent.parent / "docs" / "size-ledger.json"


def sections(library: pathlib.Path) -> dict[str, int]:
    """Bytes of each part of the file that takes room, the largest first."""
    listing = subprocess.run(
        ["llvm-size-22", "-A", library], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split() for line in listing.splitlines() if line.startswith(".")]
    found = {row[0]: int(row[1]) for row in rows if row[0] not in (".bss", ".comment")}
    return dict(sorted(found.items(), key=lambda item: -item[1])[:8])


# Code of these is written out for a type of whoever uses it, and counts as that one's.
STANDARD = {"core", "alloc", "std", "hashbrown"}


def shares(unstripped: pathlib.Path) -> dict[str, int]:
    """Bytes of code by crate, the largest first."""
    listing = subprocess.run(
        ["llvm-nm-22", "--print-size", "-C", unstripped], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, int] = {}
    for line in listing.splitlines():
        parts = line.split(None, 3)
        if len(parts) < 4 or parts[2] not in "tT":
            continue
        crates = re.findall(r"(?<![\w:])([a-z]\w*)::", parts[3])
        # What crosses the border has names of C.
        border = re.match(r"uniffi_|Java_|ffi_", parts[3])
        name = "shelfsight_ffi" if border else next((c for c in crates if c not in STANDARD), "std")
        found[name] = found.get(name, 0) + int(parts[1], 16)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def needed(library: pathlib.Path) -> list[str]:
    """Libraries it links against."""
    listing = subprocess.run(
        ["llvm-readelf-22", "-dW", library], check=True, capture_output=True, text=True
    ).stdout
    return sorted(line.split("[")[1].rstrip("]") for line in listing.splitlines() if "NEEDED" in line)


def main() -> int:
    """Check or add; the exit status says whether the library is within its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--note", help="why the size changed; adds an entry")
    parser.add_argument("--date", help="of the entry, YYYY-MM-DD")
    parser.add_argument("--symbols", type=pathlib.Path, help="the library before it was stripped")
    args = parser.parse_args()
    ledger = json.loads(LEDGER.read_text())
    data = args.library.read_bytes()
    now = {"bytes": len(data), "compressed": len(zlib.compress(data, 9)), "sections": sections(args.library)}
    links = needed(args.library)
    last = ledger["entries"][-1] if ledger["entries"] else None
    name, linked = args.library.name, " ".join(links)
    print(f"{name}: {now['bytes']:,} B, {now['compressed']:,} B compressed, links {linked}")
    if last:
        for name in sorted(set(now["sections"]) | set(last["sections"])):
            change = now["sections"].get(name, 0) - last["sections"].get(name, 0)
            if change:
                print(f"  {name:<24}{change:+12,} B")
        print(
            f"  {'whole file':<24}{now['bytes'] - last['bytes']:+12,} B since {last['date']}: {last['note']}"
        )
    if args.symbols:
        code = shares(args.symbols)
        for name, size in list(code.items())[:12]:
            print(f"  {name:<24}{size:>12,} B  {100 * size / sum(code.values()):4.1f} % of the code")
    if args.note:
        ledger["entries"].append({"date": args.date, "note": args.note, **now, "links": links})
        LEDGER.write_text(json.dumps(ledger, indent=2) + "\n")
        return 0
    if now["bytes"] > ledger["target_bytes"]:
        print(f"  above the target of {ledger['target_bytes']:,} B: see docs/android.md")
    if now["bytes"] > ledger["limit_bytes"]:
        print(f"above the limit of {ledger['limit_bytes']:,} B", file=sys.stderr)
        return 1
    if last and now["bytes"] > last["bytes"] * (1 + ledger["growth_without_note"]):
        print("grew; if it is worth it, add an entry with --note and --date", file=sys.stderr)
        return 1
    if last and links != last["links"]:
        print(f"links against {links}, the ledger says {last['links']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
