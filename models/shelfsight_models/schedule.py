"""How the learning rate goes: up in a line, then down along a cosine."""

from __future__ import annotations

import math

from torch.optim import Optimizer


def warm_cosine(step: int, steps: int, warm_up: float) -> float:
    """Share of the full rate at `step` of `steps`; the first `warm_up` (a share of them) rise."""
    warm = max(1, round(warm_up * steps))
    progress = max(0, step - warm) / max(1, steps - warm)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * progress)))


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Gives every group of parameters this rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
