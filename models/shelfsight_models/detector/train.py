"""Trains the detector on cached scenes and labelled photos.

    python -m shelfsight_models.detector.train --config configs/detector_lite0.py \\
        --trunk ssd.onnx --scenes DIR... --check DIR --work DIR [--data DIR]

Samples depend on `(seed, step)` alone: a run that was stopped goes on from its last checkpoint with the same
pictures. `log.jsonl` in the work folder has one line per 20 steps and one per validation.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from . import trunk
from .dataset import Samples
from .evaluate import evaluate, run_torch
from .net import STRIDE, Detector
from .targets import encode, loss


@dataclass(frozen=True)
class DetectorConfig:
    """One run.

    `frozen` is the number of trunk blocks left at their ImageNet weights. The net is fully convolutional:
    it trains on squares of `train_size`, which costs less, under random scale, and ships for squares of
    `size`. The last `decay` steps lower the learning rate to nothing, so a run may be cut short or drawn
    out from its checkpoint.
    """

    size: int = 320
    train_size: int = 256
    width: int = 80
    frozen: int = 8
    steps: int = 1500
    decay: int = 400
    batch: int = 8
    lr: float = 1.2e-3
    trunk_lr: float = 5e-4
    weight_decay: float = 0.02
    warmup: int = 60
    ema: float = 0.995
    seed: int = 1
    real_share: float = 0.2
    validate_every: int = 400


def load_config(path: Path) -> DetectorConfig:
    """The `CONFIG` of a config file."""
    return runpy.run_path(str(path))["CONFIG"]


class Batches(Dataset):
    """Batch `step` of a run: the frozen front's outputs `[n, c, ., .]` and the targets `[n, 7, g, g]`.

    A worker process draws it and runs the front, so the training process only does what needs gradients.
    """

    def __init__(self, samples: Samples, model: Detector, config: DetectorConfig):
        self.samples, self.model, self.config = samples, model, config
        self.weights = np.array(samples.weights) / np.sum(samples.weights)

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        config = self.config
        rng = np.random.default_rng((config.seed, 3, step))
        pictures, targets = [], []
        for i in rng.choice(len(self.samples), size=config.batch, p=self.weights):
            image, boxes, ignore = self.samples.augmented(int(i), rng)
            pictures.append(image)
            targets.append(encode(boxes, ignore, config.train_size // STRIDE))
        x = (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() - 127) / 128
        # Without gradients bfloat16 halves the time on CPUs that have it; with them it costs time.
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            parts = self.model.front(x.contiguous(memory_format=torch.channels_last))
        return [p.float() for p in parts], torch.from_numpy(np.stack(targets))


def optimiser(model: Detector, config: DetectorConfig) -> torch.optim.AdamW:
    """AdamW with a slower trunk and no decay of biases and gains."""
    trunk = {id(p) for p in model.freeze(config.frozen)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for p in model.parameters():
        if p.requires_grad:
            groups.setdefault((id(p) in trunk, p.ndim > 1), []).append(p)
    return torch.optim.AdamW(
        [
            {
                "params": params,
                "base": config.trunk_lr if is_trunk else config.lr,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (is_trunk, decays), params in groups.items()
        ]
    )


def train_step(
    model: Detector, opt: torch.optim.Optimizer, parts: list[torch.Tensor], y: torch.Tensor, rate: float
) -> dict[str, float]:
    """One update at `rate` times the base learning rates; returns the losses."""
    for group in opt.param_groups:
        group["lr"] = group["base"] * rate
    model.train()
    losses = loss(model.back(parts), y)
    opt.zero_grad(set_to_none=True)
    losses["total"].backward()
    nn.utils.clip_grad_norm_([p for g in opt.param_groups for p in g["params"]], 5.0)
    opt.step()
    return {k: float(v.detach()) for k, v in losses.items()}


def rate_at(step: int, config: DetectorConfig) -> float:
    """Linear warm-up, constant, linear decay over the last `decay` steps."""
    return min(1.0, (step + 1) / config.warmup, (config.steps - step) / config.decay)


def train(
    config: DetectorConfig,
    samples: Samples,
    checks: dict[str, Samples],
    work: Path,
    model: Detector,
    workers: int = 0,
) -> Detector:
    """Runs or resumes; returns the averaged model. `checks` are the sets to validate on.

    `workers` processes prepare the batches; 0 prepares them in this one.
    """
    work.mkdir(parents=True, exist_ok=True)
    log, state_path = (work / "log.jsonl").open("a"), work / "state.pt"
    torch.manual_seed(config.seed)
    model = model.to(memory_format=torch.channels_last)
    opt = optimiser(model, config)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    first = 0
    if state_path.exists():
        state = torch.load(state_path, map_location="cpu")
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["optimiser"])
        average, first = state["average"], state["step"]
    else:
        log.write(json.dumps({"config": asdict(config), "samples": len(samples)}) + "\n")
    batches = Batches(samples, model, config)
    loader = DataLoader(batches, batch_size=None, sampler=range(first, config.steps), num_workers=workers)
    sums: dict[str, float] = {}
    start = time.time()
    for step, (parts, y) in enumerate(loader, first):
        parts = [p.contiguous(memory_format=torch.channels_last) for p in parts]
        losses = train_step(model, opt, parts, y, rate_at(step, config))
        decay = min(config.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for k, v in model.state_dict().items():
                average[k].lerp_(v, 1 - decay)
        for k, v in losses.items():
            sums[k] = sums.get(k, 0) + v / 20
        if step % 20 == 19:
            row = {
                "step": step + 1,
                **{k: round(v, 4) for k, v in sums.items()},
                "s": round(time.time() - start, 1),
            }
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(row, flush=True)
            sums = {}
        if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
            state = {
                "model": model.state_dict(),
                "optimiser": opt.state_dict(),
                "average": average,
                "step": step + 1,
            }
            torch.save(state, state_path.with_suffix(".tmp"))
            os.replace(state_path.with_suffix(".tmp"), state_path)
            kept = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(average)
            for name, check in checks.items():
                row = {"step": step + 1, "set": name, **evaluate(run_torch(model), check)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                print(row, flush=True)
            model.load_state_dict(kept)
    log.close()
    model.load_state_dict(average)
    return model


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the detector")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, nargs="+", required=True, help="caches to train on")
    parser.add_argument("--check", type=Path, required=True, help="cache to validate on")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and log")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SHELFSIGHT_DATA") or None, help="labelled real photos"
    )
    parser.add_argument("--trunk", type=Path, required=True, help="ssd.onnx, see `trunk`")
    parser.add_argument("--start", type=Path, help="begin with the weights of another run's state.pt")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw batches")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    config = load_config(args.config)
    samples = Samples(config.train_size)
    for folder in args.scenes:
        samples.add_cache(folder)
    checks = {"scenes": Samples(config.size).add_cache(args.check)}
    if args.data:
        real = len(Samples(config.size).add_labelled(args.data, False))
        share = config.real_share / (1 - config.real_share) * len(samples) / max(real, 1)
        samples.add_labelled(args.data, False, share)
        checks["real"] = Samples(config.size).add_labelled(args.data, True)
    start = trunk.Trunk()
    trunk.load(start, args.trunk)
    model = Detector(start, width=config.width)
    if args.start:
        model.load_state_dict(torch.load(args.start, map_location="cpu")["average"])
    model = train(config, samples, checks, args.work, model, args.workers)
    torch.save({"config": asdict(config), "model": model.state_dict()}, args.work / "detector.pt")


if __name__ == "__main__":
    main()
