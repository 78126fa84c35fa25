"""A scorer of how well two pictures match, not of what they show.

Given descriptors, a net of few products learns the products: it sorts those it knows and no others. This one
is told only how similar the cells of two pictures are, and where, so what it learns holds for any product.
A candidate is described by 23 numbers and by how each stands to the best and to the mean of its list.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..schedule import set_rate, warm_cosine
from .maps import SIDE, Described
from .pairs import Lists

# Numbers of a cell that are kept; the first axes say most.
KEPT = 64
# Of the best cosines of all cells, falling, these are told.
PLACES = (0, 4, 9, 19, 29, 39, 48)
PAIR = 9 + 2 * len(PLACES)
FEATURES = 3 * PAIR


def normal(cells: np.ndarray) -> np.ndarray:
    """Cells as f32 unit rows."""
    x = cells.astype(np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


def stored(cells: np.ndarray) -> np.ndarray:
    """Cells as a pack gives them back: `KEPT` numbers in 4 bits of the largest, lengths in 8 of the longest.
    `[…, cells, d]` → `[…, cells, KEPT]`.
    """
    x = cells[..., :KEPT].astype(np.float32)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    longest = np.maximum(length.max(-2, keepdims=True), 1e-9)
    kept = np.maximum(np.rint(length / longest * 255), length > 0)
    largest = np.maximum(np.abs(x).max(-1, keepdims=True), 1e-9)
    return normal(np.rint(x / largest * 7)) * kept


def pair_features(query: np.ndarray, candidates: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """How a query and each of its candidates match: cells `[cells, d]` and `[k, cells, d]`, cosines
    of the global vectors `[k]` → `[k, PAIR]`.
    """
    similar = np.einsum("id,kjd->kij", normal(query), normal(candidates))
    there, back = similar.max(2), similar.max(1)
    goes, comes = similar.argmax(2), similar.argmax(1)
    mutual = np.take_along_axis(comes, goes, 1) == np.arange(similar.shape[1])
    # Cells of plain background are short: those that stand out count more.
    weight = [np.linalg.norm(x.astype(np.float32), axis=-1) for x in (query, candidates)]
    weight = [w / np.maximum(w.sum(-1, keepdims=True), 1e-6) for w in weight]
    cells = np.arange(similar.shape[1])
    sorted_there, sorted_back = np.sort(there, 1)[:, ::-1], np.sort(back, 1)[:, ::-1]
    columns = [
        cosine,
        there.mean(1),
        back.mean(1),
        (there * weight[0]).sum(1),
        (back * weight[1]).sum(1),
        similar[:, cells, cells].mean(1),
        mutual.mean(1),
        consensus(goes, mutual) / len(cells),
        similar.mean((1, 2)),
        *(sorted_there[:, place] for place in PLACES),
        *(sorted_back[:, place] for place in PLACES),
    ]
    return np.stack(columns, 1).astype(np.float32)


def consensus(goes: np.ndarray, mutual: np.ndarray) -> np.ndarray:
    """Most mutual matches that agree on one shift, within a cell: `[k, cells]` twice → `[k]`."""
    place = np.stack(np.divmod(np.arange(SIDE * SIDE), SIDE), 1)
    out = np.zeros(len(goes), np.float32)
    for k, (to, both) in enumerate(zip(goes, mutual, strict=True)):
        own = np.flatnonzero(both)
        shift = place[to[own]] - place[own]
        near = np.abs(shift[:, None] - shift[None]).max(2, initial=0) <= 1
        out[k] = near.sum(1).max(initial=0)
    return out


def list_features(found: Described, lists: Lists, rows: np.ndarray) -> np.ndarray:
    """`[rows, K, FEATURES]` of the lists `rows`; zeros where there is no candidate."""
    out = np.zeros((len(rows), lists.short.shape[1], FEATURES), np.float32)
    for n, i in enumerate(rows):
        there = np.flatnonzero(lists.short[i] >= 0)
        query, candidates = (
            found.cells[lists.query[i]][..., :KEPT],
            stored(found.cells[lists.short[i][there]]),
        )
        own = pair_features(query, candidates, lists.cosine[i][there])
        out[n, there] = np.concatenate([own, own - own.max(0), own - own.mean(0)], 1)
    return out


class MatchScorer(nn.Module):
    """`[…, FEATURES]` → logits `[…]`; brings features to mean 0 and deviation 1 first."""

    def __init__(self, hidden: int = 24):
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.net = nn.Sequential(
            nn.Linear(FEATURES, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.net((features - self.mean) / self.deviation)[..., 0]


def train_matches(
    parts: list[tuple[Described, Lists]], seed: int, steps: int = 800, rate: float = 3e-3, most: int = 600
) -> MatchScorer:
    """A scorer trained on `parts`, at most `most` lists of each: the right candidate against all others."""
    rng = np.random.default_rng(seed)
    features, right, there = [], [], []
    for found, lists in parts:
        usable = np.flatnonzero(lists.right.any(1) & (lists.short[:, 1] >= 0))
        rows = rng.permutation(usable)[:most]
        features.append(torch.from_numpy(list_features(found, lists, rows)))
        right.append(torch.from_numpy(lists.right[rows]))
        there.append(torch.from_numpy(lists.short[rows] >= 0))
    torch.manual_seed(seed)
    model = MatchScorer()
    known = torch.cat([f[t] for f, t in zip(features, there, strict=True)])
    model.mean.copy_(known.mean(0))
    model.deviation.copy_(known.std(0) + 1e-6)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    share = np.sqrt([len(f) for f in features])
    share /= share.sum()
    model.train()
    for step in range(steps):
        set_rate(optimiser, rate * warm_cosine(step, steps, 0.05))
        loss = torch.zeros(())
        for part, count in enumerate(rng.multinomial(64, share)):
            if not count:
                continue
            rows = rng.integers(len(features[part]), size=count)
            logits = model(features[part][rows]).masked_fill(~there[part][rows], -1e9)
            # Any right candidate may come first.
            good = F.log_softmax(logits, 1).masked_fill(~right[part][rows], -1e9)
            loss = loss - torch.logsumexp(good, 1).sum() / 64
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return model.eval()


def save(model: MatchScorer, path: Path) -> None:
    """The scorer as the library reads it."""
    hidden, out = model.net[0], model.net[3]

    def numbers(values: Tensor) -> list:
        return np.vectorize(lambda v: float(f"{v:.6g}"))(values.detach().numpy()).tolist()

    file = {
        "kind": "rerank",
        "version": 1,
        "name": "shelfsight-rerank",
        "mean": numbers(model.mean),
        "deviation": numbers(model.deviation),
        "hidden": numbers(hidden.weight),
        "bias": numbers(hidden.bias),
        "out": numbers(out.weight[0]),
    }
    path.write_text(json.dumps(file) + "\n", encoding="utf-8")


@torch.no_grad()
def match_logits(model: MatchScorer, found: Described, lists: Lists) -> np.ndarray:
    """The scorer's logit for every query and candidate, `[q, K]`; −inf where there is none."""
    features = torch.from_numpy(list_features(found, lists, np.arange(len(lists.query))))
    return np.where(lists.short >= 0, model(features).numpy(), -np.inf)
