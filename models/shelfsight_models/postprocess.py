"""What may be done to vectors and short lists after encoding: whitening, k-reciprocal reranking."""

from __future__ import annotations

import numpy as np


def whitening(reference: np.ndarray, ridge: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[d]` and matrix `[d, d]`: `(x − mean) · matrix` is uncorrelated on `reference` (ZCA). `ridge`,
    a share of the mean variance, keeps empty directions from exploding.
    """
    mean = reference.mean(0)
    values, axes = np.linalg.eigh(np.cov((reference - mean).T))
    scale = 1 / np.sqrt(np.maximum(values, 0) + ridge * values.mean())
    return mean, (axes * scale) @ axes.T


def k_reciprocal(
    query: np.ndarray, candidates: np.ndarray, k1: int = 10, k2: int = 6, weight: float = 0.5
) -> np.ndarray:
    """Distances `[n]` of one query's candidates after Zhong et al., "Re-ranking Person Re-identification with
    k-reciprocal Encoding" (CVPR 2017), within the short list alone. Unit rows; `weight` is the share of the
    original distance.
    """
    points = np.concatenate([query[None], candidates])
    count = len(points)
    distance = np.maximum(2 - 2 * points @ points.T, 0)
    distance /= np.maximum(distance.max(1, keepdims=True), 1e-12)
    order = np.argsort(distance, 1, kind="stable")

    def reciprocal(i: int, k: int) -> np.ndarray:
        near = order[i, : k + 1]
        return near[(order[near, : k + 1] == i).any(1)]

    encoded = np.zeros((count, count))
    for i in range(count):
        mine = reciprocal(i, k1)
        grown = [mine]
        for j in mine:
            other = reciprocal(j, round(k1 / 2))
            if len(np.intersect1d(other, mine)) > 2 / 3 * len(other):
                grown.append(other)
        members = np.unique(np.concatenate(grown))
        kernel = np.exp(-distance[i, members])
        encoded[i, members] = kernel / kernel.sum()
    if k2 > 1:
        encoded = encoded[order[:, :k2]].mean(1)
    shared = np.minimum(encoded[0], encoded[1:]).sum(1)
    jaccard = 1 - shared / (2 - shared)
    return (1 - weight) * jaccard + weight * distance[0, 1:]
