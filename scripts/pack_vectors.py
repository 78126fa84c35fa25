#!/usr/bin/env python3
"""The vectors of a flat pack as a folder for `shelfsight bench search`, `bench_search.py` and
`bench_codes.py`.

  scripts/pack_vectors.py PACK image|text OUT_DIR [--learn 0.4] [--queries 1000] [--seed 1]

Writes OUT_DIR/base.npy, learn.npy and query.npy, f32 [n, d]. All vectors of a product go to one of the
three, products are dealt at random, so that queries and training vectors are of products that are not in
base. PACK must have been built with --index flat; several packs may be given, separated by commas, if their
encoder is the same. Needs numpy.
"""

import argparse
import json
import os
import struct
import sys

import numpy as np

SECTIONS = {"image": (32, 33, 34), "text": (40, 41, 42)}


def sections(data):
    """Bytes of each section by number (docs/pack-format.md)."""
    table, count = struct.unpack_from("<QI", data, 24)
    out = {}
    for at in range(table, table + 32 * count, 32):
        number, _, offset, length = struct.unpack_from("<IIQQ", data, at)
        out[number] = data[offset : offset + length]
    return out


def vectors(path, kind):
    """Vectors [n, d] of a pack, the product of each, and the encoder's identity."""
    with open(path, "rb") as file:
        parts = sections(file.read())
    quantizer, codes, rows = (parts.get(number) for number in SECTIONS[kind])
    if quantizer is None:
        sys.exit(f"{path}: no index of {kind} vectors")
    _, index, _, dim, count = struct.unpack_from("<HBBII", quantizer)
    if index != 1:
        sys.exit(f"{path}: its {kind} index is not flat; build the pack with --index flat")
    meta = json.loads(parts[1])
    return (
        np.frombuffer(codes, "<f2").reshape(count, dim).astype("f4"),
        np.frombuffer(rows, "<u4"),
        meta[kind]["id"],
    )


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("pack")
    ask.add_argument("kind", choices=SECTIONS)
    ask.add_argument("out")
    ask.add_argument("--learn", type=float, default=0.4, help="share of the products to train on")
    ask.add_argument("--queries", type=int, default=1000, help="vectors, about")
    ask.add_argument("--seed", type=int, default=1)
    args = ask.parse_args()
    found, owners, encoders = [], [], set()
    for pack in args.pack.split(","):
        rows, products, encoder = vectors(pack, args.kind)
        owners.append(products + (owners[-1].max() + 1 if owners else 0))
        found.append(rows)
        encoders.add(encoder)
    if len(encoders) > 1:
        sys.exit("the packs are of different encoders; their vectors cannot be compared")
    rows, owners = np.concatenate(found), np.concatenate(owners)
    products = np.unique(owners)
    np.random.default_rng(args.seed).shuffle(products)
    queries = min(len(products) // 5, max(1, round(args.queries * len(products) / len(rows))))
    learn = round((len(products) - queries) * args.learn)
    os.makedirs(args.out, exist_ok=True)
    shares = np.split(products, [queries, queries + learn])
    for name, share in zip(("query", "learn", "base"), shares, strict=True):
        mine = rows[np.isin(owners, share)]
        # Not in the order of the catalogue: the first so many queries are a sample.
        np.random.default_rng(args.seed).shuffle(mine)
        np.save(os.path.join(args.out, f"{name}.npy"), mine)
        print(f"{name}: {len(mine)} vectors of {len(share)} products, {rows.shape[1]} components")


if __name__ == "__main__":
    main()
