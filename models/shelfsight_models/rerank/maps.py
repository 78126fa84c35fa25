"""Local descriptors of cached views: a 7×7 grid over two maps of the encoder.

A cell joins the last block's output (what training moved) and the tapped depthwise map (which it left near
ImageNet), averaged over the cell. One projection for all folds, principal axes of ImageNet's own cells,
brings them to `WIDTH` numbers, so cells of different folds can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks import Backbone, ImageEncoder, pool
from ..train_image import front_rows
from ..views import Views

SIDE = 7
WIDTH = 256


@dataclass
class Described:
    """Descriptors of some views under one encoder."""

    row: np.ndarray  # int [n], row in the views
    cells: np.ndarray  # f16 [n, SIDE², WIDTH]
    vector: np.ndarray  # f32 [n, dim], the global vector, unit rows


@torch.no_grad()
def cells(backbone: Backbone, front: Tensor, cut: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cells `[n, SIDE², C]` of what `front` gave, pooled head and tap."""
    last, tapped = backbone.maps(front, cut)
    grid = torch.cat([F.adaptive_avg_pool2d(last, SIDE), F.adaptive_avg_pool2d(tapped, SIDE)], 1)
    return grid.flatten(2).transpose(1, 2), pool(backbone.head(last)), pool(tapped)


def axes_path(runs: Path, name: str) -> Path:
    """Where the projection of the cells of a recipe and its folds is kept."""
    return runs / f"{name}-cells.npy"


def fit_projection(backbone: Backbone, views: Views, cut: int, path: Path, count: int = 600) -> np.ndarray:
    """Mean and axes `[1 + WIDTH, C]` of ImageNet's cells on training pictures, each axis divided by the
    square root of its deviation; cached at `path`.
    """
    if path.is_file():
        return np.load(path)
    rng = np.random.default_rng(5)
    clean = np.flatnonzero(views.clean & (views.split == "train"))
    chosen = np.sort(rng.choice(clean, min(count, len(clean)), replace=False))
    parts = []
    for i in range(0, len(chosen), 32):
        grid, _, _ = cells(backbone, front_rows(views, chosen[i : i + 32]), cut)
        parts.append(grid.flatten(0, 1).numpy())
    flat = np.concatenate(parts)
    mean = flat.mean(0)
    values, axes = np.linalg.eigh(np.cov((flat - mean).T))
    order = np.argsort(values)[::-1][:WIDTH]
    weight = axes[:, order].T / np.maximum(values[order], 1e-9)[:, None] ** 0.25
    out = np.concatenate([mean[None], weight]).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, out)
    return out


@torch.no_grad()
def describe(
    encoder: ImageEncoder, views: Views, index: np.ndarray, cut: int, projection: np.ndarray, path: Path
) -> Described:
    """Descriptors of the views `index`, cached at `path` (made anew if `index` changed)."""
    if path.is_file():
        data = np.load(path)
        if np.array_equal(data["row"], index):
            return Described(data["row"], data["cells"], data["vector"])
    mean, weight = torch.from_numpy(projection[0]), torch.from_numpy(projection[1:])
    grids, vectors = [], []
    for i in range(0, len(index), 32):
        grid, head, tap = cells(encoder.backbone, front_rows(views, index[i : i + 32]), cut)
        grids.append(((grid - mean) @ weight.T).to(torch.float16).numpy())
        vectors.append(encoder.join(head, tap).numpy())
    found = Described(index, np.concatenate(grids), np.concatenate(vectors).astype(np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, row=found.row, cells=found.cells, vector=found.vector)
    return found
