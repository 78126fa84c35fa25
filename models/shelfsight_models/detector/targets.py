"""Boxes to heatmap, size and offset, and back; the losses between them.

Boxes are `[n, 4]` as x0, y0, x1, y1 in pixels of the input square.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .net import STRIDE, UNIT

ALPHA = 0.54  # share of a box that its bell covers (TTFNet)


def encode(boxes: np.ndarray, ignore: np.ndarray, cells: int) -> np.ndarray:
    """Targets of one picture, `float32 [7, cells, cells]`: heat, x0, y0, x1, y1, box weight, heat weight.

    A box gives a bell as wide and high as itself, 1 at its centre. Every cell under the bell regresses the
    box (the smaller box where two overlap), weighted so that each box counts by the logarithm of its area.
    """
    out = np.zeros((7, cells, cells), np.float32)
    out[6] = 1
    for x0, y0, x1, y1 in ignore / STRIDE:
        out[6, max(int(y0), 0) : int(np.ceil(y1)), max(int(x0), 0) : int(np.ceil(x1))] = 0
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for i in np.argsort(-area):
        box = boxes[i] / STRIDE
        cx, cy = (min(int((box[k] + box[k + 2]) / 2), cells - 1) for k in (0, 1))
        rx, ry = (int((box[k + 2] - box[k]) / 2 * ALPHA) for k in (0, 1))
        xa, xb, ya, yb = max(cx - rx, 0), min(cx + rx + 1, cells), max(cy - ry, 0), min(cy + ry + 1, cells)
        gx = np.exp(-0.5 * ((np.arange(xa, xb) - cx) / ((2 * rx + 1) / 6)) ** 2)
        gy = np.exp(-0.5 * ((np.arange(ya, yb) - cy) / ((2 * ry + 1) / 6)) ** 2)
        bell = (gy[:, None] * gx[None]).astype(np.float32)
        out[0, ya:yb, xa:xb] = np.maximum(out[0, ya:yb, xa:xb], bell)
        out[1:5, ya:yb, xa:xb] = boxes[i][:, None, None]
        out[5, ya:yb, xa:xb] = bell / bell.sum() * np.log(max(area[i], np.e))
        mid = (
            slice(max(int(box[1]), 0), int(np.ceil(box[3]))),
            slice(max(int(box[0]), 0), int(np.ceil(box[2]))),
        )
        out[6][mid] = 1
    return out


def loss(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Focal loss of the heatmap, generalised IoU of the boxes; `logits [n, 5, g, g]`, `target [n, 7, g, g]`.

    A picture counts by the square root of its number of products: a full shelf says more than a single
    product, but must not drown it.
    """
    z, heat, weight = logits[:, 0].float(), target[:, 0], target[:, 6]
    p = torch.sigmoid(z).clamp(1e-5, 1 - 1e-5)
    centre = (heat >= 0.9999).float()
    hit = -torch.log(p) * (1 - p) ** 2 * centre
    miss = -torch.log(1 - p) * p**2 * (1 - heat) ** 4 * (1 - centre) * weight
    count = centre.sum((1, 2)).clamp(min=1)
    vote = count.sqrt() / count.sqrt().sum()
    focal = ((hit + miss).sum((1, 2)) / count * vote).sum()

    raw = logits[:, 1:].float()
    g = z.shape[-1]
    cells = torch.arange(g, dtype=torch.float32, device=z.device)
    cx, cy = (raw[:, 2] + cells) * STRIDE, (raw[:, 3] + cells[:, None]) * STRIDE
    w, h = (UNIT * torch.exp(raw[:, k].clamp(-3, 3.5)) for k in (0, 1))
    tx0, ty0, tx1, ty1 = (target[:, k] for k in range(1, 5))
    x0, x1, y0, y1 = cx - w / 2, cx + w / 2, cy - h / 2, cy + h / 2
    inter = (torch.min(x1, tx1) - torch.max(x0, tx0)).clamp(min=0)
    inter = inter * (torch.min(y1, ty1) - torch.max(y0, ty0)).clamp(min=0)
    union = w * h + (tx1 - tx0) * (ty1 - ty0) - inter
    hull = (torch.max(x1, tx1) - torch.min(x0, tx0)) * (torch.max(y1, ty1) - torch.min(y0, ty0))
    giou = inter / union.clamp(min=1) - (hull - union) / hull.clamp(min=1)
    tw, th = (tx1 - tx0).clamp(min=1), (ty1 - ty0).clamp(min=1)
    size = (raw[:, 0] - torch.log(tw / UNIT)).abs() + (raw[:, 1] - torch.log(th / UNIT)).abs()
    place = ((cx - (tx0 + tx1) / 2) / tw).abs() + ((cy - (ty0 + ty1) / 2) / th).abs()
    share = target[:, 5]
    box = ((1 - giou) + 0.3 * size + 0.3 * place) * share
    box = (box.sum((1, 2)) / share.sum((1, 2)).clamp(min=1) * vote).sum()
    return {"heat": focal, "box": box, "total": focal + 3 * box}


def decode(
    heat: np.ndarray, size: np.ndarray, offset: np.ndarray, threshold: float, nms_iou: float, limit: int = 300
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of one picture, `[1, g, g]`, `[2, g, g]`, `[2, g, g]`, to boxes `[n, 4]` and scores `[n]`.

    Peaks are cells no lower than their 8 neighbours; the library does the same in Rust.
    """
    g = heat.shape[-1]
    framed = np.pad(heat[0], 1, constant_values=-1)
    around = [framed[dy : dy + g, dx : dx + g] for dy in range(3) for dx in range(3)]
    ys, xs = np.where((heat[0] >= np.max(around, 0)) & (heat[0] >= threshold))
    order = np.argsort(-heat[0, ys, xs], kind="stable")[:limit]
    ys, xs = ys[order], xs[order]
    centre = np.stack([xs + offset[0, ys, xs], ys + offset[1, ys, xs]], 1) * STRIDE
    half = size[:, ys, xs].T / 2
    boxes = np.concatenate([centre - half, centre + half], 1).clip(0, g * STRIDE)
    keep = nms(boxes, nms_iou)
    return boxes[keep], heat[0, ys, xs][keep]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `[n, 4]` and `[m, 4]`, `[n, m]`."""
    inter = overlap(a, b)
    area_a, area_b = ((v[:, 2:] - v[:, :2]).prod(1) for v in (a, b))
    return inter / np.maximum(area_a[:, None] + area_b[None] - inter, 1e-9)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Areas of intersection of boxes `[n, 4]` and `[m, 4]`, `[n, m]`."""
    lo, hi = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    return (hi - lo).clip(0).prod(2)


def nms(boxes: np.ndarray, limit: float) -> np.ndarray:
    """Indices of the boxes kept, which come best first: a box over `limit` IoU with a better one goes."""
    overlaps, keep = iou(boxes, boxes), []
    for i in range(len(boxes)):
        if not any(overlaps[i, j] > limit for j in keep):
            keep.append(i)
    return np.array(keep, int)
