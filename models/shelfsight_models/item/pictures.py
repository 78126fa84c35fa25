"""Pictures as cells: patches of pixels, or local descriptors of the image encoder that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import augment
from ..data import Picture, grocery, load_picture, resize, to_input
from ..shipped import ShippedImage
from .train import ItemConfig

SIZE, PATCH = 96, 16
# Of the cells that the shipped encoder gives.
SIDE, WIDTH = 7, 64


def patches(pixels: np.ndarray) -> np.ndarray:
    """u8 `[n, 96, 96, 3]` → f32 `[n, 36, 768]`, values in −1 to 1."""
    n, side = len(pixels), SIZE // PATCH
    grid = pixels.reshape(n, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return (grid.reshape(n, side * side, -1).astype(np.float32) - 127.5) / 127.5


def pixel_views(paths: list[Path], count: int, cache: Path, seed: int = 7) -> np.ndarray:
    """u8 `[n, 1 + count, 96, 96, 3]`: each picture as it is, then augmented; cached."""
    if cache.is_file():
        return np.load(cache, mmap_mode="r")
    out = np.empty((len(paths), 1 + count, SIZE, SIZE, 3), np.uint8)
    strength = augment.Strength()
    for i, path in enumerate(paths):
        image = load_picture(path)
        out[i, 0] = np.asarray(image.resize((SIZE, SIZE)))
        image.thumbnail((512, 512))
        for k in range(count):
            rng = np.random.default_rng([seed, i, k])
            out[i, 1 + k] = augment.view(np.asarray(image), SIZE, rng, strength)
    np.save(cache, out)
    return np.load(cache, mmap_mode="r")


def cell_views(
    encoder: ShippedImage, pictures: list[Picture], count: int, cache: Path, seed: int = 7
) -> np.ndarray:
    """f16 `[n, 1 + count, 49, 64]`: cells of each picture as it is, then, if trained on, augmented."""
    if cache.is_file():
        return np.load(cache, mmap_mode="r")
    out = np.zeros((len(pictures), 1 + count, SIDE * SIDE, WIDTH), np.float16)
    strength, prep = augment.Strength(), encoder.prep
    for i, picture in enumerate(pictures):
        image = load_picture(picture.path)
        views = [resize(image, prep)]
        image.thumbnail((512, 512))
        for k in range(count if picture.split == "train" else 0):
            rng = np.random.default_rng([seed, i, k])
            views.append(augment.view(np.asarray(image), prep.width, rng, strength))
        inputs = {encoder.manifest["input"]: to_input(np.stack(views), prep)}
        found = encoder.session.run([encoder.manifest["local"]["output"]], inputs)[0]
        out[i, : len(views)] = found.reshape(len(views), WIDTH, -1).transpose(0, 2, 1)
    np.save(cache, out)
    return np.load(cache, mmap_mode="r")


class Pictures:
    """Grocery's pictures as cells: clean ones of each, and further views of the training photos."""

    def __init__(self, config: ItemConfig, root: Path, runs: Path, weights: Path, views: int = 3):
        products, pictures = grocery(root)
        self.products = {p.id: p for p in products}
        self.paths = [p.path for p in pictures]
        self.product = np.array([p.product for p in pictures])
        kind, split = np.array([p.kind for p in pictures]), np.array([p.split for p in pictures])
        self.train = np.flatnonzero((kind == "photo") & (split == "train"))
        self.val = np.flatnonzero((kind == "photo") & (split == "val"))
        self.iconic = np.flatnonzero(kind == "iconic")
        kept = np.concatenate([self.train, self.iconic])
        if config.cells == "pixels":
            every = pixel_views(self.paths, views, runs / "item-pixels.npy")
            self.clean = patches(np.asarray(every[:, 0]))
            self.views = np.concatenate([patches(np.asarray(every[kept, k])) for k in range(1 + views)])
        else:
            encoder = ShippedImage(weights / "image.json")
            every = cell_views(encoder, pictures, views, runs / "item-cells.npy")
            self.clean = np.asarray(every[:, 0], np.float32)
            self.views = np.concatenate([np.asarray(every[kept, k], np.float32) for k in range(1 + views)])
        self.view_product = np.tile(self.product[kept], 1 + views)
