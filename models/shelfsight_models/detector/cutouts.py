"""Real products cut out of photos: iconic pictures on white by flood fill, boxed photos by GrabCut.

Products are split once, by a checksum of their name, so that no product is in both the training and the
validation scenes.
"""

from __future__ import annotations

import csv
import json
import zlib
from pathlib import Path

import cv2
import numpy as np

from .packages import trim

LABELS = Path(__file__).resolve().parents[2] / "labels" / "real_boxes.json"


def is_val(product: str) -> bool:
    """Whether a product (GTIN or class name) belongs to the validation side: one in four."""
    return zlib.crc32(product.encode()) % 4 == 0


def read_rgb(path: Path, longest: int | None = None) -> np.ndarray:
    """A picture as `uint8 [h, w, 3]`, shrunk so that its longer side is at most `longest`."""
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise ValueError(f"{path}: not a readable picture")
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    k = 1.0 if longest is None else longest / max(rgb.shape[:2])
    return cv2.resize(rgb, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) if k < 1 else rgb


def iconic(data: Path, val: bool, longest: int = 256) -> list[np.ndarray]:
    """RGBA cut-outs of Grocery's iconic pictures (products on a white ground)."""
    cuts = []
    root = data / "grocery"
    with open(root / "classes.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    for row in rows:
        if is_val(row["Class Name (str)"]) != val:
            continue
        rgb = read_rgb(root / row["Iconic Image Path (str)"].lstrip("/"), longest)
        cuts.append(trim(np.dstack([rgb, white_mask(rgb)])))
    return cuts


def white_mask(rgb: np.ndarray) -> np.ndarray:
    """Coverage `uint8 [h, w]` of what is not the white ground connected to the border."""
    h, w = rgb.shape[:2]
    framed = cv2.copyMakeBorder(rgb, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    flood = np.zeros((h + 4, w + 4), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8)
    cv2.floodFill(framed, flood, (0, 0), 0, (12, 12, 12), (0, 0, 0), flags)
    ground = flood[2:-2, 2:-2]
    mask = cv2.morphologyEx(255 - ground, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return cv2.erode(mask, np.ones((2, 2), np.uint8))


def load_labels(path: Path = LABELS) -> list[dict]:
    """The hand-drawn boxes: `{"image", "product", "split", "boxes", "ignore"}`.

    Boxes are `[x0, y0, x1, y1]` as fractions of the picture.
    """
    return json.loads(path.read_text())["photos"] if path.exists() else []


def labelled(data: Path, val: bool, longest: int = 256) -> list[np.ndarray]:
    """RGBA cut-outs of the labelled photos of one side, by GrabCut in the box; doubtful ones are left out."""
    cuts = []
    for photo in load_labels():
        if (photo["split"] == "val") != val or not (data / photo["image"]).exists():
            continue
        rgb = read_rgb(data / photo["image"], 384)
        for box in photo["boxes"]:
            cut = grabcut(rgb, box)
            if cut is not None:
                k = min(1.0, longest / max(cut.shape[:2]))
                cuts.append(cv2.resize(cut, None, fx=k, fy=k, interpolation=cv2.INTER_AREA))
    return cuts


def grabcut(rgb: np.ndarray, box: list[float]) -> np.ndarray | None:
    """The product in `box` (fractions) as a trimmed RGBA cut-out, or None where the outline looks wrong.

    A good outline is one solid piece that fills its box: it touches all four sides and covers most of it.
    """
    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (w, h, w, h), strict=True))
    if min(x0, y0) < 2 or x1 > w - 2 or y1 > h - 2 or min(x1 - x0, y1 - y0) < 40:
        return None
    seed = np.full((h, w), cv2.GC_BGD, np.uint8)
    seed[y0:y1, x0:x1] = cv2.GC_PR_FGD
    mx, my = (x1 - x0) // 4, (y1 - y0) // 6
    seed[y0 + my : y1 - my, x0 + mx : x1 - mx] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb, seed, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    mask = np.isin(seed, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    ys, xs = np.where(mask)
    inside = mask[y0:y1, x0:x1].mean()
    reach = (xs.min() - x0 + x1 - xs.max()) / (x1 - x0) + (ys.min() - y0 + y1 - ys.max()) / (y1 - y0)
    if inside < 0.62 or reach > 0.1:
        return None
    soft = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)) * 255, (3, 3), 0)
    return trim(np.dstack([rgb, soft]))


def backgrounds(data: Path, val: bool, limit: int = 120) -> list[np.ndarray]:
    """Grocery photos to be blurred into backgrounds, from `train.txt` or `val.txt`."""
    name = "val" if val else "train"
    lines = (data / "grocery" / f"{name}.txt").read_text().splitlines()
    paths = [data / "grocery" / line.split(",")[0] for line in lines]
    return [read_rgb(p, 256) for p in paths[:: max(1, len(paths) // limit)]]
