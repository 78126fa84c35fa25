"""What the shipped image encoder sees of a crop: four regions and a global one, from one run.

The encoder has two outputs. `cells` says what stands where, on axes taken from ImageNet's own features,
which no product shaped; `embedding` was trained to tell products apart, but has no places. So the four
regions, a 2×2 grid, are averages of cells, and the global region is the embedding: each is what it is good
at, and the masked-region objective cannot read a region off the global one. A region's feature has room for
both: its first 64 numbers are cells (zero in the global region), the other 384 the embedding (zero in the
four).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

from ..data import Picture, Preprocess, load_picture, resize, to_input
from ..detector.evaluate import Runner
from ..detector.targets import decode

CELL, VECTOR = 64, 384
FEATURE = CELL + VECTOR
REGIONS = 4
# The grid's cells 0 to 3 and 3 to 6 of seven: the middle row and column are in both.
HALVES = (slice(0, 4), slice(3, 7))
MARGIN = 0.03  # as `scan` grows a detected box
# x0, y0, x1, y1 as shares of the crop, and the area: the global region, then the grid.
BOXES = np.array(
    [[0, 0, 1, 1, 1]]
    + [[x.start / 7, y.start / 7, x.stop / 7, y.stop / 7, 16 / 49] for y in HALVES for x in HALVES],
    np.float32,
)


@dataclass
class Regions:
    """Crops described: `cells` f16 `[n, 4, 64]`, `vector` f16 `[n, 384]` (unit rows)."""

    cells: np.ndarray
    vector: np.ndarray

    def __len__(self) -> int:
        return len(self.vector)

    def take(self, rows: np.ndarray) -> Regions:
        return Regions(self.cells[rows], self.vector[rows])

    def features(self) -> np.ndarray:
        """f32 `[n, 5, 448]`, the global region first."""
        out = np.zeros((len(self), 1 + REGIONS, FEATURE), np.float32)
        out[:, 0, CELL:] = self.vector
        out[:, 1:, :CELL] = self.cells
        return out


def joined(parts: list[Regions]) -> Regions:
    """Several one after another."""
    return Regions(np.concatenate([p.cells for p in parts]), np.concatenate([p.vector for p in parts]))


class Eye:
    """The shipped image encoder with both its outputs."""

    def __init__(self, manifest: Path):
        spec = json.loads(manifest.read_text(encoding="utf-8"))
        prep = spec["preprocess"]
        self.prep = Preprocess(**{k: tuple(v) if isinstance(v, list) else v for k, v in prep.items()})
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = manifest.parent / spec["model"]
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input, self.outputs = spec["input"], [spec["local"]["output"], spec["output"]]

    def describe(self, crops: list[Image.Image]) -> Regions:
        """Crops of any size."""
        parts = []
        for i in range(0, len(crops), 8):
            pixels = np.stack([resize(crop, self.prep) for crop in crops[i : i + 8]])
            cells, vector = self.session.run(self.outputs, {self.input: to_input(pixels, self.prep)})
            parts.append(Regions(quarters(cells).astype(np.float16), vector.astype(np.float16)))
        return joined(parts)


def quarters(cells: np.ndarray) -> np.ndarray:
    """Cells `[n, c, 7, 7]` → means of the 2×2 grid, row by row, `[n, 4, c]`."""
    return np.stack([cells[:, :, y, x].mean((2, 3)) for y in HALVES for x in HALVES], 1)


def crop(pixels: np.ndarray, box: np.ndarray) -> Image.Image:
    """A box of a picture with a margin, inside the picture and at least two pixels a side."""
    height, width = pixels.shape[:2]
    grow = (box[2:] - box[:2]) * MARGIN
    x0, y0 = np.maximum(np.rint(box[:2] - grow), 0).astype(int)
    x1, y1 = np.rint(box[2:] + grow).astype(int)
    x0, y0 = min(x0, width - 2), min(y0, height - 2)
    return Image.fromarray(np.asarray(pixels[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)]))


def windows(side: int) -> np.ndarray:
    """Nine windows of half the side, a quarter apart, `[9, 4]`."""
    return np.array([[x, y, x + 2, y + 2] for y in range(3) for x in range(3)], np.float32) * side / 4


def describe_boxes(eye: Eye, pixels: np.ndarray, owner: np.ndarray, boxes: np.ndarray, path: Path) -> Regions:
    """Crops of many pictures described; cached at `path`."""
    if not path.is_file():
        parts = []
        for i in range(0, len(owner), 64):
            crops = [crop(pixels[o], b) for o, b in zip(owner[i : i + 64], boxes[i : i + 64], strict=True)]
            parts.append(eye.describe(crops))
        found = joined(parts)
        np.savez(path, cells=found.cells, vector=found.vector)
    return Regions(**np.load(path))


def describe_pictures(eye: Eye, pictures: list[Picture], path: Path) -> Regions:
    """Whole picture files described; cached at `path`."""
    if not path.is_file():
        parts = [
            eye.describe([load_picture(p.path) for p in pictures[i : i + 64]])
            for i in range(0, len(pictures), 64)
        ]
        found = joined(parts)
        np.savez(path, cells=found.cells, vector=found.vector)
    return Regions(**np.load(path))


def detect(
    run: Runner, pixels: np.ndarray, threshold: float, nms_iou: float, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Owner, boxes and scores of what the detector finds in pictures of its own input size, best first in
    each; cached at `path`.
    """
    if not path.is_file():
        owner, boxes, scores = [], [], []
        for i, picture in enumerate(pixels):
            found, sure = decode(*run(np.asarray(picture)), threshold, nms_iou)
            owner.append(np.full(len(found), i))
            boxes.append(found)
            scores.append(sure)
        np.savez(
            path,
            owner=np.concatenate(owner),
            boxes=np.concatenate(boxes).astype(np.float32),
            scores=np.concatenate(scores),
        )
    found = np.load(path)
    return found["owner"], found["boxes"], found["scores"]
