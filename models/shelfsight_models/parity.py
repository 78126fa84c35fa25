"""Float against int8: cosines and rank-1 agreement on real queries."""

from __future__ import annotations

import numpy as np


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
