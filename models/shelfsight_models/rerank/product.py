"""Reranking as a user gets it: packs built and asked by the `shelfsight` command, for products that neither
the encoder nor the scorer saw.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import pipeline
from ..evaluate import bootstrap, paired
from ..release import ReleaseConfig, export_image, quantise_image
from ..train_image import held_out
from ..unseen import CATALOGUE_SCRIPT, call, queries_of
from .evaluate import FOLDS, scorer_without
from .matches import save
from .train import RerankConfig


def fold_files(
    config: RerankConfig, release: ReleaseConfig, fold: int, root: Path, runs: Path, shipped: Path
) -> Path:
    """The fold's encoder in int8 with its cells, and a scorer of the other folds' products; the folder."""
    name = f"{release.cross}-fold{fold}"
    folder = runs / name / "rerank"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "image.onnx").is_file():
        part = replace(release, image=replace(release.image, name=name, fold=fold))
        export_image(part, runs)
        quantise_image(part, root, runs, folder)
    if not (folder / "rerank.json").is_file():
        save(scorer_without(config, release.image, root, runs, fold), folder / "rerank.json")
    (folder / "image.json").write_bytes(shipped.read_bytes())
    return folder


def first_is_right(asked: Path, lists: Path) -> np.ndarray:
    """0 or 1 for each query, by a submission file's first id."""
    with asked.open(encoding="utf-8") as file:
        wanted = [row["ids"] for row in csv.DictReader(file)]
    with lists.open(encoding="utf-8") as file:
        first = [ids.split()[0] for _, ids in csv.reader(file)]
    return np.array([a == b for a, b in zip(first, wanted, strict=True)], np.float64)


def run(
    config: RerankConfig,
    release: ReleaseConfig,
    root: Path,
    runs: Path,
    shipped: Path,
    binary: Path,
    work: Path,
) -> dict[str, dict]:
    """R@1 of photos of unseen products among 81 iconic pictures, by looks alone, plain and reranked."""

    sources = []
    for split in ("val", "train"):
        draw = ["--data", root, "--out", work / split, "--grocery-split", split]
        call([sys.executable, CATALOGUE_SCRIPT, *draw])
        sources.append(work / split / "grocery_queries.csv")
    products = np.unique(pipeline.image_views(release.image, root, runs).product)
    hits: dict[str, list[np.ndarray]] = {"global": [], "reranked": []}
    for fold in range(FOLDS):
        folder = fold_files(config, release, fold, root, runs, shipped)
        pack, asked = work / f"fold{fold}.shelf", work / f"fold{fold}.csv"
        count = queries_of(held_out(products, fold), "grocery", sources, asked)
        catalogue = ["--catalog", work / "val" / "grocery_iconic.csv", "--images", root]
        encoder = ["--encoder", f"image={folder / 'image.json'}"]
        call([binary, "pack", "build", *catalogue, *encoder, "--rerank", "--out", pack, "--json"])
        for name, flags in (("global", []), ("reranked", ["--rerank"])):
            lists = work / f"fold{fold}-{name}.csv"
            ask = ["--queries", asked, "--images", root, "--no-barcode", "--submission", lists]
            call([binary, "eval", "--pack", pack, *ask, *flags, "--json"])
            right = first_is_right(asked, lists)
            assert len(right) == count
            hits[name].append(right)
            print(json.dumps({"fold": fold, "order": name, "r@1": round(float(right.mean()), 4)}), flush=True)
    base = np.concatenate(hits["global"])
    return {
        name: {
            "queries": len(base),
            "r@1": str(bootstrap(np.concatenate(parts))),
            "difference": str(paired(np.concatenate(parts), base)),
        }
        for name, parts in hits.items()
    }
