"""Vectors of crops and gallery entries, the lists they give, and how right these are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from tokenizers import Tokenizer

from ..item.data import encode
from .corpus import Cuts
from .data import batch_of
from .metrics import DEPTHS, merge, scores
from .networks import Encoder
from .regions import Regions


@dataclass
class Gallery:
    """Entries of one product each, by rows of the single pictures."""

    rows: np.ndarray
    product: np.ndarray  # str [entries]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.product.tolist())


@dataclass
class Vectors:
    """Rows of crops with their captions: the fused vector, and the words alone before the streams met."""

    fused: np.ndarray
    words: np.ndarray

    def half(self, which: int) -> np.ndarray:
        """The joint (0) or the separate half (1) of the fused vector."""
        return np.split(self.fused, 2, 1)[which]


@torch.no_grad()
def embed(encoder: Encoder, regions: Regions, texts: list[str], tokenizer: Tokenizer) -> Vectors:
    """Crops with their captions."""
    fused, words = [], []
    ids, mask = encode(tokenizer, texts, encoder.shape.length)
    for i in range(0, len(regions), 128):
        rows = np.arange(i, min(i + 128, len(regions)))
        batch = batch_of(regions.take(rows).features(), ids[rows], mask[rows])
        states = encoder(batch.ids, batch.text_mask, batch.feature, batch.box, batch.region_mask)
        fused.append(encoder.vector(states).numpy())
        words.append(states.own_text.numpy())
    return Vectors(np.concatenate(fused), np.concatenate(words))


def lists(queries: np.ndarray, owner: np.ndarray, count: int, gallery: np.ndarray) -> list[list[int]]:
    """For each of `count` pictures the entries nearest to its crops, merged in turns: at most 100."""
    depth = max(DEPTHS)
    order = np.argsort(-(queries @ gallery.T), 1, kind="stable")[:, :depth]
    first = np.searchsorted(owner, np.arange(count + 1))
    return [merge(order[a:b].tolist(), depth) for a, b in pairwise(first)]


def judge(found: list[list[int]], labels: list[list[str]], gallery: Gallery) -> dict[str, np.ndarray]:
    """`metric@N` of every picture."""
    counts = gallery.counts
    out: dict[str, list[float]] = {}
    for ranked, wanted in zip(found, labels, strict=True):
        named = gallery.product[ranked].tolist()
        for depth in DEPTHS:
            for metric, value in scores(depth, named, wanted, counts).items():
                out.setdefault(f"{metric}@{depth}", []).append(value)
    return {name: np.array(values) for name, values in out.items()}


def ask(
    queries: np.ndarray, cuts: Cuts, labels: list[list[str]], entries: np.ndarray, gallery: Gallery
) -> dict[str, np.ndarray]:
    """Lists and their scores; `entries` are the vectors of all single pictures."""
    return judge(lists(queries, cuts.owner, len(labels), entries[gallery.rows]), labels, gallery)


def with_words(image: np.ndarray, words: np.ndarray, weight: float) -> np.ndarray:
    """Vectors whose products are cos(image) + weight · cos(words), if both sides get the weight's root."""
    return np.concatenate([image, weight**0.5 * words], 1)
