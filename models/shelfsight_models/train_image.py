"""Trains the image encoder: frozen front, tuned back, projection into the joint space. See
`configs/image_v2.py`.
"""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import fastback, losses
from .evaluate import folds
from .networks import Backbone, ImageEncoder, unit
from .views import ViewPlan, Views

FOLDS = 5
FOLD_SEED = 20
GENERIC_VIEWS = 6_000  # augmented views that the generic part is fitted to, about


@dataclass(frozen=True)
class ImageConfig:
    """One run. `fold` −1 trains on every product; 0 to 4 leaves that fifth of the products out."""

    name: str
    seed: int = 1
    fold: int = -1
    views: ViewPlan = field(default_factory=ViewPlan)
    tune_from: int = 12  # first block that learns; those between the stored front and it run without gradient
    dim: int = 256  # of the learned part
    generic: int = 128  # of the generic part
    within: float = 0.5  # see `fisher_projection`
    ridge: float = 0.02
    share: float = 1.0  # length of the generic part beside the learned part's 1
    steps: int = 420
    # (products, views of each) in a batch, by source
    grocery: tuple[int, int] = (18, 3)
    datakick: tuple[int, int] = (8, 3)
    synthetic: tuple[int, int] = (6, 3)
    lr: float = 4e-4
    head_lr: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 40
    ema: float = 0.98
    dropout: float = 0.1
    scale: float = 20.0
    margin: float = 0.1
    temperature: float = 0.1
    text_scale: float = 15.0
    w_proxy: float = 1.0
    w_contrast: float = 1.0
    w_teacher: float = 2.0
    w_tap: float = 1.0  # holds the tap to its ImageNet values where blocks up to it learn
    w_relation: float = 0.0
    w_text: float = 0.3
    interpolate: float = 1.0  # share of the tuned weights in the end; the rest is ImageNet (WiSE-FT)
    checkpoint: int = 25
    bf16: bool = True  # see `fastback`; False where the CPU has no bf16 matrix units


class Student(nn.Module):
    """Everything that learns: encoder back and projection, product proxies, a text projection for the joint
    loss.
    """

    def __init__(self, encoder: ImageEncoder, products: int, text_width: int):
        super().__init__()
        self.encoder = encoder
        self.proxies = nn.Parameter(torch.randn(products, encoder.dim) * 0.1)
        self.text = nn.Linear(text_width, encoder.dim, bias=False)
        nn.init.orthogonal_(self.text.weight)  # the text tower's own geometry, as far as it fits


def held_out(products: np.ndarray, fold: int) -> set[str]:
    """Products of the fold, a fifth of Grocery and a fifth of Datakick."""
    if fold < 0:
        return set()
    out: set[str] = set()
    for source in ("grocery", "datakick"):
        names = [p for p in products.tolist() if p.startswith(source)]
        if names:
            out |= set(folds(names, FOLDS, FOLD_SEED)[fold])
    return out


def pca_projection(features: np.ndarray, dim: int, whiten: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Projection `[dim, width]` and bias: principal axes of the features, each divided by its
    deviation^`whiten`.
    """
    mean = features.mean(0)
    values, vectors = np.linalg.eigh(np.cov((features - mean).T))
    order = np.argsort(-values)[:dim]
    if len(order) < dim:
        raise ValueError(f"{features.shape[1]} features cannot fill {dim} dimensions")
    power = np.maximum(values[order], 1e-12) ** (-whiten / 2)
    weight = (vectors[:, order] * power).T
    weight /= np.linalg.norm((features - mean) @ weight.T, axis=1).mean()
    return weight.astype(np.float32), (-weight @ mean).astype(np.float32)


@torch.no_grad()
def _start_features(backbone: Backbone, views: Views, clean: np.ndarray, config: ImageConfig) -> np.ndarray:
    """Features of up to 1,000 unaugmented training pictures before training."""
    index = np.flatnonzero(clean)
    index = index[:: max(1, len(index) // 1000)]
    rows = [
        backbone.back(front_rows(views, index[i : i + 32]), config.views.cut)
        for i in range(0, len(index), 32)
    ]
    return torch.cat(rows).numpy()


class Sampler:
    """Draws batches of views by product; the same sequence for the same seed and step."""

    def __init__(self, views: Views, config: ImageConfig):
        out = held_out(np.unique(views.product), config.fold)
        usable = (views.split == "train") & ~np.isin(views.product, sorted(out))
        self.names = np.unique(views.product[usable])
        number = {name: i for i, name in enumerate(self.names)}
        self.rows: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {
            "grocery": [],
            "datakick": [],
            "synthetic": [],
        }
        by_name: dict[str, list[int]] = {}
        for i in np.flatnonzero(usable):
            by_name.setdefault(str(views.product[i]), []).append(i)
        for name, rows in by_name.items():
            rows = np.array(rows)
            iconic = rows[views.kind[rows] == "iconic"]
            photos = rows[views.kind[rows] != "iconic"]
            self.rows[name.split("-")[0]].append((number[name], photos, iconic))
        self.config = config

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers and labels of one batch."""
        rng = np.random.default_rng([self.config.seed, 7, step])
        index, labels = [], []
        for source in ("grocery", "datakick", "synthetic"):
            products, each = getattr(self.config, source)
            groups = self.rows[source]
            if not groups or not products:
                continue
            for g in rng.choice(len(groups), min(products, len(groups)), replace=False):
                number, photos, iconic = groups[g]
                count = each
                if len(iconic) and len(photos):  # one iconic view among the photos
                    index.append(rng.choice(iconic))
                    labels.append(number)
                    count -= 1
                pool = photos if len(photos) else iconic
                index += list(rng.choice(pool, count, replace=len(pool) < count))
                labels += [number] * count
        return np.array(index), np.array(labels)


def train(
    config: ImageConfig,
    views: Views,
    backbone: Backbone,
    text_views: dict[str, np.ndarray],
    folder: Path,
    max_steps: int | None = None,
) -> ImageEncoder:
    """Runs or resumes one configuration; returns the averaged, interpolated encoder.

    `text_views` maps a product to the text tower's vectors of several ways to write it, `[variants, width]`.
    Writes `log.jsonl` and `checkpoint.pt` under `folder`.
    """
    torch.manual_seed(config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    sampler = Sampler(views, config)
    start_weights = copy.deepcopy(backbone)
    encoder = ImageEncoder(config.dim, backbone=backbone)
    width = next(iter(text_views.values())).shape[1]
    student = Student(encoder, len(sampler.names), width)
    saved = folder / "checkpoint.pt"
    if not saved.is_file():
        clean = views.clean & (views.split == "train") & np.isin(views.product, sampler.names)
        _set(encoder.projection, *pca_projection(_start_features(backbone, views, clean, config), config.dim))
    cut = config.tune_from
    fastback.freeze_filters(backbone)
    tuned = [*backbone.blocks[cut:].parameters(), *backbone.head.parameters()]
    tuned = [parameter for parameter in tuned if parameter.requires_grad]
    for parameter in [*backbone.stem.parameters(), *backbone.blocks[:cut].parameters()]:
        parameter.requires_grad_(False)
    fast = [*encoder.projection.parameters(), student.proxies, *student.text.parameters()]
    optimiser = torch.optim.AdamW(
        [{"params": tuned, "lr": config.lr}, {"params": fast, "lr": config.head_lr}],
        weight_decay=config.weight_decay,
    )
    rates = [group["lr"] for group in optimiser.param_groups]
    average = copy.deepcopy(encoder)
    first = 0
    if saved.is_file():
        state = torch.load(saved, map_location="cpu")
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    texts = {str(name): torch.from_numpy(rows).float() for name, rows in text_views.items()}
    began = time.time()
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        for step in range(first, min(config.steps, max_steps or config.steps)):
            share = _schedule(step, config)
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * share
            torch.manual_seed(config.seed * 100_003 + step)  # dropout, the same after a resume
            parts = _losses(student, sampler, views, texts, config, step)
            total = sum(parts.values())
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimiser.step()
            with torch.no_grad():
                keep = min(config.ema, (1 + step) / (10 + step))
                for ours, theirs in zip(average.parameters(), encoder.parameters(), strict=True):
                    ours.lerp_(theirs, 1 - keep)
            if step % 10 == 0 or step + 1 == config.steps:
                row = {
                    "step": step,
                    "s": round(time.time() - began, 1),
                    "loss": round(float(total.detach()), 4),
                }
                row |= {name: round(float(value.detach()), 4) for name, value in parts.items()}
                log.write(json.dumps(row) + "\n")
                log.flush()
            if (step + 1) % config.checkpoint == 0 or step + 1 == min(
                config.steps, max_steps or config.steps
            ):
                state = {
                    "student": student.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                }
                torch.save(state, saved.with_suffix(".tmp"))
                saved.with_suffix(".tmp").replace(saved)
    return with_generic(
        interpolated(average, start_weights, config.interpolate), sampler.names, views, config
    )


def fisher_projection(
    features: np.ndarray, labels: np.ndarray, clean: np.ndarray, dim: int, within: float, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Projection `[dim, width]` and bias that undo what varies without meaning a different product.

    The features are whitened by a mix of the scatter within products (share `within`) and the whole scatter,
    plus `ridge` of a sphere; of that space the axes along which pictures differ most are kept. `within` 0 is
    PCA whitening, 1 is Fisher's discriminant. `clean` rows give the centre and the whole scatter; all rows,
    augmented ones too, the scatter within.
    """
    width = features.shape[1]
    if dim > width:
        raise ValueError(f"{width} features cannot fill {dim} dimensions")
    features = features.astype(np.float64)
    centre = features[clean].mean(0)
    whole = np.cov((features[clean] - centre).T)
    _, owner, count = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(count), width))
    np.add.at(means, owner, features)
    rest = (features - (means / count[:, None])[owner])[count[owner] > 1]
    inside = rest.T @ rest
    mixed = within * inside / np.trace(inside) + (1 - within) * whole / np.trace(whole)
    mixed = (1 - ridge) * mixed + ridge / width * np.eye(width)
    root = np.linalg.cholesky(np.linalg.inv(mixed))
    values, axes = np.linalg.eigh(root.T @ whole @ root)
    weight = (root @ axes[:, np.argsort(-values)[:dim]]).T
    weight /= np.linalg.norm((features[clean] - centre) @ weight.T, axis=1).mean()
    return weight.astype(np.float32), (-weight @ centre).astype(np.float32)


@torch.no_grad()
def with_generic(encoder: ImageEncoder, known: np.ndarray, views: Views, config: ImageConfig) -> ImageEncoder:
    """Adds the generic part: `fisher_projection` of the tap over the training views of `known` products."""
    if not config.generic:
        return encoder
    backbone = encoder.backbone
    usable = (views.split == "train") & np.isin(views.product, known)
    altered = np.flatnonzero(usable & ~views.clean)
    altered = altered[:: max(1, len(altered) // GENERIC_VIEWS)]
    index = np.sort(np.concatenate([np.flatnonzero(usable & views.clean), altered]))
    rows = []
    for i in range(0, len(index), 32):
        taps: list[Tensor] = []
        backbone.middle(front_rows(views, index[i : i + 32]), config.views.cut, backbone.tap + 1, taps)
        rows.append(taps[0])
    out = ImageEncoder(config.dim, config.generic, config.share, encoder.backbone)
    out.projection = encoder.projection
    found = fisher_projection(
        torch.cat(rows).numpy(),
        views.product[index],
        views.clean[index],
        config.generic,
        config.within,
        config.ridge,
    )
    _set(out.generic, *found)
    return out.eval()


@torch.no_grad()
def _set(layer: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    layer.weight.copy_(torch.from_numpy(weight))
    layer.bias.copy_(torch.from_numpy(bias))


def interpolated(encoder: ImageEncoder, start: Backbone, share: float) -> ImageEncoder:
    """A copy with backbone = `share` · tuned + (1 − `share`) · ImageNet (WiSE-FT, Wortsman et al. 2022)."""
    out = copy.deepcopy(encoder).eval()
    with torch.no_grad():
        for ours, theirs in zip(out.backbone.parameters(), start.parameters(), strict=True):
            ours.mul_(share).add_(theirs, alpha=1 - share)
    return out


def _schedule(step: int, config: ImageConfig) -> float:
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def front_rows(views: Views, index: np.ndarray) -> Tensor:
    """Stored front outputs as f32 `[n, C, h, w]`, channels last in memory (faster convolutions on a CPU)."""
    order = np.argsort(index)
    rows = np.empty((len(index), *views.front.shape[1:]), np.int8)
    rows[order] = views.front[index[order]]  # ascending reads of a mapped file
    x = torch.from_numpy(rows).to(torch.float32).mul_(views.scale)
    return x.contiguous(memory_format=torch.channels_last)


def _losses(student, sampler, views, texts, config, step) -> dict[str, Tensor]:
    index, label_rows = sampler.batch(step)
    labels = torch.from_numpy(label_rows)
    x = front_rows(views, index)
    backbone = student.encoder.backbone
    taps: list[Tensor] = []
    with torch.no_grad():
        x = backbone.middle(x, config.views.cut, config.tune_from, taps)
    back = fastback.back if config.bf16 else Backbone.back
    features = back(backbone, x, config.tune_from, taps)
    teacher = torch.from_numpy(views.teacher[index].astype(np.float32))
    head = backbone.head_width
    vectors = unit(student.encoder.projection(nn.functional.dropout(features, config.dropout)))
    parts = {
        "proxy": config.w_proxy
        * losses.proxy_loss(vectors, student.proxies, labels, config.scale, config.margin)
    }
    if config.w_contrast:
        parts["contrast"] = config.w_contrast * losses.contrastive_loss(vectors, labels, config.temperature)
    if config.w_teacher:
        parts["teacher"] = config.w_teacher * losses.teacher_loss(features[:, :head], teacher[:, :head])
    if config.w_tap and config.tune_from <= backbone.tap:
        parts["tap"] = config.w_tap * losses.teacher_loss(features[:, head:], teacher[:, head:])
    if config.w_relation:
        centred = teacher - teacher.mean(0)
        parts["relation"] = config.w_relation * losses.relation_loss(vectors, centred)
    if config.w_text:
        rng = np.random.default_rng([config.seed, 8, step])
        present = [int(i) for i in dict.fromkeys(label_rows.tolist()) if str(sampler.names[i]) in texts]
        if present:
            rows = []
            for i in present:
                choices = texts[str(sampler.names[i])]
                rows.append(choices[int(rng.integers(len(choices)))])
            t = unit(student.text(torch.stack(rows)))
            text_labels = torch.tensor(present)
            has_text = torch.isin(labels, text_labels)
            parts["text"] = config.w_text * losses.text_loss(
                vectors[has_text], t, labels[has_text], text_labels, config.text_scale
            )
    return parts


@torch.no_grad()
def embed_clean(
    encoder: ImageEncoder, views: Views, index: np.ndarray, cut: int, batch: int = 64
) -> np.ndarray:
    """Vectors `[n, dim]` of stored views."""
    out = [
        encoder.embed(encoder.backbone.back(front_rows(views, index[i : i + batch]), cut))
        for i in range(0, len(index), batch)
    ]
    return torch.cat(out).numpy()
