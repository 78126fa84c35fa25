"""Ships a trained detector: ONNX, static int8, parity, thresholds chosen on validation, manifest.

    python -m shelfsight_models.detector.export --weights WORK/detector.pt --scenes DIR --check DIR \\
        --data DIR --out weights

Everything goes int8 but the last 1×1 convolution and what follows it: 255 steps are too coarse for boxes from
10 to 320 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch

from ..export import export_onnx
from ..quantise import quantise_static
from .dataset import Samples
from .evaluate import Runner, choose, detections, measure, predict, run_onnx, to_input
from .net import STRIDE, Detector

OUTPUTS = ["heatmap", "size", "offset"]


def export_float(model: Detector, size: int, path: Path) -> None:
    """The float graph at a fixed input `[1, 3, size, size]`."""
    model.eval()
    model.fold()
    export_onnx(model, (torch.zeros(1, 3, size, size),), path, ["image"], OUTPUTS)


def float_nodes(path: Path) -> tuple[str, ...]:
    """Names of the nodes from the last convolution on."""
    nodes = list(onnx.load(str(path)).graph.node)
    last = max(i for i, n in enumerate(nodes) if n.op_type == "Conv")
    return tuple(n.name for n in nodes[last:])


def quantise(source: Path, target: Path, squares: list[np.ndarray]) -> None:
    """Static QDQ (u8 activations, s8 weights per channel) calibrated on squares `uint8 [S, S, 3]`."""
    rows = np.concatenate([to_input(s) for s in squares])
    quantise_static(source, target, "image", rows, exclude=float_nodes(source))


def parity(a: Runner, b: Runner, squares: list[np.ndarray]) -> dict[str, float]:
    """How far two runners are apart: in the heatmap, and in size (relative) where there is a product."""
    heat, sizes = [], []
    for square in squares:
        (h0, s0, _), (h1, s1, _) = a(square), b(square)
        heat.append(np.abs(h0 - h1).mean())
        strong = h0[0] > 0.3
        sizes += list((np.abs(s0 - s1) / s0)[:, strong].ravel())
    return {
        "heat_mean_abs": round(float(np.mean(heat)), 5),
        "size_rel": round(float(np.mean(sizes or [0])), 4),
    }


def manifest(size: int, score: float, nms_iou: float) -> dict:
    """What the library needs to run the detector."""
    return {
        "kind": "detector",
        "name": "shelfsight-detector",
        "version": 1,
        "model": "detector.onnx",
        "input": "image",
        "preprocess": {
            "width": size,
            "height": size,
            "resize": "pad",
            "filter": "bilinear",
            "mean": [127, 127, 127],
            "std": [128, 128, 128],
            "layout": "nchw",
            "crop_fraction": 1.0,
        },
        "outputs": {name: name for name in OUTPUTS},
        "stride": STRIDE,
        "score_threshold": score,
        "nms_iou": nms_iou,
        "license": "Apache-2.0",
        "attribution": "Trunk from the SSD-MobileNetV2 of MediaPipe Objectron (Apache-2.0); trained on drawn "
        "scenes, pictures of the Grocery Store dataset (Klasson et al., MIT) and Datakick photos (CC0).",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Export, quantise and check the detector")
    parser.add_argument("--weights", type=Path, required=True, help="detector.pt of a training run")
    parser.add_argument("--scenes", type=Path, required=True, help="cache to calibrate on")
    parser.add_argument("--check", type=Path, required=True, help="cache to choose the thresholds on")
    parser.add_argument("--data", type=Path, default=os.environ.get("SHELFSIGHT_DATA") or None)
    parser.add_argument("--out", type=Path, required=True, help="folder for detector.onnx and detector.json")
    parser.add_argument("--keep-float", type=Path, help="also keep the float graph here")
    parser.add_argument("--calibration", type=int, default=160)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    saved = torch.load(args.weights, map_location="cpu")
    size = saved["config"]["size"]
    model = Detector(width=saved["config"]["width"])
    model.load_state_dict(saved["model"])
    args.out.mkdir(parents=True, exist_ok=True)
    float_path = args.keep_float or args.out / "detector.float.onnx"
    export_float(model, size, float_path)

    train = Samples(size).add_cache(args.scenes)
    sets = {"scenes": Samples(size).add_cache(args.check)}
    picks = list(np.random.default_rng(0).choice(len(train), args.calibration * 2 // 3, replace=False))
    squares = [train.plain(int(i))[0] for i in picks]
    if args.data:
        sets["real"] = Samples(size).add_labelled(args.data, True)
        photos = Samples(size).add_labelled(args.data, False)
        squares += [photos.plain(i)[0] for i in range(len(photos))][: args.calibration // 3]
    target = args.out / "detector.onnx"
    quantise(float_path, target, squares)

    runs = {"float": run_onnx(float_path), "int8": run_onnx(target)}
    check = [sets[name].plain(i)[0] for name in sets for i in range(0, len(sets[name]), 8)]
    print(json.dumps({"parity": parity(runs["float"], runs["int8"], check)}))
    seen = {kind: {name: predict(run, s) for name, s in sets.items()} for kind, run in runs.items()}
    found = {n: [detections(p, n) for p in seen["int8"].values()] for n in (0.4, 0.5, 0.6)}
    nms_iou, score, f1 = choose(found)
    print(json.dumps({"nms_iou": nms_iou, "score_threshold": score, "f1": round(f1, 4)}))
    for name, samples in sets.items():
        for kind in runs:
            rows = detections(seen[kind][name], nms_iou)
            result = {"set": name, "kind": kind, "pictures": len(samples), **measure(rows, score)}
            result["recall@0.3"] = measure(rows, 0.3)["recall"]
            print(json.dumps(result))
    (args.out / "detector.json").write_text(json.dumps(manifest(size, score, nms_iou), indent=1) + "\n")
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")
    if args.keep_float is None:
        float_path.unlink()


if __name__ == "__main__":
    main()
