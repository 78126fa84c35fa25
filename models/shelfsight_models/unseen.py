"""`find` on products held out of training, as a user has it: fold encoders as int8 files, a pack of the whole
Datakick catalogue, `shelfsight eval` with barcodes and fusion.

Each fold's image encoder and text projection never saw the products that are asked for, in no role; score
curves come from the other folds. The same catalogue and queries go to plain ImageNet features.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import pipeline
from .calibrate import curves, fold_vectors
from .evaluate import bootstrap
from .export import export_onnx
from .networks import Backbone, unit
from .release import ReleaseConfig, export_image, export_text, manifests, quantise

CATALOGUE_SCRIPT = Path(__file__).parents[2] / "scripts" / "real_data.py"
KINDS = {"fused@1": "fused", "image@1": "looks alone", "barcode@1": "barcode alone"}


class PlainFeatures(nn.Module):
    """Pooled ImageNet head minus its mean over the training pictures, unit rows."""

    def __init__(self, backbone: Backbone, mean: np.ndarray):
        super().__init__()
        self.backbone = backbone
        self.mean = nn.Parameter(torch.from_numpy(mean.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        head, _ = self.backbone.parts(self.backbone.stem(x), 0)
        return unit(head - self.mean)


def fold_files(config: ReleaseConfig, fold: int, calibration: dict, root: Path, runs: Path, minilm: Path):
    """Float and int8 files and manifests of one fold's encoders; the folder with the manifests."""
    name = f"{config.cross}-fold{fold}"
    part = replace(
        config,
        image=replace(config.image, name=name, fold=fold),
        text_config=replace(config.text_config, name=name, image=name),
    )
    folder = runs / name / "weights"
    export_image(part, runs)
    export_text(part, runs, minilm)
    quantise(part, root, runs, folder)
    manifests(part, calibration, folder)
    return folder


def plain_files(views, index: np.ndarray, beside: Path, folder: Path) -> Path:
    """`image.onnx` (f32) and manifest of the ImageNet features, in a space of their own; the folder.

    Without score curves: fitted against the nearest wrong pictures theirs would slope the wrong way, and the
    engine's own for such encoders keeps the order of cosines.
    """
    backbone = pipeline.imagenet_backbone()
    features = views.teacher[index, : backbone.head_width].astype(np.float32)
    module = PlainFeatures(backbone, features[views.split[index] == "train"].mean(0))
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((beside / "image.json").read_text())
    side = manifest["preprocess"]["width"]
    axes = {"image": {0: "batch"}, "embedding": {0: "batch"}}
    inputs = (torch.zeros(1, 3, side, side),)
    export_onnx(module, inputs, folder / "image.onnx", ["image"], ["embedding"], axes)
    manifest |= {"name": "imagenet-features", "space": "imagenet-features", "dim": backbone.head_width}
    del manifest["calibration"]
    (folder / "image.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return folder


def queries_of(out: set[str], family: str, sources: list[Path], target: Path) -> int:
    """Copies the queries that ask for a product of `out`, of one data set; how many."""
    rows = []
    for source in sources:
        with source.open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames
            rows += [row for row in reader if f"{family}-{row['ids']}" in out]
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def ask(binary: Path, root: Path, work: Path, name: str, encoders: str, queries: Path) -> dict:
    """Builds a pack of `datakick.csv` with these encoders and evaluates the queries. `eval`'s JSON
    is returned and kept as `NAME.json`: a run that was cut off goes on after the last one.
    """
    kept = work / f"{name}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    pack = work / f"{name}.shelf"
    catalogue = ["--catalog", work / "datakick.csv", "--images", root]
    call([binary, "pack", "build", *catalogue, "--out", pack, "--encoder", encoders, "--json"])
    found = call([binary, "eval", "--pack", pack, "--queries", queries, "--images", root, "--json"])
    kept.write_text(found)
    pack.unlink()
    return json.loads(found)


def call(command: list) -> str:
    """What a command prints."""
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def run(
    config: ReleaseConfig, root: Path, runs: Path, minilm: Path, folds: list[int], binary: Path, work: Path
) -> dict[str, dict]:
    """By encoder and kind of evidence: queries and R@1 over the folds' held-out products together."""
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, str(CATALOGUE_SCRIPT), "--data", str(root), "--out", str(work)], check=True
    )
    half = replace(config.text_config, steps=config.text_config.steps // 2)
    rows, products, pictured, parts = fold_vectors(config, half, root, runs, minilm, config.cross)
    views = pipeline.image_views(config.image, root, runs)
    index, _ = pipeline.clean_rows(views)
    hits: dict[str, dict[str, list[np.ndarray]]] = {}
    for part in parts:
        if part.fold not in folds:
            continue
        others = [p for p in parts if p.fold != part.fold] or parts
        folder = fold_files(config, part.fold, curves(rows, products, pictured, others), root, runs, minilm)
        bare = plain_files(views, index, folder, folder.with_name("plain"))
        asked = work / f"queries-fold{part.fold}.csv"
        count = queries_of(part.out, "datakick", [work / "datakick_queries.csv"], asked)
        for name, image in (("ours", folder), ("imagenet", bare)):
            encoders = f"image={image / 'image.json'},text={folder / 'text.json'}"
            found = ask(binary, root, work, f"{name}-fold{part.fold}", encoders, asked)
            for kind, share in found["by_stage"]["evidence"].items():
                if kind not in KINDS:
                    continue
                right = round(share * count)
                outcome = np.repeat([1.0, 0.0], [right, count - right])
                hits.setdefault(name, {}).setdefault(KINDS[kind], []).append(outcome)
            print(
                json.dumps({"fold": part.fold, "encoder": name} | found["by_stage"]["evidence"]), flush=True
            )
    return {
        name: {
            kind: {"queries": int(sum(map(len, outcomes))), "r@1": str(bootstrap(np.concatenate(outcomes)))}
            for kind, outcomes in kinds.items()
        }
        for name, kinds in hits.items()
    }
