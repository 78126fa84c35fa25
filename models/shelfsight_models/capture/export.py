"""The encoder as ONNX, and how near ONNX Runtime comes to torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ..export import export_onnx
from ..item.data import encode
from ..item.objectives import FIRST_WORD
from ..pipeline import unit_rows
from .data import batch_of
from .networks import Encoder
from .queries import embed
from .regions import CELL, REGIONS, VECTOR, Regions

INPUTS = ("region_feat", "region_box", "region_mask", "input_ids", "text_mask")


class Exported(nn.Module):
    """Region features, boxes and mask, word ids and mask → unit rows."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        region_feat: Tensor,
        region_box: Tensor,
        region_mask: Tensor,
        input_ids: Tensor,
        text_mask: Tensor,
    ) -> Tensor:
        words = text_mask.to(region_feat.dtype)
        return self.encoder.vector(self.encoder(input_ids, words, region_feat, region_box, region_mask))


def inputs(regions: Regions, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """What the graph takes for crops and captions."""
    batch = batch_of(regions.features(), ids, mask)
    parts = (batch.feature, batch.box, batch.region_mask, batch.ids, batch.text_mask.long())
    return {name: part.numpy() for name, part in zip(INPUTS, parts, strict=True)}


def export(encoder: Encoder, path: Path) -> None:
    """Writes the graph, any number of rows at once."""
    regions = Regions(np.ones((2, REGIONS, CELL), np.float32), np.ones((2, VECTOR), np.float32))
    length = encoder.shape.length
    example = inputs(regions, np.full((2, length), FIRST_WORD), np.ones((2, length), np.float32))
    export_onnx(
        Exported(encoder),
        tuple(torch.from_numpy(v) for v in example.values()),
        path,
        list(INPUTS),
        ["embedding"],
        {name: {0: "batch"} for name in (*INPUTS, "embedding")},
    )


def parity(
    encoder: Encoder, path: Path, regions: Regions, texts: list[str], tokenizer: Tokenizer
) -> dict[str, float]:
    """Least cosine and largest difference between torch and ONNX Runtime, and the file's size."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ids, mask = encode(tokenizer, texts, encoder.shape.length)
    mine = embed(encoder, regions, texts, tokenizer).fused
    theirs = session.run(["embedding"], inputs(regions, ids, mask))[0]
    return {
        "rows": len(mine),
        "least cosine": round(float((unit_rows(mine) * unit_rows(theirs)).sum(1).min()), 6),
        "largest difference": float(f"{np.abs(mine - theirs).max():.2g}"),
        "bytes": path.stat().st_size,
    }
