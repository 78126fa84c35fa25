"""Text: variants, the trimmed vocabulary, the tower, the projection."""

import json

import numpy as np
import torch

from shelfsight_models.data import Product
from shelfsight_models.text import (
    TextEncoder,
    TextShape,
    TextTower,
    encode_batches,
    latin_token,
    trim_vocabulary,
)
from shelfsight_models.texts import typo, variant, weakened
from shelfsight_models.train_text import TextConfig, principal_axes, start_projection, train

SHAPE = TextShape(vocabulary=300, width=32, layers=2, heads=4, inner=48, positions=16)
PRODUCT = Product(
    "grocery-1",
    "Granny Smith",
    coarse="Apple",
    description="The Granny Smith apple is green and it tastes sour, " * 4,
)


def tokenizer_file(folder):
    vocabulary = [
        "[PAD]",
        "[unused0]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "oat",
        "##s",
        "牛",
        "молоко",
        "é",
        "!",
    ]
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": {
            "strategy": {"Fixed": 128},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [
            {
                "id": i,
                "special": True,
                "content": c,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
            }
            for i, c in ((0, "[PAD]"), (2, "[UNK]"), (3, "[CLS]"), (4, "[SEP]"), (5, "[MASK]"))
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [3], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [4], "tokens": ["[SEP]"]},
            },
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {t: i for i, t in enumerate(vocabulary)},
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    return path


def test_trimmed_tokenizer_gives_the_kept_rows(tmp_path):
    from tokenizers import Tokenizer

    path = tokenizer_file(tmp_path)
    spec, kept = trim_vocabulary(path, max_tokens=5)
    assert kept.tolist() == [0, 2, 3, 4, 5, 6, 7, 10, 11]
    old, new = Tokenizer.from_file(str(path)), Tokenizer.from_str(spec)
    old.no_padding()
    before, after = old.encode("Oats !"), new.encode("Oats !")
    assert before.tokens == after.tokens == ["[CLS]", "oat", "##s", "!", "[SEP]"]
    assert kept[after.ids].tolist() == before.ids
    assert len(new.encode("oat oat oat oat oat oat").ids) == 5


def test_latin_tokens():
    kept = ["milk", "##ing", "é", "½", "€", "α", "[CLS]"]
    assert all(latin_token(t) for t in kept)
    assert not any(latin_token(t) for t in ["[unused7]", "牛", "молоко", "##ا", "한"])


def test_padding_does_not_change_a_vector():
    torch.manual_seed(0)
    encoder = TextEncoder(8, TextTower(SHAPE)).eval()
    ids = torch.randint(1, 300, (1, 6))
    padded = torch.cat([ids, torch.zeros(1, 4, dtype=torch.long)], 1)
    with torch.no_grad():
        a = encoder(ids, torch.ones_like(ids))
        b = encoder(padded, (padded > 0).long())
    assert torch.allclose(a, b, atol=1e-5)
    assert float(a.norm()) == torch.tensor(1.0) or abs(float(a.norm()) - 1) < 1e-5


def test_variants_are_seeded_and_weakened_descriptions_do_not_name_the_product():
    first = [variant(PRODUCT, np.random.default_rng(i)) for i in range(30)]
    assert first == [variant(PRODUCT, np.random.default_rng(i)) for i in range(30)]
    assert len(set(first)) > 10 and all(first)
    for i in range(30):
        assert not {"granny", "smith", "apple"} & set(
            weakened(PRODUCT, np.random.default_rng(i)).lower().split()
        )


def test_typo_changes_one_place():
    for i in range(40):
        assert abs(len(typo("chocolate", np.random.default_rng(i))) - 9) <= 1


def test_batches_return_every_text_once(tmp_path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(trim_vocabulary(tokenizer_file(tmp_path), 8)[0])
    seen = [
        i
        for index, _, _ in encode_batches(tokenizer, ["oat", "oats oat", "!", "oat ! oats"], 2)
        for i in index
    ]
    assert sorted(seen) == [0, 1, 2, 3]


def test_start_projection_turns_texts_onto_pictures_without_changing_cosines():
    rng = np.random.default_rng(0)
    titles = rng.normal(size=(200, 12)) @ np.diag([3, 2, 2, 1, 1, 1, 1, 1] + [0] * 4)
    titles /= np.linalg.norm(titles, axis=1, keepdims=True)
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    images = titles[:60] @ principal_axes(titles, 8).T @ turn
    weight = start_projection(titles, titles[:60], images)
    assert np.abs(titles[:60] @ weight.T - images).max() < 1e-4
    assert np.abs((titles @ weight.T) @ (titles @ weight.T).T - titles @ titles.T).max() < 1e-4


def test_training_pulls_texts_to_their_pictures():
    rng = np.random.default_rng(1)
    titles = rng.normal(size=(300, 16)).astype(np.float32)
    titles /= np.linalg.norm(titles, axis=1, keepdims=True)
    images = rng.normal(size=(10, 3, 8)).astype(np.float32)
    images = images[:, :1] + 0.1 * images
    images /= np.linalg.norm(images, axis=2, keepdims=True)
    texts = {f"p{i}": titles[i : i + 1] for i in range(10)}
    pictures = {f"p{i}": images[i] for i in range(10)}
    config = TextConfig("t", dim=8, steps=150, products=10, titles=32, w_geometry=0.1)

    def cosine(weight):
        projected = titles[:10] @ weight.T
        return ((projected / np.linalg.norm(projected, axis=1, keepdims=True)) * images[:, 0]).sum(1).mean()

    start = start_projection(titles, titles[:10], images.mean(1))
    assert cosine(train(config, titles, texts, pictures)) > cosine(start) + 0.03
