"""Starting weights: the MobileNetV2 of an SSD trained on OpenImages boxes (Apache-2.0, MediaPipe Objectron).

Its features already tell things from their surroundings; ImageNet features have to learn that first. The
net comes in the npm package `@mediapipe/objectron` 0.4.1675468480:

    npm pack @mediapipe/objectron@0.4.1675468480 && tar xzf mediapipe-objectron-*.tgz
    python -m shelfsight_models.detector.trunk package/objectron_solution_packed_assets.data --out ssd.onnx
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from ..networks import Block, Conv

# (kernel, stride, expansion, channels out, repeats) of each stage of MobileNetV2 (Sandler et al., CVPR 2018).
MOBILENET_V2_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (3, 2, 6, 32, 3),
    (3, 2, 6, 64, 4),
    (3, 1, 6, 96, 3),
    (3, 2, 6, 160, 3),
    (3, 1, 6, 320, 1),
)
_SPAN = (184, 9_987_912)  # where the TFLite file lies in the package's asset file


class Trunk(nn.Module):
    """Picture `[n, 3, S, S]` → last block's map. `stem`: channels of the first convolution."""

    def __init__(self, stages: tuple = MOBILENET_V2_STAGES, stem: int = 32):
        super().__init__()
        self.stem = Conv(3, stem, 3, 2)
        blocks, cin = [], stem
        for kernel, stride, expand, cout, repeats in stages:
            for i in range(repeats):
                blocks.append(Block(cin, cout, kernel, stride if i == 0 else 1, expand))
                cin = cout
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return x


def convert(assets: Path, out: Path) -> None:
    """Cuts the TFLite model out of the asset file and converts it to ONNX."""
    import tflite2onnx

    blob = assets.read_bytes()[slice(*_SPAN)]
    if blob[4:8] != b"TFL3":
        raise ValueError(f"{assets}: no TFLite model at byte {_SPAN[0]}; is it version 0.4.1675468480?")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ssd.tflite"
        path.write_bytes(blob)
        tflite2onnx.convert(str(path), str(out))


@torch.no_grad()
def load(trunk: Trunk, path: Path) -> None:
    """Fills the trunk from the converted SSD: the same convolutions in order, with box heads between."""
    graph = onnx.load(str(path)).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes = iter([n for n in graph.node if n.op_type == "Conv"])
    for conv in (m for m in trunk.modules() if isinstance(m, Conv)):
        node = next((n for n in nodes if values[n.input[1]].shape == tuple(conv.weight.shape)), None)
        if node is None:
            raise ValueError(f"{path}: no convolution of shape {tuple(conv.weight.shape)} in its place")
        conv.weight.copy_(torch.from_numpy(values[node.input[1]].copy()))
        conv.bias.copy_(torch.from_numpy(values[node.input[2]].copy()))
        conv.gain.fill_(1.0)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Convert the detector whose trunk training starts from")
    parser.add_argument("assets", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    convert(args.assets, args.out)


if __name__ == "__main__":
    main()
