import json

import numpy as np
import torch

from shelfsight_models.rerank.evaluate import consistent_matches, first_is_right, mean_best_cosine
from shelfsight_models.rerank.maps import SIDE, Described
from shelfsight_models.rerank.matches import (
    PAIR,
    MatchScorer,
    match_logits,
    normal,
    pair_features,
    save,
    stored,
    train_matches,
)
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


def _found(rows: int, seed: int) -> Described:
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=(rows, 8)).astype(np.float32)
    cells = rng.normal(size=(rows, SIDE * SIDE, 6)).astype(np.float16)
    return Described(np.arange(rows), cells, vector / np.linalg.norm(vector, axis=1, keepdims=True))


def test_features_of_a_picture_with_itself_are_the_greatest():
    found = _found(3, 0)
    own, other = pair_features(found.cells[0], found.cells[:2], np.array([1.0, 0.1]))
    assert own.shape == (PAIR,)
    # Best cosines, both means, the same place and mutual matches are all 1, and all cells agree on no shift.
    assert np.allclose(own[[0, 1, 2, 3, 4, 5, 6, 7]], 1.0, atol=1e-3) and np.allclose(own[9:], 1.0, atol=1e-3)
    assert (other[:8] < own[:8]).all()


def test_matching_cells_are_told_from_shuffled_ones_of_products_never_seen():
    # A right candidate has the query's cells and noise; a wrong one has its own, whatever they are.
    def part(seed: int) -> tuple[Described, Lists]:
        rng = np.random.default_rng(seed)
        found = _found(60, seed)
        for i in range(0, 60, 3):
            found.cells[i + 1] = found.cells[i] + 0.8 * rng.normal(size=found.cells[i].shape)
        query = np.arange(0, 60, 3)
        short = np.stack([query + 2, query + 1], 1)
        right = np.tile([False, True], (20, 1))
        return found, Lists(query, short, np.zeros((20, 2), np.float32), right)

    model = train_matches([part(1), part(2)], seed=1, steps=60)
    found, lists = part(3)
    assert first_is_right(match_logits(model, found, lists), lists).mean() > 0.9
    missing = Lists(lists.query, np.where(lists.right, lists.short, -1), lists.cosine, lists.right)
    assert np.isneginf(match_logits(model, found, missing)[:, 0]).all()


def _numbered_cells(seed: int) -> np.ndarray:
    i = np.arange(49 * 64)
    whole = (i * 7919 + seed * 104729 + (i // 64) * (i % 64) * 37) % 2001
    scale = 1 + (np.arange(49) * 5 % 7) / 3
    return ((whole - 1000) / 500.0).reshape(49, 64) * scale[:, None]


def test_pair_features_are_those_of_the_library():
    # src/rerank/matches.rs holds the same numbers.
    query, candidate = _numbered_cells(1), _numbered_cells(2)
    candidate[:30] = _numbered_cells(1)[5:35] + 0.3 * _numbered_cells(3)[:30]
    found = pair_features(query, stored(candidate[None]), np.array([0.625]))[0]
    want = [0.625, 0.7056, 0.6633, 0.7136, 0.6757, -0.1786, 0.6327, 0.4082, 0.0051]
    want += [0.99, 0.9889, 0.9845, 0.9048, 0.856, 0.3781, 0.1372]
    want += [0.99, 0.9889, 0.9845, 0.9048, 0.856, 0.2377, 0.1584]
    assert np.abs(found - want).max() < 1e-3


def test_stored_cells_are_few_numbers():
    cells = _numbered_cells(4)[None]
    kept = stored(cells)
    cosine = (normal(kept) * normal(cells)).sum(-1)
    assert cosine.min() > 0.99
    # Seven levels each side, relative to the largest of a cell.
    levels = kept[0, 3] / np.abs(kept[0, 3]).max() * 7
    assert np.allclose(levels, np.rint(levels), atol=1e-4)
    assert stored(np.zeros((1, 49, 64))).max() == 0


def test_a_saved_scorer_scores_the_same(tmp_path):
    torch.manual_seed(0)
    model = MatchScorer().eval()
    model.mean.uniform_(-1, 1)
    model.deviation.uniform_(0.5, 2)
    save(model, tmp_path / "rerank.json")
    file = json.loads((tmp_path / "rerank.json").read_text())
    x = torch.randn(5, len(file["mean"]))
    scaled = (x - torch.tensor(file["mean"])) / torch.tensor(file["deviation"])
    hidden = torch.nn.functional.gelu(scaled @ torch.tensor(file["hidden"]).T + torch.tensor(file["bias"]))
    score = hidden @ torch.tensor(file["out"])
    # The last bias moves all scores of a list alike and is left out.
    whole = model(x)
    assert torch.allclose(whole - whole[0], score - score[0], atol=1e-4)
