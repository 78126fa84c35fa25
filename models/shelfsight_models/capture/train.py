"""Trains one variant; seeded, logged, resumable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import resumable
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
    done = folder / "model.pt"
    if done.is_file():
        model.load_state_dict(torch.load(done, map_location="cpu"))
        return encoder.eval()
    encoder.standardise(sampler.features())
    optimiser = torch.optim.AdamW(decayed(model, config.decay), lr=config.rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(config.seed)

    def next_losses() -> dict[str, Tensor]:
        return losses(encoder, heads, sampler.batch(config.batch), config.objectives, generator)

    draws = (sampler.rng, generator)
    resumable.run(model, optimiser, next_losses, config, folder, draws, log_every=25, keep_every=100)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
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
