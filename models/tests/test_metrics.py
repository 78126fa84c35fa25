"""Figures against values worked out by hand."""

import numpy as np
import pytest

from shelfsight_models.evaluate import bootstrap, fit_calibration, folds, paired, ranks, recall
from shelfsight_models.protocols import Clean, datakick_unseen, grocery_seen, grocery_unseen
from shelfsight_models.release import score_pairs

E = np.eye(4, dtype=np.float32)
HALF = np.float32([0.6, 0.8, 0, 0])


def test_ranks_count_products_not_pictures():
    gallery = np.stack([E[0], E[0] * 0.99, E[1], HALF])
    labels = np.array(["a", "a", "b", "c"])
    got = ranks(np.stack([E[0], E[1], HALF]), gallery, np.array(["c", "b", "b"]), labels)
    # E0: a 1.0, c 0.6, b 0 → c is second although two rows of a come before it.
    # E1: b 1.0 first. HALF: c 1.0, b 0.8, a 0.6 → b second.
    assert got.tolist() == [1, 0, 1]
    assert recall(got, 1) == pytest.approx(1 / 3)
    assert recall(got, 2) == 1.0


def test_a_query_does_not_find_itself():
    gallery = np.stack([E[0], HALF, E[1]])
    labels = np.array(["a", "a", "b"])
    assert ranks(E[:1], gallery, labels[:1], labels, np.array([0])).tolist() == [0]
    # Alone in the gallery, the product cannot be found: rank is the number of products.
    assert ranks(E[1:2], gallery, labels[2:], labels, np.array([2])).tolist() == [2]


def test_ties_count_against_us():
    gallery = np.stack([E[0], E[0]])
    assert ranks(E[:1], gallery, np.array(["a"]), np.array(["a", "b"])).tolist() == [1]


def test_bootstrap_and_pairs():
    values = np.array([1.0, 0.0] * 200)
    interval = bootstrap(values, draws=500)
    assert interval.mean == 0.5
    assert 0.43 < interval.low < 0.47 and 0.53 < interval.high < 0.57
    same = paired(values, values, draws=50)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_folds_cover_everything_once():
    parts = folds([f"p{i}" for i in range(23)], 5, seed=3)
    assert sorted(name for part in parts for name in part) == sorted(f"p{i}" for i in range(23))
    assert {len(part) for part in parts} == {4, 5}
    assert parts == folds([f"p{i}" for i in range(22, -1, -1)], 5, seed=3)


def test_calibration_recovers_a_known_curve():
    rng = np.random.default_rng(0)
    cosine = rng.uniform(-1, 1, 40_000)
    same = rng.random(40_000) < 1 / (1 + np.exp(-(9 * cosine - 4)))
    scale, bias = fit_calibration(cosine, same)
    assert scale == pytest.approx(9, rel=0.05) and bias == pytest.approx(-4, rel=0.05)


def test_protocols_use_the_right_rows():
    rows = Clean(
        product=np.array(
            [
                "grocery-0",
                "grocery-0",
                "grocery-0",
                "grocery-1",
                "grocery-1",
                "datakick-5",
                "datakick-5",
                "datakick-6",
            ]
        ),
        kind=np.array(["iconic", "photo", "photo", "iconic", "photo", "photo", "photo", "photo"]),
        split=np.array(["train", "train", "val", "train", "train", "train", "train", "train"]),
    )
    vectors = np.stack([E[0], E[0], E[0], E[1], E[1], E[2], E[2], E[3]])
    seen = grocery_seen(vectors, rows)
    assert {name: value.tolist() for name, value in seen.items()} == {
        "val_photos": [0],
        "val_centroid": [0],
        "val_iconic": [0],
    }
    unseen = grocery_unseen(vectors, rows, {"grocery-0"})
    # The val photo finds its train photo; the train photo has no other one of its product: a miss at every k.
    assert unseen["unseen_photos"].tolist() == [0, 2]
    assert unseen["unseen_val_photos"].tolist() == [0]
    assert unseen["unseen_iconic"].tolist() == [0, 0]
    assert datakick_unseen(vectors, rows)["datakick"].tolist() == [0, 0]
    assert len(datakick_unseen(vectors, rows, {"datakick-6"})["datakick"]) == 0


def test_score_pairs_take_the_nearest_wrong_products():
    gallery = np.stack([E[0], HALF, E[1], E[2]])
    labels = np.array(["a", "b", "c", "d"])
    cosine, same = score_pairs(E[:1], gallery, labels[:1], labels, True, wrong=2)
    assert cosine.tolist() == pytest.approx([1.0, 0.6, 0.0]) and same.tolist() == [1, 0, 0]
    cosine, same = score_pairs(E[:1], gallery, np.array(["z"]), labels, True)
    assert len(cosine) == len(same) == 0  # a product without a row says nothing
