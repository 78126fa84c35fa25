"""Losses of metric learning over unit vectors `[n, d]`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def proxy_loss(vectors: Tensor, proxies: Tensor, labels: Tensor, scale: float, margin: float = 0.0) -> Tensor:
    """Cosine softmax over one learned vector a product; the right cosine is lowered by `margin` (CosFace)."""
    logits = vectors @ F.normalize(proxies, dim=1).t()
    if margin:
        logits = logits - margin * F.one_hot(labels, proxies.shape[0]).to(logits.dtype)
    return F.cross_entropy(scale * logits, labels)


def contrastive_loss(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss: views of one product against every other view in the batch.

    Averages over positives outside the logarithm (Khosla et al. 2020, eq. 2); a view without a partner is
    skipped.
    """
    logits = vectors @ vectors.t() / temperature
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = logits.masked_fill(own, -1e4)
    log_p = logits - torch.logsumexp(logits, 1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~own
    count = positive.sum(1)
    wanted = count > 0
    if not bool(wanted.any()):
        return vectors.sum() * 0
    mean = (log_p * positive).sum(1)[wanted] / count[wanted]
    return -mean.mean()


def teacher_loss(features: Tensor, teacher: Tensor) -> Tensor:
    """1 − cosine between our pooled features and the ImageNet net's on the same view."""
    return 1 - F.cosine_similarity(features, teacher, dim=1).mean()


def relation_loss(vectors: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the cosines inside a batch, ours against the teacher's."""
    ours, theirs = vectors @ vectors.t(), F.normalize(teacher, dim=1)
    return F.mse_loss(ours, theirs @ theirs.t())


def text_loss(images: Tensor, texts: Tensor, labels: Tensor, text_labels: Tensor, scale: float) -> Tensor:
    """Photo → text and text → photo over the batch; several texts or photos of one product share the mass."""
    logits = scale * images @ texts.t()
    same = (labels[:, None] == text_labels[None, :]).to(logits.dtype)
    forward = -(F.log_softmax(logits, 1) * same).sum(1) / same.sum(1).clamp(min=1)
    back = -(F.log_softmax(logits, 0) * same).sum(0) / same.sum(0).clamp(min=1)
    return 0.5 * (forward.mean() + back.mean())


def geometry_loss(projected: Tensor, original: Tensor) -> Tensor:
    """Keeps the cosines among texts after projection as they were in the text tower."""
    return relation_loss(projected, original)
