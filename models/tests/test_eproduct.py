import numpy as np
import torch

from shelfsight_models.eproduct import (
    LadderConfig,
    fit,
    head,
    histogram,
    judge,
    pseudo_attributes,
    ranked,
    soft_targets_loss,
)
from shelfsight_models.pipeline import unit_rows
from shelfsight_models.postprocess import k_reciprocal, whitening


def test_metrics_by_hand():
    # Twelve ranked rows, right at 1, 3 and 12; four are right in all, then one of one at rank 2.
    right = np.zeros((2, 12), bool)
    right[0, [0, 2, 11]] = True
    right[1, 1] = True
    found = judge(right, np.array([4, 1]))
    assert found["hit@1"].tolist() == [1, 0]
    assert np.allclose(found["mar@10"], [2 / 4, 1])
    assert np.allclose(judge(right, np.array([40, 1]))["mar_capped@10"], [2 / 10, 1])
    assert np.allclose(found["map@100"], [(1 + 2 / 3 + 3 / 12) / 4, 1 / 2])


def test_ranking_is_by_cosine():
    index = np.eye(3)
    order, scores = ranked(np.array([[0.1, 0.9, 0.4]]), index, 2)
    assert order.tolist() == [[1, 2]] and scores[0, 0] > scores[0, 1]


def test_attributes_are_words_of_some_texts():
    words, has = pseudo_attributes(["red apple fruit", "green apple fruit", "oat milk fruit"], 2, 2)
    assert words == ["apple"] and has.tolist() == [[1], [1], [0]]


def test_histograms_count_colours():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2, :, 0] = 255
    found = histogram(pixels)
    assert np.isclose(found[0] ** 2, 0.5) and np.isclose(found[7 * 64] ** 2, 0.5)


def test_whitening_leaves_no_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 3
    mean, matrix = whitening(x, 0.0)
    assert np.allclose(np.cov(((x - mean) @ matrix).T), np.eye(6), atol=1e-8)


def test_k_reciprocal_prefers_a_cluster_to_a_lone_neighbour():
    rng = np.random.default_rng(1)
    centre = unit_rows(rng.normal(size=(1, 16)))
    cluster = unit_rows(centre + 0.2 * rng.normal(size=(12, 16)) / 4)
    query = unit_rows(centre + 0.45 * rng.normal(size=(1, 16)) / 4)[0]
    # Nearer to the query than the cluster, but no neighbour of anything else there.
    lone = unit_rows(query[None] + 0.5 * rng.normal(size=(1, 16)) / 4)
    far = unit_rows(rng.normal(size=(30, 16)))
    points = np.concatenate([lone, cluster, far])
    plain, again = 1 - points @ query, k_reciprocal(query, points)
    assert again[1:13].max() < again[13:].min()
    gap = lambda d: d[0] - d[1:13].mean()  # noqa: E731
    assert gap(again) / again[13:].mean() > gap(plain) / plain[13:].mean()
    # With all weight on the old distance the order is the old one.
    assert np.array_equal(np.argsort(k_reciprocal(query, points, weight=1.0)), np.argsort(plain))


def test_a_head_learns_its_labels():
    rng = np.random.default_rng(2)
    owner = np.arange(300) % 3
    features = rng.normal(size=(300, 8)).astype(np.float32)
    features[np.arange(300), owner] += 3
    config = LadderConfig(width=4, hidden=16, steps=80, batch=64, rate=1e-2)
    loss, extra = soft_targets_loss(np.eye(3, dtype=np.float32), owner, config, 0.5)
    net = fit(head(config, 8), config, np.arange(300), features, loss, extra)
    with torch.no_grad():
        v = unit_rows(net(torch.from_numpy(features)).numpy())
    order, _ = ranked(v[:60], v[60:], 1)
    assert (owner[60:][order[:, 0]] == owner[:60]).mean() > 0.9
