"""Who is compared with whom: short lists by the global vector, hard negatives, and the queries to judge by.

A net that saw a product in training puts its pictures first, so its short lists hold no hard negatives. Each
product's pairs therefore come from the fold whose encoder never saw it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..views import Views
from .maps import Described


@dataclass(frozen=True)
class Question:
    """Queries and the gallery they are asked of: positions in a fold's descriptors."""

    name: str
    query: np.ndarray  # int [q]
    gallery: np.ndarray  # int [g]
    own: bool = False  # a query's own picture may be found


@dataclass
class Lists:
    """Short lists of a question: the best candidate picture of each of the nearest products."""

    query: np.ndarray  # int [q], positions
    short: np.ndarray  # int [q, K], positions; −1 where there are fewer
    cosine: np.ndarray  # f32 [q, K]
    right: np.ndarray  # bool [q, K]


def chosen_rows(views: Views, out: set[str], families: set[str], augmented: int) -> np.ndarray:
    """Rows of the views to describe for a fold: all clean pictures, `augmented` further views of each
    picture of the left-out products, and the drawn packages of `families`.
    """
    clean = views.clean.copy()
    mine = np.isin(views.product, sorted(out)) & ~views.clean
    kept = np.zeros(len(clean), bool)
    for picture in np.unique(views.picture[mine]):
        kept[np.flatnonzero(mine & (views.picture == picture))[:augmented]] = True
    drawn = np.isin(family(views.product), sorted(families))
    return np.flatnonzero(clean | kept | drawn)


def family(products: np.ndarray) -> np.ndarray:
    """`synthetic-F-V` → `synthetic-F`; other products as they are."""
    return np.array([p.rsplit("-", 1)[0] if p.startswith("synthetic") else p for p in products.tolist()])


def questions(views: Views, rows: np.ndarray, out: set[str]) -> list[Question]:
    """What a user asks of products never seen: Grocery photos among photos and among iconic pictures,
    Datakick photos among the others.
    """
    product, kind, split = views.product[rows], views.kind[rows], views.split[rows]
    clean, left_out = views.clean[rows], np.isin(product, sorted(out))
    grocery = np.char.startswith(product, "grocery") & clean
    train = np.flatnonzero(grocery & (kind == "photo") & (split == "train"))
    val = np.flatnonzero(grocery & (kind == "photo") & (split == "val") & left_out)
    iconic = np.flatnonzero(grocery & (kind == "iconic"))
    asked = np.concatenate([val, train[left_out[train]][::4]])
    datakick = np.flatnonzero(np.char.startswith(product, "datakick") & clean)
    names, counts = np.unique(product[datakick], return_counts=True)
    several = set(names[counts > 1].tolist()) & out
    return [
        Question("val_photos", val, train),
        Question("iconic", asked, iconic),
        Question("datakick", datakick[np.isin(product[datakick], sorted(several))], datakick),
    ]


def training_questions(views: Views, rows: np.ndarray, out: set[str], without: set[str]) -> list[Question]:
    """Every view of the fold's left-out products, and the drawn packages, against the pictures of all
    products but `without` (those that are judged by).
    """
    product, kind = views.product[rows], views.kind[rows]
    clean, known = views.clean[rows], ~np.isin(product, sorted(without))
    grocery = np.char.startswith(product, "grocery") & known & (views.split[rows] == "train")
    datakick = np.char.startswith(product, "datakick") & known
    drawn = np.char.startswith(product, "synthetic")
    real = grocery | datakick
    mine = np.isin(product, sorted(out))
    photos = np.flatnonzero(grocery & clean & (kind == "photo"))
    return [
        Question("photos", np.flatnonzero(grocery & mine & (kind == "photo")), photos),
        Question(
            "iconic",
            np.flatnonzero(grocery & mine & (kind == "photo")),
            np.flatnonzero(grocery & clean & (kind == "iconic")),
        ),
        Question("datakick", np.flatnonzero(datakick & mine), np.flatnonzero(datakick & clean)),
        Question("drawn", np.flatnonzero(drawn), np.flatnonzero(drawn)),
        # A picture of the catalogue itself, or a view of it, must come first.
        Question("same", np.flatnonzero(mine & real), np.flatnonzero(clean & real), own=True),
    ]


def short_lists(views: Views, found: Described, question: Question, depth: int) -> Lists:
    """The `depth` nearest products of each query by cosine, each at its best picture; never the query's own
    picture.
    """
    product, picture = views.product[found.row], views.picture[found.row]
    labels = product[question.gallery]
    names, inverse = np.unique(labels, return_inverse=True)
    depth = min(depth, len(names))
    short = np.full((len(question.query), depth), -1)
    cosine = np.zeros((len(question.query), depth), np.float32)
    for i, query in enumerate(question.query):
        scores = found.vector[question.gallery] @ found.vector[query]
        own = (
            picture[question.gallery] == picture[query] if picture[query] >= 0 else question.gallery == query
        )
        if not question.own:
            scores[own] = -np.inf
        best = np.full(len(names), -np.inf, np.float32)
        np.maximum.at(best, inverse, scores)
        order = np.argsort(-best, kind="stable")[:depth]
        for j, name in enumerate(order):
            if np.isfinite(best[name]):
                rows = np.flatnonzero(inverse == name)
                short[i, j] = question.gallery[rows[np.argmax(scores[rows])]]
                cosine[i, j] = best[name]
    right = (product[short] == product[question.query][:, None]) & (short >= 0)
    return Lists(question.query, short, cosine, right)


class Pairs:
    """Draws batches: an anchor, its right product's best picture, and wrong ones from its short list."""

    def __init__(self, parts: list[tuple[Described, Lists]], negatives: int, seed: int):
        self.parts = parts
        self.negatives = negatives
        self.rng = np.random.default_rng(seed)
        # Anchors whose right product is in the list, among wrong ones.
        self.usable = [np.flatnonzero(lists.right.any(1) & (lists.short[:, 1] >= 0)) for _, lists in parts]
        sizes = np.array([len(rows) for rows in self.usable], np.float64)
        # Large sets speak more often than small ones, but not in proportion.
        self.share = np.sqrt(sizes) / np.sqrt(sizes).sum()

    def batch(self, anchors: int) -> tuple[np.ndarray, ...]:
        """Query cells, query vectors, candidate cells, candidate vectors, each `[anchors · (1 + negatives),
        …]`; the right candidate of each anchor comes first in its group.
        """
        columns: list[list[np.ndarray]] = [[], [], [], []]
        for part in self.rng.choice(len(self.parts), anchors, p=self.share):
            found, lists = self.parts[part]
            i = self.rng.choice(self.usable[part])
            wrong = lists.short[i][~lists.right[i] & (lists.short[i] >= 0)]
            wrong = self.rng.choice(wrong, self.negatives, replace=len(wrong) < self.negatives)
            candidates = np.concatenate([lists.short[i][lists.right[i]][:1], wrong])
            query = np.full(len(candidates), lists.query[i])
            for column, values in zip(
                columns,
                (found.cells[query], found.vector[query], found.cells[candidates], found.vector[candidates]),
                strict=True,
            ):
                column.append(values)
        return tuple(np.concatenate(column).astype(np.float32) for column in columns)
