"""What the global vector knows by itself, and how much it leans on each modality."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .data import Sampler
from .networks import Heads, ItemEncoder
from .objectives import Batch, hide_cells, hide_words, losses, standardised


@dataclass(frozen=True)
class Probe:
    """Found on pictures and texts that were not trained on."""

    word_accuracy: float  # hidden words named from the global vector and their place
    cell_error: float  # mean absolute error of hidden cells, the same way
    mean_cell_error: float  # of the mean over all cells: what knowing nothing gives
    reliance: float  # ρ = A / (A + B): 1 leans on the picture alone, 0 on the words alone


def fit_global_heads(
    encoder: ItemEncoder, sampler: Sampler, steps: int, batch: int = 96, rate: float = 1e-3, seed: int = 1
) -> Heads:
    """Global heads trained on a frozen encoder, so that variants trained without them are asked fairly."""
    torch.manual_seed(seed)
    heads = Heads(encoder)
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    optimiser = torch.optim.AdamW(heads.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        parts = losses(encoder, heads, sampler.batch(batch, False), frozenset({"gmlm", "gmim"}), generator)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)
    return heads.eval()


@torch.no_grad()
def probe(encoder: ItemEncoder, heads: Heads, sampler: Sampler, batches: int = 8, size: int = 96) -> Probe:
    """Probes on `batches` of pictures that were not trained on; the sampler must not drop a modality."""
    generator = torch.Generator().manual_seed(0)
    right = count = 0.0
    errors, plain, reliance = [], [], []
    for _ in range(batches):
        batch = sampler.batch(size, False)
        ids, words = hide_words(batch, 0.15, encoder.shape.words, generator)
        holes, cells = hide_cells(batch, 0.5, generator)
        states = encoder(ids, batch.text_mask, batch.cells, batch.image_mask, holes)
        if len(words):
            wanted = batch.ids[words[:, 0], words[:, 1]]
            named = heads.words_from_global(encoder, states, words).argmax(1)
            right, count = right + (named == wanted).sum().item(), count + len(words)
        if len(cells):
            every = standardised(batch.cells)
            wanted_cells = every[cells[:, 0], cells[:, 1]]
            found = heads.cells_from_global(encoder, states, cells)
            errors.append((found - wanted_cells).abs().mean())
            plain.append((every.mean((0, 1)) - wanted_cells).abs().mean())
        reliance.append(lean(encoder, batch))
    mean = lambda values: torch.stack(values).mean().item() if values else float("nan")  # noqa: E731
    return Probe(right / count if count else float("nan"), mean(errors), mean(plain), mean(reliance))


def lean(encoder: ItemEncoder, batch: Batch) -> torch.Tensor:
    """ρ = A / (A + B): A how far the vector moves with another picture, B with other words."""
    here = vectors(encoder, batch)
    other_picture = replace(batch, cells=batch.cells.roll(1, 0))
    other_words = replace(batch, ids=batch.ids.roll(1, 0), text_mask=batch.text_mask.roll(1, 0))
    a = (here - vectors(encoder, other_picture)).norm(dim=1).mean()
    b = (here - vectors(encoder, other_words)).norm(dim=1).mean()
    return a / (a + b)


@torch.no_grad()
def vectors(encoder: ItemEncoder, batch: Batch) -> torch.Tensor:
    """Global vectors of a batch, unit rows."""
    return F.normalize(encoder(batch.ids, batch.text_mask, batch.cells, batch.image_mask)[:, 0], dim=1)
