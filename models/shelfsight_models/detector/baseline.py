"""The yardstick: the SSD whose trunk training starts from, taken as a class-agnostic detector as it stands.

    python -m shelfsight_models.detector.baseline --ssd ssd.onnx [--cache DIR] [--data DIR]

A box scores the best of its 23 classes. Anchors and box coding are those of TensorFlow's object detection
API.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from PIL import Image

from .dataset import Samples
from .evaluate import measure
from .targets import nms

SIDE, CLASSES = 300, 24
GRIDS = (19, 10, 5, 3, 2, 1)
SCALES = (*np.linspace(0.2, 0.95, 6), 1.0)


def anchors() -> np.ndarray:
    """Anchors `[1917, 4]` as centre x, y, width, height in shares of the picture."""
    rows = []
    for level, grid in enumerate(GRIDS):
        scale = SCALES[level]
        shapes = [(scale, r) for r in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
        shapes.append(((scale * SCALES[level + 1]) ** 0.5, 1.0))
        if level == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        for y in range(grid):
            for x in range(grid):
                centre = ((x + 0.5) / grid, (y + 0.5) / grid)
                rows += [(*centre, s * r**0.5, s / r**0.5) for s, r in shapes]
    return np.array(rows)


def detector(path: Path, nms_iou: float = 0.5, floor: float = 0.05):
    """A function from a square picture to boxes `[n, 4]` in its pixels and scores `[n]`, best first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name, grid = session.get_inputs()[0].name, anchors()

    def run(square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        small = np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.BILINEAR))
        x = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        code, logits = session.run(None, {name: x})
        code = code.reshape(-1, 4)
        scores = (1 / (1 + np.exp(-logits.reshape(-1, CLASSES)[:, 1:]))).max(1)
        centre = code[:, 1::-1] / 10 * grid[:, 2:] + grid[:, :2]
        half = np.exp(code[:, :1:-1] / 5) * grid[:, 2:] / 2
        boxes = np.concatenate([centre - half, centre + half], 1).clip(0, 1) * len(square)
        order = np.argsort(-scores)[:300]
        order = order[scores[order] >= floor]
        keep = order[nms(boxes[order], nms_iou)]
        return boxes[keep].astype(np.float32), scores[keep]

    return run


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure the SSD on the detector's validation sets")
    parser.add_argument("--ssd", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="scenes drawn by `dataset`")
    parser.add_argument("--data", type=Path, default=os.environ.get("SHELFSIGHT_DATA") or None)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    run, sets = detector(args.ssd), {}
    if args.cache:
        sets["scenes"] = Samples(320).add_cache(args.cache)
    if args.data:
        sets["real"] = Samples(320).add_labelled(args.data, True)
    for name, samples in sets.items():
        plain = [samples.plain(i) for i in range(len(samples))]
        rows = [(*run(square), truth, ignore) for square, truth, ignore in plain]
        for score in (0.1, 0.2, 0.3):
            print(json.dumps({"set": name, "score": score, **measure(rows, score)}))


if __name__ == "__main__":
    main()
