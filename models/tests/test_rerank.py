import numpy as np
import torch

from shelfsight_models.rerank.evaluate import consistent_matches, first_is_right, mean_best_cosine
from shelfsight_models.rerank.maps import SIDE, Described
from shelfsight_models.rerank.networks import (
    LandmarkReranker,
    PairMlp,
    ProductReranker,
    Shape,
    count,
    sine_positions,
)
from shelfsight_models.rerank.pairs import Lists, Pairs
from shelfsight_models.rerank.train import RerankConfig, build, loss_of, train


def test_the_landmark_model_has_the_papers_parameters():
    assert count(LandmarkReranker()) == 2_243_201


def test_landmark_masks_hide_descriptors():
    torch.manual_seed(0)
    model = LandmarkReranker(global_width=8, width=16, layers=2, hidden=32).eval()
    side = lambda: (  # noqa: E731
        torch.randn(2, 8),
        torch.randn(2, 5, 16),
        torch.randint(0, 7, (2, 5)),
        torch.tensor([[False] * 3 + [True] * 2] * 2),
    )
    query, candidate = side(), side()
    before = model(*query, *candidate)
    query[1][:, 3:] = 9.0
    assert torch.allclose(before, model(*query, *candidate), atol=1e-6)
    query[1][:, 0] = 9.0
    assert not torch.allclose(before, model(*query, *candidate), atol=1e-4)


def test_positions_tell_cells_apart():
    place = sine_positions(7, 64)
    assert place.shape == (49, 64)
    assert len(torch.unique(place, dim=0)) == 49
    # Half the components are the row's, half the column's.
    assert torch.equal(place[0, :32], place[6, :32]) and torch.equal(place[0, 32:], place[42, 32:])


def _inputs(shape: Shape, n: int = 3):
    cells = lambda: torch.randn(n, shape.side**2, shape.local)  # noqa: E731
    return cells(), torch.randn(n, shape.glob), cells(), torch.randn(n, shape.glob)


def test_parts_that_are_off_do_not_matter():
    small = {"local": 6, "glob": 5, "side": 3, "width": 16, "hidden": 16}
    torch.manual_seed(1)
    inputs = _inputs(Shape(**small))
    other = [torch.randn_like(x) for x in inputs]
    blind = ProductReranker(Shape(**small, use_local=False)).eval()
    assert torch.allclose(blind(*inputs), blind(other[0], inputs[1], other[2], inputs[3]))
    local = ProductReranker(Shape(**small, use_global=False)).eval()
    assert torch.allclose(local(*inputs), local(inputs[0], other[1], inputs[2], other[3]))
    # Without positions the order of the cells is lost.
    turned = inputs[0].flip(1)
    bag = ProductReranker(Shape(**small, use_position=False)).eval()
    assert torch.allclose(bag(*inputs), bag(turned, *inputs[1:]), atol=1e-5)
    placed = ProductReranker(Shape(**small)).eval()
    assert not torch.allclose(placed(*inputs), placed(turned, *inputs[1:]), atol=1e-4)


def test_the_mlp_is_of_equal_size():
    whole = count(ProductReranker(Shape()))
    assert abs(count(PairMlp(384, whole)) - whole) < 0.02 * whole


def test_losses():
    good, bad = torch.tensor([9.0, -9.0, -9.0]), torch.tensor([-9.0, 9.0, -9.0])
    for kind in ("list", "binary"):
        assert loss_of(good, 2, kind) < 1e-3 < 4 < loss_of(bad, 2, kind)


def test_matching_without_learning():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(SIDE, SIDE, 8)).astype(np.float32)
    flat = cells.reshape(-1, 8)
    shifted = np.roll(cells, 1, axis=1).reshape(-1, 8)
    shuffled = flat[rng.permutation(len(flat))]
    other = rng.normal(size=flat.shape).astype(np.float32)
    candidates = np.stack([flat, shifted, shuffled, other])
    local = mean_best_cosine(flat, candidates)
    assert np.allclose(local[:3], 1, atol=1e-5) and local[3] < 0.9
    # Only geometry tells a shuffled picture from the shifted one.
    matches = consistent_matches(flat, candidates)
    assert matches[0] == SIDE * SIDE and matches[1] >= SIDE * (SIDE - 1)
    assert matches[2] < 20


def test_scores_of_missing_candidates_never_win():
    lists = Lists(
        query=np.array([0, 1]),
        short=np.array([[2, -1], [3, 4]]),
        cosine=np.zeros((2, 2), np.float32),
        right=np.array([[True, False], [False, True]]),
    )
    assert first_is_right(np.array([[0.0, 9.0], [0.0, 1.0]]), lists).tolist() == [1, 1]


def test_learns_what_only_cells_tell(tmp_path):
    """Products differ by one cell; the global vectors are all alike."""
    rng = np.random.default_rng(3)
    marks = rng.normal(size=(6, 4)).astype(np.float32) * 2
    cells = rng.normal(size=(60, 9, 4)).astype(np.float32) * 0.1
    product = np.arange(60) % 6
    cells[:, 4] = marks[product]
    found = Described(np.arange(60), cells.astype(np.float16), np.ones((60, 3), np.float32))
    query = np.arange(30)
    short = np.stack([30 + rng.permutation(30)[:6] for _ in query])
    short[:, 0] = 30 + product[query]
    right = product[short] == product[query][:, None]
    lists = Lists(query, short, np.zeros(short.shape, np.float32), right)
    shape = Shape(local=4, glob=3, side=3, width=16, layers=1, heads=2, hidden=32)
    config = RerankConfig(name="t", image="x", shape=shape, steps=150, anchors=16, negatives=2, rate=5e-3)
    pairs = Pairs([(found, lists)], 2, 1)
    model = train(config, pairs, tmp_path)
    batch = [torch.from_numpy(part) for part in Pairs([(found, lists)], 2, 9).batch(40)]
    assert (model(*batch).view(-1, 3).argmax(1) == 0).float().mean() > 0.9
    # A finished run is read, not trained again.
    again = train(config, pairs, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert count(build(config)) == count(model)
