"""Everything described once: gallery pictures, training crops, and the pictures that are asked, cut every
way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import Product, grocery
from ..detector.evaluate import measure, run_onnx
from .composites import GROUPS, Composites, Plan, build, groups
from .regions import Eye, Regions, describe_boxes, describe_pictures, detect, windows

JITTER = 0.08
FLOOR = 0.05  # detections down to this score, for average precision


@dataclass
class Cuts:
    """Crops of pictures: `owner[i]` is the picture of crop i; the crops of one picture stand together."""

    owner: np.ndarray
    regions: Regions


@dataclass
class Asked:
    """Pictures of several products as queries: what they show, and their crops by the way they are cut."""

    labels: list[list[str]]
    cuts: dict[str, Cuts]  # whole, windows, true boxes, detector
    detector: dict[str, float]  # how well the boxes were found


@dataclass
class Shown:
    """Training pictures: whole composites, their items in jittered boxes, and pictures of one product."""

    whole: Regions
    without: np.ndarray
    labels: list[list[str]]
    items: Cuts
    single: Regions
    single_product: np.ndarray
    single_iconic: np.ndarray

    def leaving_out(self, group: int | None, products: set[str]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of composites and of single pictures that show none of `group`, whose products these are."""
        if group is None:
            return np.arange(len(self.whole)), np.arange(len(self.single))
        kept = ~np.isin(self.single_product, sorted(products))
        return np.flatnonzero(self.without == group), np.flatnonzero(kept)


class Corpus:
    """What training sees and what is asked, as the shipped encoder and detector in `weights` see it."""

    def __init__(self, plan: Plan, weights: Path, root: Path, runs: Path):
        listed, pictures = grocery(root)
        self.products: dict[str, Product] = {p.id: p for p in listed}
        self.groups = groups(sorted(self.products))
        self.eye = Eye(weights / "image.json")
        self.detector = json.loads((weights / "detector.json").read_text(encoding="utf-8"))
        size = self.detector["preprocess"]["width"]
        if plan.side != size:
            raise ValueError(f"composites of {plan.side} px, but the detector takes {size}")
        self.find = run_onnx(weights / self.detector["model"])
        train = build(pictures, plan, "train", runs)
        self.folder = Path(train.pixels.filename).parent
        singles = [p for p in pictures if p.split == "train"]
        inner = _jittered(train, plan)
        whole, _ = self._whole(train, "train")
        self.shown = Shown(
            whole,
            train.without,
            train.labels(),
            Cuts(train.owner, self._boxes(train, train.owner, inner, "train-items")),
            describe_pictures(self.eye, singles, self.folder / "singles-regions.npz"),
            np.array([p.product for p in singles]),
            np.array([p.kind == "iconic" for p in singles]),
        )
        self.asked = {"val": self._asked(pictures, plan, "val", runs)}
        for g in range(GROUPS):
            self.asked[f"unseen-{g}"] = self._asked(pictures, plan, f"unseen-{g}", runs)

    def _boxes(self, pictures: Composites, owner: np.ndarray, boxes: np.ndarray, name: str) -> Regions:
        path = self.folder / f"{name}-regions.npz"
        return describe_boxes(self.eye, pictures.pixels, owner, boxes, path)

    def _whole(self, pictures: Composites, name: str) -> tuple[Regions, np.ndarray]:
        owner = np.arange(len(pictures.pixels))
        side = pictures.pixels.shape[1]
        every = np.tile(np.array([[0, 0, side, side]], np.float32), (len(owner), 1))
        return self._boxes(pictures, owner, every, f"{name}-whole"), owner

    def _asked(self, pictures, plan: Plan, name: str, runs: Path) -> Asked:
        drawn = build(pictures, plan, name, runs)
        n = len(drawn.pixels)
        whole, each = self._whole(drawn, name)
        nine = np.tile(windows(plan.side), (n, 1))
        found = detect(
            self.find, drawn.pixels, FLOOR, self.detector["nms_iou"], self.folder / f"{name}-detected.npz"
        )
        sure = found[2] >= self.detector["score_threshold"]
        owner, boxes = found[0][sure], found[1][sure]
        cuts = {
            "whole": Cuts(each, whole),
            "windows": Cuts(
                np.repeat(each, 9), self._boxes(drawn, np.repeat(each, 9), nine, f"{name}-windows")
            ),
            "true boxes": Cuts(drawn.owner, self._boxes(drawn, drawn.owner, drawn.boxes, f"{name}-true")),
            "detector": _filled(Cuts(owner, self._boxes(drawn, owner, boxes, f"{name}-boxes")), whole),
        }
        rows = [
            (
                found[1][found[0] == i],
                found[2][found[0] == i],
                drawn.boxes[drawn.owner == i],
                np.zeros((0, 4)),
            )
            for i in range(n)
        ]
        found_at = {"boxes a picture": round(len(owner) / n, 2), "empty": n - len(np.unique(owner))}
        quality = measure(rows, self.detector["score_threshold"]) | found_at
        return Asked(drawn.labels(), cuts, quality)


def _jittered(pictures: Composites, plan: Plan) -> np.ndarray:
    """Boxes whose edges are moved by up to `JITTER` of their sides, as a detector would."""
    rng = np.random.default_rng([plan.seed, 17])
    sides = np.tile(pictures.boxes[:, 2:] - pictures.boxes[:, :2], (1, 2))
    moved = pictures.boxes + rng.uniform(-JITTER, JITTER, pictures.boxes.shape) * sides
    return moved.clip(0, plan.side).astype(np.float32)


def _filled(cuts: Cuts, whole: Regions) -> Cuts:
    """With the whole picture as the only crop where the detector found nothing."""
    missing = np.setdiff1d(np.arange(len(whole)), cuts.owner)
    owner = np.concatenate([cuts.owner, missing])
    order = np.argsort(owner, kind="stable")
    both = Regions(
        np.concatenate([cuts.regions.cells, whole.cells[missing]]),
        np.concatenate([cuts.regions.vector, whole.vector[missing]]),
    )
    return Cuts(owner[order], both.take(order))
