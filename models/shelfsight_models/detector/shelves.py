"""The detector on real shop photos of several products, `labels/shelves.json`.

    python -m shelfsight_models.detector.shelves --model weights/detector.json --data DIR

Pieces are boxes around one product; whether it could be named does not matter here. Heaps are boxes around a
crate of one product, which the detector was never taught: it marks single fruits in them. So `pieces` takes
heaps for ignored regions and `all` wants their boxes as well.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np

from . import cutouts
from .dataset import Samples
from .evaluate import detections, match, measure, predict, run_onnx

LABELS = cutouts.LABELS.with_name("shelves.json")
RESAMPLES = 10_000


def regions(photo: dict, heaps: bool) -> tuple[list, list]:
    """Boxes to find and regions to ignore, as fractions; without `heaps` these are ignored."""
    wanted = [b["box"] for b in photo["boxes"] if heaps or not b.get("heap")]
    rest = [] if heaps else [b["box"] for b in photo["boxes"] if b.get("heap")]
    return wanted, photo["ignore"] + rest


def samples(data: Path, size: int, heaps: bool, split: str | None = None) -> Samples:
    """The labelled photos that are found under `data`."""
    found = Samples(size)
    for photo in json.loads(LABELS.read_text())["photos"]:
        path = data / photo["image"]
        if split not in (None, photo["split"]) or not path.exists():
            continue
        h, w = cutouts.read_rgb(path).shape[:2]
        scale = np.float32([w, h, w, h])
        found.rows.append((path, *(np.float32(r).reshape(-1, 4) * scale for r in regions(photo, heaps))))
    return found


def recall_interval(rows: list[tuple], score: float, need: float = 0.5) -> list[float]:
    """95 % bootstrap interval over photos of the recall at a score threshold."""
    hits, truths = [], []
    for boxes, scores, truth, ignore in rows:
        hits.append((match(boxes, truth, ignore, need)[scores >= score] == 1).sum())
        truths.append(len(truth))
    draws = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    shares = np.array(hits)[draws].sum(1) / np.maximum(np.array(truths)[draws].sum(1), 1)
    return [round(float(v), 4) for v in np.quantile(shares, [0.025, 0.975])]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure a detector on shop photos of several products")
    parser.add_argument("--model", type=Path, required=True, help="manifest, beside the ONNX file it names")
    parser.add_argument("--data", type=Path, default=os.environ.get("SHELFSIGHT_DATA") or None)
    parser.add_argument("--split", choices=["val", "train"], help="only photos of this list")
    args = parser.parse_args()
    if args.data is None:
        parser.error("nothing to measure on: pass --data, or set SHELFSIGHT_DATA")
    cv2.setNumThreads(1)
    manifest = json.loads(args.model.read_text())
    run = run_onnx(args.model.parent / manifest["model"])
    score, nms_iou = manifest["score_threshold"], manifest["nms_iou"]
    for name, heaps in (("pieces", False), ("all", True)):
        photos = samples(Path(args.data), manifest["preprocess"]["width"], heaps, args.split)
        rows = detections(predict(run, photos), nms_iou)
        report = {"set": name, "photos": len(photos), "score": score, **measure(rows, score)}
        print(json.dumps({**report, "recall_95": recall_interval(rows, score)}))


if __name__ == "__main__":
    main()
