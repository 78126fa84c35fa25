"""Captions and batches.

A caption that listed every product would be the answer. So a composite's caption holds, in random order and
each with probability ½, a few words of its products' descriptions, without the words of their names. One
picture of one product has its whole description, as a catalogue entry has, with probability ½.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..data import Product
from ..item.data import encode, without_names
from .corpus import Shown
from .regions import BOXES

# What a drawn picture is: an item in its box, a whole composite, one product alone.
SHARES = (0.5, 0.25, 0.25)


@dataclass
class Batch:
    """Pictures with their captions; a mask is 0 where there is nothing."""

    ids: Tensor  # i64 [n, length]
    text_mask: Tensor  # f32 [n, length]
    feature: Tensor  # f32 [n, 5, 448]
    box: Tensor  # f32 [n, 5, 5]
    region_mask: Tensor  # f32 [n, 5]

    @property
    def captioned(self) -> Tensor:
        """Which pictures have words."""
        return self.text_mask[:, 0] > 0


def descriptions(products: dict[str, Product]) -> dict[str, str]:
    """Each product's description without the words of its name."""
    return {name: without_names(product.description, product) for name, product in products.items()}


def caption(labels: list[str], texts: dict[str, str], words: int, rng: np.random.Generator) -> str:
    """Up to `words` words in a row of the description of each product that is kept, in random order."""
    parts = []
    for name in rng.permutation(labels).tolist():
        if rng.random() < 0.5:
            continue
        every = texts[name].split()
        start = int(rng.integers(max(1, len(every) - words + 1)))
        parts.append(" ".join(every[start : start + words]))
    return " ".join(parts)


def boxes(count: int) -> np.ndarray:
    """The regions' boxes for `count` crops, `[count, 5, 5]`."""
    return np.broadcast_to(BOXES, (count, *BOXES.shape))


class Sampler:
    """Draws batches from training pictures. No composite is drawn twice for one batch: two crops under one
    caption would be each other's negatives.
    """

    def __init__(
        self,
        shown: Shown,
        composites: np.ndarray,
        singles: np.ndarray,
        texts: dict[str, str],
        tokenizer: Tokenizer,
        length: int,
        words: int,
        seed: int,
    ):
        self.shown, self.composites, self.singles = shown, composites, singles
        self.texts, self.tokenizer, self.length, self.words = texts, tokenizer, length, words
        self.first = np.searchsorted(shown.items.owner, np.arange(len(shown.whole) + 1))
        self.rng = np.random.default_rng(seed)

    def features(self) -> np.ndarray:
        """Features of all pictures that may be drawn whole or alone, for their mean and deviation."""
        return np.concatenate(
            [
                self.shown.whole.take(self.composites).features(),
                self.shown.single.take(self.singles).features(),
            ]
        )

    def batch(self, size: int) -> Batch:
        """`size` pictures."""
        boxed, whole = (round(share * size) for share in SHARES[:2])
        drawn = self.rng.choice(self.composites, boxed + whole, replace=False)
        alone = self.rng.choice(self.singles, size - boxed - whole, replace=False)
        item = self.rng.integers(self.first[drawn[:boxed]], self.first[drawn[:boxed] + 1])
        shown = self.shown
        feature = np.concatenate(
            [
                shown.items.regions.take(item).features(),
                shown.whole.take(drawn[boxed:]).features(),
                shown.single.take(alone).features(),
            ]
        )
        written = [caption(shown.labels[i], self.texts, self.words, self.rng) for i in drawn]
        for name in shown.single_product[alone].tolist():
            written.append(self.texts[name] if self.rng.random() < 0.5 else "")
        return batch_of(feature, *encode(self.tokenizer, written, self.length))


def batch_of(feature: np.ndarray, ids: np.ndarray, mask: np.ndarray) -> Batch:
    """Crops and captions, all five regions there."""
    n = len(feature)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(mask),
        torch.from_numpy(feature),
        torch.from_numpy(boxes(n).copy()),
        torch.ones(n, feature.shape[1]),
    )
