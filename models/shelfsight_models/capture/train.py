"""Trains one variant; seeded, logged, resumable."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ..schedule import set_rate, warm_cosine
from .composites import Plan
from .data import Sampler
from .networks import Encoder, Heads, Shape, build
from .objectives import ALL, losses
from .regions import CELL


@dataclass(frozen=True)
class CaptureConfig:
    """One recipe."""

    name: str
    plan: Plan = field(default_factory=Plan)
    shape: Shape = field(default_factory=Shape)
    kind: str = "hybrid"  # or two, single
    objectives: frozenset[str] = ALL
    caption_words: int = 8  # of each product in a composite's caption
    steps: int = 240
    batch: int = 48
    rate: float = 1e-3
    decay: float = 0.05
    warm_up: float = 0.1
    seed: int = 1


def train(config: CaptureConfig, sampler: Sampler, folder: Path) -> Encoder:
    """Trains, or goes on where a run was cut off; leaves `model.pt` and `log.jsonl` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    encoder = build(config.shape, config.kind)
    heads = Heads(encoder, CELL)
    model = nn.ModuleDict({"encoder": encoder, "heads": heads})
    done, checkpoint = folder / "model.pt", folder / "checkpoint.pt"
    if done.is_file():
        model.load_state_dict(torch.load(done, map_location="cpu"))
        return encoder.eval()
    encoder.standardise(sampler.features())
    optimiser = torch.optim.AdamW(decayed(model, config.decay), lr=config.rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(config.seed)
    first = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location="cpu")
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        sampler.rng.bit_generator.state = state["sampler"]
        generator.set_state(state["generator"])
        first = state["step"] + 1
    start = time.monotonic()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, config.steps):
            set_rate(optimiser, config.rate * warm_cosine(step, config.steps, config.warm_up))
            parts = losses(encoder, heads, sampler.batch(config.batch), config.objectives, generator)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(parts.values())).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if step % 25 == 0 or step == config.steps - 1:
                line = {"step": step, "s": round(time.monotonic() - start, 1)}
                log.write(json.dumps(line | {k: round(v.item(), 4) for k, v in parts.items()}) + "\n")
                log.flush()
            if step % 100 == 99:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
                kept = {"sampler": sampler.rng.bit_generator.state, "generator": generator.get_state()}
                torch.save(state | kept, checkpoint)
    torch.save(model.state_dict(), done)
    checkpoint.unlink(missing_ok=True)
    return encoder.eval()


def decayed(model: nn.Module, decay: float) -> list[dict]:
    """Matrices decay, gains and biases do not."""
    groups = ([], [])
    for parameter in model.parameters():
        groups[parameter.dim() < 2].append(parameter)
    return [
        {"params": groups[0], "weight_decay": decay},
        {"params": groups[1], "weight_decay": 0.0},
    ]
