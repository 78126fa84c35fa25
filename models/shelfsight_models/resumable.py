"""The loop of a training of several named losses: logged, and resumed where it was cut off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .schedule import set_rate, warm_cosine


class Recipe(Protocol):
    """What the loop reads of a config."""

    steps: int
    rate: float
    warm_up: float


def run(
    model: nn.Module,
    optimiser: Optimizer,
    losses: Callable[[], dict[str, Tensor]],
    recipe: Recipe,
    folder: Path,
    draws: tuple[np.random.Generator, torch.Generator],
    log_every: int,
    keep_every: int,
) -> None:
    """Minimises the sum of what `losses()` gives for the next batch; leaves `model.pt` and `log.jsonl` in
    `folder`, and on the way `checkpoint.pt`, with the states of `draws`, which batches and losses come from.
    """
    rng, generator = draws
    checkpoint, first = folder / "checkpoint.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        rng.bit_generator.state = state["sampler"]
        generator.set_state(state["generator"])
        first = state["step"] + 1
    start = time.monotonic()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, recipe.steps):
            set_rate(optimiser, recipe.rate * warm_cosine(step, recipe.steps, recipe.warm_up))
            parts = losses()
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(parts.values())).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if step % log_every == 0 or step == recipe.steps - 1:
                line = {"step": step, "s": round(time.monotonic() - start, 1)}
                log.write(json.dumps(line | {k: round(v.item(), 4) for k, v in parts.items()}) + "\n")
                log.flush()
            if step % keep_every == keep_every - 1:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
                kept = {"sampler": rng.bit_generator.state, "generator": generator.get_state()}
                torch.save(state | kept, checkpoint)
    torch.save(model.state_dict(), folder / "model.pt")
