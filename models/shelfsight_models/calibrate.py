"""Score curves on products held out of training, and the text side of the cross-validation.

Reads the vectors that `crossval` left for each fold. For each fold the text projection is fitted anew
without the fold's products, so a pair (unseen product, its text) is a guess in every respect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import pipeline
from .crossval import reshared
from .evaluate import Interval, bootstrap
from .release import ReleaseConfig, fit, score_pairs
from .text import embed_texts
from .text_eval import against, typed
from .train_image import FOLDS, held_out
from .train_text import train as fit_text

Pairs = tuple[np.ndarray, np.ndarray]


@dataclass
class FoldVectors:
    """Unit vectors of one fold's encoders: pictures, catalogue titles, typed titles of pictured products."""

    fold: int
    out: set[str]
    pictures: np.ndarray
    titles: np.ndarray
    typed: np.ndarray


def fold_vectors(config: ReleaseConfig, text_config, root: Path, runs: Path, minilm: Path, cross: str):
    """`(rows, products, typed owners, [FoldVectors])` over the folds that `crossval` ran under the name
    `cross`. Leaves each fold's text projection beside its encoder, as `projection.npy`.
    """
    views = pipeline.image_views(config.image, root, runs)
    _, rows = pipeline.clean_rows(views)
    products, titles = pipeline.title_vectors(root, runs, minilm)
    words = pipeline.text_views(root, runs, minilm)
    pictured = [p for p in products if p.id in words]
    tower, tokenizer = pipeline.trimmed_text(runs, minilm)
    raw = pipeline.unit_rows(embed_texts(tower, tokenizer, typed(pictured, 9, "both")))
    parts = []
    for fold in range(FOLDS):
        saved = runs / f"{cross}-fold{fold}" / "clean.npy"
        if not saved.is_file():
            print(f"fold {fold} of {cross} was not run: left out")
            continue
        vectors = reshared(np.load(saved), config.image.dim, config.image.share)
        out = held_out(np.unique(views.product), fold)
        kept = {name: v for name, v in words.items() if name not in out}
        known = np.array([p.id not in out for p in products])
        weight = fit_text(
            text_config, titles[known], kept, pipeline.image_rows(vectors, rows, out, config.image.dim)
        )
        np.save(saved.with_name("projection.npy"), weight)
        blank = ((0, 0), (0, vectors.shape[1] - len(weight)))
        project = [np.pad(pipeline.unit_rows(x @ weight.T), blank).astype(np.float32) for x in (titles, raw)]
        parts.append(FoldVectors(fold, out, vectors, *project))
    if not parts:
        raise FileNotFoundError(
            f"no fold of {cross} under {runs}: run crossval with --set name={cross} first"
        )
    return rows, products, pictured, parts


def picture_pairs(vectors: np.ndarray, rows, out: set[str]) -> list[Pairs]:
    """Pairs of an unseen photo with catalogue pictures: shop photos with iconic pictures and Datakick's, each
    Datakick photo with the others.
    """
    catalogue = (rows.kind == "iconic") | ~rows.grocery
    unseen = np.isin(rows.product, sorted(out)) & (rows.kind == "photo")

    def pairs(queries: np.ndarray, others: np.ndarray) -> Pairs:
        return score_pairs(
            vectors[queries], vectors[others], rows.product[queries], rows.product[others], True
        )

    found = [pairs(unseen & rows.grocery, catalogue)]
    for shot in np.flatnonzero(unseen & ~rows.grocery):
        others = catalogue.copy()
        others[shot] = False
        found.append(pairs(np.array([shot]), others))
    return found


def curves(rows, products, pictured, parts: list[FoldVectors]) -> dict[str, dict[str, dict[str, float]]]:
    """`[query kind][row kind]` → scale and bias over the unseen products of all folds."""
    pairs: dict[tuple[str, str], list[Pairs]] = {}
    title_ids = np.array([p.id for p in products])
    typed_ids = np.array([p.id for p in pictured])
    catalogue = (rows.kind == "iconic") | ~rows.grocery
    for part in parts:
        unseen = np.isin(rows.product, sorted(part.out))
        pairs.setdefault(("image", "image"), []).extend(picture_pairs(part.pictures, rows, part.out))
        photos = unseen & (rows.kind == "photo")
        pairs.setdefault(("image", "text"), []).append(
            score_pairs(part.pictures[photos], part.titles, rows.product[photos], title_ids, False)
        )
        mine = np.isin(typed_ids, sorted(part.out))
        pairs.setdefault(("text", "text"), []).append(
            score_pairs(part.typed[mine], part.titles, typed_ids[mine], title_ids, True)
        )
        pairs.setdefault(("text", "image"), []).append(
            score_pairs(
                part.typed[mine], part.pictures[catalogue], typed_ids[mine], rows.product[catalogue], False
            )
        )
    return {
        kind: {row: fit([p for p in pairs[(kind, row)] if len(p[0])]) for row in ("image", "text")}
        for kind in ("image", "text")
    }


def unseen_text(rows, products, pictured, parts: list[FoldVectors]) -> dict[str, Interval]:
    """R@1 across the modalities for products left out: 81 Grocery products to choose from, 272 pictured,
    all titles.
    """
    hits: dict[str, list[np.ndarray]] = {}
    grocery = [i for i, p in enumerate(products) if p.id.startswith("grocery")]
    ids = [p.id for p in products]
    iconic = np.flatnonzero(rows.grocery & (rows.kind == "iconic"))
    for part in parts:
        names = [i for i in grocery if ids[i] in part.out]
        shots = np.isin(rows.product, sorted(part.out)) & rows.grocery & (rows.kind == "photo")
        mine = np.array([p.id in part.out for p in pictured])
        answers = {
            "unseen_name_to_iconic_of_81": against(
                part.titles[names],
                [ids[i] for i in names],
                part.pictures[iconic],
                rows.product[iconic].tolist(),
            ),
            "unseen_photo_to_name_of_81": against(
                part.pictures[shots],
                rows.product[shots].tolist(),
                part.titles[grocery],
                [ids[i] for i in grocery],
            ),
            "unseen_typed_to_all_titles": against(
                part.typed[mine], [p.id for p in np.array(pictured, object)[mine]], part.titles, ids
            ),
        }
        for name, rank in answers.items():
            hits.setdefault(name, []).append(rank < 1)
    return {name: bootstrap(np.concatenate(found)) for name, found in hits.items()}


def calibrate(config: ReleaseConfig, root: Path, runs: Path, minilm: Path) -> dict:
    """The curves for the manifests; prints the unseen cross-modal figures."""
    text_config = replace(config.text_config, steps=config.text_config.steps // 2)
    found = fold_vectors(config, text_config, root, runs, minilm, config.cross)
    for name, interval in unseen_text(*found).items():
        print(f"{name:30s} R@1 {interval}")
    return curves(*found)
