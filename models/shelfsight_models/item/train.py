"""Trains one variant; seeded, logged, resumable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import resumable
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
    done = folder / "model.pt"
    if done.is_file():
        model.load_state_dict(torch.load(done, map_location="cpu"))
        return encoder.eval(), heads.eval()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.rate, betas=(0.9, 0.98), weight_decay=config.decay
    )
    generator = torch.Generator().manual_seed(config.seed)

    def next_losses() -> dict[str, Tensor]:
        batch = sampler.batch(config.batch, "itm" in config.objectives)
        return losses(encoder, heads, batch, config.objectives, generator)

    draws = (sampler.rng, generator)
    resumable.run(model, optimiser, next_losses, config, folder, draws, log_every=50, keep_every=250)
    return encoder.eval(), heads.eval()
