"""The detector's network: MobileNetV2 and a light feature pyramid down to stride 8.

Input `[n, 3, S, S]`, values `(x - 127) / 128`, S a multiple of 32. Outputs, with g = S / 8: heatmap
`[n, 1, g, g]` (probability that a product's centre lies in the cell), size `[n, 2, g, g]` (width and height
in input pixels), offset `[n, 2, g, g]` (from the cell's corner to the centre, in cells). This is CenterNet
(Zhou et al., "Objects as Points", 2019) with regression over the middle of a product as in TTFNet (Liu et
al., AAAI 2020). Only convolutions, ReLU6, additions and nearest upsampling, so that all but the last layer
goes int8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks import Block, Conv
from .trunk import Trunk

STRIDE = 8
UNIT = 32.0  # size is UNIT · exp(s): one relative precision for small and large products
PRIOR = 0.03  # share of cells taken as centres before training


class Detector(nn.Module):
    """`taps`: the numbers of the blocks whose outputs have strides 8, 16 and 32; later blocks are dropped."""

    def __init__(self, trunk: Trunk | None = None, taps: tuple[int, int, int] = (5, 12, 16), width: int = 80):
        super().__init__()
        trunk = trunk or Trunk()
        self.taps = taps
        self.frozen = 0
        self.stem = trunk.stem
        self.blocks = trunk.blocks[: taps[-1] + 1]
        channels = [self.blocks[t].project.weight.shape[0] for t in taps]
        self.lateral = nn.ModuleList(Conv(c, width, 1, act=False) for c in channels)
        self.merge = nn.ModuleList(Block(width, width, 5, 1, 2) for _ in taps)
        self.head = Block(width, width, 5, 1, 2)
        self.last = Conv(width, width, 1)
        self.out = nn.Conv2d(width, 5, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([-torch.log(torch.tensor(1 / PRIOR - 1)), 0, 0, 0.5, 0.5]))
            for block in (*self.merge, self.head):
                block.project.gain.fill_(0.3)  # start near the identity

    def freeze(self, blocks: int) -> list[nn.Parameter]:
        """Fixes the stem and the first `blocks` blocks; returns the trunk's parameters left to train."""
        self.frozen = blocks
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)
        return [p for block in self.blocks[blocks:] for p in block.parameters()]

    def front(self, x: Tensor) -> list[Tensor]:
        """The stem and the frozen blocks: the outputs that the pyramid takes from them, and the last one."""
        x, parts = self.stem(x), []
        for i, block in enumerate(self.blocks[: self.frozen]):
            x = block(x)
            if i in self.taps:
                parts.append(x)
        return [*parts, x]

    def back(self, parts: list[Tensor]) -> Tensor:
        """From `front` to raw outputs `[n, 5, g, g]`: centre logit, log(w / UNIT), log(h / UNIT), dx, dy."""
        *outs, x = parts
        for i, block in enumerate(self.blocks[self.frozen :], self.frozen):
            x = block(x)
            if i in self.taps:
                outs.append(x)
        levels = [lateral(x) for lateral, x in zip(self.lateral, outs, strict=True)]
        y = self.merge[2](levels[2])
        for level in (1, 0):
            y = self.merge[level](levels[level] + F.interpolate(y, scale_factor=2.0, mode="nearest"))
        return self.out(self.last(self.head(y)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = self.back(self.front(x))
        return torch.sigmoid(z[:, :1]), UNIT * torch.exp(z[:, 1:3]), z[:, 3:5]

    def fold(self) -> None:
        """Folds every gain into its weight, for export."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.fold()
