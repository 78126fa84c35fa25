"""The encoders as shipped in `weights/`: they load, keep their size and reproduce the recorded vectors."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from shelfsight_models.shipped import (
    REFERENCE_TEXTS,
    BadManifest,
    ShippedImage,
    ShippedText,
    check_manifest,
    read_manifest,
    reference_picture,
)

WEIGHTS = Path(__file__).parents[1] / "weights"
pytestmark = pytest.mark.skipif(not (WEIGHTS / "image.onnx").is_file(), reason="weights not built yet")
# Another build of ONNX Runtime may round a few activations the other way.
NEAR = 0.995


@pytest.fixture(scope="module")
def image():
    return ShippedImage(WEIGHTS / "image.json")


@pytest.fixture(scope="module")
def text():
    return ShippedText(WEIGHTS / "text.json")


@pytest.fixture(scope="module")
def recorded():
    return json.loads((WEIGHTS / "reference.json").read_text(encoding="utf-8"))


def test_sizes():
    assert (WEIGHTS / "image.onnx").stat().st_size <= 4_500_000
    assert (WEIGHTS / "text.onnx").stat().st_size < 25_000_000


def test_manifests_share_one_space(image, text):
    assert image.manifest["space"] == text.manifest["space"]
    assert image.manifest["dim"] == text.manifest["dim"]
    for manifest in (image.manifest, text.manifest):
        assert manifest["license"] == "Apache-2.0" and len(manifest["attribution"]) > 40
        assert all(curve["scale"] > 0 for curve in manifest["calibration"].values())


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "audio"},
        {"dim": "256"},
        {"calibration": {"image": {"scale": 1}}},
        {"preprocess": {"width": 1}},
        {"model": None},
    ],
)
def test_a_broken_manifest_is_refused(change):
    manifest = json.loads((WEIGHTS / "image.json").read_text(encoding="utf-8"))
    with pytest.raises(BadManifest):
        check_manifest(manifest | change)


def test_manifest_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path / "image.json")


@pytest.mark.parametrize("batch", [1, 3])
def test_image_vectors_are_unit_and_independent_of_the_batch(image, batch):
    side = (image.prep.height, image.prep.width)
    rows = np.random.default_rng(batch).uniform(-1, 1, (batch, 3, *side)).astype(np.float32)
    vectors = image.embed_inputs(rows)
    assert vectors.shape == (batch, image.manifest["dim"])
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-4
    single = np.concatenate([image.embed_inputs(row[None]) for row in rows])
    assert np.abs(single - vectors).max() < 1e-4


@pytest.mark.parametrize("batch", [1, 3])
def test_text_vectors_are_unit(text, batch):
    vectors = text.embed(list(REFERENCE_TEXTS[:batch]))
    assert vectors.shape == (batch, text.manifest["dim"])
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-4


def test_odd_texts_do_not_fail(text):
    vectors = text.embed(["", " ", "牛乳", "x" * 5000, "milk " * 500])
    assert np.isfinite(vectors).all()


def test_reference_vectors(image, text, recorded):
    got = image.embed([reference_picture()])[0]
    assert float(got @ np.array(recorded["image"]["embedding"])) > NEAR
    assert len(recorded["text"]) == len(REFERENCE_TEXTS)
    for row, sentence in zip(recorded["text"], REFERENCE_TEXTS, strict=True):
        assert row["text"] == sentence
        assert text.tokenizer.encode(sentence).ids == row["ids"]
        assert float(text.embed([sentence])[0] @ np.array(row["embedding"])) > NEAR


def test_graphs_use_plain_operators_only():
    for name, opset in (("image", 17), ("text", 14)):
        model = onnx.load(str(WEIGHTS / f"{name}.onnx"))
        assert [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] == [opset]
        assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
        assert not any(a.name == "auto_pad" for node in model.graph.node for a in node.attribute)


def test_a_typed_name_finds_its_line(text):
    lines = [
        "Oatly oat milk",
        "Granny Smith apple",
        "Arla sour cream",
        "Yellow onion",
        "Tropicana orange juice",
    ]
    typed = ["oat mlik oatly", "granny smth", "sour cream arla", "onion yelow", "orange juice tropicana"]
    assert (text.embed(typed) @ text.embed(lines).T).argmax(1).tolist() == list(range(5))
