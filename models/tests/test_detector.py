"""The detector without a data set: scenes, encoding, one training step, export, and the weights that ship."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from shelfsight_models.detector import baseline, cutouts, evaluate, export, scenes, targets, train, trunk
from shelfsight_models.detector.dataset import Samples, build_cache, letterbox
from shelfsight_models.detector.net import STRIDE, Detector
from shelfsight_models.detector.packages import KINDS, draw_package
from shelfsight_models.detector.trunk import Trunk
from shelfsight_models.export import export_onnx

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
TINY = ((3, 1, 1, 8, 1), (3, 2, 2, 8, 1), (5, 2, 2, 12, 1), (3, 2, 2, 16, 1), (3, 2, 2, 16, 1))


def tiny() -> Detector:
    torch.manual_seed(0)
    return Detector(Trunk(TINY, stem=8), taps=(2, 3, 4), width=16)


def pool(seed: int) -> scenes.Pool:
    return scenes.Pool.draw(np.random.default_rng(seed), 24)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_fills_its_cut_out(kind):
    cut = draw_package(np.random.default_rng(3), 120, kind)
    assert cut.dtype == np.uint8 and cut.shape[2] == 4
    solid = cut[..., 3] > 127
    assert solid.mean() > 0.4
    assert solid.any(0)[[0, -1]].all() and solid.any(1)[[0, -1]].all()  # trimmed on all four sides
    assert cut[..., :3][solid].std() > 1  # something is printed or shaded


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_boxes_are_the_extent_of_what_is_visible(kind):
    stock = pool(1)
    seen = 0
    for seed in range(4):
        scene = scenes.make_scene(np.random.default_rng((7, seed)), stock, 256, kind)
        extents = set()
        for number in np.unique(scene.instances[scene.instances > 0]):
            ys, xs = np.where(scene.instances == number)
            extents.add((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        for box in [*scene.boxes.astype(int), *scene.ignore.astype(int)]:
            assert tuple(box) in extents
        assert len(scene.boxes) + len(scene.ignore) == len(extents) or len(extents) < len(scene.boxes)
        seen += len(scene.boxes)
    assert (seen == 0) == (kind == "empty")


def test_a_scene_depends_on_its_seed_alone():
    a, b = (scenes.make_scene(np.random.default_rng(5), pool(2), 200) for _ in range(2))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.boxes, b.boxes)


def test_white_ground_is_cut_away_but_white_inside_stays():
    picture = np.full((80, 60, 3), 255, np.uint8)
    picture[20:60, 15:45] = (200, 30, 30)
    picture[35:45, 25:35] = 255
    mask = cutouts.white_mask(picture)
    assert mask[40, 30] == 255 and mask[25, 20] == 255 and mask[5, 5] == 0
    assert abs(int((mask > 0).sum()) - 40 * 30) < 150


def test_encode_then_decode_returns_the_boxes():
    boxes = [[8, 8, 60, 120], [60, 8, 110, 118], [130, 40, 250, 250], [4, 200, 40, 230], [250, 0, 262, 30]]
    boxes = np.float32(boxes)
    target = targets.encode(boxes, np.zeros((0, 4), np.float32), 33)
    x0, y0, x1, y1 = target[1:5]
    cells = np.arange(33)
    offset = np.stack([(x0 + x1) / 2 / STRIDE - cells, (y0 + y1) / 2 / STRIDE - cells[:, None]])
    found, scores = targets.decode(target[:1], np.stack([x1 - x0, y1 - y0]), offset, 0.5, 0.5)
    assert len(found) == len(boxes) and (scores > 0.99).all()
    assert targets.iou(boxes, found).max(1).min() > 0.999


def test_ignored_regions_carry_no_loss_except_under_a_product():
    ignore = np.float32([[0, 0, 80, 80]])
    target = targets.encode(np.float32([[40, 40, 72, 72]]), ignore, 16)
    assert target[6, 2, 2] == 0 and target[6, 6, 6] == 1 and target[6, 12, 12] == 1


def test_the_loss_is_small_at_the_truth_and_larger_off_it():
    boxes = np.float32([[16, 16, 80, 100], [90, 20, 120, 70]])
    target = torch.from_numpy(targets.encode(boxes, np.zeros((0, 4), np.float32), 16))[None]
    cells = torch.arange(16.0)
    logits = torch.zeros(1, 5, 16, 16)
    heat = target[0, 0].clamp(1e-4, 1 - 1e-4)
    logits[0, 0] = torch.log(heat / (1 - heat))
    w, h = (target[0, 3] - target[0, 1]).clamp(min=1), (target[0, 4] - target[0, 2]).clamp(min=1)
    logits[0, 1], logits[0, 2] = torch.log(w / 32), torch.log(h / 32)
    logits[0, 3] = (target[0, 1] + target[0, 3]) / 2 / STRIDE - cells
    logits[0, 4] = (target[0, 2] + target[0, 4]) / 2 / STRIDE - cells[:, None]
    right = targets.loss(logits, target)
    logits[0, 1:3] += 0.5
    wrong = targets.loss(logits, target)
    assert float(right["box"]) < 1e-4 < 0.2 < float(wrong["box"])
    assert float(targets.loss(torch.zeros_like(logits), target)["heat"]) > 3 * float(right["heat"])


def test_average_precision_by_hand():
    # Hits at ranks 1 and 3 of two true boxes: precision 1 up to recall 1/2, then 2/3.
    got = evaluate.average_precision(np.array([0.9, 0.8, 0.7]), np.array([1, 0, 1]), 2)
    assert got == pytest.approx(0.5 + 0.5 * 2 / 3)
    truth = np.float32([[0, 0, 10, 10]])
    found = np.float32([[0, 0, 10, 9], [0, 0, 9, 10], [20, 20, 30, 30], [50, 50, 60, 60]])
    result = evaluate.match(found, truth, np.float32([[18, 18, 40, 40]]), 0.5)
    assert result.tolist() == [1, 0, -1, 0]


def test_a_cache_resumes_with_the_same_scenes(tmp_path):
    build_cache(tmp_path / "a", 3, 4, None, False, 128)
    build_cache(tmp_path / "b", 2, 4, None, False, 128)
    build_cache(tmp_path / "b", 3, 4, None, False, 128)
    for name in ("boxes.jsonl", "000002.jpg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_augmented_boxes_stay_on_their_products(tmp_path):
    image = np.full((90, 120, 3), 60, np.uint8)
    image[30:70, 20:90] = (0, 230, 0)
    cv2.imwrite(str(tmp_path / "x.png"), image[..., ::-1])
    row = {"image": "x.png", "boxes": [[20, 30, 90, 70]], "ignore": []}
    (tmp_path / "boxes.jsonl").write_text(json.dumps(row) + "\n")
    samples = Samples(128).add_cache(tmp_path)
    kept = 0
    for seed in range(20):
        square, boxes, _ = samples.augmented(0, np.random.default_rng(seed))
        green = square[..., 1].astype(int) - square[..., 0]
        ys, xs = np.where(green > np.float32(green).max() * 0.5) if green.max() > 40 else ([], [])
        if len(boxes) and len(xs):
            kept += 1
            assert np.abs(boxes[0] - [min(xs), min(ys), max(xs) + 1, max(ys) + 1]).max() < 2.5
    assert kept >= 8


def test_letterbox_reports_where_the_picture_went():
    image = np.zeros((50, 200, 3), np.uint8)
    square, k, x, y = letterbox(image, 64)
    assert square.shape == (64, 64, 3) and (k, x, y) == (0.32, 0, 24)
    assert (square[24:40] == 0).all() and (square[:24] == 127).all() and (square[40:] == 127).all()


def test_training_lowers_the_loss_and_leaves_the_frozen_part(tmp_path):
    build_cache(tmp_path, 6, 1, None, False, 128)
    config = train.DetectorConfig(train_size=128, batch=4, lr=3e-3, frozen=1, warmup=1, steps=40, decay=1)
    model = tiny()
    opt = train.optimiser(model, config)
    samples = Samples(128).add_cache(tmp_path)
    stem = model.stem.weight.clone()
    parts, y = train.Batches(samples, model, config)[0]
    losses = [train.train_step(model, opt, parts, y, 1.0)["total"] for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(stem, model.stem.weight)


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    build_cache(tmp_path / "c", 4, 1, None, False, 96)
    samples = Samples(96).add_cache(tmp_path / "c")
    config = train.DetectorConfig(
        train_size=96, batch=2, frozen=1, steps=5, decay=2, warmup=1, validate_every=2
    )
    whole = train.train(config, samples, {}, tmp_path / "whole", tiny()).state_dict()

    step, calls = train.train_step, []

    def dies_at_the_fourth(*args):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(train, "train_step", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        train.train(config, samples, {}, tmp_path / "parts", tiny())
    resumed = train.train(config, samples, {}, tmp_path / "parts", tiny()).state_dict()
    assert len(calls) == 7  # three steps, the one that died, then steps 3 to 5 from the checkpoint at 2
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_export_and_quantisation_keep_the_outputs(tmp_path):
    model = tiny()
    squares = [np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8) for i in range(4)]
    before = evaluate.run_torch(model)(squares[0])
    export.export_float(model, 64, tmp_path / "f.onnx")
    for a, b in zip(before, evaluate.run_onnx(tmp_path / "f.onnx")(squares[0]), strict=True):
        assert np.allclose(a, b, atol=1e-3)
    export.quantise(tmp_path / "f.onnx", tmp_path / "q.onnx", squares)
    float_run, int8_run = (evaluate.run_onnx(tmp_path / name) for name in ("f.onnx", "q.onnx"))
    apart = export.parity(float_run, int8_run, squares)
    assert apart["heat_mean_abs"] < 0.02
    graph = onnx.load(str(tmp_path / "q.onnx"))
    assert max(o.version for o in graph.opset_import) <= 17
    assert not any(n.op_type == "Pad" for n in graph.graph.node)
    weights = {t.name for t in graph.graph.initializer if t.data_type == onnx.TensorProto.INT8}
    convs = sum(n.op_type == "Conv" for n in graph.graph.node)
    assert len([w for w in weights if w.endswith("_quantized")]) == convs - 1  # all but the last


def test_the_trunk_is_read_back_from_onnx_in_order(tmp_path):
    torch.manual_seed(1)
    source, target = (Trunk(TINY, stem=8).eval() for _ in range(2))
    x = torch.randn(1, 3, 64, 64)
    export_onnx(source, (x,), tmp_path / "t.onnx", ["x"], ["y"])
    assert not torch.allclose(source(x), target(x), atol=1e-3)
    trunk.load(target, tmp_path / "t.onnx")
    assert torch.allclose(source(x), target(x), atol=1e-5)
    with pytest.raises(ValueError, match="no convolution of shape"):
        trunk.load(Trunk(), tmp_path / "t.onnx")


def test_the_baseline_has_the_anchors_of_its_model():
    grid = baseline.anchors()
    assert grid.shape == (1917, 4)
    assert grid[0] == pytest.approx([0.5 / 19, 0.5 / 19, 0.1, 0.1])
    assert grid[-1] == pytest.approx([0.5, 0.5, 0.95**0.5, 0.95**0.5])


@pytest.fixture(scope="module")
def shipped():
    manifest = json.loads((WEIGHTS / "detector.json").read_text())
    return manifest, evaluate.run_onnx(WEIGHTS / manifest["model"])


def test_the_shipped_manifest_fits_its_model(shipped):
    manifest, run = shipped
    size = manifest["preprocess"]["width"]
    heat, extent, offset = run(np.full((size, size, 3), 127, np.uint8))
    cells = size // manifest["stride"]
    assert heat.shape == (1, cells, cells) and extent.shape == offset.shape == (2, cells, cells)
    assert (WEIGHTS / manifest["model"]).stat().st_size <= 3_000_000
    assert heat.max() < manifest["score_threshold"]  # an empty grey picture holds no product


def test_the_shipped_weights_find_products_on_new_shelves(shipped):
    """Products of at least two cells a side, whole or half hidden; smaller ones are beyond this grid."""
    manifest, run = shipped
    size, found, total = manifest["preprocess"]["width"], 0, 0
    stock = scenes.Pool.draw(np.random.default_rng(990_001), 80)
    for seed in range(8):
        scene = scenes.make_scene(np.random.default_rng((990_002, seed)), stock, 448, "shelf")
        square, k, x, y = letterbox(scene.image, size)
        boxes, _ = targets.decode(*run(square), manifest["score_threshold"], manifest["nms_iou"])
        truth = scene.boxes * k + np.float32([x, y, x, y])
        large = (truth[:, 2:] - truth[:, :2]).min(1) >= 2 * STRIDE
        # Matched over all products, so that a box of a small one is not lent to a large neighbour.
        owner = targets.iou(boxes, truth).argmax(1) if len(boxes) else np.zeros(0, int)
        best = targets.iou(boxes, truth).max(1, initial=0)
        hit = {int(o) for o, v in zip(owner, best, strict=True) if v >= 0.5}
        found += sum(bool(large[t]) for t in hit)
        total += int(large.sum())
    assert total > 80
    # 111 of 144 when these weights were made; the aim for the next ones is 0.8.
    assert found / total >= 0.72, f"{found} of {total}"
