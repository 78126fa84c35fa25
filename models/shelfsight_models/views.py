"""Augmented views, decoded and passed once through the frozen front of the image encoder.

The stem and the first blocks of an ImageNet net are generic and cost most of a training step at full
resolution. They stay as they are, so their output on a view can be stored: i8 `[C, h, w]`, 22 kB a view.
Training then runs the last blocks only, several times faster, and every recipe and every fold reads the
same views. The front runs as the int8 graph that ships, so the trained part sees the very rounding it will
meet on the phone.
"""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing as mp
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from PIL import Image
from torch import nn

from . import augment, synthetic
from .data import Picture, Preprocess, load_picture, resize, to_input
from .export import export_onnx
from .networks import Backbone, Conv
from .quantise import quantise_static


@dataclass(frozen=True)
class ViewPlan:
    """Which views are made of what; part of the cache key."""

    size: int = 256
    resize: str = "squash"
    cut: int = 11
    photo: int = 10
    iconic: int = 32
    datakick: int = 16
    families: int = 400
    flavours: int = 3
    synthetic: int = 4
    placed: float = 0.6
    seed: int = 1
    calibration: int = 200
    strength: augment.Strength = field(default_factory=augment.Strength)

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess(self.size, self.size, self.resize)


@dataclass
class Views:
    """The cache in memory: row i is one view. `clean` rows are the picture itself as the phone would see
    it.
    """

    front: np.ndarray  # i8 [n, C, h, w]
    scale: float  # front value = i8 · scale
    teacher: np.ndarray  # f16 [n, width], ImageNet features of the view: pooled head, then tap
    product: np.ndarray  # str [n]
    kind: np.ndarray  # str [n]: photo, iconic, synthetic
    split: np.ndarray  # str [n]: train, val
    picture: np.ndarray  # int [n], index of the source picture, −1 for synthetic
    clean: np.ndarray  # bool [n]


class _TwoOutputs(nn.Module):
    def __init__(self, backbone: Backbone, cut: int):
        super().__init__()
        self.backbone, self.cut = backbone, cut

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        front = self.backbone.front(x, self.cut)
        return front, self.backbone.back(front, self.cut)


def build(
    pictures: list[Picture], backbone: Backbone, plan: ViewPlan, folder: Path, workers: int = 2
) -> Views:
    """Makes the cache under `folder`, or reads it if this plan over these pictures is there already."""
    key = hashlib.sha256(
        json.dumps([asdict(plan), [str(p.path.name) for p in pictures]]).encode()
    ).hexdigest()[:12]
    target = folder / f"views-{key}"
    if (target / "meta.npz").is_file():
        return _read(target)
    target.mkdir(parents=True, exist_ok=True)
    frozen = copy.deepcopy(backbone)
    for module in frozen.modules():
        if isinstance(module, Conv):
            module.fold()
    graph = target / "two.onnx"
    size = plan.size
    axes = {name: {0: "batch"} for name in ("image", "front", "pooled")}
    float_graph = target / "two.float.onnx"
    module = _TwoOutputs(frozen, plan.cut)
    export_onnx(module, (torch.zeros(1, 3, size, size),), float_graph, ["image"], ["front", "pooled"], axes)
    rng = np.random.default_rng(plan.seed)
    chosen = rng.choice(len(pictures), min(plan.calibration, len(pictures)), replace=False)
    sample = np.stack([resize(load_picture(pictures[i].path), plan.preprocess) for i in chosen])
    inputs = to_input(sample, plan.preprocess)
    quantise_static(float_graph, graph, "image", inputs)
    session = _session(graph)
    fronts = np.concatenate(
        [session.run(["front"], {"image": inputs[i : i + 1]})[0] for i in range(len(inputs))]
    )
    scale = float(np.abs(fronts).max() / 127)
    jobs, rows = _jobs(pictures, plan)
    shape = (len(jobs), *fronts.shape[1:])
    np.lib.format.open_memmap(target / "front.npy", "w+", np.int8, shape).flush()
    np.lib.format.open_memmap(target / "teacher.npy", "w+", np.float16, (len(jobs), backbone.width)).flush()
    state = (pictures, plan, str(target), scale, jobs)
    chunks = [(i, min(i + 256, len(jobs))) for i in range(0, len(jobs), 256)]
    with mp.get_context("fork").Pool(workers, _start, (state,)) as pool:
        for done, _ in enumerate(pool.imap_unordered(_work, chunks)):
            if done % 20 == 0:
                print(f"views {done * 256}/{len(jobs)}", flush=True)
    np.savez(target / "meta.npz", scale=scale, **rows)
    return _read(target)


def _session(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _jobs(pictures: list[Picture], plan: ViewPlan) -> tuple[list[tuple], dict[str, np.ndarray]]:
    """One job a view: (kind, picture or design number, view number, −1 = clean)."""
    jobs: list[tuple] = []
    rows: list[tuple] = []
    for i, picture in enumerate(pictures):
        jobs.append(("picture", i, -1))
        rows.append((picture.product, picture.kind, picture.split, i, True))
        if picture.split != "train":
            continue
        count = plan.iconic if picture.kind == "iconic" else plan.photo
        if picture.product.startswith("datakick"):
            count = plan.datakick
        for k in range(count):
            jobs.append(("picture", i, k))
            rows.append((picture.product, picture.kind, picture.split, i, False))
    for d in range(plan.families * plan.flavours):
        for k in range(plan.synthetic):
            jobs.append(("synthetic", d, k))
            rows.append(
                (f"synthetic-{d // plan.flavours}-{d % plan.flavours}", "synthetic", "train", -1, False)
            )
    columns = zip(*rows, strict=True)
    names = ("product", "kind", "split", "picture", "clean")
    return jobs, {name: np.array(column) for name, column in zip(names, columns, strict=True)}


_STATE: dict = {}


def _start(state: tuple) -> None:
    pictures, plan, target, scale, jobs = state
    grounds = [i for i, p in enumerate(pictures) if p.kind == "photo" and p.split == "train"]
    designs = [d for family in synthetic.families(plan.families, plan.flavours, plan.seed) for d in family]
    _STATE.update(
        pictures=pictures,
        plan=plan,
        target=Path(target),
        scale=scale,
        jobs=jobs,
        grounds=grounds,
        designs=designs,
        session=_session(Path(target) / "two.onnx"),
        last=(None, None),
    )


def _pixels(index: int) -> np.ndarray:
    if _STATE["last"][0] != index:
        _STATE["last"] = (index, np.asarray(load_picture(_STATE["pictures"][index].path)))
    return _STATE["last"][1]


def make_view(kind: str, index: int, number: int) -> np.ndarray:
    """The view of one job; the same for the same plan and job."""
    plan: ViewPlan = _STATE["plan"]
    rng = np.random.default_rng([plan.seed, kind == "synthetic", index, number + 1])
    grounds = _STATE["grounds"]
    if kind == "synthetic":
        design = _STATE["designs"][index]
        texture = np.asarray(load_picture(_STATE["pictures"][grounds[design.seed % len(grounds)]].path))
        pixels, mask = synthetic.draw(design, texture)
        ground = np.asarray(load_picture(_STATE["pictures"][grounds[int(rng.integers(len(grounds)))]].path))
        if rng.random() < 0.8:
            pixels = augment.place(pixels, mask, ground, rng)
        return augment.view(pixels, plan.size, rng, plan.strength)
    pixels = _pixels(index)
    if number < 0:
        return resize(Image.fromarray(pixels), plan.preprocess)
    if _STATE["pictures"][index].kind == "iconic" and rng.random() < plan.placed:
        mask = augment.cut_out(pixels)
        if mask is not None:
            ground = np.asarray(
                load_picture(_STATE["pictures"][grounds[int(rng.integers(len(grounds)))]].path)
            )
            pixels = augment.place(pixels, mask, ground, rng)
    return augment.view(pixels, plan.size, rng, plan.strength)


def _work(chunk: tuple[int, int]) -> int:
    start, stop = chunk
    plan: ViewPlan = _STATE["plan"]
    front = np.load(_STATE["target"] / "front.npy", mmap_mode="r+")
    teacher = np.load(_STATE["target"] / "teacher.npy", mmap_mode="r+")
    for i in range(start, stop, 8):
        rows = range(i, min(i + 8, stop))
        pixels = np.stack([make_view(*_STATE["jobs"][j]) for j in rows])
        a, b = _STATE["session"].run(["front", "pooled"], {"image": to_input(pixels, plan.preprocess)})
        front[i : i + len(rows)] = np.clip(np.rint(a / _STATE["scale"]), -127, 127)
        teacher[i : i + len(rows)] = b
    return stop - start


def _read(target: Path) -> Views:
    meta = np.load(target / "meta.npz")
    return Views(
        front=np.load(target / "front.npy", mmap_mode="r"),
        scale=float(meta["scale"]),
        teacher=np.load(target / "teacher.npy"),
        **{name: meta[name] for name in ("product", "kind", "split", "picture", "clean")},
    )
