"""Trains one variant; seeded, logged, resumable."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ..schedule import set_rate, warm_cosine
from .data import Sampler
from .networks import Heads, ItemEncoder, Shape
from .objectives import ALL, losses


@dataclass(frozen=True)
class ItemConfig:
    """One recipe. `pixels`: cells are 16×16 patches of a 96 px picture; `maps`: local descriptors of the
    image encoder that ships.
    """

    name: str
    cells: str = "pixels"
    form: str = "sibling"
    shape: Shape = field(default_factory=Shape)
    objectives: frozenset[str] = ALL
    modalities: str = "both"  # or image, text
    steps: int = 2000
    batch: int = 96
    rate: float = 5e-4
    decay: float = 0.05
    warm_up: float = 0.1
    seed: int = 1


def train(config: ItemConfig, sampler: Sampler, folder: Path) -> tuple[ItemEncoder, Heads]:
    """Trains, or goes on where a run was cut off; leaves `model.pt` and `log.jsonl` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    encoder = ItemEncoder(config.shape)
    heads = Heads(encoder)
    model = nn.ModuleDict({"encoder": encoder, "heads": heads})
    done, checkpoint = folder / "model.pt", folder / "checkpoint.pt"
    if done.is_file():
        model.load_state_dict(torch.load(done, map_location="cpu"))
        return encoder.eval(), heads.eval()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.rate, betas=(0.9, 0.98), weight_decay=config.decay
    )
    generator = torch.Generator().manual_seed(config.seed)
    first = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        sampler.rng.bit_generator.state = state["sampler"]
        generator.set_state(state["generator"])
        first = state["step"] + 1
    start = time.monotonic()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, config.steps):
            set_rate(optimiser, config.rate * warm_cosine(step, config.steps, config.warm_up))
            batch = sampler.batch(config.batch, "itm" in config.objectives)
            parts = losses(encoder, heads, batch, config.objectives, generator)
            total = torch.stack(list(parts.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if step % 50 == 0 or step == config.steps - 1:
                line = {"step": step, "s": round(time.monotonic() - start, 1)}
                log.write(json.dumps(line | {k: round(v.item(), 4) for k, v in parts.items()}) + "\n")
                log.flush()
            if step % 250 == 249:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
                kept = {"sampler": sampler.rng.bit_generator.state, "generator": generator.get_state()}
                torch.save(state | kept, checkpoint)
    torch.save(model.state_dict(), done)
    return encoder.eval(), heads.eval()
