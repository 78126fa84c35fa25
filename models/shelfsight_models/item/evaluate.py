"""All five objectives against fewer, against single modalities and against late fusion."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from .. import augment, pipeline
from ..data import grocery, load_picture
from ..evaluate import bootstrap, paired, ranks
from ..postprocess import whitening
from ..rerank.maps import SIDE, WIDTH, describe, fit_projection
from ..train_image import ImageConfig
from ..views import Views
from .data import Sampler, Texts, encode, fit_tokenizer
from .networks import ItemEncoder
from .objectives import ALL
from .probes import fit_global_heads, probe
from .train import ItemConfig, train

SIZE, PATCH = 96, 16


def variants(config: ItemConfig) -> dict[str, ItemConfig]:
    """What is compared, of one size and one number of steps."""
    return {
        "all five": config,
        "without global": replace(config, objectives=ALL - {"gmlm", "gmim"}),
        "without matching": replace(config, objectives=ALL - {"itm"}),
        "image only": replace(config, modalities="image", objectives=ALL - {"itm"}),
        "text only": replace(config, modalities="text", objectives=ALL - {"itm"}),
    }


def patches(pixels: np.ndarray) -> np.ndarray:
    """u8 `[n, 96, 96, 3]` → f32 `[n, 36, 768]`, values in −1 to 1."""
    n, side = len(pixels), SIZE // PATCH
    grid = pixels.reshape(n, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return (grid.reshape(n, side * side, -1).astype(np.float32) - 127.5) / 127.5


def pixel_views(paths: list[Path], count: int, cache: Path, seed: int = 7) -> np.ndarray:
    """u8 `[n, 1 + count, 96, 96, 3]`: each picture as it is, then augmented; cached."""
    if cache.is_file():
        return np.load(cache, mmap_mode="r")
    out = np.empty((len(paths), 1 + count, SIZE, SIZE, 3), np.uint8)
    strength = augment.Strength()
    for i, path in enumerate(paths):
        image = load_picture(path)
        out[i, 0] = np.asarray(image.resize((SIZE, SIZE)))
        image.thumbnail((512, 512))
        for k in range(count):
            rng = np.random.default_rng([seed, i, k])
            out[i, 1 + k] = augment.view(np.asarray(image), SIZE, rng, strength)
    np.save(cache, out)
    return np.load(cache, mmap_mode="r")


class Pictures:
    """Grocery's pictures as cells: clean ones of each, and further views of the training photos."""

    def __init__(self, config: ItemConfig, image: ImageConfig, root: Path, runs: Path, views: int = 3):
        products, pictures = grocery(root)
        self.products = {p.id: p for p in products}
        self.product = np.array([p.product for p in pictures])
        kind, split = np.array([p.kind for p in pictures]), np.array([p.split for p in pictures])
        self.train = np.flatnonzero((kind == "photo") & (split == "train"))
        self.val = np.flatnonzero((kind == "photo") & (split == "val"))
        self.iconic = np.flatnonzero(kind == "iconic")
        if config.cells == "pixels":
            every = pixel_views([p.path for p in pictures], views, runs / "item-pixels.npy")
            self.clean = patches(np.asarray(every[:, 0]))
            kept = np.concatenate([self.train, self.iconic])
            self.views = np.concatenate([patches(np.asarray(every[kept, k])) for k in range(1 + views)])
            self.view_product = np.tile(self.product[kept], 1 + views)
        else:
            self.clean, self.views, self.view_product = self._maps(config, image, root, runs, views)

    def _maps(self, config: ItemConfig, image: ImageConfig, root: Path, runs: Path, views: int):
        every: Views = pipeline.image_views(image, root, runs)
        mine = np.char.startswith(every.product, "grocery")
        clean = np.flatnonzero(mine & every.clean)
        further = [
            np.flatnonzero(mine & ~every.clean & (every.picture == every.picture[row]))[:views]
            for row in clean
            if every.split[row] == "train"
        ]
        rows = np.sort(np.concatenate([clean, *further]))
        axes = fit_projection(
            pipeline.imagenet_backbone(), every, image.views.cut, runs / f"{image.name}-cells.npy"
        )
        path = runs / f"{image.name}-item-cells.npz"
        encoder = pipeline.load_encoder(image, runs)
        found = describe(encoder, every, rows, image.views.cut, axes, path)
        is_clean, is_train = every.clean[rows], every.split[rows] == "train"
        return found.cells[is_clean], found.cells[is_train], every.product[rows][is_train]


def shape_of(config: ItemConfig):
    """The shape with the cells of the config's kind."""
    if config.cells == "pixels":
        return replace(config.shape, cell=PATCH * PATCH * 3, cells=(SIZE // PATCH) ** 2)
    return replace(config.shape, cell=WIDTH, cells=SIDE * SIDE)


@torch.no_grad()
def embed(
    encoder: ItemEncoder, cells: np.ndarray, ids: np.ndarray, mask: np.ndarray, image: bool, text: bool
) -> np.ndarray:
    """Global vectors `[n, width]` with the modalities that are asked for."""
    out = []
    for i in range(0, len(cells), 128):
        part = slice(i, i + 128)
        n = len(cells[part])
        words = torch.from_numpy(mask[part] * (1.0 if text else 0.0)).float()
        picture = torch.full((n, 1), 1.0 if image else 0.0)
        states = encoder(
            torch.from_numpy(ids[part]),
            words,
            torch.from_numpy(cells[part].astype(np.float32)),
            picture,
        )
        out.append(states[:, 0].numpy())
    return np.concatenate(out)


def run(config: ItemConfig, image: ImageConfig, root: Path, runs: Path, names: list[str]) -> dict[str, dict]:
    """By gallery, query kind and variant: R@1 with interval, and the paired change to `all five`; probes
    beside them.
    """
    config = replace(config, shape=shape_of(config))
    pictures = Pictures(config, image, root, runs)
    texts = Texts(pictures.products, config.form)
    corpus = [f"{p.name} {p.description}" for p in pictures.products.values()]
    tokenizer = fit_tokenizer(corpus, config.shape.words)
    length = config.shape.length
    rng = np.random.default_rng([11, config.seed])
    written = [texts.draw(p, rng) for p in pictures.product.tolist()]
    ids, mask = encode(tokenizer, written, length)
    asked = pictures.val
    if config.form == "sibling":
        several = {c for c, group in texts.siblings.items() if len(group) > 1}
        asked = asked[[pictures.products[p].coarse in several for p in pictures.product[asked].tolist()]]
    galleries = {"catalogue": pictures.iconic, "photos": pictures.train}
    hits: dict[tuple[str, str, str], np.ndarray] = {}
    found: dict[str, dict] = {}
    raw: dict[str, dict[str, np.ndarray]] = {}
    for name, variant in variants(config).items():
        if name not in names:
            continue
        sampler = _sampler(pictures.view_product, pictures.views, texts, tokenizer, variant)
        folder = (
            runs / f"{config.name}-{config.cells}-{config.form}-{name.replace(' ', '_')}-seed{config.seed}"
        )
        encoder, heads = train(variant, sampler, folder)
        ways = {"both": (True, True), "photo": (True, False), "words": (False, True)}
        for way, (with_image, with_text) in ways.items():
            if (
                variant.modalities != "both"
                and way != {"image": "photo", "text": "words"}[variant.modalities]
            ):
                continue
            vectors = embed(encoder, pictures.clean, ids, mask, with_image, with_text)
            raw.setdefault(name, {})[way] = _whitened(vectors, pictures.train)
        if not {"gmlm", "gmim"} <= variant.objectives or variant.modalities != "both":
            heads = fit_global_heads(encoder, sampler, 400, seed=config.seed)
        held = replace(variant, seed=99)
        unseen = _sampler(
            pictures.product[pictures.val], pictures.clean[pictures.val], texts, tokenizer, held, 0
        )
        found[f"probe {name}"] = {k: round(v, 4) for k, v in asdict(probe(encoder, heads, unseen)).items()}
        print(json.dumps({name: found[f"probe {name}"]}), flush=True)
    if {"image only", "text only"} <= raw.keys():
        late = np.concatenate([raw["image only"]["photo"], raw["text only"]["words"]], 1) / np.sqrt(2)
        raw["late fusion"] = {"both": late}
    for name, ways in raw.items():
        for way, vectors in ways.items():
            for where, rows in galleries.items():
                # A catalogue entry is known by all the variant can read.
                best = raw[name].get("both", vectors)
                rank = ranks(vectors[asked], best[rows], pictures.product[asked], pictures.product[rows])
                hits[where, way, name] = (rank < 1).astype(np.float64)
    for (where, way, name), values in hits.items():
        base = hits.get((where, "both", "all five"))
        row = {"queries": len(values), "r@1": str(bootstrap(values))}
        if base is not None:
            row["all five, both, gains"] = str(paired(base, values))
        found[f"{where}, {way}, {name}"] = row
    return found


def _sampler(product, cells, texts, tokenizer, config: ItemConfig, drop: float = 0.15) -> Sampler:
    return Sampler(
        product, cells, texts, tokenizer, config.shape.length, config.seed, config.modalities, drop
    )


def _whitened(vectors: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The linear map to the index: whitened on the training photos, unit rows."""
    mean, matrix = whitening(vectors[reference], 0.05)
    return pipeline.unit_rows((vectors - mean) @ matrix).astype(np.float32)
