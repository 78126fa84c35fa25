"""Products held out of training: trains a recipe once a fold and asks for the products it never saw.

Each fold leaves out a fifth of the Grocery products and a fifth of the Datakick products with photos. The
same queries and galleries go to the ImageNet features, so differences are paired by query.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from . import pipeline
from .evaluate import bootstrap, paired
from .networks import Backbone
from .protocols import Clean, centred, datakick_unseen, grocery_seen, grocery_unseen
from .train_image import ImageConfig, embed_clean, held_out, train


def baseline(views, index: np.ndarray) -> np.ndarray:
    """ImageNet's pooled head minus its mean over the training pictures."""
    features = views.teacher[index, : Backbone().head_width].astype(np.float32)
    return centred(features, features[views.split[index] == "train"])


def reshared(vectors: np.ndarray, learned: int, share: float) -> np.ndarray:
    """The same vectors with another length of the generic part."""
    a, b = pipeline.unit_rows(vectors[:, :learned]), pipeline.unit_rows(vectors[:, learned:])
    return pipeline.unit_rows(np.concatenate([a, share * b], 1)).astype(np.float32)


def questions(vectors: np.ndarray, rows: Clean, out: set[str]) -> dict[str, np.ndarray]:
    """Hits (0 or 1 a query) of every protocol for one fold."""
    found = grocery_unseen(vectors, rows, out) | datakick_unseen(vectors, rows, out)
    return {name: (rank < 1).astype(np.float64) for name, rank in found.items()}


def run(
    config: ImageConfig, root: Path, runs: Path, minilm: Path, folds: list[int], shares: list[float]
) -> dict[str, dict]:
    """Trains the folds and returns, by share of the generic part and protocol, our R@1, the baseline's, the
    difference.

    A fold's encoder and its vectors at the config's own share are kept (`encoder.pt`, `clean.npy`) for
    `calibrate` and `unseen`.
    """
    views = pipeline.image_views(config, root, runs)
    texts = pipeline.text_views(root, runs, minilm)
    index, rows = pipeline.clean_rows(views)
    plain = baseline(views, index)
    ours: dict[str, dict[str, list]] = {}
    theirs: dict[str, list] = {}
    for fold in folds:
        part = replace(config, fold=fold, name=f"{config.name}-fold{fold}")
        folder = runs / part.name
        if (folder / "clean.npy").is_file():  # a finished fold
            whole = np.load(folder / "clean.npy")
        else:
            encoder = train(part, views, pipeline.imagenet_backbone(), texts, folder)
            torch.save(encoder.state_dict(), folder / "encoder.pt")
            whole = embed_clean(encoder, views, index, config.views.cut)
            np.save(folder / "clean.npy", whole)
        out = held_out(np.unique(views.product), fold)
        for name, hits in questions(plain, rows, out).items():
            theirs.setdefault(name, []).append(hits)
        for share in shares:
            vectors = reshared(whole, config.dim, share)
            for name, hits in questions(vectors, rows, out).items():
                ours.setdefault(str(share), {}).setdefault(name, []).append(hits)
            seen = {k: round(float((r < 1).mean()), 4) for k, r in grocery_seen(vectors, rows).items()}
            print(json.dumps({"fold": fold, "share": share, "of_which_unseen": len(out)} | seen), flush=True)
    table: dict[str, dict] = {}
    for share, by_name in ours.items():
        for name, parts in by_name.items():
            new, old = np.concatenate(parts), np.concatenate(theirs[name])
            table.setdefault(share, {})[name] = {
                "queries": len(new),
                "imagenet": str(bootstrap(old)),
                "ours": str(bootstrap(new)),
                "difference": str(paired(new, old)),
            }
    return table
