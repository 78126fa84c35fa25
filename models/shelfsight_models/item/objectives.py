"""The five objectives, each by its name: ITM, MLM, MIM and the two global ones, GMLM and GMIM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .networks import Heads, ItemEncoder

ALL = frozenset({"itm", "mlm", "mim", "gmlm", "gmim"})
# Token 1 is the mask, 0 the padding; words start at 2.
PAD, MASK, FIRST_WORD = 0, 1, 2


@dataclass
class Batch:
    """Pairs of words and picture cells; `matched` says which belong together."""

    ids: Tensor  # i64 [n, length]
    text_mask: Tensor  # f32 [n, length]
    cells: Tensor  # f32 [n, cells, cell]
    image_mask: Tensor  # f32 [n, 1]
    matched: Tensor  # f32 [n]


def hide_words(batch: Batch, share: float, words: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ids with a `share` of the words replaced (80 % mask, 10 % another word, 10 % left), and the places
    `[hidden, 2]` in matched pairs, which alone are to be recovered. Words of mismatched pairs are hidden too:
    else holes would tell the two kinds apart, and matching would learn nothing else.
    """
    hidden, chosen = hide_tokens(batch.ids, batch.text_mask > 0, share, words, generator)
    return hidden, (chosen & (batch.matched[:, None] > 0)).nonzero()


def hide_tokens(
    ids: Tensor, there: Tensor, share: float, words: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Ids with a `share` of the tokens `there` replaced, and which are."""
    draw = torch.rand(ids.shape, generator=generator)
    chosen = (draw < share) & there
    kind = torch.rand(ids.shape, generator=generator)
    other = torch.randint(FIRST_WORD, words, ids.shape, generator=generator)
    hidden = torch.where(chosen & (kind < 0.8), MASK, ids)
    hidden = torch.where(chosen & (kind >= 0.8) & (kind < 0.9), other, hidden)
    return hidden, chosen


def hide_cells(batch: Batch, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which cells are holes `[n, cells]`, and the places `[holes, 2]` of those in matched pairs (see
    `hide_words`).
    """
    draw = torch.rand(batch.cells.shape[:2], generator=generator)
    chosen = (draw < share) & (batch.image_mask > 0)
    return chosen, (chosen & (batch.matched[:, None] > 0)).nonzero()


def standardised(cells: Tensor) -> Tensor:
    """Each cell minus its mean, over its deviation: what the heads recover."""
    mean, deviation = cells.mean(2, keepdim=True), cells.std(2, keepdim=True)
    return (cells - mean) / (deviation + 1e-4)


def losses(
    encoder: ItemEncoder,
    heads: Heads,
    batch: Batch,
    which: frozenset[str],
    generator: torch.Generator,
    word_share: float = 0.15,
    cell_share: float = 0.5,
) -> dict[str, Tensor]:
    """The losses of `which`, by name; an objective without a hidden place in the batch is left out."""
    ids, word_places = hide_words(batch, word_share, encoder.shape.words, generator)
    holes, cell_places = hide_cells(batch, cell_share, generator)
    states = encoder(ids, batch.text_mask, batch.cells, batch.image_mask, holes)
    out: dict[str, Tensor] = {}
    both = (batch.text_mask[:, 0] > 0) & (batch.image_mask[:, 0] > 0)
    if "itm" in which and both.any():
        logit = heads.match(states[both, 0])[:, 0]
        out["itm"] = F.binary_cross_entropy_with_logits(logit, batch.matched[both])
    if len(word_places):
        wanted = batch.ids[word_places[:, 0], word_places[:, 1]]
        for name, head in (("mlm", heads.words), ("gmlm", heads.words_from_global)):
            if name in which:
                out[name] = F.cross_entropy(head(encoder, states, word_places), wanted)
    if len(cell_places):
        wanted_cells = standardised(batch.cells)[cell_places[:, 0], cell_places[:, 1]]
        for name, head in (("mim", heads.cells), ("gmim", heads.cells_from_global)):
            if name in which:
                out[name] = (head(encoder, states, cell_places) - wanted_cells).abs().mean()
    return out
