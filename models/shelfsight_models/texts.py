"""What people type instead of the exact catalogue line: dropped words, other order, typos, brand first or
last.

Grocery has one description for a product, so a whole description is the class label in disguise. `weakened`
therefore deletes the words of the name and drops half of the rest before a description may be used.
"""

from __future__ import annotations

import re

import numpy as np

from .data import Product

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def variant(product: Product, rng: np.random.Generator) -> str:
    """One random way to write a product."""
    kind = rng.random()
    if product.description and kind < 0.25:
        return weakened(product, rng)
    text = product.name if kind < 0.6 else product.title
    if kind > 0.8:
        text = f"{text} {product.coarse or product.size}"
    words = drop_words(text.split(), 0.15, rng)
    if rng.random() < 0.25:
        words = [words[i] for i in rng.permutation(len(words))]
    text = " ".join(words)
    if rng.random() < 0.15:
        text = typo(text, rng)
    return text.lower() if rng.random() < 0.5 else text


def weakened(product: Product, rng: np.random.Generator) -> str:
    """The description without the words of the name and the coarse name, every other word kept with p =
    0.5.
    """
    banned = {w.lower() for w in re.findall(r"\w+", f"{product.name} {product.coarse}")}
    words = [w for w in product.description.split() if not set(re.findall(r"\w+", w.lower())) & banned]
    start = int(rng.integers(0, max(1, len(words) - 20)))
    return " ".join(drop_words(words[start : start + 40], 0.5, rng)) or product.coarse or product.name


def drop_words(words: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """Drops each word with probability `share`, never all of them."""
    kept = [word for word in words if rng.random() >= share]
    return kept or words[:1]


def typo(text: str, rng: np.random.Generator) -> str:
    """One slip of the finger: a letter swapped, lost, doubled or replaced."""
    if len(text) < 4:
        return text
    i = int(rng.integers(0, len(text) - 1))
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if kind == 1:
        return text[:i] + text[i + 1 :]
    if kind == 2:
        return text[:i] + text[i] + text[i:]
    return text[:i] + LETTERS[int(rng.integers(26))] + text[i + 1 :]
