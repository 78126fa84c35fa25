#!/usr/bin/env python3
"""Puts code and native libraries into an APK of resources, native libraries uncompressed on 16 KB boundaries.

scripts/pack-apk.py RESOURCES.apk OUT.apk DEX_FOLDER LIB_FOLDER
scripts/pack-apk.py --check APK        names, alignment, and what must have survived shrinking
"""

import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

PAGE = 16384
# Called by name from native code, so they must be in the APK by these names.
KEPT = [b"Lapp/shelfsight/internal/FastPath;", b"Lcom/sun/jna/Native;", b"Lcom/sun/jna/Pointer;"]
# Structures whose fields JNA reads in the order of an annotation.
ANNOTATED = ["RustBuffer", "ForeignBytes", "UniffiRustCallStatus"]


def add(out: zipfile.ZipFile, name: str, data: bytes, stored: bool) -> None:
    """Writes one entry; stored ones begin on a boundary that the system can map."""
    info = zipfile.ZipInfo(name, (1981, 1, 1, 1, 1, 2))
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    if stored:
        align = PAGE if name.endswith(".so") else 4
        begin = out.fp.tell() + 30 + len(name.encode())
        pad = -(begin + 4) % align
        # An extra field of its own kind, which readers skip.
        info.extra = struct.pack("<HH", 0xD935, pad) + bytes(pad)
    out.writestr(info, data)


def pack(resources: str, target: str, dex: str, lib: str) -> None:
    """Writes the APK."""
    with zipfile.ZipFile(resources) as source, zipfile.ZipFile(target, "w") as out:
        for entry in source.infolist():
            add(out, entry.filename, source.read(entry), entry.compress_type == zipfile.ZIP_STORED)
        for file in sorted(pathlib.Path(dex).glob("*.dex")):
            add(out, file.name, file.read_bytes(), stored=False)
        for file in sorted(pathlib.Path(lib).rglob("*.so")):
            add(out, f"lib/{file.relative_to(lib)}", file.read_bytes(), stored=True)


def annotated(dex: bytes) -> set[str]:
    """Classes of a dex file that carry annotations (Dalvik executable format: `class_def_item`)."""

    def numbers(at: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{count}I", dex, at)

    _, strings, _, types = numbers(0x38, 4)
    count, classes = numbers(0x60, 2)
    found = set()
    for at in range(classes, classes + 32 * count, 32):
        name, annotations = numbers(at, 1)[0], numbers(at + 20, 1)[0]
        if annotations and numbers(annotations, 1)[0]:
            begin = numbers(strings + 4 * numbers(types + 4 * name, 1)[0], 1)[0]
            while dex[begin] & 0x80:  # the length, in seven bits a byte
                begin += 1
            found.add(dex[begin + 1 : dex.index(0, begin + 1)].decode())
    return found


def check(apk: str) -> None:
    """Refuses an APK that a phone would refuse, or that would fail at its first call."""
    with zipfile.ZipFile(apk) as archive:
        names = archive.namelist()
        libraries = [entry for entry in archive.infolist() if entry.filename.endswith(".so")]
        wanted = {"AndroidManifest.xml", "classes.dex", "resources.arsc", "assets/demo.shelf"}
        wanted |= {f"lib/arm64-v8a/{name}.so" for name in ("libshelfsight_ffi", "libjnidispatch")}
        if missing := wanted - set(names):
            sys.exit(f"the APK lacks {sorted(missing)}")
        code = b"".join(archive.read(name) for name in names if name.endswith(".dex"))
        if gone := [name.decode() for name in KEPT if name not in code]:
            sys.exit(f"shrinking removed {gone}")
        kept = set().union(*(annotated(archive.read(name)) for name in names if name.endswith(".dex")))
        if bare := [name for name in ANNOTATED if f"Lapp/shelfsight/internal/{name};" not in kept]:
            sys.exit(f"shrinking removed the annotations of {bare}, which JNA reads")
        for entry in libraries:
            with open(apk, "rb") as file:
                file.seek(entry.header_offset + 26)
                begin = entry.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            if entry.compress_type != zipfile.ZIP_STORED or begin % PAGE:
                sys.exit(f"{entry.filename} is not stored on a 16 KB boundary")
            with tempfile.NamedTemporaryFile() as file:
                file.write(archive.read(entry))
                file.flush()
                listing = subprocess.run(
                    ["llvm-readelf-22", "-lW", file.name], check=True, capture_output=True, text=True
                ).stdout
            loads = [line.split()[-1] for line in listing.splitlines() if line.strip().startswith("LOAD")]
            if not loads or any(int(align, 16) < PAGE for align in loads):
                sys.exit(f"{entry.filename} has parts aligned to {loads}")
    print(f"{apk}: {len(names)} entries, native libraries on 16 KB boundaries")


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        check(sys.argv[2])
    else:
        pack(*sys.argv[1:5])
