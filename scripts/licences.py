#!/usr/bin/env python3
"""Lists what the phone library is made of, with licences and authors, for the packages that ship it."""

import json
import subprocess

TARGET = "aarch64-linux-android"
COMMAND = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
TREE = ["cargo", "tree", "--locked", "-p", "shelfsight-ffi", "--target", TARGET]
TREE += ["-e", "normal", "--prefix", "none", "--format", "{p}"]


def main() -> None:
    """Prints every package that the library is linked from."""
    metadata = json.loads(subprocess.run(COMMAND, check=True, capture_output=True, text=True).stdout)
    tree = subprocess.run(TREE, check=True, capture_output=True, text=True).stdout
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    print("ShelfSight is linked from these packages and Rust's standard library (MIT OR Apache-2.0).\n")
    for package in sorted(metadata["packages"], key=lambda p: p["name"]):
        if (package["name"], f"v{package['version']}") in linked:
            authors = ", ".join(package["authors"]) or package["repository"] or ""
            print(f"{package['name']} {package['version']}: {package['license']}; {authors}")


if __name__ == "__main__":
    main()
