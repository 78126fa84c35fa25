"""The single-stream encoder and the heads that only training needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes. `cell` is the width of a picture cell: a patch's pixels, or an encoder's local descriptor."""

    cell: int = 16 * 16 * 3
    cells: int = 36
    words: int = 2000
    length: int = 32
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 512


class Head(nn.Sequential):
    """Two layers with GELU and LayerNorm between."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__(
            nn.Linear(inputs, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, outputs)
        )


class ItemEncoder(nn.Module):
    """`[CLS] words [SEP] cells` → the states of all positions; the CLS state is the global vector.

    `forward(ids [n, length], text_mask [n, length], cells [n, cells, cell], image_mask [n, 1])`: masks are 1
    where there is something, and a modality whose mask is 0 is not attended to at all.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.word = nn.Embedding(shape.words, shape.width)
        self.patch = nn.Linear(shape.cell, shape.width)
        self.hole = nn.Parameter(torch.randn(shape.width) * 0.02)
        self.special = nn.Parameter(torch.randn(2, shape.width) * 0.02)  # CLS, SEP
        self.position = nn.Parameter(torch.randn(2 + shape.length + shape.cells, shape.width) * 0.02)
        self.segment = nn.Parameter(torch.randn(2, shape.width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, shape.hidden, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, shape.layers, nn.LayerNorm(shape.width), enable_nested_tensor=False
        )
        nn.init.normal_(self.word.weight, std=0.02)

    def forward(
        self, ids: Tensor, text_mask: Tensor, cells: Tensor, image_mask: Tensor, holes: Tensor | None = None
    ) -> Tensor:
        """States `[n, 2 + length + cells, width]`; `holes` `[n, cells]` marks cells that are hidden."""
        n, length, count = ids.shape[0], self.shape.length, self.shape.cells
        picture = self.patch(cells)
        if holes is not None:
            picture = torch.where(holes[:, :, None], self.hole, picture)
        words = self.word(ids) + self.segment[0]
        cls, sep = (self.special[i].expand(n, 1, -1) for i in (0, 1))
        tokens = torch.cat([cls, words, sep, picture + self.segment[1]], 1) + self.position
        one = torch.ones(n, 1, dtype=torch.bool, device=ids.device)
        there = torch.cat([one, text_mask > 0, text_mask[:, :1] > 0, (image_mask > 0).expand(n, count)], 1)
        assert tokens.shape[1] == 2 + length + count
        return self.encoder(tokens, src_key_padding_mask=~there)

    def embed(self, ids: Tensor, text_mask: Tensor, cells: Tensor, image_mask: Tensor) -> Tensor:
        """The global vector, unit rows `[n, width]`."""
        return F.normalize(self(ids, text_mask, cells, image_mask)[:, 0], dim=1)


class Heads(nn.Module):
    """What the five objectives read from the states; left behind after training.

    The two global heads see the CLS state and a position, never the state at the hole: what they recover
    went through the global vector.
    """

    def __init__(self, encoder: ItemEncoder):
        super().__init__()
        shape = encoder.shape
        width = shape.width
        self.match = nn.Linear(width, 1)
        self.word = Head(width, width, width)
        self.cell = Head(width, shape.hidden, shape.cell)
        self.global_word = Head(2 * width, width, width)
        self.global_cell = Head(2 * width, shape.hidden, shape.cell)
        self.bias = nn.Parameter(torch.zeros(shape.words))

    def words(self, encoder: ItemEncoder, states: Tensor, places: Tensor) -> Tensor:
        """Logits over the vocabulary from the states at `places` (row, token)."""
        hidden = self.word(states[places[:, 0], 1 + places[:, 1]])
        return hidden @ encoder.word.weight.T + self.bias

    def words_from_global(self, encoder: ItemEncoder, states: Tensor, places: Tensor) -> Tensor:
        """The same from the global vector and the position alone."""
        where = encoder.position[1 + places[:, 1]]
        hidden = self.global_word(torch.cat([states[places[:, 0], 0], where], 1))
        return hidden @ encoder.word.weight.T + self.bias

    def cells(self, encoder: ItemEncoder, states: Tensor, places: Tensor) -> Tensor:
        """Cells `[holes, cell]` from the states at `places` (row, cell)."""
        first = 2 + encoder.shape.length
        return self.cell(states[places[:, 0], first + places[:, 1]])

    def cells_from_global(self, encoder: ItemEncoder, states: Tensor, places: Tensor) -> Tensor:
        """The same from the global vector and the position alone."""
        where = encoder.position[2 + encoder.shape.length + places[:, 1]]
        return self.global_cell(torch.cat([states[places[:, 0], 0], where], 1))
