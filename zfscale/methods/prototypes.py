"""Class prototypes and the cosine classifier on them. Shapes: N images, K classes, D features."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F


def class_means(features: torch.Tensor, labels: np.ndarray, classes: Iterable[int]) -> torch.Tensor:
    """p_c = mean feature of class c; [K, D] in the order of `classes`."""
    at = torch.from_numpy(np.asarray(labels)).to(features.device)
    return torch.stack([features[at == c].mean(0) for c in classes])


def cosine(features: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """cos(f_n, p_k), [N, K]."""
    return F.normalize(features) @ F.normalize(prototypes).T
