"""Retrieval figures: recall@k, products held out of training, paired bootstrap intervals, calibration.

All vectors are unit rows `[n, d]`; labels are product ids. A product counts once, at its best picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOOTSTRAP_DRAWS = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval over queries."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ranks(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    same: np.ndarray | None = None,
) -> np.ndarray:
    """Rank (0 = first) of the right product among distinct products for each query, `[n]`.

    `same[i]` is the gallery row that is the query picture itself and is left out, or −1. Rows of a product
    that is not in the gallery get the number of products there, so they count as misses at every k.
    """
    names, inverse = np.unique(gallery_labels, return_inverse=True)
    order = {name: i for i, name in enumerate(names)}
    out = np.empty(len(queries), np.int64)
    for i, label in enumerate(query_labels):
        scores = gallery @ queries[i]
        if same is not None and same[i] >= 0:
            scores[same[i]] = -np.inf
        best = np.full(len(names), -np.inf, scores.dtype)
        np.maximum.at(best, inverse, scores)
        wanted = order.get(label)
        if wanted is None or not np.isfinite(best[wanted]):
            out[i] = len(names)
        else:
            # Ties count against us: an encoder that collapses must not look good.
            out[i] = int((best >= best[wanted]).sum()) - 1
    return out


def recall(rank: np.ndarray, k: int = 1) -> float:
    """Share of queries whose right product is among the first `k`."""
    return float((rank < k).mean()) if len(rank) else float("nan")


def bootstrap(values: np.ndarray, seed: int = 0, draws: int = BOOTSTRAP_DRAWS) -> Interval:
    """Mean of `values` with a 95 % percentile interval over resampled queries."""
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


def paired(new: np.ndarray, old: np.ndarray, seed: int = 0, draws: int = BOOTSTRAP_DRAWS) -> Interval:
    """Difference `new − old` over the same queries with its 95 % interval; it counts if 0 is outside."""
    return bootstrap(np.asarray(new, np.float64) - np.asarray(old, np.float64), seed, draws)


def folds(labels: list[str], count: int, seed: int) -> list[list[str]]:
    """Splits distinct labels into `count` parts, the same for every run with this seed."""
    names = sorted(set(labels))
    order = np.random.default_rng(seed).permutation(len(names))
    return [[names[j] for j in order[i::count]] for i in range(count)]


def fit_calibration(cosine: np.ndarray, same: np.ndarray, steps: int = 60) -> tuple[float, float]:
    """Fits `p = sigmoid(scale · cosine + bias)` by Newton's method with a slight pull towards zero.

    `cosine` and `same` (0 or 1) are flat over query × candidate pairs.
    """
    x = np.stack([np.asarray(cosine, np.float64), np.ones(len(cosine))], 1)
    y = np.asarray(same, np.float64)
    weights = np.zeros(2)
    ridge = np.diag([1e-4, 1e-6])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -35, 35)))
        gradient = x.T @ (p - y) + ridge @ weights
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        length = np.abs(step).max()
        weights -= step if length < 5 else step * (5 / length)
        if length < 1e-7:
            break
    return float(weights[0]), float(weights[1])
