"""The pair scorers: two forms of the paper, and the simpler models they must beat.

All take descriptors of a query and a candidate, one pair a row, and give one logit a row: how likely both
show the same product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..networks import unit


@dataclass(frozen=True)
class Shape:
    """Sizes of the product form."""

    local: int = 256  # components of a stored map cell
    glob: int = 384  # components of the global vector
    side: int = 7
    width: int = 64
    layers: int = 2
    heads: int = 4
    hidden: int = 256
    use_local: bool = True
    use_position: bool = True
    use_global: bool = True


def _encoder(width: int, layers: int, heads: int, hidden: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, activation="relu", batch_first=True)
    encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    for parameter in encoder.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return encoder


def sine_positions(side: int, width: int) -> Tensor:
    """2-D sine positions `[side², width]`: one half of the components for the row, one for the column."""
    half = width // 2
    rate = torch.exp(torch.arange(0, half, 2) * (-math.log(10_000.0) / half))
    angle = torch.arange(side)[:, None] * rate[None]
    line = torch.stack([angle.sin(), angle.cos()], 2).flatten(1)
    rows, columns = line[:, None].expand(side, side, half), line[None].expand(side, side, half)
    return torch.cat([rows, columns], 2).reshape(side * side, width)


class ProductReranker(nn.Module):
    """`[CLS, query cells, SEP, candidate cells]`, and a global token on each side where wanted.

    Following the authors' product variant: cells are projected, not normalised, and get a segment and a
    sine position. The global token is our addition. Inputs: cells `[n, side², local]`, vectors
    `[n, glob]`; output `[n]`.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.cell = nn.Linear(shape.local, shape.width)
        self.glob = nn.Linear(shape.glob, shape.width)
        # CLS, SEP, query cells, candidate cells, query global, candidate global.
        self.segment = nn.Parameter(torch.randn(6, shape.width) * 0.02)
        self.register_buffer("position", sine_positions(shape.side, shape.width))
        self.encoder = _encoder(shape.width, shape.layers, shape.heads, shape.hidden)
        self.score = nn.Linear(shape.width, 1)

    def side(self, cells: Tensor, vector: Tensor, which: int) -> list[Tensor]:
        tokens = []
        if self.shape.use_global:
            tokens.append(self.glob(vector)[:, None] + self.segment[4 + which])
        if self.shape.use_local:
            local = self.cell(cells) + self.segment[2 + which]
            tokens.append(local + self.position if self.shape.use_position else local)
        return tokens

    def forward(self, query: Tensor, query_vector: Tensor, cells: Tensor, vector: Tensor) -> Tensor:
        n = cells.shape[0]
        cls, sep = (self.segment[i].expand(n, 1, -1) for i in (0, 1))
        tokens = [cls, *self.side(query, query_vector, 0), sep, *self.side(cells, vector, 1)]
        return self.score(self.encoder(torch.cat(tokens, 1))[:, 0])[:, 0]


class LandmarkReranker(nn.Module):
    """The paper's landmark model: DELG descriptors, 500 local ones a side, 2,243,201 parameters.

    `forward(query_global [n, 2048], query_local [n, L, 128], query_scale [n, L], query_mask [n, L], …)`;
    masks are true where a descriptor is missing.
    """

    def __init__(self, global_width: int = 2048, width: int = 128, layers: int = 6, hidden: int = 1024):
        super().__init__()
        self.project = nn.Linear(global_width, width)
        self.scale = nn.Embedding(7, width)
        self.segment = nn.Embedding(6, width)
        self.encoder = _encoder(width, layers, 4, hidden)
        self.score = nn.Linear(width, 1)

    def forward(
        self,
        query_global: Tensor,
        query_local: Tensor,
        query_scale: Tensor,
        query_mask: Tensor,
        cand_global: Tensor,
        cand_local: Tensor,
        cand_scale: Tensor,
        cand_mask: Tensor,
    ) -> Tensor:
        n = query_global.shape[0]
        seg = self.segment.weight
        glob = [
            unit(self.project(x))[:, None] + seg[4 + i] for i, x in enumerate((query_global, cand_global))
        ]
        local = [
            x / (x.norm(dim=2, keepdim=True) + 1e-12) + self.scale(s) + seg[i]
            for i, (x, s) in enumerate(((query_local, query_scale), (cand_local, cand_scale)))
        ]
        cls, sep = (seg[i].expand(n, 1, -1) for i in (2, 3))
        tokens = torch.cat([cls, glob[0], local[0], sep, glob[1], local[1]], 1)
        there = torch.zeros(n, 1, dtype=torch.bool, device=tokens.device)
        mask = torch.cat([there, there, query_mask, there, there, cand_mask], 1)
        return self.score(self.encoder(tokens, src_key_padding_mask=mask)[:, 0])[:, 0]


class PairMlp(nn.Module):
    """A learned score of the two global vectors and their product, of as many parameters as the
    transformer it stands beside: what is left of reranking without local evidence.
    """

    def __init__(self, glob: int, parameters: int):
        super().__init__()
        # Two hidden layers of equal width w: 3·glob·w + w² + 3·w + 1 parameters.
        b = 3 * glob + 3
        width = max(8, round((-b + math.sqrt(b * b + 4 * (parameters - 1))) / 2))
        self.net = nn.Sequential(
            nn.Linear(3 * glob, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
        )

    def forward(self, query: Tensor, query_vector: Tensor, cells: Tensor, vector: Tensor) -> Tensor:
        del query, cells
        return self.net(torch.cat([query_vector, vector, query_vector * vector], 1))[:, 0]


def count(model: nn.Module) -> int:
    """Learned parameters."""
    return sum(p.numel() for p in model.parameters())
