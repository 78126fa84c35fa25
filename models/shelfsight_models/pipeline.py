"""The steps of a run, each reading what the one before wrote under `runs/NAME/`.

train image: `encoder.pt` · train text: `projection.pt` · export: `*.float.onnx` · quantise: `*.onnx` and
manifests.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from . import text as text_model
from .data import Picture, Product, datakick, grocery
from .networks import Backbone, ImageEncoder, load_imagenet
from .protocols import Clean
from .texts import variant
from .train_image import ImageConfig, embed_clean, train
from .train_text import TextConfig
from .train_text import train as fit_text
from .views import Views, build

TEXT_VARIANTS = 14


def load_config(path: Path):
    """The `CONFIG` of a config file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no config file {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CONFIG


def everything(root: Path) -> tuple[list[Product], list[Picture]]:
    """Products and pictures of both sets, in a fixed order."""
    a, b = grocery(root), datakick(root)
    return a[0] + b[0], a[1] + b[1]


def imagenet_backbone() -> Backbone:
    """Lite0 with the ImageNet weights."""
    backbone = Backbone()
    load_imagenet(backbone)
    return backbone.eval()


def image_views(config: ImageConfig, root: Path, runs: Path) -> Views:
    """The cached views of a configuration."""
    return build(everything(root)[1], imagenet_backbone(), config.views, runs)


def trimmed_text(runs: Path, minilm: Path, max_tokens: int = 64) -> tuple[text_model.TextTower, Tokenizer]:
    """MiniLM with the Latin vocabulary; leaves `tokenizer.json` under `runs`."""
    spec, kept = text_model.trim_vocabulary(minilm / "tokenizer.json", max_tokens)
    runs.mkdir(parents=True, exist_ok=True)
    (runs / "tokenizer.json").write_text(spec, encoding="utf-8")
    tower = text_model.load_minilm(minilm)
    text_model.trim_tower(tower, kept)
    return tower, Tokenizer.from_str(spec)


def text_views(root: Path, runs: Path, minilm: Path, seed: int = 3) -> dict[str, np.ndarray]:
    """Tower vectors of several ways to write each product that has a picture; cached as `text_views.npz`."""
    cache = runs / "text_views.npz"
    if not cache.is_file():
        products, pictures = everything(root)
        pictured = {picture.product for picture in pictures}
        tower, tokenizer = trimmed_text(runs, minilm)
        texts, owners = [], []
        for number, product in enumerate(p for p in products if p.id in pictured):
            rng = np.random.default_rng([seed, number])
            rows = [product.name, product.title, *(variant(product, rng) for _ in range(TEXT_VARIANTS))]
            texts += rows
            owners += [product.id] * len(rows)
        np.savez(cache, x=unit_rows(text_model.embed_texts(tower, tokenizer, texts)), own=np.array(owners))
    data = np.load(cache)
    return {str(name): data["x"][data["own"] == name] for name in np.unique(data["own"])}


def title_vectors(root: Path, runs: Path, minilm: Path) -> tuple[list[Product], np.ndarray]:
    """Tower vectors of every product's title, unit rows; cached as `titles.npy`."""
    products = everything(root)[0]
    cache = runs / "titles.npy"
    if not cache.is_file():
        tower, tokenizer = trimmed_text(runs, minilm)
        np.save(cache, unit_rows(text_model.embed_texts(tower, tokenizer, [p.title for p in products])))
    return products, np.load(cache)


def train_image(config: ImageConfig, root: Path, runs: Path, minilm: Path) -> ImageEncoder:
    """Trains (or resumes) and saves `runs/NAME/encoder.pt`."""
    views = image_views(config, root, runs)
    encoder = train(config, views, imagenet_backbone(), text_views(root, runs, minilm), runs / config.name)
    torch.save(encoder.state_dict(), runs / config.name / "encoder.pt")
    (runs / config.name / "config.json").write_text(json.dumps(asdict(config), indent=1))
    return encoder


def load_encoder(config: ImageConfig, runs: Path) -> ImageEncoder:
    """The encoder that `train_image` saved."""
    encoder = ImageEncoder(config.dim, config.generic, config.share)
    encoder.load_state_dict(torch.load(runs / config.name / "encoder.pt", map_location="cpu"))
    return encoder.eval()


def clean_rows(views: Views) -> tuple[np.ndarray, Clean]:
    """Row numbers of the unaugmented pictures, and what they show."""
    index = np.flatnonzero(views.clean)
    return index, Clean(views.product[index], views.kind[index], views.split[index])


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def image_rows(vectors: np.ndarray, rows: Clean, leave_out: set[str], learned: int) -> dict[str, np.ndarray]:
    """The learned part of the training pictures' vectors by product, unit rows: what texts are fitted to."""
    vectors = unit_rows(vectors[:, :learned])
    train = rows.split == "train"
    names = sorted(set(rows.product[train].tolist()) - leave_out)
    return {name: vectors[train & (rows.product == name)] for name in names}


def train_text(config: TextConfig, image: ImageConfig, root: Path, runs: Path, minilm: Path) -> np.ndarray:
    """Fits the projection to the finished image encoder; saves `runs/NAME/projection.npy`."""
    views = image_views(image, root, runs)
    index, rows = clean_rows(views)
    vectors = embed_clean(load_encoder(image, runs), views, index, image.views.cut)
    np.save(runs / image.name / "clean.npy", vectors)
    _, titles = title_vectors(root, runs, minilm)
    words = text_views(root, runs, minilm)
    weight = fit_text(
        config, titles, words, image_rows(vectors, rows, set(), image.dim), runs / config.name / "log.jsonl"
    )
    np.save(runs / config.name / "projection.npy", weight)
    return weight
