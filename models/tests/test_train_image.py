"""Training on generated data: the loss falls, a resumed run ends where an unbroken one does."""

import json

import numpy as np
import pytest
import torch

from shelfsight_models import fastback
from shelfsight_models.networks import TINY_STAGES, Backbone, Conv, ImageEncoder
from shelfsight_models.train_image import (
    ImageConfig,
    Sampler,
    embed_clean,
    fisher_projection,
    held_out,
    interpolated,
    pca_projection,
    train,
)
from shelfsight_models.views import ViewPlan, Views

CUT = 3


def tiny_backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(TINY_STAGES, stem=8, head=24, tap=3)


def tiny_views(seed: int = 0) -> Views:
    """12 Grocery-like and 6 Datakick-like products with a pattern each, and a few drawn ones."""
    rng = np.random.default_rng(seed)
    fronts, product, kind, clean = [], [], [], []
    sources = [("grocery", 12, 6), ("datakick", 6, 4), ("synthetic", 4, 3)]
    for source, products, each in sources:
        for p in range(products):
            pattern = rng.normal(0, 40, (12, 8, 8))
            for k in range(each):
                fronts.append(np.clip(pattern + rng.normal(0, 15, pattern.shape), -127, 127))
                product.append(f"{source}-{p}")
                kind.append("synthetic" if source == "synthetic" else "iconic" if k == 0 else "photo")
                clean.append(k < 2 and source != "synthetic")
    front = np.array(fronts).astype(np.int8)
    with torch.no_grad():
        teacher = tiny_backbone().back(torch.from_numpy(front.astype(np.float32) * 0.02), CUT).numpy()
    count = len(product)
    return Views(
        front=front,
        scale=0.02,
        teacher=teacher.astype(np.float16),
        product=np.array(product),
        kind=np.array(kind),
        split=np.array(["train"] * count),
        picture=np.arange(count),
        clean=np.array(clean),
    )


def config(**changes) -> ImageConfig:
    base = {
        "name": "tiny",
        "views": ViewPlan(cut=CUT),
        "tune_from": CUT,
        "dim": 8,
        "generic": 0,
        "steps": 12,
        "grocery": (5, 3),
        "datakick": (3, 2),
        "synthetic": (2, 2),
        "warmup": 2,
        "checkpoint": 4,
        "lr": 1e-3,
        "head_lr": 1e-2,
    }
    return ImageConfig(**(base | changes))


def texts() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {f"grocery-{i}": rng.normal(size=(3, 10)).astype(np.float32) for i in range(12)}


def losses_of(folder) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss(tmp_path):
    train(config(steps=41, w_relation=0.5), tiny_views(), tiny_backbone(), texts(), tmp_path)
    first, *_, last = losses_of(tmp_path)
    assert last < 0.8 * first


def test_resume_gives_identical_weights(tmp_path):
    whole = train(config(), tiny_views(), tiny_backbone(), texts(), tmp_path / "whole")
    train(config(), tiny_views(), tiny_backbone(), texts(), tmp_path / "cut", max_steps=5)
    resumed = train(config(), tiny_views(), tiny_backbone(), texts(), tmp_path / "cut")
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_fast_back_is_the_same_function():
    backbone = tiny_backbone()
    x = torch.randn(3, 12, 8, 8)
    assert torch.allclose(fastback.back(backbone, x, CUT, []), backbone.back(x, CUT), atol=0.03)
    for stride, side in ((1, 8), (2, 8)):
        conv = Conv(6, 6, 5, stride, groups=6, act=False)
        a = torch.randn(2, 6, side, side, requires_grad=True)
        b = a.detach().clone().requires_grad_(True)
        mine = fastback._FrozenDepthwise.apply(b, conv.weight.detach(), conv.bias, stride)
        (conv(a) ** 2).sum().backward()
        (mine**2).sum().backward()
        assert torch.allclose(a.grad, b.grad, atol=1e-4)


def test_front_stays_as_it_was(tmp_path):
    before = tiny_backbone()
    after = train(config(), tiny_views(), tiny_backbone(), texts(), tmp_path).backbone
    assert torch.equal(before.stem.weight, after.stem.weight)
    assert not torch.equal(before.head.weight, after.head.weight)


def test_left_out_products_are_never_sampled():
    views, cfg = tiny_views(), config(fold=2)
    out = held_out(np.unique(views.product), 2)
    assert {name.split("-")[0] for name in out} == {"grocery", "datakick"}
    sampler = Sampler(views, cfg)
    seen = {str(views.product[i]) for step in range(50) for i in sampler.batch(step)[0]}
    assert not seen & out
    every = [held_out(np.unique(views.product), fold) for fold in range(5)]
    assert len(set.union(*every)) == sum(len(fold) for fold in every) == 18


def test_batches_pair_an_iconic_picture_with_photos():
    views = tiny_views()
    index, labels = Sampler(views, config()).batch(0)
    assert (views.kind[index[:3]] == ["iconic", "photo", "photo"]).all()
    assert len(set(labels[:3].tolist())) == 1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_interpolation_ends(share):
    start, tuned = tiny_backbone(), ImageEncoder(4, backbone=Backbone(TINY_STAGES, stem=8, head=24, tap=3))
    out = interpolated(tuned, start, share).backbone.head.weight
    assert torch.equal(out, (tuned.backbone if share else start).head.weight)


def test_pca_projection_keeps_the_main_axes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6)) * [9, 7, 5, 0.01, 0.01, 0.01] + 3
    weight, bias = pca_projection(x, 3, whiten=0.0)
    assert np.abs((x @ weight.T + bias).mean(0)).max() < 1e-3
    assert np.abs(weight[:, 3:]).max() < 0.05 * np.abs(weight).max()


def test_fisher_projection_leaves_out_what_varies_within_a_product():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 8)
    product, light = rng.normal(size=(40, 1))[labels], 5 * rng.normal(size=(320, 1))
    x = np.concatenate([product + 0.1 * rng.normal(size=(320, 1)), light], 1) + 2
    clean = np.ones(320, bool)

    def kept(within: float) -> np.ndarray:
        weight, bias = fisher_projection(x, labels, clean, 1, within, 1e-6)
        assert np.abs((x @ weight.T + bias).mean(0)).max() < 1e-4
        return np.abs(weight[0]) * x.std(0)

    axis = kept(1.0)
    assert axis[0] > 50 * axis[1]
    with pytest.raises(ValueError, match="cannot fill"):
        fisher_projection(x, labels, clean, 3, 0.5, 0.02)


def test_the_generic_part_is_the_same_for_any_training(tmp_path):
    views = tiny_views()
    cfg = config(generic=4, share=0.5, tune_from=CUT + 1, steps=3)
    encoder = train(cfg, views, tiny_backbone(), texts(), tmp_path)
    index = np.flatnonzero(views.clean)
    vectors = embed_clean(encoder, views, index, CUT)
    assert vectors.shape == (len(index), 12)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    lengths = np.linalg.norm(vectors[:, 8:], axis=1) / np.linalg.norm(vectors[:, :8], axis=1)
    assert np.allclose(lengths, 0.5, atol=1e-4)
    other = train(
        config(generic=4, share=0.5, tune_from=CUT + 1, seed=9),
        views,
        tiny_backbone(),
        texts(),
        tmp_path / "b",
    )
    assert np.allclose(embed_clean(other, views, index, CUT)[:, 8:], vectors[:, 8:], atol=1e-5)
