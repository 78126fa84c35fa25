"""A trained encoder as an image encoder that reads words too: ONNX with int8 weights, tokenizer, manifest.

Inputs `pixel_values` f32 [1, 3, H, W], `input_ids` and `text_mask` i64 [1, N], `image_mask` f32 [1, 1];
output `embedding` f32 [1, D], unit length. docs/encoders.md says how a manifest names them.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import compose
from tokenizers import Tokenizer
from torch import Tensor, nn

from ..data import Preprocess
from ..export import OPSET, export_onnx, tidy
from ..quantise import quantise_dynamic_text
from .networks import ItemEncoder
from .pictures import SIZE

NAMES = ["input_ids", "text_mask", "image_mask"]
# How `pictures.patches` has its pictures.
PIXELS = Preprocess(SIZE, SIZE, "squash", "bicubic", (127.5,) * 3, (127.5,) * 3)


class Flat(nn.Module):
    """The encoder spelled out in plain products, with the linear map to the index behind it. `picture` is f32
    `[1, 3, side, side]`, or with `side` None the cells `[1, cell, rows, columns]` of another encoder.
    """

    def __init__(self, encoder: ItemEncoder, mean: np.ndarray, matrix: np.ndarray, side: int | None):
        super().__init__()
        self.encoder, self.side = encoder, side
        shape, width = encoder.shape, encoder.shape.width
        if side is not None:
            patch = int((shape.cell // 3) ** 0.5)
            self.patch = nn.Conv2d(3, width, patch, patch)
            weight = encoder.patch.weight.detach().reshape(width, patch, patch, 3).permute(0, 3, 1, 2)
            self.patch.weight.data.copy_(weight)
            self.patch.bias.data.copy_(encoder.patch.bias.detach())
        self.map = nn.Linear(width, matrix.shape[1])
        self.map.weight.data.copy_(torch.from_numpy(np.ascontiguousarray(matrix.T)))
        self.map.bias.data.copy_(torch.from_numpy(-mean @ matrix))

    def forward(self, picture: Tensor, ids: Tensor, text_mask: Tensor, image_mask: Tensor) -> Tensor:
        encoder, shape = self.encoder, self.encoder.shape
        if self.side is None:
            cells = encoder.patch(picture.flatten(2).transpose(1, 2))
        else:
            cells = self.patch(picture).flatten(2).transpose(1, 2)
        words = encoder.word(ids) + encoder.segment[0]
        cls, sep = encoder.special[0].reshape(1, 1, -1), encoder.special[1].reshape(1, 1, -1)
        x = torch.cat([cls, words, sep, cells + encoder.segment[1]], 1) + encoder.position
        mask = text_mask.to(x.dtype)
        there = torch.cat([torch.ones(1, 1), mask, mask[:, :1], image_mask * torch.ones(1, shape.cells)], 1)
        hidden = ((1.0 - there) * -1e4).reshape(1, 1, 1, -1)
        for layer in encoder.encoder.layers:
            x = x + self._attend(layer.self_attn, layer.norm1(x), hidden)
            x = x + layer.linear2(F.gelu(layer.linear1(layer.norm2(x))))
        vector = self.map(encoder.encoder.norm(x)[:, 0])
        return vector / vector.norm(dim=1, keepdim=True)

    def _attend(self, attention: nn.MultiheadAttention, x: Tensor, hidden: Tensor) -> Tensor:
        heads, width = attention.num_heads, x.shape[2]
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        split = [
            F.linear(x, w, b).reshape(1, -1, heads, width // heads).transpose(1, 2)
            for w, b in zip(weights, biases, strict=True)
        ]
        q, k, v = split
        scores = q @ k.transpose(2, 3) / (width // heads) ** 0.5 + hidden
        mixed = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(1, -1, width)
        return attention.out_proj(mixed)


def export(
    encoder: ItemEncoder,
    mean: np.ndarray,
    matrix: np.ndarray,
    tokenizer: Tokenizer,
    prep: Preprocess,
    folder: Path,
    name: str,
    behind: Path | None = None,
) -> Path:
    """Writes `item.onnx`, `tokenizer.json` and `item.json` to `folder`; returns the manifest.

    `behind` names the ONNX file of an image encoder whose output `cells` the patches are; without it they are
    patches of the picture. Vectors are `(state − mean) @ matrix`, scaled to length 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = encoder.shape
    grid = int(shape.cells**0.5)
    flat = Flat(encoder.eval(), mean, matrix, None if behind else prep.width).eval()
    picture = torch.zeros(1, shape.cell, grid, grid) if behind else torch.zeros(1, 3, prep.height, prep.width)
    ids = torch.zeros(1, shape.length, dtype=torch.int64)
    inputs = (picture, ids, torch.ones_like(ids), torch.ones(1, 1))
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / "item.onnx", Path(scratch) / "int8.onnx"
        first = "cells" if behind else "pixel_values"
        export_onnx(flat, inputs, plain, [first, *NAMES], ["embedding"], fold=False)
        quantise_dynamic_text(plain, small)
        model = onnx.load(str(small))
    if behind:
        front = compose.add_prefix(onnx.load(str(behind)), "picture_")
        front.ir_version = model.ir_version
        joined = [("picture_cells", "cells")]
        model = tidy(compose.merge_models(front, model, joined, outputs=["embedding"]))
        del model.opset_import[1:]
        model.opset_import[0].version = OPSET
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "item.onnx"))
    tokenizer.save(str(folder / "tokenizer.json"))
    manifest = {
        "kind": "image",
        "name": name,
        "version": 1,
        "model": "item.onnx",
        "space": name,
        "dim": matrix.shape[1],
        "input": "picture_image" if behind else "pixel_values",
        "output": "embedding",
        "words": {
            "tokenizer": "tokenizer.json",
            "max_tokens": shape.length,
            "ids": "input_ids",
            "mask": "text_mask",
            "picture": "image_mask",
        },
        "preprocess": asdict(prep),
        "license": "Apache-2.0",
        "attribution": "trained on Grocery Store (MIT)",
    }
    path = folder / "item.json"
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return path
