"""The back of the image encoder, arranged for training on a CPU with bf16 matrix units.

Same function as `Backbone.back`, to bf16 rounding: 1×1 convolutions run as bf16 matrix products over `[n,
h, w, C]`, depthwise filters stay f32 and frozen, which leaves out their weight gradient (half of the time
of a plain step). On one Sapphire Rapids core this takes 8 ms a picture forward and backward instead of 17
(16×16 maps, `cut` 11).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .networks import Backbone, Conv, pool


class _FrozenDepthwise(torch.autograd.Function):
    """Depthwise convolution whose backward pass is again a convolution; no gradient for the filters."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.shape = stride, x.shape
        pad = weight.shape[2] // 2
        if stride == 2:
            x = F.pad(x, (pad - 1, pad, pad - 1, pad))
            pad = 0
        return F.conv2d(x, weight, bias, stride, pad, groups=weight.shape[0])

    @staticmethod
    def backward(ctx, grad: Tensor):
        (weight,) = ctx.saved_tensors
        kernel, flipped = weight.shape[2], weight.flip(2, 3)
        if ctx.stride == 1:
            back = F.conv2d(grad, flipped, None, 1, kernel // 2, groups=weight.shape[0])
        else:
            # The transposed convolution, as a plain one over the gradient spread out with zeros.
            count, channels, height, width = ctx.shape
            spread = torch.zeros(count, channels, height + kernel - 1, width + kernel - 1, dtype=grad.dtype)
            spread = spread.contiguous(memory_format=torch.channels_last)
            first = kernel - kernel // 2
            rows = slice(first, first + 2 * grad.shape[2], 2)
            columns = slice(first, first + 2 * grad.shape[3], 2)
            spread[:, :, rows, columns] = grad
            back = F.conv2d(spread, flipped, None, 1, 0, groups=weight.shape[0])[:, :, :height, :width]
        return back, None, grad.sum((0, 2, 3)), None


def freeze_filters(backbone: Backbone) -> None:
    """Marks every depthwise filter as fixed; their biases still learn."""
    for block in backbone.blocks:
        block.depthwise.weight.requires_grad_(False)
        block.depthwise.gain.requires_grad_(False)


def back(backbone: Backbone, x: Tensor, cut: int, taps: list[Tensor]) -> Tensor:
    """`Backbone.back(x, cut, taps)`: `[n, C, h, w]` → pooled f32 `[n, width]`. Every block after `cut` must
    expand.
    """
    x = x.permute(0, 2, 3, 1).to(torch.bfloat16)
    for number, block in enumerate(backbone.blocks[cut:], cut):
        filters = block.depthwise
        y = _pointwise(block.expand, x).float().permute(0, 3, 1, 2)
        weight = filters.weight * filters.gain[:, None, None, None]
        y = F.relu6(_FrozenDepthwise.apply(y, weight.detach(), filters.bias, filters.stride))
        if number == backbone.tap:
            taps.append(pool(y))
        y = _pointwise(block.project, y.permute(0, 2, 3, 1).to(torch.bfloat16))
        x = x + y if block.skip else y
    return torch.cat([_pointwise(backbone.head, x).float().mean((1, 2)), *taps], 1)


def _pointwise(conv: Conv, x: Tensor) -> Tensor:
    weight = conv.weight[:, :, 0, 0] * conv.gain[:, None]
    y = F.linear(x, weight.to(torch.bfloat16), conv.bias.to(torch.bfloat16))
    return y.clamp(0.0, 6.0) if conv.act else y
