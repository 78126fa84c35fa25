"""Questions asked of the text side: names typed badly, names against pictures, pictures against names."""

from __future__ import annotations

import numpy as np

from .data import Product
from .evaluate import ranks
from .texts import drop_words, typo


def typed(products: list[Product], seed: int, how: str) -> list[str]:
    """Titles as typed: `typo` one slip, `drop` a third of the words lost, `both`."""
    out = []
    for number, product in enumerate(products):
        rng = np.random.default_rng([seed, number])
        text = product.title
        if how in ("drop", "both"):
            text = " ".join(drop_words(text.split(), 0.33, rng))
        if how in ("typo", "both"):
            text = typo(text, rng)
        out.append(text)
    return out


def against(
    queries: np.ndarray, query_ids: list[str], gallery: np.ndarray, gallery_ids: list[str]
) -> np.ndarray:
    """Ranks of the right product."""
    return ranks(queries, gallery, np.array(query_ids), np.array(gallery_ids))


def same_text(products: list[Product]) -> dict[str, str]:
    """Product id → id of the first product with the same title: equal lines cannot be told apart."""
    first: dict[str, str] = {}
    return {p.id: first.setdefault(p.title.lower(), p.id) for p in products}
