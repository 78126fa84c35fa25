"""Runs what ships (manifest + ONNX) with ONNX Runtime: for parity, evaluation and reference vectors."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image
from tokenizers import Tokenizer

from .data import FILTERS, Preprocess, resize, to_input
from .text import encode_batches

KINDS = ("image", "text")


class BadManifest(ValueError):
    """A manifest that the Rust side would refuse."""


def check_manifest(manifest: dict) -> None:
    """Raises `BadManifest` naming the first field that is missing or wrong."""
    kind = manifest.get("kind")
    if kind not in KINDS:
        raise BadManifest(f"kind is {kind!r}, expected one of {KINDS}")
    wanted = {
        "name": str,
        "version": int,
        "model": str,
        "space": str,
        "dim": int,
        "output": str,
        "license": str,
        "attribution": str,
        "calibration": dict,
    }
    wanted |= {
        "image": {"input": str, "preprocess": dict},
        "text": {"tokenizer": str, "max_tokens": int, "inputs": dict, "pooling": str},
    }[kind]
    for name, type_ in wanted.items():
        if not isinstance(manifest.get(name), type_):
            raise BadManifest(f"{name} is missing or not {type_.__name__}")
    for other in KINDS:
        fit = manifest["calibration"].get(other, {})
        if not all(isinstance(fit.get(key), int | float) for key in ("scale", "bias")):
            raise BadManifest(f"calibration.{other} needs scale and bias")
    if kind == "image":
        prep = manifest["preprocess"]
        if set(prep) != {f.name for f in fields(Preprocess)}:
            raise BadManifest(f"preprocess has fields {sorted(prep)}")
        if prep["resize"] not in ("squash", "crop", "pad") or prep["filter"] not in FILTERS:
            raise BadManifest("preprocess.resize or preprocess.filter is unknown")
    elif manifest["pooling"] not in ("none", "mean", "cls"):
        raise BadManifest(f"pooling is {manifest['pooling']!r}")


def read_manifest(path: Path) -> dict:
    """Reads and checks a manifest."""
    if not path.is_file():
        raise FileNotFoundError(f"no manifest {path}")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    check_manifest(manifest)
    return manifest


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class ShippedImage:
    """The image encoder of a manifest; `model` overrides the ONNX file, to compare float with int8."""

    def __init__(self, manifest: Path, model: Path | None = None, threads: int = 2):
        self.manifest = read_manifest(manifest)
        prep = self.manifest["preprocess"]
        self.prep = Preprocess(**{k: tuple(v) if isinstance(v, list) else v for k, v in prep.items()})
        self.session = _session(model or manifest.parent / self.manifest["model"], threads)

    def embed_inputs(self, inputs: np.ndarray, batch: int = 8) -> np.ndarray:
        """f32 `[n, 3, H, W]` → unit rows `[n, dim]`."""
        name = self.manifest["input"]
        rows = [
            self.session.run(None, {name: inputs[i : i + batch]})[0] for i in range(0, len(inputs), batch)
        ]
        return np.concatenate(rows)

    def embed(self, pictures: list[Image.Image]) -> np.ndarray:
        """Pictures of any size → unit rows `[n, dim]`."""
        rows = []
        for i in range(0, len(pictures), 8):
            pixels = np.stack([resize(picture, self.prep) for picture in pictures[i : i + 8]])
            rows.append(self.embed_inputs(to_input(pixels, self.prep)))
        return np.concatenate(rows)


class ShippedText:
    """The text encoder of a manifest."""

    def __init__(self, manifest: Path, model: Path | None = None, threads: int = 2):
        self.manifest = read_manifest(manifest)
        self.tokenizer = Tokenizer.from_file(str(manifest.parent / self.manifest["tokenizer"]))
        self.tokenizer.enable_truncation(self.manifest["max_tokens"])
        self.session = _session(model or manifest.parent / self.manifest["model"], threads)

    def embed(self, texts: list[str]) -> np.ndarray:
        """Sentences → unit rows `[n, dim]`."""
        out = np.zeros((len(texts), self.manifest["dim"]), np.float32)
        names = self.manifest["inputs"]
        # One text at a time: activations are ranged per tensor, so a batch would change a vector a little.
        for index, ids, mask in encode_batches(self.tokenizer, texts, batch=1):
            out[index] = self.session.run(None, {names["ids"]: ids, names["mask"]: mask})[0]
        return out


def reference_picture() -> Image.Image:
    """The picture of `reference.json`: 320×240, pixel (x, y) = ((7x + 3y), (3x + 5y), xy) mod 256."""
    y, x = np.mgrid[0:240, 0:320]
    pixels = np.stack([x * 7 + y * 3, x * 3 + y * 5, x * y], 2) % 256
    return Image.fromarray(pixels.astype(np.uint8))


REFERENCE_TEXTS = (
    "Oatly Oat Milk 1 l",
    "Trader Joe's Turkey Jerky Teriyaki 4 oz",
    "crème brûlée 4 x 100 g",
    "golden delicious apple",
    "VITAMIN C 500 mg, 100 caplets (sugar-free!)",
)


def reference(image: ShippedImage, text: ShippedText) -> dict:
    """Vectors that any other runtime must reproduce; what the Rust tests read."""
    return {
        "image": {
            "generator": "python -m shelfsight_models reference",
            "input": "pixel (x, y) = ((x*7 + y*3) % 256, (x*3 + y*5) % 256, (x*y) % 256) at 320x240, "
            "then the manifest's resize and scaling",
            "embedding": [round(float(v), 6) for v in image.embed([reference_picture()])[0]],
        },
        "text": [
            {
                "text": sentence,
                "ids": text.tokenizer.encode(sentence).ids,
                "embedding": [round(float(v), 6) for v in text.embed([sentence])[0]],
            }
            for sentence in REFERENCE_TEXTS
        ],
    }
