"""Pictures of two to four products, pasted together so that their boxes are known.

Products are cut out by simple masks: iconic pictures on white by flood fill, shop photos by a centred
ellipse. They lie on blurred shop photos. Training composites are made of training photos and iconic pictures,
evaluation composites of `val` photos alone, grounds included. Every training composite leaves out one group
of products, in turns, so that a third of them knows nothing of any one group.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from .. import augment
from ..data import Picture, load_picture
from ..detector.targets import overlap
from ..evaluate import folds

GROUPS = 3
TRIES = 40


@dataclass(frozen=True)
class Plan:
    """How many composites, and of what; part of the cache key."""

    train: int = 3600
    val: int = 300
    unseen: int = 100  # of each group's products alone
    side: int = 320
    items: tuple[int, int] = (2, 4)
    scale: tuple[float, float] = (0.3, 0.6)  # longer side of an item, as a share of the picture's
    overlap: float = 0.2  # of the smaller of two boxes
    iconic: float = 0.25  # share of iconic pictures among training items
    blur: tuple[float, float] = (6.0, 14.0)
    seed: int = 1


@dataclass
class Composites:
    """Pictures, and their items in order of pasting. Boxes are x0, y0, x1, y1 in pixels."""

    pixels: np.ndarray  # u8 [n, side, side, 3]
    without: np.ndarray  # int [n], the group that is left out, −1 for none
    owner: np.ndarray  # int [items], the picture an item is in
    boxes: np.ndarray  # f32 [items, 4]
    product: np.ndarray  # str [items]

    def labels(self) -> list[list[str]]:
        """The products in each picture."""
        out: list[list[str]] = [[] for _ in range(len(self.pixels))]
        for owner, product in zip(self.owner.tolist(), self.product.tolist(), strict=True):
            out[owner].append(product)
        return out


@dataclass
class Source:
    """Pictures that items may be cut from, by product, and photos for grounds."""

    photos: dict[str, list[Path]]
    iconic: dict[str, list[Path]]

    @staticmethod
    def of(pictures: list[Picture], split: str, products: set[str]) -> Source:
        """Photos of one split, and iconic pictures where that is `train`, of these products."""
        source = Source({}, {})
        for picture in pictures:
            if picture.product in products and picture.split == split:
                kinds = source.iconic if picture.kind == "iconic" else source.photos
                kinds.setdefault(picture.product, []).append(picture.path)
        return source


def groups(products: list[str], seed: int = 7) -> list[set[str]]:
    """The products in thirds, the same for every run."""
    return [set(part) for part in folds(products, GROUPS, seed)]


def ellipse(height: int, width: int) -> np.ndarray:
    """Mask u8 `[height, width]` of a centred ellipse with a soft edge."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (int(0.45 * width), int(0.45 * height)), 0, 0, 360, 255, -1)
    return cv2.GaussianBlur(mask, (5, 5), 0)


def cut(path: Path, iconic: bool) -> np.ndarray:
    """A product cut out of a picture, RGBA u8 trimmed to what is seen."""
    pixels = np.asarray(load_picture(path))
    mask = augment.cut_out(pixels) if iconic else None
    if mask is None:
        mask = ellipse(*pixels.shape[:2])
    ys, xs = np.nonzero(mask > 127)
    part = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    return np.dstack([pixels[part], mask[part]])


def ground(path: Path, side: int, blur: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A part of a shop photo, so blurred that no product in it can be told."""
    pixels = np.asarray(load_picture(path))
    height, width = pixels.shape[:2]
    share = rng.uniform(0.4, 1.0)
    h, w = int(height * share), int(width * share)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    out = cv2.resize(pixels[y : y + h, x : x + w], (side, side), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(out, (0, 0), float(rng.uniform(*blur)))


def place(
    sizes: tuple[int, int], side: int, taken: list[list[int]], most: float, rng: np.random.Generator
) -> list[int] | None:
    """A box of `sizes` (width, height) that overlaps none of `taken` by more than `most` of the smaller."""
    width, height = sizes
    for _ in range(TRIES):
        x, y = int(rng.integers(side - width + 1)), int(rng.integers(side - height + 1))
        box = [x, y, x + width, y + height]
        if all(shared(box, other) <= most for other in taken):
            return box
    return None


def shared(a: list[int], b: list[int]) -> float:
    """Intersection of two boxes as a share of the smaller."""
    both = np.array([a, b], np.float64)
    area = (both[:, 2:] - both[:, :2]).prod(1)
    return float(overlap(both[:1], both[1:])[0, 0] / area.min())


def draw(
    source: Source, plan: Plan, rng: np.random.Generator
) -> tuple[np.ndarray, list[list[int]], list[str]]:
    """One composite: pixels, boxes, products. An item that finds no place shrinks, then is left out."""
    names = sorted(source.photos)
    count = int(rng.integers(plan.items[0], plan.items[1] + 1))
    every = [path for name in names for path in source.photos[name]]
    canvas = ground(every[int(rng.integers(len(every)))], plan.side, plan.blur, rng)
    boxes: list[list[int]] = []
    products: list[str] = []
    for name in rng.choice(names, count, replace=False).tolist():
        iconic = bool(source.iconic) and rng.random() < plan.iconic
        paths = source.iconic[name] if iconic else source.photos[name]
        item = cut(paths[int(rng.integers(len(paths)))], iconic)
        scale = rng.uniform(*plan.scale)
        box = None
        while box is None and scale >= plan.scale[0]:
            factor = scale * plan.side / max(item.shape[:2])
            sizes = tuple(max(8, round(v * factor)) for v in (item.shape[1], item.shape[0]))
            box = place(sizes, plan.side, boxes, plan.overlap, rng)
            scale *= 0.85
        if box is None:
            continue
        small = cv2.resize(item, sizes, interpolation=cv2.INTER_AREA)
        x0, y0, x1, y1 = box
        alpha = small[..., 3:].astype(np.float32) / 255
        canvas[y0:y1, x0:x1] = np.rint(small[..., :3] * alpha + canvas[y0:y1, x0:x1] * (1 - alpha))
        boxes.append(box)
        products.append(name)
    return canvas, boxes, products


def build(pictures: list[Picture], plan: Plan, name: str, runs: Path) -> Composites:
    """The set `train`, `val` or `unseen-G` (of group G's products alone), made or read from its cache."""
    key = hashlib.sha256(json.dumps([asdict(plan), [p.path.name for p in pictures]]).encode()).hexdigest()[
        :12
    ]
    folder = runs / f"capture-composites-{key}"
    rows, images = folder / f"{name}.npz", folder / f"{name}.npy"
    if not rows.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _make(pictures, plan, name, images, rows)
    return Composites(pixels=np.load(images, mmap_mode="r"), **np.load(rows))


def _make(pictures: list[Picture], plan: Plan, name: str, images: Path, rows: Path) -> None:
    products = sorted({p.product for p in pictures})
    parts = groups(products)
    if name == "train":
        sources = [Source.of(pictures, "train", set(products) - part) for part in parts]
        count = plan.train
    elif name == "val":
        sources, count = [Source.of(pictures, "val", set(products))], plan.val
    else:
        sources = [Source.of(pictures, "val", parts[int(name.removeprefix("unseen-"))])]
        count = plan.unseen
    out = np.lib.format.open_memmap(images, "w+", np.uint8, (count, plan.side, plan.side, 3))
    owner, boxes, items = [], [], []
    stream = [ord(c) for c in name]
    for i in range(count):
        rng = np.random.default_rng([plan.seed, i, *stream])
        found: list[str] = []
        while len(found) < plan.items[0]:
            out[i], places, found = draw(sources[i % len(sources)], plan, rng)
        owner += [i] * len(found)
        boxes += places
        items += found
    out.flush()
    without = np.arange(count) % GROUPS if name == "train" else np.full(count, -1)
    np.savez(
        rows,
        without=without,
        owner=np.array(owner),
        boxes=np.array(boxes, np.float32),
        product=np.array(items),
    )
