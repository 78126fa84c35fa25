"""The retrieval questions asked of an encoder, seen and unseen. Vectors are unit rows `[n, d]`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .evaluate import ranks


@dataclass(frozen=True)
class Clean:
    """One row a picture as it is, in the order of the vectors."""

    product: np.ndarray
    kind: np.ndarray
    split: np.ndarray

    @property
    def grocery(self) -> np.ndarray:
        return np.char.startswith(self.product, "grocery")


def grocery_seen(vectors: np.ndarray, rows: Clean) -> dict[str, np.ndarray]:
    """Ranks of the val photos among train photos, product centroids and iconic pictures."""
    photo = rows.grocery & (rows.kind == "photo")
    train, val = photo & (rows.split == "train"), photo & (rows.split == "val")
    iconic = rows.grocery & (rows.kind == "iconic")
    q, ql = vectors[val], rows.product[val]
    names = np.unique(rows.product[train])
    centres = np.stack([vectors[train][rows.product[train] == name].mean(0) for name in names])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return {
        "val_photos": ranks(q, vectors[train], ql, rows.product[train]),
        "val_centroid": ranks(q, centres, ql, names),
        "val_iconic": ranks(q, vectors[iconic], ql, rows.product[iconic]),
    }


def grocery_unseen(vectors: np.ndarray, rows: Clean, out: set[str]) -> dict[str, np.ndarray]:
    """Queries: every val photo and every fourth train photo of the products left out.

    `unseen_photos`: gallery = all train photos of all 81 products but the query itself;
    `unseen_val_photos`: the same for the val photos alone (a train photo often has a twin from the same
    shelf); `unseen_iconic`: gallery = 81 iconic pictures.
    """
    photo = rows.grocery & (rows.kind == "photo")
    train = np.flatnonzero(photo & (rows.split == "train"))
    iconic = np.flatnonzero(rows.grocery & (rows.kind == "iconic"))
    left_out = np.isin(rows.product, sorted(out))
    val = np.flatnonzero(photo & (rows.split == "val") & left_out)
    queries = np.concatenate([val, train[left_out[train]][::4]])
    place = {row: i for i, row in enumerate(train)}
    same = np.array([place.get(row, -1) for row in queries])
    ql = rows.product[queries]
    photos = ranks(vectors[queries], vectors[train], ql, rows.product[train], same)
    return {
        "unseen_photos": photos,
        "unseen_val_photos": photos[: len(val)],
        "unseen_iconic": ranks(vectors[queries], vectors[iconic], ql, rows.product[iconic]),
    }


def datakick_unseen(vectors: np.ndarray, rows: Clean, out: set[str] | None = None) -> dict[str, np.ndarray]:
    """Queries: each photo of a product (left out of training) that has another photo; gallery = all other
    photos.
    """
    every = np.flatnonzero(~rows.grocery)
    labels = rows.product[every]
    names, counts = np.unique(labels, return_counts=True)
    several = set(names[counts > 1].tolist())
    chosen = [i for i, name in enumerate(labels) if name in several and (out is None or name in out)]
    v = vectors[every]
    return {"datakick": ranks(v[chosen], v, labels[chosen], labels, np.array(chosen))}


def centred(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Features minus the mean of `reference`, unit rows: the plain ImageNet baseline."""
    x = features - reference.mean(0)
    return x / np.linalg.norm(x, axis=1, keepdims=True)
