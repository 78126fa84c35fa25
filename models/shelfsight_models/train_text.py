"""Fits the text projection: MiniLM's 384 numbers → the joint space. The tower stays as published.

Two wishes, one matrix: a product's text should point where its pictures do, and texts should keep the
cosines they had in MiniLM, so that name → name search over a big catalogue does not get worse. Everything
is precomputed, so a run takes seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import losses
from .networks import unit


@dataclass(frozen=True)
class TextConfig:
    """One run."""

    name: str
    image: str = "image_v2"
    seed: int = 1
    dim: int = 256
    steps: int = 1200
    lr: float = 2e-3
    products: int = 96  # products with pictures in a batch
    titles: int = 256  # catalogue lines in a batch, for the geometry
    scale: float = 15.0
    w_text: float = 0.5
    w_geometry: float = 100.0


def principal_axes(texts: np.ndarray, dim: int) -> np.ndarray:
    """Orthonormal rows `[dim, width]`: the uncentred principal axes, which keep cosines best."""
    _, vectors = np.linalg.eigh(texts.T @ texts)
    return np.ascontiguousarray(vectors[:, ::-1][:, :dim].T).astype(np.float32)


def start_projection(titles: np.ndarray, texts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The catalogue's principal axes, turned as a whole so that texts meet their pictures (Procrustes).

    `titles` `[m, width]`, matching `texts` `[n, width]` and `images` `[n, dim]`. Turning changes no cosine
    among texts.
    """
    axes = principal_axes(titles, images.shape[1])
    u, _, vt = np.linalg.svd(images.T @ (texts @ axes.T))
    return (u @ vt @ axes).astype(np.float32)


def train(
    config: TextConfig,
    titles: np.ndarray,
    text_views: dict[str, np.ndarray],
    image_rows: dict[str, np.ndarray],
    log_to: Path | None = None,
) -> np.ndarray:
    """Projection `[dim, width]`. `titles`: unit tower vectors of a catalogue; `image_rows`: unit vectors by
    product.
    """
    generator = torch.Generator().manual_seed(config.seed)
    names = sorted(set(text_views) & set(image_rows))
    means = np.stack([image_rows[n].mean(0) for n in names])
    start = start_projection(titles, np.stack([text_views[n].mean(0) for n in names]), means)
    weight = torch.nn.Parameter(torch.from_numpy(start))
    texts = [torch.from_numpy(text_views[n]).float() for n in names]
    pictures = [torch.from_numpy(image_rows[n]).float() for n in names]
    lines = torch.from_numpy(titles).float()
    optimiser = torch.optim.Adam([weight], lr=config.lr)
    log = []
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.lr * (1 - step / config.steps)
        chosen = torch.randperm(len(names), generator=generator)[: config.products]
        t = torch.stack([texts[i][_draw(len(texts[i]), generator)] for i in chosen])
        z = torch.stack([pictures[i][_draw(len(pictures[i]), generator)] for i in chosen])
        some = lines[torch.randint(len(lines), (config.titles,), generator=generator)]
        both = torch.cat([some, t])
        projected = unit(both @ weight.t())
        pull = losses.text_loss(z, projected[len(some) :], chosen, chosen, config.scale)
        keep = losses.geometry_loss(projected, both)
        loss = config.w_text * pull + config.w_geometry * keep
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step + 1 == config.steps:
            log.append({"step": step, "text": round(pull.item(), 4), "geometry": round(keep.item(), 6)})
    if log_to is not None:
        log_to.parent.mkdir(parents=True, exist_ok=True)
        log_to.write_text("".join(json.dumps(row) + "\n" for row in log))
    return weight.detach().numpy()


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))
