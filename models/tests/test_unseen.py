"""The query files of held-out products."""

import csv
import json
import os

import numpy as np
import torch

from shelfsight_models.networks import TINY_STAGES, Backbone
from shelfsight_models.unseen import PlainFeatures, ask, queries_of


def test_only_queries_of_held_out_products_are_copied(tmp_path):
    source, target = tmp_path / "all.csv", tmp_path / "some.csv"
    source.write_text("image,text,ids\na.jpg,,001\nb.jpg,,002\n", encoding="utf-8")
    assert queries_of({"datakick-002", "grocery-1"}, "datakick", [source], target) == 1
    with target.open(encoding="utf-8") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["b.jpg"]


def test_plain_features_are_centred_unit_rows():
    backbone = Backbone(TINY_STAGES, stem=8, head=24, tap=3).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        head = backbone(x)[:, :24].numpy()
        found = PlainFeatures(backbone, head[0] / 2)(x).numpy()
    wanted = head - head[0] / 2
    assert np.allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


def test_a_finished_evaluation_is_not_run_again(tmp_path):
    calls = tmp_path / "calls"
    binary = tmp_path / "shelfsight"
    binary.write_text(
        f"#!/bin/sh\necho $1 >> {calls}\n"
        'while [ $# -gt 0 ]; do [ "$1" = --out ] && : > "$2"; shift; done\n'
        "echo '{\"queries\": 3}'\n"
    )
    os.chmod(binary, 0o755)
    for _ in range(2):
        assert ask(binary, tmp_path, tmp_path, "ours", "image=a", tmp_path / "q.csv") == {"queries": 3}
    assert calls.read_text().split() == ["pack", "eval"]
    assert json.loads((tmp_path / "ours.json").read_text()) == {"queries": 3}
    assert not (tmp_path / "ours.shelf").exists()
