"""The three objectives, each by its name: masked words (MLM), masked regions (MRM), contrast between the
streams before they meet (CLR). Summed with equal weight; no image-text matching.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..item.objectives import hide_tokens
from .data import Batch
from .networks import Encoder, Heads, States
from .regions import CELL

ALL = frozenset({"mlm", "mrm", "clr"})
SHARE = 0.15
ZEROED = 0.9
TEMPERATURE = 0.07


def clr(image: Tensor, text: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Contrast of unit rows `[n, d]` of both streams: every vector must know its partner among all others,
    those of its own stream too.
    """
    both = torch.cat([image, text])
    scores = both @ both.T / temperature
    scores = scores.masked_fill(torch.eye(len(both), dtype=torch.bool), float("-inf"))
    partner = torch.arange(len(both)).roll(len(image))
    return F.cross_entropy(scores, partner)


def hide_regions(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Regions to zero `[n, regions + 1]`, and the places `[chosen, 2]` to recover, some of which are left as
    they are. The global region is never chosen.
    """
    shape = batch.region_mask.shape
    chosen = (torch.rand(shape, generator=generator) < SHARE) & (batch.region_mask > 0)
    chosen[:, 0] = False
    zeroed = chosen & (torch.rand(shape, generator=generator) < ZEROED)
    return zeroed, chosen.nonzero()


def losses(
    encoder: Encoder, heads: Heads, batch: Batch, which: frozenset[str], generator: torch.Generator
) -> dict[str, Tensor]:
    """The losses of `which`, by name; an objective without anything to do in the batch is left out. Nothing
    is hidden where neither masked objective is asked for.
    """
    ids, words = batch.ids, torch.zeros(0, 2, dtype=torch.long)
    holes, regions = None, words
    if "mlm" in which:
        ids, chosen = hide_tokens(ids, batch.text_mask > 0, SHARE, encoder.shape.words, generator)
        words = chosen.nonzero()
    if "mrm" in which:
        holes, regions = hide_regions(batch, generator)
    states: States = encoder(ids, batch.text_mask, batch.feature, batch.box, batch.region_mask, holes)
    out: dict[str, Tensor] = {}
    if len(words):
        wanted = batch.ids[words[:, 0], words[:, 1]]
        out["mlm"] = F.cross_entropy(heads.words(encoder, states, words), wanted)
    if len(regions):
        cells = encoder.standard(batch.feature)[regions[:, 0], regions[:, 1], :CELL]
        out["mrm"] = F.mse_loss(heads.cells(states, regions), cells)
    rows = batch.captioned
    if "clr" in which and rows.sum() > 1:
        out["clr"] = clr(states.own_image[rows], states.own_text[rows])
    return out
