from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch

from shelfsight_models.capture.composites import GROUPS, Plan, Source, build, groups, shared
from shelfsight_models.capture.corpus import Asked, Cuts, Shown, _filled
from shelfsight_models.capture.data import Batch, Sampler, caption
from shelfsight_models.capture.evaluate import CLAIMS, compare, variants
from shelfsight_models.capture.export import INPUTS, export, parity
from shelfsight_models.capture.metrics import merge, scores
from shelfsight_models.capture.networks import KINDS, Heads, Shape, count
from shelfsight_models.capture.networks import build as build_encoder
from shelfsight_models.capture.objectives import ALL, clr, hide_regions, losses
from shelfsight_models.capture.queries import Gallery, ask, embed, lists, with_words
from shelfsight_models.capture.regions import BOXES, CELL, FEATURE, VECTOR, Regions, crop, quarters, windows
from shelfsight_models.capture.report import ORDER
from shelfsight_models.capture.train import CaptureConfig, decayed, train
from shelfsight_models.data import Picture, Product
from shelfsight_models.item.data import fit_tokenizer

SMALL = Shape(words=60, length=8, width=16, heads=2, inner=32, depths=(1, 1, 2))
TEXTS = {"a": "sweet red crisp", "b": "sour green firm", "c": "creamy white drink", "d": "yellow long soft"}


# --- metrics ---


def test_three_labels_by_hand():
    """The fixture of the library's own test."""
    gallery = Counter(a=6, b=2, c=4, d=9)
    found = scores(12, list("adbaddacdddaac"), list("abc"), gallery)
    total = 1 + 2 / 3 + 3 / 4 + 4 / 7 + 5 / 8 + 6 / 12
    assert found["map"] == pytest.approx(total / 6)
    assert found["map_full"] == pytest.approx(total / 12)
    assert found["prec"] == pytest.approx(6 / 12)
    assert found["mar"] == pytest.approx((4 / 4 + 1 / 2 + 1 / 4) / 3)


def test_a_label_twice_is_expected_twice_and_small_galleries_cut_the_list():
    twice = scores(6, list("aabbbb"), list("aab"), Counter(a=50, b=50))
    assert twice["mar"] == pytest.approx((2 / 4 + 2 / 2) / 2) and twice["prec"] == 1
    # Two right entries: the first two results count for AP and precision, all for recall.
    small = scores(10, list("acb"), list("ab"), Counter(a=1, b=1, c=7))
    assert small == {"map": 1.0, "map_full": 0.5, "prec": 0.5, "mar": 1.0}
    lost = {"map": 0.0, "map_full": 0.0, "prec": 0.0, "mar": 0.0}
    assert scores(10, ["b"], ["z"], Counter(a=1)) == lost and scores(10, [], ["a"], Counter(a=1)) == lost


def test_merging_goes_round():
    assert merge([[1, 2, 3], [], [2, 4]], 10) == [1, 2, 4, 3]
    assert merge([[1, 2, 3], [], [2, 4]], 2) == [1, 2] and merge([], 5) == []


def test_lists_of_one_picture_are_merged_and_judged():
    entries = np.eye(4, dtype=np.float32)
    queries = np.array([[0.9, 0.8, 0.1, 0], [0.1, 0.9, 0.2, 0], [0, 0, 0.1, 1]], np.float32)
    cuts = Cuts(np.array([0, 0, 2]), Regions(np.zeros((3, 4, CELL)), queries))
    found = lists(queries, cuts.owner, 3, entries)
    assert found[0] == [0, 1, 2, 3] and found[1] == [] and found[2][:2] == [3, 2]
    gallery = Gallery(np.arange(4), np.array(list("abcd")))
    judged = ask(queries, cuts, [["a", "b"], ["c"], ["d"]], entries, gallery)
    assert judged["prec@10"].tolist() == [1, 0, 1] and judged["mar@10"].tolist() == [1, 0, 1]
    both = with_words(queries, queries, 0.25) @ with_words(entries, entries, 0.25).T
    assert np.allclose(both, 1.25 * queries @ entries.T)


# --- composites ---


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Six products of one colour each: two photos of either split and an iconic picture on white."""
    folder = tmp_path_factory.mktemp("pictures")
    listed = []
    for i in range(6):
        tone = np.array([40 * i, 250 - 40 * i, 60 + 20 * i])
        for split, kind, number in (
            ("train", "iconic", 0),
            ("train", "photo", 1),
            ("train", "photo", 2),
            ("val", "photo", 3),
        ):
            pixels = np.full((60, 50, 3), 255 if kind == "iconic" else 90, np.uint8)
            pixels[10:50, 10:40] = tone
            path = folder / f"{i}-{number}.png"
            cv2.imwrite(str(path), pixels)
            listed.append(Picture(path, f"p{i}", kind, split))
    return listed


SHAPED = Plan(train=12, val=6, unseen=3, side=96, items=(2, 2))


def test_composites_keep_overlap_classes_scales_and_splits(pictures, tmp_path):
    drawn = build(pictures, SHAPED, "train", tmp_path)
    parts = groups(sorted({p.product for p in pictures}))
    assert sum(map(len, parts)) == 6 and not parts[0] & parts[1]
    for i, labels in enumerate(drawn.labels()):
        mine = drawn.boxes[drawn.owner == i]
        assert len(labels) == len(set(labels)) == 2
        assert not set(labels) & parts[drawn.without[i]]
        assert shared(mine[0].tolist(), mine[1].tolist()) <= SHAPED.overlap + 1e-6
        longer = (mine[:, 2:] - mine[:, :2]).max(1)
        assert (longer >= 0.3 * 96 - 1).all() and (longer <= 0.6 * 96 + 1).all()
        assert mine.min() >= 0 and mine.max() <= 96
    assert set(drawn.without.tolist()) == set(range(GROUPS))
    again = build(pictures, SHAPED, "train", tmp_path / "other")
    assert np.array_equal(drawn.pixels, again.pixels) and np.array_equal(drawn.boxes, again.boxes)
    val = Source.of(pictures, "val", {"p0", "p1"})
    assert not val.iconic and {p.name for paths in val.photos.values() for p in paths} == {
        "0-3.png",
        "1-3.png",
    }
    asked = build(pictures, SHAPED, "unseen-1", tmp_path)
    assert {label for labels in asked.labels() for label in labels} <= parts[1]


def test_shared_is_of_the_smaller_box():
    assert shared([0, 0, 10, 10], [5, 0, 10, 10]) == 1 and shared([0, 0, 4, 4], [2, 2, 10, 10]) == 0.25


# --- regions ---


def test_regions_are_quarters_and_the_embedding():
    cells = np.zeros((1, CELL, 7, 7), np.float32)
    cells[0, 0, :4, :4] = 1
    found = quarters(cells)
    assert found.shape == (1, 4, CELL)
    assert np.allclose(found[0, :, 0], [1, 0.25, 0.25, 1 / 16])
    features = Regions(found, np.full((1, VECTOR), 0.5)).features()
    assert features.shape == (1, 5, FEATURE) and (features[0, 0, :CELL] == 0).all()
    assert (features[0, 0, CELL:] == 0.5).all() and (features[0, 1:, CELL:] == 0).all()
    assert BOXES.shape == (5, 5) and np.allclose(BOXES[:, 4], [1] + [16 / 49] * 4)


def test_crops_stay_inside_and_windows_tile():
    pixels = np.zeros((40, 40, 3), np.uint8)
    assert crop(pixels, np.array([0.0, 0, 20, 20])).size == (21, 21)
    assert crop(pixels, np.array([39.5, 39.5, 40, 40])).size == (2, 2)
    nine = windows(40)
    assert len({tuple(w) for w in nine.tolist()}) == 9 and nine.min() == 0 and nine.max() == 40
    assert (nine[:, 2:] - nine[:, :2] == 20).all()


def test_a_picture_without_boxes_is_asked_whole():
    whole = Regions(np.zeros((3, 4, CELL)), np.arange(3)[:, None] * np.ones((3, VECTOR)))
    cuts = Cuts(np.array([0, 2]), Regions(np.zeros((2, 4, CELL)), np.full((2, VECTOR), 9.0)))
    filled = _filled(cuts, whole)
    assert filled.owner.tolist() == [0, 1, 2] and filled.regions.vector[:, 0].tolist() == [9, 1, 9]


# --- captions and batches ---


def test_captions_drop_half_and_never_name():
    rng = np.random.default_rng(0)
    drawn = [caption(["a", "b"], TEXTS, 2, rng) for _ in range(400)]
    sizes = Counter(len(text.split()) for text in drawn)
    assert set(sizes) == {0, 2, 4} and 0.17 < sizes[0] / 400 < 0.33
    assert {"sweet red", "red crisp"} < set(drawn)
    firsts = Counter(text.split()[0] in TEXTS["a"] for text in drawn if len(text.split()) == 4)
    assert min(firsts.values()) > 20


@pytest.fixture
def shown():
    """Thirty composites of two of four products, and pictures of each alone; a product is a direction."""
    rng = np.random.default_rng(3)
    marks = {name: rng.normal(size=VECTOR) for name in TEXTS}
    cells = {name: rng.normal(size=CELL) for name in TEXTS}

    def seen(names):
        n = len(names)
        vector = np.stack([marks[x] for x in names]) + 0.3 * rng.normal(size=(n, VECTOR))
        grid = np.stack([cells[x] for x in names])[:, None] + 0.3 * rng.normal(size=(n, 4, CELL))
        return Regions(grid.astype(np.float32), vector.astype(np.float32))

    labels = [rng.permutation(list(TEXTS))[:2].tolist() for _ in range(30)]
    single = list(TEXTS) * 10
    return Shown(
        seen([pair[0] for pair in labels]),
        np.arange(30) % GROUPS,
        labels,
        Cuts(np.repeat(np.arange(30), 2), seen([name for pair in labels for name in pair])),
        seen(single),
        np.array(single),
        np.arange(40) < 4,
    )


@pytest.fixture
def sampler(shown):
    tokenizer = fit_tokenizer(list(TEXTS.values()), SMALL.words)
    return Sampler(shown, np.arange(30), np.arange(40), TEXTS, tokenizer, SMALL.length, 3, seed=1)


def test_left_out_products_are_not_drawn(shown):
    composites, singles = shown.leaving_out(1, {"a", "c"})
    assert composites.tolist() == list(range(1, 30, 3))
    assert set(shown.single_product[singles].tolist()) == {"b", "d"}
    assert len(shown.leaving_out(None, set())[0]) == 30


def test_batches_hold_items_wholes_and_singles(sampler):
    batch = sampler.batch(16)
    assert batch.feature.shape == (16, 5, FEATURE) and batch.ids.shape == (16, SMALL.length)
    vectors = {
        name: {tuple(v) for v in part.features()[:, 0, CELL:].tolist()}
        for name, part in (
            ("items", sampler.shown.items.regions),
            ("whole", sampler.shown.whole),
            ("single", sampler.shown.single),
        )
    }
    kinds = [
        next(k for k, v in vectors.items() if tuple(row) in v) for row in batch.feature[:, 0, CELL:].tolist()
    ]
    assert Counter(kinds) == {"items": 8, "whole": 4, "single": 4}
    assert 0 < batch.captioned.sum() < 16


# --- networks and objectives ---


@pytest.mark.parametrize("shape", [SMALL, Shape()])
def test_designs_are_equally_large(shape):
    sizes = [count(build_encoder(shape, kind)) for kind in KINDS]
    assert max(sizes) / min(sizes) < 1.02


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    torch.manual_seed(1)
    encoder = build_encoder(SMALL, kind).eval()
    n = 3
    ids, box = torch.randint(3, 60, (n, 8)), torch.rand(n, 5, 5)
    text_mask, region_mask = torch.ones(n, 8), torch.ones(n, 5)
    text_mask[:, 5:], region_mask[:, 3:] = 0, 0
    feature = torch.randn(n, 5, FEATURE)

    def vector(ids, feature, box, text_mask=text_mask, region_mask=region_mask):
        with torch.no_grad():
            return encoder.vector(encoder(ids, text_mask, feature, box, region_mask))

    here = vector(ids, feature, box)
    assert torch.allclose(here.norm(dim=1), torch.ones(n), atol=1e-5)
    other_ids, other_feature, other_box = ids.clone(), feature.clone(), box.clone()
    other_ids[:, 5:], other_feature[:, 3:], other_box[:, 3:] = 7, torch.randn(n, 2, FEATURE), 0.5
    assert torch.allclose(here, vector(other_ids, other_feature, other_box), atol=1e-5)
    other_ids[:, 2] = (ids[:, 2] + 5) % 57 + 3
    assert not torch.allclose(here, vector(other_ids, feature, box), atol=1e-4)
    other_feature[:, 1] += 1
    assert not torch.allclose(here, vector(ids, other_feature, box), atol=1e-4)


def test_what_is_compared_has_not_met():
    """The contrastive objective must not be solvable by having looked at the other stream."""
    torch.manual_seed(2)
    for kind in KINDS:
        encoder = build_encoder(SMALL, kind).eval()
        ids, feature, box = torch.randint(3, 60, (2, 8)), torch.randn(2, 5, FEATURE), torch.rand(2, 5, 5)
        ones = torch.ones(2, 8), torch.ones(2, 5)
        a = encoder(ids, ones[0], feature, box, ones[1])
        b = encoder(ids.flip(1), ones[0], feature, box, ones[1])
        c = encoder(ids, ones[0], feature * 2, box, ones[1])
        assert torch.equal(a.own_image, b.own_image) and torch.equal(a.own_text, c.own_text)
        assert not torch.equal(a.own_text, b.own_text)


def test_contrast_is_the_formula():
    torch.manual_seed(3)
    rows = torch.nn.functional.normalize(torch.randn(8, 5), dim=1)
    image, text = rows[:4], rows[4:]
    total = 0.0
    for i in range(8):
        partner = (i + 4) % 8
        others = sum(np.exp(float(rows[i] @ rows[j]) / 0.07) for j in range(8) if j != i)
        total -= np.log(np.exp(float(rows[i] @ rows[partner]) / 0.07) / others)
    assert clr(image, text).item() == pytest.approx(total / 8, rel=1e-4)


def test_features_are_standardised_where_they_are(sampler):
    encoder = build_encoder(SMALL, "hybrid")
    features = sampler.features()
    encoder.standardise(features)
    seen = encoder.standard(torch.from_numpy(features))
    assert (seen[:, 0, :CELL] == 0).all() and (seen[:, 1:, CELL:] == 0).all()
    assert seen[:, 0, CELL:].mean(0).abs().max() < 1e-3
    assert (seen[:, 1:, :CELL].flatten(0, 1).std(0) - 1).abs().max() < 0.02


def test_hidden_regions_are_a_share_and_never_the_global_one():
    mask = torch.ones(400, 5)
    mask[:, 4] = 0
    batch = Batch(torch.zeros(400, 8).long(), torch.zeros(400, 8), torch.randn(400, 5, FEATURE), mask, mask)
    batch.region_mask = mask
    zeroed, places = hide_regions(batch, torch.Generator().manual_seed(0))
    assert set(places[:, 1].tolist()) == {1, 2, 3}
    assert 0.11 < len(places) / 1200 < 0.19 and 0.8 < zeroed.sum() / len(places) < 0.98


def test_each_objective_can_be_left_out(sampler):
    encoder = build_encoder(SMALL, "hybrid")
    heads = Heads(encoder, CELL)
    batch = sampler.batch(30)
    found = losses(encoder, heads, batch, ALL, torch.Generator().manual_seed(0))
    assert found.keys() == ALL and all(torch.isfinite(v) for v in found.values())
    for name in ALL:
        rest = losses(encoder, heads, batch, ALL - {name}, torch.Generator().manual_seed(0))
        assert rest.keys() == ALL - {name}
    batch.text_mask[:] = 0
    silent = losses(encoder, heads, batch, ALL, torch.Generator().manual_seed(0))
    assert silent.keys() == {"mrm"}


# --- training ---


def test_training_learns_resumes_and_exports(sampler, shown, tmp_path):
    config = CaptureConfig(name="t", shape=SMALL, steps=120, batch=24, rate=3e-3)
    encoder = train(config, sampler, tmp_path / "run")
    texts = [TEXTS[p] for p in shown.single_product.tolist()]
    vectors = embed(encoder, shown.single, texts, sampler.tokenizer).fused
    similar = vectors @ vectors.T
    same = shown.single_product[:, None] == shown.single_product[None]
    assert similar[same].mean() > similar[~same].mean() + 0.2
    again = train(config, sampler, tmp_path / "run")
    assert np.array_equal(vectors, embed(again, shown.single, texts, sampler.tokenizer).fused)
    export(encoder, tmp_path / "capture.onnx")
    kept = np.arange(7)
    near = parity(encoder, tmp_path / "capture.onnx", shown.single.take(kept), texts[:7], sampler.tokenizer)
    assert near["rows"] == 7 and near["least cosine"] > 0.99999 and near["largest difference"] < 1e-4
    session = ort.InferenceSession(str(tmp_path / "capture.onnx"), providers=["CPUExecutionProvider"])
    assert tuple(i.name for i in session.get_inputs()) == INPUTS


def test_a_run_that_was_cut_off_ends_the_same(sampler, shown, tmp_path, monkeypatch):
    config = CaptureConfig(name="t", shape=SMALL, steps=110, batch=12)
    whole = train(config, sampler, tmp_path / "whole")

    class Stopped(Exception):
        pass

    import shelfsight_models.capture.train as module

    left = iter(range(105))

    def stops(*arguments):
        if next(left, None) is None:
            raise Stopped
        return losses(*arguments)

    def fresh():
        return Sampler(shown, np.arange(30), np.arange(40), TEXTS, sampler.tokenizer, SMALL.length, 3, seed=1)

    monkeypatch.setattr(module, "losses", stops)
    with pytest.raises(Stopped):
        train(config, fresh(), tmp_path / "cut")
    monkeypatch.setattr(module, "losses", losses)
    cut = train(config, fresh(), tmp_path / "cut")
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


class Letters:
    """A text encoder that counts letters."""

    manifest = {"dim": VECTOR}  # noqa: RUF012

    def embed(self, texts):
        rows = np.array([[text.count(chr(97 + i)) + 0.1 for i in range(26)] for text in texts], np.float32)
        return np.pad(rows / np.linalg.norm(rows, axis=1, keepdims=True), ((0, 0), (0, VECTOR - 26)))


def test_a_comparison_from_end_to_end(shown, tmp_path):
    def asked(labels):
        rows = np.arange(len(labels))
        items = Cuts(
            shown.items.owner[: 2 * len(labels)], shown.items.regions.take(np.arange(2 * len(labels)))
        )
        cuts = {"whole": Cuts(rows, shown.whole.take(rows)), "windows": items, "true boxes": items}
        return Asked(labels, cuts | {"detector": items}, {"recall": 1.0})

    products = {name: Product(name, name, description=text) for name, text in TEXTS.items()}
    corpus = SimpleNamespace(
        products=products,
        groups=[{"a"}, {"b"}, {"c", "d"}],
        shown=shown,
        asked={name: asked(shown.labels[:n]) for name, n in (("val", 9), ("unseen-0", 3), ("unseen-1", 3))},
    )
    config = CaptureConfig(name="t", shape=SMALL, steps=3, batch=8)
    results = compare(config, corpus, Letters(), tmp_path, [1, 2], list(variants(config)))
    assert results["pictures"] == {"val": 9, "unseen": 6}
    for galleries in results["rows"].values():
        assert galleries.keys() == {"catalogue", "photos"}
        assert all(set(rows) == set(ORDER) for rows in galleries.values())
    # A product is a direction of the picture: its boxes name both, the whole picture its first.
    rows = results["rows"]["val"]["catalogue"]
    assert rows["shipped vector, true boxes"]["map_full@10"] == 1
    assert rows["shipped vector, whole picture"]["map_full@10"] < 1
    assert len(results["claims"]) == 4 * len(CLAIMS)
    assert results["export"]["least cosine"] > 0.9999 and (tmp_path / "t" / "results.json").is_file()
    # Read again, what was trained gives the same: its words have kept their numbers.
    again = compare(config, corpus, Letters(), tmp_path, [1, 2], list(variants(config)))
    assert again["rows"] == results["rows"]
    text = (tmp_path / "t" / "results.md").read_text()
    assert text.count("| hybrid, detector | ") > 4 and "| 1.000 |" in text


def test_matrices_decay_alone():
    encoder = build_encoder(SMALL, "hybrid")
    kept, free = decayed(encoder, 0.1)
    assert kept["weight_decay"] == 0.1 and free["weight_decay"] == 0.0
    assert all(p.dim() > 1 for p in kept["params"]) and all(p.dim() == 1 for p in free["params"])
