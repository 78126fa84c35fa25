"""Figures of the encoders as shipped (manifest + int8 ONNX), on the pictures and texts of the data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import pipeline
from .data import load_picture
from .evaluate import bootstrap, recall
from .protocols import Clean, datakick_unseen, grocery_seen
from .shipped import ShippedImage, ShippedText
from .text_eval import against, same_text, typed


def vectors_of(image: ShippedImage, root: Path) -> tuple[np.ndarray, Clean]:
    """Vectors of every picture of the data folder."""
    _, pictures = pipeline.everything(root)
    rows = Clean(*(np.array([getattr(p, name) for p in pictures]) for name in ("product", "kind", "split")))
    chunks = [
        image.embed([load_picture(p.path) for p in pictures[i : i + 64]]) for i in range(0, len(pictures), 64)
    ]
    return np.concatenate(chunks), rows


def evaluate(image: ShippedImage, text: ShippedText | None, root: Path) -> dict[str, dict]:
    """R@1, R@5 and a 95 % interval by question. Products here were seen in training, except where a name
    says so.
    """
    vectors, rows = vectors_of(image, root)
    found = grocery_seen(vectors, rows) | {"datakick_seen": datakick_unseen(vectors, rows)["datakick"]}
    if text is not None:
        found |= text_questions(vectors, rows, text, root)
    return {
        name: {"queries": len(r), "r@1": str(bootstrap(r < 1)), "r@5": round(recall(r, 5), 4)}
        for name, r in found.items()
    }


def text_questions(vectors: np.ndarray, rows: Clean, text: ShippedText, root: Path, seed: int = 9) -> dict:
    """Names against names, against iconic pictures, and photos against names."""
    products, _ = pipeline.everything(root)
    grocery = [p for p in products if p.id.startswith("grocery")]
    names = text.embed([p.name for p in grocery])
    ids = [p.id for p in grocery]
    iconic = rows.grocery & (rows.kind == "iconic")
    val = rows.grocery & (rows.kind == "photo") & (rows.split == "val")
    found = {
        "name_to_iconic": against(names, ids, vectors[iconic], rows.product[iconic].tolist()),
        "val_photo_to_name": against(vectors[val], rows.product[val].tolist(), names, ids),
    }
    catalogue = text.embed([p.title for p in products])
    twin = same_text(products)
    owners = [twin[p.id] for p in products]
    found["name_to_all_titles"] = against(names, [twin[i] for i in ids], catalogue, owners)
    some = products[:81] + products[81::8]
    for how in ("typo", "drop", "both"):
        queries = text.embed(typed(some, seed, how))
        found[f"title_{how}_to_all_titles"] = against(queries, [twin[p.id] for p in some], catalogue, owners)
    return found
