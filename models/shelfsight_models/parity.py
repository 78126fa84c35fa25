"""Float against int8: cosines and rank-1 agreement on real queries."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import tempfile
from pathlib import Path

import numpy as np

PACK_VECTORS = Path(__file__).parents[2] / "scripts" / "pack_vectors.py"


def compiled_texts(binary: Path, titles: list[str]) -> np.ndarray:
    """Unit rows of titles as `shelfsight` puts them into a pack: by the compiled text encoder, in f16."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue, pack = Path(folder) / "titles.csv", Path(folder) / "titles.shelf"
        with catalogue.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["id", "title"], *([i, title] for i, title in enumerate(titles))])
        call = [binary, "pack", "build", "--catalog", catalogue, "--images", folder, "--out", pack]
        subprocess.run([*call, "--index", "flat", "--json"], check=True, stdout=subprocess.DEVNULL)
        spec = importlib.util.spec_from_file_location("pack_vectors", PACK_VECTORS)
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        rows, products, _ = script.vectors(pack, "text")
    assert len(rows) == len(titles) and (products == np.arange(len(titles))).all()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def compare(float_rows: np.ndarray, int8_rows: np.ndarray) -> dict[str, float]:
    """Mean and least cosine of matching rows, and the share of rows whose nearest other row is the same."""
    cosine = (float_rows * int8_rows).sum(1)
    return {
        "rows": len(float_rows),
        "cosine_mean": round(float(cosine.mean()), 5),
        "cosine_min": round(float(cosine.min()), 5),
        "nearest_agrees": round(float((_nearest(float_rows) == _nearest(int8_rows)).mean()), 4),
    }


def _nearest(rows: np.ndarray) -> np.ndarray:
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    return scores.argmax(1)
