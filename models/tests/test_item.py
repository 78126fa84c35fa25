import json

import numpy as np
import onnxruntime
import pytest
import torch

from shelfsight_models.data import Product, to_input
from shelfsight_models.item.data import Sampler, Texts, encode, fit_tokenizer, without_names
from shelfsight_models.item.evaluate import gallery
from shelfsight_models.item.export import PIXELS, export
from shelfsight_models.item.networks import Heads, ItemEncoder, Shape
from shelfsight_models.item.objectives import ALL, MASK, hide_cells, hide_words, losses
from shelfsight_models.item.pictures import patches
from shelfsight_models.item.probes import fit_global_heads, lean, probe
from shelfsight_models.item.train import ItemConfig, train

SMALL = Shape(cell=6, cells=4, words=60, length=8, width=16, layers=1, heads=2, hidden=32)
PRODUCTS = {
    "a": Product("a", "Gala", coarse="Apple", description="gala sweet crisp red fruit for pies"),
    "b": Product("b", "Granny", coarse="Apple", description="granny sour firm green fruit for cakes"),
    "c": Product("c", "Oatly", coarse="Milk", description="oatly creamy drink of oats for coffee"),
}


@pytest.fixture
def sampler():
    rng = np.random.default_rng(0)
    marks = rng.normal(size=(3, 4, 6))
    product = np.array(["a", "b", "c"] * 20)
    cells = np.stack([marks["abc".index(p)] for p in product]) + 0.1 * rng.normal(size=(60, 4, 6))
    tokenizer = fit_tokenizer([p.description for p in PRODUCTS.values()], 60)
    return Sampler(product, cells, Texts(PRODUCTS, "full"), tokenizer, SMALL.length, seed=1)


def test_weakened_texts_tell_the_class_alone():
    rng = np.random.default_rng(1)
    siblings = {Texts(PRODUCTS, "sibling").draw("a", rng) for _ in range(40)}
    assert siblings == {PRODUCTS["a"].description, PRODUCTS["b"].description}
    drawn = {Texts(PRODUCTS, "dropout").draw("a", rng) for _ in range(40)}
    assert len(drawn) > 5 and not any("gala" in text for text in drawn)
    assert without_names("gala apple is red", PRODUCTS["a"]) == "is red"


def test_half_the_pairs_are_mismatched_and_none_loses_both(sampler):
    batch = sampler.batch(300)
    assert 0.55 < batch.matched.mean() < 0.85  # a third of the swapped words are of the same product
    assert ((batch.text_mask[:, 0] > 0) | (batch.image_mask[:, 0] > 0)).all()
    single = (batch.text_mask[:, 0] == 0) | (batch.image_mask[:, 0] == 0)
    assert 0.2 < single.float().mean() < 0.4 and (batch.matched[single] == 1).all()
    assert sampler.batch(50, mismatched=False).matched.all()


def test_all_pairs_have_holes_and_those_of_matched_ones_are_to_be_filled(sampler):
    """Holes in matched pairs alone would give the matching away."""
    batch = sampler.batch(400)
    generator = torch.Generator().manual_seed(0)
    ids, places = hide_words(batch, 0.5, 60, generator)
    assert (batch.matched[places[:, 0]] == 1).all() and (
        batch.text_mask[places[:, 0], places[:, 1]] > 0
    ).all()
    matched = batch.matched > 0
    there = batch.text_mask > 0
    shares = [((ids != batch.ids) & there)[rows].sum() / there[rows].sum() for rows in (matched, ~matched)]
    assert all(0.35 < share < 0.55 for share in shares)
    assert (ids[places[:, 0], places[:, 1]] == MASK).float().mean() > 0.7
    holes, cells = hide_cells(batch, 0.5, generator)
    assert (batch.image_mask[cells[:, 0]] > 0).all() and holes[matched].sum() == len(cells)
    assert 0.4 < holes[~matched].float().mean() < 0.6


def test_a_missing_modality_is_not_looked_at():
    torch.manual_seed(2)
    encoder = ItemEncoder(SMALL).eval()
    ids, mask = torch.randint(3, 60, (2, 8)), torch.ones(2, 8)
    cells, there = torch.randn(2, 4, 6), torch.ones(2, 1)
    none = torch.zeros(2, 1)
    words = encoder.embed(ids, mask, cells, none)
    assert torch.allclose(words, encoder.embed(ids, mask, torch.randn(2, 4, 6), none), atol=1e-6)
    photo = encoder.embed(ids, 0 * mask, cells, there)
    assert torch.allclose(photo, encoder.embed(ids.flip(0), 0 * mask, cells, there), atol=1e-6)
    assert not torch.allclose(photo, encoder.embed(ids, mask, cells, there), atol=1e-3)


def test_global_heads_see_the_global_vector_and_the_place_alone(sampler):
    torch.manual_seed(3)
    encoder = ItemEncoder(SMALL)
    heads = Heads(encoder)
    states = torch.randn(2, 2 + 8 + 4, 16)
    other = torch.randn_like(states)
    other[:, 0] = states[:, 0]
    places = torch.tensor([[0, 1], [1, 3]])
    for local, glob in (
        (heads.words, heads.words_from_global),
        (heads.cells, heads.cells_from_global),
    ):
        assert torch.equal(glob(encoder, states, places), glob(encoder, other, places))
        assert not torch.allclose(local(encoder, states, places), local(encoder, other, places))
        elsewhere = glob(encoder, states, torch.tensor([[0, 2], [1, 3]]))
        assert not torch.allclose(elsewhere[0], glob(encoder, states, places)[0])


def test_each_objective_can_be_left_out(sampler):
    encoder = ItemEncoder(SMALL)
    heads = Heads(encoder)
    batch = sampler.batch(64)
    found = losses(encoder, heads, batch, ALL, torch.Generator().manual_seed(0))
    assert found.keys() == ALL and all(torch.isfinite(v) for v in found.values())
    for name in ALL:
        rest = losses(encoder, heads, batch, ALL - {name}, torch.Generator().manual_seed(0))
        assert rest.keys() == ALL - {name}


def test_global_objectives_move_what_they_name_into_the_vector(sampler, tmp_path):
    """With the two global objectives, hidden words can be read from the global vector of an unseen pair."""
    config = ItemConfig(name="t", shape=SMALL, steps=400, batch=48, rate=3e-3)
    encoder, heads = train(config, sampler, tmp_path / "all")
    sampler.drop = 0.0
    found = probe(encoder, heads, sampler, batches=2)
    assert found.cell_error < 0.8 * found.mean_cell_error
    guesses = []
    for seed in range(6):
        torch.manual_seed(seed)
        guesses.append(probe(encoder, Heads(encoder), sampler, batches=2).word_accuracy)
    assert found.word_accuracy > 0.6 > 0.3 > max(guesses)
    assert 0 < found.reliance < 1
    frozen = [p.clone() for p in encoder.parameters()]
    fit_global_heads(encoder, sampler, 3, batch=16)
    assert all(torch.equal(a, b) for a, b in zip(frozen, encoder.parameters(), strict=True))
    again, _ = train(config, sampler, tmp_path / "all")
    batch = sampler.batch(8)
    assert torch.equal(lean(encoder, batch), lean(again, batch))


def test_patches_and_ids():
    pixels = np.zeros((1, 96, 96, 3), np.uint8)
    pixels[0, 16:32, 32:48] = 255
    found = patches(pixels)
    assert found.shape == (1, 36, 768) and (found[0, 8] == 1).all() and (found[0, :8] == -1).all()
    tokenizer = fit_tokenizer(["red apple"] * 9, 60)
    ids, mask = encode(tokenizer, ["red apple", ""], 8)
    assert mask.sum(1)[0] >= 2 and mask.sum(1)[1] == 0 and (ids[1] == 0).all()


def test_the_exported_encoder_says_the_same(tmp_path):
    """Patches or words missing, through int8 ONNX; a picture's patches become a convolution."""
    torch.manual_seed(5)
    shape = Shape(cell=16 * 16 * 3, cells=36, words=60, length=8, width=32, layers=2, heads=2, hidden=64)
    encoder = ItemEncoder(shape).eval()
    for p in encoder.parameters():
        if p.dim() > 1:
            torch.nn.init.normal_(p, std=0.1)
    tokenizer = fit_tokenizer([p.description for p in PRODUCTS.values()], 60)
    mean, matrix = np.full(32, 0.1, np.float32), np.eye(32, 12, dtype=np.float32)
    manifest = export(encoder, mean, matrix, tokenizer, PIXELS, tmp_path, "item-test")
    session = onnxruntime.InferenceSession(str(manifest.with_name("item.onnx")))
    pixels = np.random.default_rng(1).integers(0, 256, (1, 96, 96, 3), np.uint8)
    cells = torch.from_numpy(patches(pixels))
    for text, there in [("gala sweet", 1.0), ("", 1.0), ("granny sour green", 0.0)]:
        ids, mask = encode(tokenizer, [text], 8)
        feed = {
            "pixel_values": to_input(pixels, PIXELS),
            "input_ids": ids,
            "text_mask": mask.astype(np.int64),
        }
        found = session.run(None, feed | {"image_mask": np.full((1, 1), there, np.float32)})[0][0]
        given = (torch.from_numpy(ids), torch.from_numpy(mask), cells, torch.full((1, 1), there))
        wanted = (encoder(*given)[0, 0].detach().numpy() - mean) @ matrix
        assert found @ wanted / np.linalg.norm(wanted) > 0.995, (text, there)
    words = json.loads(manifest.read_text())["words"]
    assert words["max_tokens"] == 8 and (tmp_path / words["tokenizer"]).is_file()


def test_entries_are_known_by_all_a_variant_reads_and_by_one_half_of_two_encoders():
    one = {"photo": np.zeros((3, 8)), "words": np.ones((3, 8)), "both": np.full((3, 8), 2.0)}
    assert gallery(one, "photo") is one["both"]
    two = one | {"both": np.zeros((3, 16))}
    assert gallery(two, "photo") is two["photo"] and gallery(two, "both") is two["both"]
    assert gallery({"words": one["words"]}, "words") is one["words"]
