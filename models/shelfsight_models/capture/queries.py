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

# By what a query or an entry is known: the fused vector, its two halves, or the words alone.
PARTS = ("all", "joint half", "separate half", "words")


@dataclass
class Gallery:
    """Entries of one product each, by rows of the single pictures."""

    rows: np.ndarray
    product: np.ndarray  # str [entries]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.product.tolist())


@torch.no_grad()
def embed(
    encoder: Encoder, regions: Regions, texts: list[str], tokenizer: Tokenizer, part: str = "all"
) -> np.ndarray:
    """Unit rows of crops with their captions."""
    out = []
    ids, mask = encode(tokenizer, texts, encoder.shape.length)
    for i in range(0, len(regions), 128):
        rows = np.arange(i, min(i + 128, len(regions)))
        batch = batch_of(regions.take(rows).features(), ids[rows], mask[rows])
        states = encoder(batch.ids, batch.text_mask, batch.feature, batch.box, batch.region_mask)
        out.append((states.own_text if part == "words" else encoder.vector(states)).numpy())
    vectors = np.concatenate(out)
    half = vectors.shape[1] // 2
    return vectors[
        :, {"joint half": slice(0, half), "separate half": slice(half, None)}.get(part, slice(None))
    ]


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
