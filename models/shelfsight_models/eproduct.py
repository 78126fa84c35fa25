"""The eProduct protocol on a small scale: product identity from coarse labels and texts alone.

As in the benchmark (Yuan et al. 2021), training sees what a listing says, a category and words, never which
pictures show one product; the evaluator alone knows. Index: Grocery train photos and iconic pictures;
queries: photos of another split. Each rung of the ladder is one way to get vectors.

Two warnings. Photos of both splits come from the same shops, so figures are kind. There is one text a
product, so pseudo-attributes say more about identity here than words of real listings do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import pipeline
from .data import Picture, grocery, load_picture
from .evaluate import bootstrap, paired
from .networks import Backbone
from .pipeline import unit_rows
from .postprocess import k_reciprocal, whitening
from .train_image import ImageConfig
from .views import Views


@dataclass(frozen=True)
class LadderConfig:
    """Sizes and schedule of the trained rungs: a two-layer head on ImageNet features of augmented views."""

    width: int = 128
    hidden: int = 512
    steps: int = 600
    batch: int = 256
    rate: float = 1e-3
    temperature: float = 0.1
    seed: int = 1


@dataclass
class Task:
    """Index and queries as positions in the clean rows, and what training may know of the index."""

    index: np.ndarray
    query: np.ndarray
    product: np.ndarray  # of every clean row
    pictures: list[Picture]


def ranked(query: np.ndarray, index: np.ndarray, depth: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """The `depth` nearest rows of each query by cosine, best first, and their cosines."""
    scores = query @ index.T
    order = np.argsort(-scores, 1, kind="stable")[:, :depth]
    return order, np.take_along_axis(scores, order, 1)


def judge(right: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
    """Per-query hit@1, MAR@10, capped MAR@10 and AP. `right` `[q, depth]`: whether the ranked row is right;
    `total` `[q]`: right rows in the index.
    """
    found = right[:, :10].sum(1)
    precision = np.cumsum(right, 1) / np.arange(1, right.shape[1] + 1)
    return {
        "hit@1": right[:, 0].astype(np.float64),
        "mar@10": found / total,
        "mar_capped@10": found / np.minimum(total, 10),
        "map@100": (precision * right).sum(1) / np.minimum(total, right.shape[1]),
    }


def histogram(pixels: np.ndarray) -> np.ndarray:
    """8×8×8 RGB histogram, square roots (Hellinger), `[512]`."""
    bins = (pixels // 32).reshape(-1, 3).astype(np.int64)
    counts = np.bincount(bins @ np.array([64, 8, 1]), minlength=512)
    return np.sqrt(counts / counts.sum())


def thumbnail(path: Path) -> np.ndarray:
    """16×16 RGB, `[768]`."""
    return np.asarray(load_picture(path).resize((16, 16)), np.float32).ravel()


def pca(x: np.ndarray, reference: np.ndarray, dim: int) -> np.ndarray:
    """Rows on the first `dim` principal axes of `reference`."""
    mean = reference.mean(0)
    _, _, axes = np.linalg.svd(reference - mean, full_matrices=False)
    return (x - mean) @ axes[:dim].T


def pseudo_attributes(texts: list[str], least: int = 2, most: int = 40) -> tuple[list[str], np.ndarray]:
    """Words that stand in `least` to `most` of the texts, and which text has which `[texts, words]`."""
    bags = [set(re.findall(r"[a-zåäöé]{3,}", text.lower())) for text in texts]
    counts: dict[str, int] = {}
    for bag in bags:
        for word in bag:
            counts[word] = counts.get(word, 0) + 1
    words = sorted(word for word, n in counts.items() if least <= n <= most)
    return words, np.array([[word in bag for word in words] for bag in bags], np.float32)


def head(config: LadderConfig, width: int) -> nn.Module:
    """The trained part, the same for every rung."""
    torch.manual_seed(config.seed)
    return nn.Sequential(nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.width))


Loss = Callable[[Tensor, np.ndarray, torch.Generator], Tensor]


def fit(
    net: nn.Module,
    config: LadderConfig,
    rows: np.ndarray,
    features: np.ndarray,
    loss: Loss,
    extra: list[Tensor],
) -> nn.Module:
    """Trains the head on views: `loss` gets unit vectors, the rows they are of, and a generator."""
    rng = np.random.default_rng(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.AdamW([*net.parameters(), *extra], lr=config.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for _ in range(config.steps):
        chosen = rng.choice(rows, config.batch, replace=len(rows) < config.batch)
        x = torch.from_numpy(features[chosen].astype(np.float32))
        value = loss(F.normalize(net(x), dim=1), chosen, generator)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def soft_targets_loss(targets: np.ndarray, owner: np.ndarray, config: LadderConfig, poly: float):
    """Cross-entropy against `y / Σy` and a poly term `poly · (1 − Σ softmax · y / Σy)`; one label a row
    makes it the plain one. `owner[row]` is the row of `targets`.
    """
    centres = nn.Parameter(torch.randn(targets.shape[1], config.width) * 0.05)
    share = torch.from_numpy(targets / np.maximum(targets.sum(1, keepdims=True), 1)).float()

    def loss(vectors: Tensor, chosen: np.ndarray, _: torch.Generator) -> Tensor:
        logits = vectors @ F.normalize(centres, dim=1).T / config.temperature
        y = share[torch.from_numpy(owner[chosen])]
        log = F.log_softmax(logits, 1)
        return -(y * log).sum(1).mean() + poly * (1 - (log.exp() * y).sum(1)).mean()

    return loss, [centres]


def run(
    config: LadderConfig, image: ImageConfig, root: Path, runs: Path, seeds: list[int]
) -> dict[str, dict[str, str]]:
    """The ladder: rung → metric → mean with interval; `gain` is MAR@10 over the rung named in it, paired."""
    views = pipeline.image_views(image, root, runs)
    task, clean = _task(views, root)
    side = Backbone().head_width
    features = _standardised(views.teacher[:, :side], views.teacher[clean[task.index], :side])
    per_seed = [_rungs(config, seed, views, clean, features, task, root) for seed in seeds]
    vectors = {name: [rungs[name] for rungs in per_seed] for name in per_seed[0]}
    labels = task.product
    right_of = labels[task.query][:, None] == labels[task.index][None]
    total = right_of.sum(1)
    scored: dict[str, dict[str, np.ndarray]] = {}
    for name, versions in vectors.items():
        found = [_judged(v, task, right_of, total, None) for v in versions]
        scored[name] = _mean(found)
    best = max(scored, key=lambda name: scored[name]["mar@10"].mean())
    white = []
    for v in vectors[best]:
        mean, matrix = whitening(v[task.index])
        white.append(unit_rows((v - mean) @ matrix))
    scored[f"{best} + whitening"] = _mean([_judged(v, task, right_of, total, None) for v in white])
    scored[f"{best} + k-reciprocal"] = _mean(
        [_judged(v, task, right_of, total, k_reciprocal) for v in vectors[best]]
    )
    table = {}
    for name, metrics in scored.items():
        row = {metric: str(bootstrap(values)) for metric, values in metrics.items()}
        base = name.split(" + ")[0] if " + " in name else "ImageNet features"
        row["gain"] = f"{paired(metrics['mar@10'], scored[base]['mar@10'])} over {base}"
        table[name] = row
    return table


def _task(views: Views, root: Path) -> tuple[Task, np.ndarray]:
    clean = np.flatnonzero(views.clean & np.char.startswith(views.product, "grocery"))
    split, kind = views.split[clean], views.kind[clean]
    index = np.flatnonzero((split == "train") | (kind == "iconic"))
    query = np.flatnonzero((split == "val") & (kind == "photo"))
    pictures = pipeline.everything(root)[1]
    return Task(index, query, views.product[clean], [pictures[i] for i in views.picture[clean]]), clean


def _standardised(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    reference = reference.astype(np.float32)
    return (x.astype(np.float32) - reference.mean(0)) / (reference.std(0) + 1e-3)


def _rungs(
    config: LadderConfig,
    seed: int,
    views: Views,
    clean: np.ndarray,
    features: np.ndarray,
    task: Task,
    root: Path,
) -> dict[str, np.ndarray]:
    config = replace(config, seed=seed)
    rng = np.random.default_rng(seed)
    products = {p.id: p for p in grocery(root)[0]}
    names = sorted(products)
    owner_of = {name: i for i, name in enumerate(names)}
    trained = np.flatnonzero(np.char.startswith(views.product, "grocery") & (views.split == "train"))
    owner = np.zeros(len(views.product), np.int64)
    owner[trained] = [owner_of[name] for name in views.product[trained].tolist()]
    coarse = sorted({p.coarse for p in products.values()})
    by_category = np.array([[products[n].coarse == c for c in coarse] for n in names], np.float32)
    _, words = pseudo_attributes([f"{products[n].name} {products[n].description}" for n in names])
    partner = _partners(views, trained)

    def contrast(vectors: Tensor, chosen: np.ndarray, generator: torch.Generator) -> Tensor:
        other = [partner[r][int(torch.randint(len(partner[r]), (1,), generator=generator))] for r in chosen]
        twin = F.normalize(net(torch.from_numpy(features[other].astype(np.float32))), dim=1)
        both = torch.cat([vectors, twin])
        scores = both @ both.T / config.temperature
        scores.fill_diagonal_(-1e9)
        n = len(vectors)
        return F.cross_entropy(scores, torch.cat([torch.arange(n) + n, torch.arange(n)]))

    def embed(model: nn.Module) -> np.ndarray:
        with torch.no_grad():
            return unit_rows(model(torch.from_numpy(features[clean])).numpy())

    paths = [p.path for p in task.pictures]
    pixels = [np.asarray(load_picture(p).resize((64, 64))) for p in paths]
    small = np.stack([thumbnail(p) for p in paths])
    rungs = {
        "random": unit_rows(rng.normal(size=(len(clean), 64))),
        "colour histogram": unit_rows(np.stack([histogram(p) for p in pixels])),
        "thumbnails, PCA": unit_rows(pca(small, small[task.index], 64)),
        "ImageNet features": unit_rows(features[clean]),
    }
    net = head(config, features.shape[1])
    loss, extra = soft_targets_loss(by_category, owner, config, 0.0)
    rungs["coarse labels"] = embed(fit(net, config, trained, features, loss, extra))
    rungs["coarse labels, then self-supervised"] = embed(fit(net, config, trained, features, contrast, []))
    net = head(config, features.shape[1])
    loss, extra = soft_targets_loss(words, owner, config, 0.5)
    rungs["pseudo-attributes"] = embed(fit(net, config, trained, features, loss, extra))
    net = head(config, features.shape[1])
    rungs["self-supervised"] = embed(fit(net, config, trained, features, contrast, []))
    return rungs


def _partners(views: Views, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Row → the other views of the same picture."""
    order = rows[np.argsort(views.picture[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(views.picture[order])) + 1)
    return {int(r): group[group != r] if len(group) > 1 else group for group in groups for r in group}


def _judged(vectors: np.ndarray, task: Task, right_of, total: np.ndarray, rerank) -> dict[str, np.ndarray]:
    order, _ = ranked(vectors[task.query], vectors[task.index])
    if rerank is not None:
        index = vectors[task.index]
        for i, row in enumerate(task.query):
            order[i] = order[i][np.argsort(rerank(vectors[row], index[order[i]]), kind="stable")]
    return judge(np.take_along_axis(right_of, order, 1), total)


def _mean(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {metric: np.mean([f[metric] for f in found], 0) for metric in found[0]}
