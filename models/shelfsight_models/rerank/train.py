"""Trains a pair scorer on frozen descriptors; seeded, logged, resumable."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..schedule import set_rate, warm_cosine
from .networks import PairMlp, ProductReranker, Shape, count
from .pairs import Pairs


@dataclass(frozen=True)
class RerankConfig:
    """One recipe. `image` is the encoder recipe whose folds give the descriptors."""

    name: str
    image: str
    shape: Shape = field(default_factory=Shape)
    kind: str = "transformer"  # or mlp
    loss: str = "list"  # or binary, the paper's
    steps: int = 1500
    anchors: int = 32
    negatives: int = 3
    rate: float = 1e-3
    decay: float = 4e-4
    warm_up: float = 0.1
    augmented: int = 3
    depth: int = 20  # products in a short list
    seed: int = 1


def build(config: RerankConfig) -> nn.Module:
    """The scorer of a recipe; the MLP has as many parameters as the transformer it is compared with."""
    torch.manual_seed(config.seed)
    whole = ProductReranker(config.shape)
    return whole if config.kind == "transformer" else PairMlp(config.shape.glob, count(whole))


def loss_of(logits: Tensor, negatives: int, kind: str) -> Tensor:
    """`logits` of groups, the right candidate first. `binary`: each pair alone, right and wrong ones with
    equal weight. `list`: the right one among its group.
    """
    groups = logits.view(-1, 1 + negatives)
    if kind == "list":
        return F.cross_entropy(groups, torch.zeros(len(groups), dtype=torch.long))
    right = F.softplus(-groups[:, 0]).mean()
    return 0.5 * (right + F.softplus(groups[:, 1:]).mean())


def train(config: RerankConfig, pairs: Pairs, folder: Path) -> nn.Module:
    """Trains, or goes on where a run was cut off; leaves `model.pt` and `log.jsonl` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = build(config)
    done = folder / "model.pt"
    if done.is_file():
        model.load_state_dict(torch.load(done, map_location="cpu"))
        return model.eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=config.decay)
    checkpoint, first = folder / "checkpoint.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        pairs.rng.bit_generator.state = state["rng"]
        first = state["step"] + 1
    start = time.monotonic()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, config.steps):
            set_rate(optimiser, config.rate * warm_cosine(step, config.steps, config.warm_up))
            batch = [torch.from_numpy(part) for part in pairs.batch(config.anchors)]
            logits = model(*batch)
            loss = loss_of(logits, config.negatives, config.loss)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if step % 25 == 0 or step == config.steps - 1:
                groups = logits.detach().view(-1, 1 + config.negatives)
                first_right = (groups.argmax(1) == 0).float().mean()
                line = {"step": step, "s": round(time.monotonic() - start, 1), "loss": round(loss.item(), 4)}
                log.write(json.dumps(line | {"right": round(first_right.item(), 3)}) + "\n")
                log.flush()
            if step % 250 == 249:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
                torch.save(state | {"rng": pairs.rng.bit_generator.state, "step": step}, checkpoint)
    torch.save(model.state_dict(), done)
    return model.eval()
