"""The hybrid stream, and the two designs it is compared with at equal size.

`hybrid`: words and regions each in layers of their own, then layers in which each stream looks at the other,
then one stack over both. `two`: layers of their own alone, vectors joined at the end. `single`: one stack
over both, read three times: together, words alone, regions alone (what the contrastive objective compares
must not have met).

Layers are pre-norm with x·σ(1.702x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks import unit
from .regions import FEATURE, REGIONS

KINDS = ("hybrid", "two", "single")
HIDDEN = -1e4  # added to the score of what is not there


@dataclass(frozen=True)
class Shape:
    """Sizes; `depths` are those of the hybrid: separate, cross, joint."""

    words: int = 2000
    length: int = 20
    width: int = 128
    heads: int = 4
    inner: int = 256
    depths: tuple[int, int, int] = (2, 2, 2)


@dataclass
class States:
    """What a picture and its caption became. Token 0 stands for the whole."""

    text: Tensor  # [n, 1 + length, width], what masked words are read from
    image: Tensor  # [n, 1 + regions, width]
    own_text: Tensor  # [n, width], token 0 before the streams met: unit rows
    own_image: Tensor


class Block(nn.Module):
    """Attention and two linear layers; looks at `source`, or at its own tokens."""

    def __init__(self, width: int, heads: int, inner: int):
        super().__init__()
        self.heads = heads
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, hide: Tensor, source: Tensor | None = None) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.reshape(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)

        mine = self.norm(x)
        other = mine if source is None else self.norm(source)
        q, k, v = split(self.query(mine)), split(self.key(other)), split(self.value(other))
        scores = torch.matmul(q, k.transpose(2, 3)) * q.shape[-1] ** -0.5 + hide
        mixed = torch.matmul(torch.softmax(scores, -1), v).transpose(1, 2)
        x = x + self.out(mixed.reshape(x.shape))
        y = self.up(self.norm2(x))
        return x + self.down(y * torch.sigmoid(1.702 * y))


def stack(shape: Shape, depth: int, inner: int) -> nn.ModuleList:
    return nn.ModuleList(Block(shape.width, shape.heads, inner) for _ in range(depth))


def tower(shape: Shape) -> int:
    """Layers of each of two towers that have as many as the hybrid."""
    separate, cross, joint = shape.depths
    return separate + cross + joint // 2


def hidden(mask: Tensor) -> Tensor:
    """Mask `[n, tokens]`, 1 where something is → what is added to attention scores, `[n, 1, 1, tokens]`."""
    return (1 - mask.float())[:, None, None, :] * HIDDEN


class Encoder(nn.Module):
    """Words and regions to `States`, and to the vector that is searched with.

    Inputs as in `Batch`. Features are standardised by `mean` and `scale`, which are set from training
    pictures and go with the weights.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        width = shape.width
        self.word = nn.Embedding(shape.words, width)
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.position = nn.Parameter(torch.randn(1 + shape.length, width) * 0.02)
        self.feature = nn.Linear(FEATURE, width)
        self.place = nn.Linear(5, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.own_text, self.own_image = nn.Linear(width, width), nn.Linear(width, width)
        self.register_buffer("mean", torch.zeros(FEATURE))
        self.register_buffer("scale", torch.ones(FEATURE))
        nn.init.normal_(self.word.weight, std=0.02)

    def standardise(self, features: np.ndarray) -> None:
        """Sets `mean` and `scale` from features `[n, 5, 448]`: each number over the regions that have it."""
        there = np.abs(features) > 0
        count = np.maximum(there.sum((0, 1)), 1)
        mean = features.sum((0, 1)) / count
        deviation = np.sqrt((((features - mean) * there) ** 2).sum((0, 1)) / count)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(1 / (deviation + 1e-4)))

    def standard(self, feature: Tensor) -> Tensor:
        """Standardised features; numbers that a region does not have stay 0."""
        return torch.where(feature == 0, feature, (feature - self.mean) * self.scale)

    def tokens(
        self, ids: Tensor, feature: Tensor, box: Tensor, holes: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Text tokens, a learned start first, and region tokens; `holes` `[n, regions + 1]` are zeroed."""
        words = torch.cat([self.start.expand(ids.shape[0], 1, -1), self.word(ids)], 1) + self.position
        seen = self.standard(feature)
        if holes is not None:
            seen = seen * (1 - holes[:, :, None].to(seen.dtype))
        return words, self.norm(self.feature(seen) + self.place(box))

    def own(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """What the contrastive objective compares."""
        return (
            unit(F.relu(self.own_text(text[:, 0]))),
            unit(F.relu(self.own_image(image[:, 0]))),
        )

    def vector(self, states: States) -> Tensor:
        """`[joint image ⊙ text ; separate image ⊙ text]`, unit halves, unit rows. A half is 0 where image and
        text share no number that is above 0.
        """
        joint = unit(states.image[:, 0] * states.text[:, 0])
        own = unit(states.own_image * states.own_text)
        return torch.cat([joint, own], 1) * 0.5**0.5


class Hybrid(Encoder):
    """Separate, cross, joint."""

    def __init__(self, shape: Shape):
        super().__init__(shape)
        separate, cross, joint = shape.depths
        self.text_layers, self.image_layers = (stack(shape, separate, shape.inner) for _ in range(2))
        self.text_looks, self.image_looks = (stack(shape, cross, shape.inner) for _ in range(2))
        self.joint_layers = stack(shape, joint, shape.inner)
        self.joint_position = nn.Parameter(torch.randn(2 + shape.length + REGIONS, shape.width) * 0.02)
        self.text_out, self.image_out = (nn.Linear(shape.width, shape.width) for _ in range(2))

    def forward(self, ids, text_mask, feature, box, region_mask, holes=None) -> States:
        text, image = self.tokens(ids, feature, box, holes)
        there = torch.cat([torch.ones_like(text_mask[:, :1]), text_mask], 1)
        hide_text, hide_image = hidden(there), hidden(region_mask)
        for layer in self.text_layers:
            text = layer(text, hide_text)
        for layer in self.image_layers:
            image = layer(image, hide_image)
        own = self.own(text, image)
        for looks_text, looks_image in zip(self.text_looks, self.image_looks, strict=True):
            text, image = looks_text(text, hide_image, image), looks_image(image, hide_text, text)
        both = torch.cat([text, image], 1) + self.joint_position
        hide = torch.cat([hide_text, hide_image], 3)
        for layer in self.joint_layers:
            both = layer(both, hide)
        words = 1 + self.shape.length
        text, image = F.relu(self.text_out(both[:, :words])), F.relu(self.image_out(both[:, words:]))
        return States(text, image, *own)


class TwoStreams(Encoder):
    """Two towers that never meet: late fusion, a sum of their cosines."""

    def __init__(self, shape: Shape, inner: int):
        super().__init__(shape)
        self.text_layers = stack(shape, tower(shape), inner)
        self.image_layers = stack(shape, tower(shape), inner)

    def forward(self, ids, text_mask, feature, box, region_mask, holes=None) -> States:
        text, image = self.tokens(ids, feature, box, holes)
        there = torch.cat([torch.ones_like(text_mask[:, :1]), text_mask], 1)
        for layer in self.text_layers:
            text = layer(text, hidden(there))
        for layer in self.image_layers:
            image = layer(image, hidden(region_mask))
        return States(text, image, *self.own(text, image))

    def vector(self, states: States) -> Tensor:
        return torch.cat([states.own_image, states.own_text], 1) * 0.5**0.5


class SingleStream(Encoder):
    """One stack over both, and over each alone; as deep as a token's way through the hybrid."""

    def __init__(self, shape: Shape, inner: int):
        super().__init__(shape)
        self.layers = stack(shape, sum(shape.depths), inner)
        self.segment = nn.Parameter(torch.randn(2, shape.width) * 0.02)
        self.text_out, self.image_out = (nn.Linear(shape.width, shape.width) for _ in range(2))

    def forward(self, ids, text_mask, feature, box, region_mask, holes=None) -> States:
        text, image = self.tokens(ids, feature, box, holes)
        text, image = text + self.segment[0], image + self.segment[1]
        there = torch.cat([torch.ones_like(text_mask[:, :1]), text_mask], 1)
        hide_text, hide_image = hidden(there), hidden(region_mask)
        both, hide = torch.cat([text, image], 1), torch.cat([hide_text, hide_image], 3)
        for layer in self.layers:
            both, text, image = layer(both, hide), layer(text, hide_text), layer(image, hide_image)
        words = 1 + self.shape.length
        joint_text, joint_image = (
            F.relu(self.text_out(both[:, :words])),
            F.relu(self.image_out(both[:, words:])),
        )
        return States(joint_text, joint_image, *self.own(text, image))


class Heads(nn.Module):
    """What the masked objectives read from the states; left behind after training."""

    def __init__(self, encoder: Encoder, cell: int):
        super().__init__()
        width = encoder.shape.width
        self.word = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(encoder.shape.words))
        self.region = nn.Linear(width, cell)

    def words(self, encoder: Encoder, states: States, places: Tensor) -> Tensor:
        """Logits over the vocabulary at `places` (row, word)."""
        return self.word(states.text[places[:, 0], 1 + places[:, 1]]) @ encoder.word.weight.T + self.bias

    def cells(self, states: States, places: Tensor) -> Tensor:
        """Standardised cells at `places` (row, region)."""
        return self.region(states.image[places[:, 0], places[:, 1]])


def count(model: nn.Module) -> int:
    """Learned parameters."""
    return sum(p.numel() for p in model.parameters())


def build(shape: Shape, kind: str) -> Encoder:
    """An encoder of a kind; the inner width of the two plainer designs makes them as large as the hybrid."""
    if kind == "hybrid":
        return Hybrid(shape)
    design, layers = {
        "two": (TwoStreams, 2 * tower(shape)),
        "single": (SingleStream, sum(shape.depths)),
    }[kind]
    missing = count(Hybrid(shape)) - count(design(shape, 1))
    # One more inner unit of a layer is a row, a column and a bias.
    return design(shape, 1 + round(missing / (layers * (2 * shape.width + 1))))
