"""Words and pictures of one product together, and how the words are weakened.

Grocery has 81 texts, one a product, so a text is the product's label in disguise: text would "help"
trivially. Two weakened forms. `dropout`: words of the name and the coarse name are deleted, each other
word is dropped with p = 0.5, anew each time. `sibling`: the description of a random product of the same
coarse class, itself included, so words tell the class and the picture has to tell the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from ..data import Product
from ..texts import weakened
from .objectives import FIRST_WORD, PAD, Batch

SPECIAL = ["[PAD]", "[MASK]", "[UNK]"]


def fit_tokenizer(texts: list[str], words: int) -> Tokenizer:
    """WordPiece of at most `words` tokens; padding is 0, the mask 1."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=words, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer numbers pieces in another order each time.
    learnt = sorted(set(tokenizer.get_vocab()) - set(SPECIAL))
    vocabulary = {piece: i for i, piece in enumerate([*SPECIAL, *learnt])}
    tokenizer.model = models.WordPiece(vocabulary, unk_token="[UNK]")
    assert tokenizer.token_to_id("[PAD]") == PAD and tokenizer.token_to_id("[UNK]") == FIRST_WORD
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask `[n, length]`; an empty text has an empty mask."""
    ids = np.full((len(texts), length), PAD, np.int64)
    mask = np.zeros((len(texts), length), np.float32)
    for i, text in enumerate(texts):
        found = tokenizer.encode(text).ids[:length]
        ids[i, : len(found)] = found
        mask[i, : len(found)] = 1
    return ids, mask


@dataclass
class Texts:
    """The products' texts in one of their weakened forms."""

    products: dict[str, Product]
    form: str  # dropout, sibling or full

    def __post_init__(self):
        self.siblings: dict[str, list[str]] = {}
        for product in self.products.values():
            self.siblings.setdefault(product.coarse, []).append(product.id)

    def draw(self, product: str, rng: np.random.Generator) -> str:
        """A text for a picture of `product`."""
        mine = self.products[product]
        if self.form == "dropout":
            return weakened(mine, rng)
        if self.form == "sibling":
            group = self.siblings[mine.coarse]
            return self.products[group[int(rng.integers(len(group)))]].description
        return f"{mine.name}. {mine.description}"


def without_names(text: str, product: Product) -> str:
    """A text without the words of a product's name and coarse name."""
    banned = {w.lower() for w in re.findall(r"\w+", f"{product.name} {product.coarse}")}
    return " ".join(w for w in text.split() if not set(re.findall(r"\w+", w.lower())) & banned)


class Sampler:
    """Draws batches: half matched pairs, half with the words of another picture in the batch."""

    def __init__(
        self,
        product: np.ndarray,
        cells: np.ndarray,
        texts: Texts,
        tokenizer: Tokenizer,
        length: int,
        seed: int,
        modalities: str = "both",
        drop: float = 0.15,
    ):
        self.product, self.cells, self.texts = product, cells, texts
        self.tokenizer, self.length, self.drop, self.modalities = tokenizer, length, drop, modalities
        self.rng = np.random.default_rng(seed)

    def batch(self, size: int, mismatched: bool = True) -> Batch:
        """`size` pairs. A modality is dropped with probability `drop`, never both; pairs that lack one are
        never mismatched.
        """
        rows = self.rng.integers(0, len(self.product), size)
        written = [self.texts.draw(self.product[r], self.rng) for r in rows]
        matched = np.ones(size, np.float32)
        half = size // 2
        if mismatched and self.modalities == "both":
            # Words move one place on among the second half; a neighbour of the same product stays a match.
            moved = written[half:][1:] + written[half:][:1]
            owners = np.roll(self.product[rows[half:]], -1)
            written[half:] = moved
            matched[half:] = (owners == self.product[rows[half:]]).astype(np.float32)
        ids, mask = encode(self.tokenizer, written, self.length)
        image_mask = np.ones((size, 1), np.float32)
        if self.modalities == "both":
            draw = self.rng.random(size)
            no_words = draw < self.drop
            no_picture = (draw >= self.drop) & (draw < 2 * self.drop) & (mask[:, 0] > 0)
        else:
            no_words, no_picture = (np.full(size, self.modalities == name) for name in ("image", "text"))
        lacking = no_words | no_picture
        mask[no_words] = 0
        image_mask[no_picture] = 0
        kept = torch.from_numpy(self.cells[rows].astype(np.float32))
        matched[lacking] = 1
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(mask),
            kept,
            torch.from_numpy(image_mask),
            torch.from_numpy(matched),
        )
