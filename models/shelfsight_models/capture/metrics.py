"""The metrics of Product1M's evaluator: a query has a list of labels, repeats allowed; a gallery entry has
one label and is right if the list holds it. The library's `eval --scan` computes the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

DEPTHS = (10, 50, 100)


def scores(
    depth: int, ranked: Sequence[str], wanted: Sequence[str], gallery: Counter[str]
) -> dict[str, float]:
    """One query at a depth: `ranked` labels, best first; `gallery` how many entries each label has.

    `map` divides by the right entries found, so misses cost nothing; `map_full` by all that fit. `mar`: of
    each label `depth` / number of labels are expected, rounded down, once for each time it is wanted, at
    most what there is.
    """
    asked = Counter(wanted)
    right = sum(gallery[label] for label in asked)
    counted = min(depth, right, len(ranked))
    hits, total = 0, 0.0
    for place, label in enumerate(ranked[:counted], 1):
        if label in asked:
            hits += 1
            total += hits / place
    found = Counter(label for label in ranked[:depth] if label in asked)
    share = depth // len(wanted)
    recall = 0.0
    for label, times in asked.items():
        expected = min(times * share, gallery[label])
        if expected:
            recall += min(found[label], expected) / expected
    return {
        "map": total / hits if hits else 0.0,
        "map_full": total / min(depth, right) if right else 0.0,
        "prec": hits / counted if counted else 0.0,
        "mar": recall / len(asked),
    }


def merge(lists: Sequence[Sequence[int]], depth: int) -> list[int]:
    """One list out of one a box: in turns, best first, each result once."""
    out: dict[int, None] = {}
    for place in range(max(map(len, lists), default=0)):
        for ranked in lists:
            if place < len(ranked):
                out[ranked[place]] = None
                if len(out) == depth:
                    return list(out)
    return list(out)
