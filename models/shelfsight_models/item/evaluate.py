"""All five objectives against fewer, against single modalities and against late fusion."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .. import pipeline
from ..data import load_picture
from ..evaluate import bootstrap, paired, ranks
from ..postprocess import whitening
from ..shipped import ShippedImage, ShippedText
from . import export
from .data import Sampler, Texts, encode, fit_tokenizer
from .networks import ItemEncoder
from .objectives import ALL
from .pictures import PATCH, SIDE, SIZE, WIDTH, Pictures
from .probes import fit_global_heads, probe
from .train import ItemConfig, train


def variants(config: ItemConfig) -> dict[str, ItemConfig]:
    """What is compared, of one size and one number of steps."""
    return {
        "all five": config,
        "without global": replace(config, objectives=ALL - {"gmlm", "gmim"}),
        "without matching": replace(config, objectives=ALL - {"itm"}),
        "image only": replace(config, modalities="image", objectives=ALL - {"itm"}),
        "text only": replace(config, modalities="text", objectives=ALL - {"itm"}),
    }


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


def shipped_vectors(weights: Path, pictures: Pictures, written: list[str]) -> dict[str, np.ndarray]:
    """What the encoders that ship say of the same: each alone, and side by side (late fusion)."""
    image, text = ShippedImage(weights / "image.json"), ShippedText(weights / "text.json")
    texts = sorted(set(written))
    by_text = dict(zip(texts, text.embed(texts), strict=True))
    found = {
        "photo": np.concatenate([image.embed([load_picture(path)]) for path in pictures.paths]),
        "words": np.stack([by_text[t] for t in written]),
    }
    return found | {"both": np.concatenate([found["photo"], found["words"]], 1) / np.sqrt(2)}


def run(
    config: ItemConfig, root: Path, runs: Path, weights: Path, names: list[str], out: Path | None = None
) -> dict[str, dict]:
    """By gallery, query kind and variant: R@1 with interval, and the paired change to `all five`; probes
    beside them. `out` gets `all five` as an encoder for `pack build`.
    """
    config = replace(config, shape=shape_of(config))
    pictures = Pictures(config, root, runs, weights)
    texts = Texts(pictures.products, config.form)
    corpus = [f"{p.name} {p.description}" for p in pictures.products.values()]
    # Fitted again it would number words otherwise, and what was trained before could not read them.
    words = runs / f"{config.name}-words.json"
    if not words.is_file():
        fit_tokenizer(corpus, config.shape.words).save(str(words))
    tokenizer = Tokenizer.from_file(str(words))
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
            mean, matrix = whitening(vectors[pictures.train], 0.05)
            raw.setdefault(name, {})[way] = _mapped(vectors, mean, matrix)
            if (name, way) == ("all five", "both") and out is not None:
                prep = export.PIXELS
                behind = None
                if config.cells == "maps":
                    prep, behind = ShippedImage(weights / "image.json").prep, weights / "image.onnx"
                title = f"item-{config.cells}"
                export.export(encoder, mean, matrix, tokenizer, prep, out, title, behind)
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
    raw["shipped encoders"] = shipped_vectors(weights, pictures, written)
    for name, ways in raw.items():
        for way, vectors in ways.items():
            for where, rows in galleries.items():
                entries = gallery(raw[name], way)[rows]
                rank = ranks(vectors[asked], entries, pictures.product[asked], pictures.product[rows])
                hits[where, way, name] = (rank < 1).astype(np.float64)
    for (where, way, name), values in hits.items():
        base = hits.get((where, "both", "all five"))
        row = {"queries": len(values), "r@1": str(bootstrap(values))}
        if base is not None:
            row["all five, both, gains"] = str(paired(base, values))
        found[f"{where}, {way}, {name}"] = row
    return found


def gallery(ways: dict[str, np.ndarray], way: str) -> np.ndarray:
    """What a query of one kind is compared with: an entry is known by all the variant can read, and where two
    encoders stand side by side, by the half that reads the query.
    """
    both = ways.get("both", ways[way])
    return both if both.shape[1] == ways[way].shape[1] else ways[way]


def _sampler(product, cells, texts, tokenizer, config: ItemConfig, drop: float = 0.15) -> Sampler:
    return Sampler(
        product, cells, texts, tokenizer, config.shape.length, config.seed, config.modalities, drop
    )


def _mapped(vectors: np.ndarray, mean: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The linear map to the index, unit rows."""
    return pipeline.unit_rows((vectors - mean) @ matrix).astype(np.float32)
