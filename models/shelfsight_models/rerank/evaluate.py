"""Ways to reorder one short list, side by side on products that no part of the system saw.

The scorer of a fold is trained on the other folds' products, with the descriptors of encoders that did not
see *those*; it is judged on its own fold's products with the encoder that did not see them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .. import pipeline
from ..evaluate import bootstrap, paired
from ..networks import ImageEncoder
from ..train_image import ImageConfig, held_out
from ..views import Views
from .maps import SIDE, Described, axes_path, describe, fit_projection
from .matches import MatchScorer, match_logits, normal, train_matches
from .pairs import Lists, Pairs, chosen_rows, family, questions, short_lists, training_questions
from .train import RerankConfig, train

BETAS = (0.0, 2.0, 5.0, 10.0, 20.0)
FOLDS = 5


def fold_encoder(image: ImageConfig, runs: Path, fold: int) -> ImageEncoder:
    """The encoder `crossval` left for a fold."""
    encoder = ImageEncoder(image.dim, image.generic, image.share)
    path = runs / f"{image.name}-fold{fold}" / "encoder.pt"
    encoder.load_state_dict(torch.load(path, map_location="cpu"))
    return encoder.eval()


def describe_fold(config: RerankConfig, image: ImageConfig, views: Views, runs: Path, fold: int) -> Described:
    """Descriptors under a fold's encoder of all that its pairs need; cached in the fold's folder."""
    out = held_out(np.unique(views.product), fold)
    drawn = sorted({f for f in np.unique(family(views.product)) if f.startswith("synthetic")})
    rows = chosen_rows(views, out, set(drawn[fold::FOLDS]), config.augmented)
    folder = runs / f"{image.name}-fold{fold}"
    axes = axes_path(runs, image.name)
    projection = fit_projection(pipeline.imagenet_backbone(), views, image.views.cut, axes)
    encoder = fold_encoder(image, runs, fold)
    return describe(encoder, views, rows, image.views.cut, projection, folder / "cells.npz")


def mean_best_cosine(query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mean over cells of the best cosine on the other side, both ways: local evidence without learning.
    `[cells, d]`, `[k, cells, d]` → `[k]`.
    """
    similar = np.einsum("id,kjd->kij", normal(query), normal(candidates))
    return 0.5 * (similar.max(2).mean(1) + similar.max(1).mean(1))


def consistent_matches(query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Geometric verification on the grid: most mutual best matches that agree on one shift and one of three
    scales. `[cells, d]`, `[k, cells, d]` → counts `[k]`.
    """
    place = np.stack(np.divmod(np.arange(SIDE * SIDE), SIDE), 1).astype(np.float32) - (SIDE - 1) / 2
    out = np.zeros(len(candidates), np.float32)
    for k, similar in enumerate(np.einsum("id,kjd->kij", normal(query), normal(candidates))):
        there, back = similar.argmax(1), similar.argmax(0)
        mutual = np.flatnonzero(back[there] == np.arange(len(there)))
        for scale in (0.7, 1.0, 1.4):
            shift = place[there[mutual]] - scale * place[mutual]
            near = (np.abs(shift[:, None] - shift[None]).max(2) <= 1.0).sum(1)
            out[k] = max(out[k], near.max(initial=0))
    return out


@torch.no_grad()
def logits(model: torch.nn.Module, found: Described, lists: Lists) -> np.ndarray:
    """The scorer's logit for every query and candidate, `[q, K]`; −inf where there is none."""
    out = np.full(lists.short.shape, -np.inf, np.float32)
    for i, query in enumerate(lists.query):
        there = np.flatnonzero(lists.short[i] >= 0)
        candidates = lists.short[i][there]
        same = np.full(len(there), query)
        parts = (found.cells[same], found.vector[same], found.cells[candidates], found.vector[candidates])
        out[i, there] = model(*(torch.from_numpy(part.astype(np.float32)) for part in parts)).numpy()
    return out


def first_is_right(scores: np.ndarray, lists: Lists) -> np.ndarray:
    """Whether the best-scored candidate is right, as 0 or 1 a query."""
    scores = np.where(lists.short >= 0, scores, -np.inf)
    return lists.right[np.arange(len(scores)), scores.argmax(1)].astype(np.float64)


def fixed_rows(found: Described, lists: Lists) -> dict[str, np.ndarray]:
    """Hits of what needs no training, and of the best possible order of the list."""
    local = np.full(lists.short.shape, -np.inf, np.float32)
    geometry = local.copy()
    for i, query in enumerate(lists.query):
        there = np.flatnonzero(lists.short[i] >= 0)
        candidates = found.cells[lists.short[i][there]]
        local[i, there] = mean_best_cosine(found.cells[query], candidates)
        geometry[i, there] = consistent_matches(found.cells[query], candidates)
    return {
        "global": first_is_right(lists.cosine, lists),
        "local cosine": first_is_right(local, lists),
        "global + local cosine": first_is_right(lists.cosine + local, lists),
        "geometry": first_is_right(geometry + 0.5 * lists.cosine, lists),
        "oracle": lists.right.any(1).astype(np.float64),
    }


def recipes(config: RerankConfig) -> dict[str, RerankConfig]:
    """The transformer, and what it is without one of its parts; all trained alike."""
    shape = config.shape
    return {
        "transformer": config,
        "without locals": replace(config, shape=replace(shape, use_local=False)),
        "without positions": replace(config, shape=replace(shape, use_position=False)),
        "without global": replace(config, shape=replace(shape, use_global=False)),
        "MLP of equal size": replace(config, kind="mlp"),
    }


def run(
    config: RerankConfig, image: ImageConfig, root: Path, runs: Path, folds: list[int], names: list[str]
) -> dict[str, dict]:
    """By question and way of ordering: queries, R@1, and the paired difference to the global order.

    `+ cosine` rows add β times the cosine to the logit, β chosen on the training folds' own lists.
    """
    views = pipeline.image_views(image, root, runs)
    described = {fold: describe_fold(config, image, views, runs, fold) for fold in folds}
    products = np.unique(views.product)
    hits: dict[str, dict[str, list[np.ndarray]]] = {}
    for fold in folds:
        judged = held_out(products, fold)
        mine = described[fold]
        asked = {
            q.name: short_lists(views, mine, q, config.depth) for q in questions(views, mine.row, judged)
        }
        for name, lists in asked.items():
            for way, values in fixed_rows(mine, lists).items():
                hits.setdefault(name, {}).setdefault(way, []).append(values)
        parts = []
        for other in folds:
            if other == fold:
                continue
            found = described[other]
            out = held_out(products, other)
            parts += [
                (found, short_lists(views, found, question, config.depth))
                for question in training_questions(views, found.row, out, judged)
                if len(question.query)
            ]
        if "matches" in names:
            scorer = train_matches(parts, config.seed)
            for name, lists in asked.items():
                values = first_is_right(match_logits(scorer, mine, lists), lists)
                hits[name].setdefault("matches", []).append(values)
        for way, recipe in recipes(config).items():
            if way not in names:
                continue
            folder = runs / f"{config.name}-{way.replace(' ', '_')}-fold{fold}-seed{config.seed}"
            model = train(recipe, Pairs(parts, config.negatives, config.seed), folder)
            beta = best_beta(model, parts)
            for name, lists in asked.items():
                scores = logits(model, mine, lists)
                with_cosine = f"{way} + cosine"
                hits[name].setdefault(way, []).append(first_is_right(scores, lists))
                both = first_is_right(scores + beta * lists.cosine, lists)
                hits[name].setdefault(with_cosine, []).append(both)
                now = {w: round(float(hits[name][w][-1].mean()), 4) for w in (way, with_cosine)}
                print(json.dumps({"fold": fold, "question": name, "beta": beta} | now), flush=True)
    table: dict[str, dict] = {}
    for name, ways in hits.items():
        base = np.concatenate(ways["global"])
        for way, parts_of in ways.items():
            values = np.concatenate(parts_of)
            table.setdefault(name, {})[way] = {
                "queries": len(values),
                "r@1": str(bootstrap(values)),
                "difference": str(paired(values, base)),
            }
    return table


def scorer_without(
    config: RerankConfig, image: ImageConfig, root: Path, runs: Path, fold: int | None = None
) -> MatchScorer:
    """A scorer trained on the products of all folds but one (of all, with `None`: the one that ships), each
    under the encoder that did not see them.
    """
    views = pipeline.image_views(image, root, runs)
    products = np.unique(views.product)
    judged = set() if fold is None else held_out(products, fold)
    parts = []
    for other in (f for f in range(FOLDS) if f != fold):
        found = describe_fold(config, image, views, runs, other)
        for question in training_questions(views, found.row, held_out(products, other), judged):
            if len(question.query):
                parts.append((found, short_lists(views, found, question, config.depth)))
    return train_matches(parts, config.seed)


def best_beta(model: torch.nn.Module, parts: list[tuple[Described, Lists]], most: int = 150) -> float:
    """β of `BETAS` with the most right firsts on lists of the training folds."""
    rng = np.random.default_rng(0)
    won = np.zeros(len(BETAS))
    for found, lists in parts:
        rows = rng.permutation(len(lists.query))[:most]
        some = Lists(lists.query[rows], lists.short[rows], lists.cosine[rows], lists.right[rows])
        scores = logits(model, found, some)
        won += [first_is_right(scores + beta * some.cosine, some).sum() for beta in BETAS]
    return BETAS[int(won.argmax())]
