"""Scenes cached on disk, and their augmentation into fixed squares for training.

Scene `i` of a cache depends on `(seed, i)` alone, so an interrupted run goes on where it stopped and a longer
cache begins with the shorter one.

    python -m shelfsight_models.detector.dataset --data DIR --out DIR --count 6000 [--val]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

from . import cutouts
from .scenes import Pool, make_scene

PAD = 127  # the value that normalises to zero
BLOCK = 200  # scenes that share one pool of drawn products


def build_cache(out: Path, count: int, seed: int, data: Path | None, val: bool, longest: int = 448) -> None:
    """Draws scenes `0..count` into `out`: `NNNNNN.jpg` and a line of `boxes.jsonl` each. Goes on if stopped.

    Without `data` the scenes hold drawn products only.
    """
    out.mkdir(parents=True, exist_ok=True)
    index = out / "boxes.jsonl"
    done = len(index.read_text().splitlines()) if index.exists() else 0
    real, photos = [], []
    if data is not None:
        boxed = cutouts.labelled(data, val)
        real = cutouts.iconic(data, val) + boxed * 2
        photos = cutouts.backgrounds(data, val)
        print(
            f"{len(real)} real cut-outs ({len(boxed)} from labelled photos), {len(photos)} backgrounds",
            flush=True,
        )
    pool, start = None, time.time()
    with index.open("a") as lines:
        for i in range(done, count):
            if pool is None or i % BLOCK == 0:
                pool = Pool.draw(np.random.default_rng((seed, 1, i // BLOCK)), 220, real, photos)
            scene = make_scene(np.random.default_rng((seed, 2, i)), pool, longest)
            name = f"{i:06d}.jpg"
            cv2.imwrite(str(out / name), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])
            row = {"image": name, "boxes": scene.boxes.tolist(), "ignore": scene.ignore.tolist()}
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            if i % 500 == 499:
                print(
                    f"{i + 1} scenes, {(time.time() - start) / (i + 1 - done) * 1000:.0f} ms each", flush=True
                )


def letterbox(image: np.ndarray, size: int) -> tuple[np.ndarray, float, float, float]:
    """Fits a picture into a square the way the library does at run time (`resize: pad`).

    Returns the square and `k, dx, dy` with `square = picture · k + (dx, dy)`.
    """
    from PIL import Image

    h, w = image.shape[:2]
    k = size / max(h, w)
    nw, nh = max(1, round(w * k)), max(1, round(h * k))
    small = np.asarray(Image.fromarray(image).resize((nw, nh), Image.BILINEAR))
    x, y = (size - nw) // 2, (size - nh) // 2
    square = np.full((size, size, 3), PAD, np.uint8)
    square[y : y + nh, x : x + nw] = small
    return square, k, x, y


class Samples:
    """Pictures with boxes, read from disk and augmented. `draw(rng)` gives one training sample."""

    def __init__(self, size: int):
        self.size = size
        self.rows: list[tuple[Path, np.ndarray, np.ndarray]] = []
        self.weights: list[float] = []

    def add_cache(self, folder: Path, weight: float = 1.0) -> Samples:
        """Adds a cache built by `build_cache`."""
        for line in (folder / "boxes.jsonl").read_text().splitlines():
            row = json.loads(line)
            boxes, ignore = (np.float32(row[k]).reshape(-1, 4) for k in ("boxes", "ignore"))
            self._add(folder / row["image"], boxes, ignore, weight)
        return self

    def add_labelled(self, data: Path, val: bool, weight: float = 1.0) -> Samples:
        """Adds the hand-labelled real photos of one side that are found under `data`."""
        for photo in cutouts.load_labels():
            path = data / photo["image"]
            if (photo["split"] == "val") != val or not path.exists():
                continue
            h, w = cv2.imread(str(path)).shape[:2]
            scale = np.float32([w, h, w, h])
            boxes, ignore = (np.float32(photo.get(k, [])).reshape(-1, 4) * scale for k in ("boxes", "ignore"))
            self._add(path, boxes, ignore, weight)
        return self

    def _add(self, path: Path, boxes: np.ndarray, ignore: np.ndarray, weight: float) -> None:
        self.rows.append((path, boxes, ignore))
        self.weights.append(weight)

    def __len__(self) -> int:
        return len(self.rows)

    def plain(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample `i` letterboxed, not augmented: picture, boxes, ignored regions, in pixels of the square."""
        path, boxes, ignore = self.rows[i]
        square, k, x, y = letterbox(cutouts.read_rgb(path), self.size)
        shift = np.float32([x, y, x, y])
        return square, boxes * k + shift, ignore * k + shift

    def augmented(self, i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample `i` under a random scale, place, mirror, colour and sharpness."""
        path, boxes, ignore = self.rows[i]
        image = cutouts.read_rgb(path)
        h, w = image.shape[:2]
        k = (
            self.size
            / max(h, w)
            * float(np.exp(rng.uniform(np.log(0.62), np.log(1.3)) if rng.random() < 0.7 else 0))
        )
        stretch = float(np.exp(rng.normal(0, 0.06)))
        kx, ky = k * stretch, k / stretch
        slack = np.array([self.size - w * kx, self.size - h * ky])
        # A picture smaller than the square lies anywhere in it; a larger one is cropped.
        shift = slack * rng.uniform(0, 1, 2) if rng.random() < 0.6 else slack / 2
        m = np.float32([[kx, 0, shift[0]], [0, ky, shift[1]]])
        square = cv2.warpAffine(
            image,
            m,
            (self.size, self.size),
            flags=cv2.INTER_AREA if k < 0.6 else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(PAD, PAD, PAD),
        )
        boxes, cut = self._move(boxes, kx, ky, shift)
        ignore, rest = self._move(ignore, kx, ky, shift)
        ignore = np.concatenate([ignore, rest, cut])
        if rng.random() < 0.5:
            square = square[:, ::-1]
            for b in (boxes, ignore):
                b[:, [0, 2]] = self.size - b[:, [2, 0]]
        return jitter(rng, square), boxes, ignore

    def _move(
        self, boxes: np.ndarray, kx: float, ky: float, shift: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes moved into the square and clipped: those mostly visible, and the remains of the others."""
        moved = boxes * np.float32([kx, ky, kx, ky]) + np.float32([*shift, *shift])
        inside = moved.clip(0, self.size)
        area = (moved[:, 2:] - moved[:, :2]).prod(1)
        sides = inside[:, 2:] - inside[:, :2]
        good = (sides.prod(1) >= 0.45 * area) & (sides.min(1) >= 8) if len(boxes) else np.zeros(0, bool)
        rest = ~good & (sides.min(1) > 0) if len(boxes) else good
        return inside[good], inside[rest]


def jitter(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Random brightness, contrast, colour cast, greyscale and, seldom, blur."""
    img = np.float32(image)
    img = (img - 127) * rng.uniform(0.7, 1.3) + 127 * rng.uniform(0.75, 1.2)
    img *= np.float32(rng.uniform(0.93, 1.07, 3))
    if rng.random() < 0.08:
        img = np.repeat(img.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.15:
        img = cv2.GaussianBlur(img, (0, 0), float(rng.uniform(0.5, 1.4)))
    return np.clip(img, 0, 255).astype(np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Draw scenes for the detector into a cache folder")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("SHELFSIGHT_DATA") or None,
        help="real pictures (optional)",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--val", action="store_true", help="use the validation products")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    build_cache(args.out, args.count, args.seed, args.data and Path(args.data), args.val)


if __name__ == "__main__":
    main()
