"""The diagonal of the empirical Fisher information: the mean over examples of (d log p(y | x) / d theta_i)^2.

Exactly, by a backward an example, or from forwards alone. p is what the loss is over; y is the example's own label.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from zfscale.engine.module_leaves import ModuleLeaf, ModuleLeaves
from zfscale.engine.overlay import Overlay
from zfscale.models.trained import Trained
from zfscale.zo.philox import PERTURB, blocks, derive, words_of

EPS = 1e-3  # of the forward estimate's perturbation
Fisher = dict[str, torch.Tensor]  # name of a leaf -> float32, in its shape


@dataclass(frozen=True)
class Examples:
    """Images [N, ...] and labels [N] on the device, taken `batch` at a time."""

    x: torch.Tensor
    y: torch.Tensor
    batch: int


def by_backward(network: Trained, leaves: ModuleLeaves, examples: Examples) -> Fisher:
    """The diagonal: squares of the gradients of single examples, not of a batch's mean."""
    parameters = [leaf.parameter for leaf in leaves]
    total = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    for i in range(len(examples.y)):
        with torch.enable_grad():
            loss = F.cross_entropy(network(examples.x[i : i + 1]), examples.y[i : i + 1])
            gradients = torch.autograd.grad(loss, parameters)
        for square, gradient in zip(total, gradients, strict=True):
            square += gradient.float().square()
    return {leaf.name: square / len(examples.y) for leaf, square in zip(leaves, total, strict=True)}


def by_forwards(network: Trained, leaves: ModuleLeaves, overlay: Overlay, examples: Examples, seed: int) -> Fisher:
    """The mean of the diagonal over each leaf, for all of its elements: two forwards a leaf and batch.

    A batch looks at both sides of theta along a z of its own, of +-1 in one leaf and 0 elsewhere. The slope s of an
    example's loss along it has E[s^2] = the sum of the leaf's squared derivatives: the estimate is unbiased.

    NOTE: of single elements forwards say next to nothing. With z of +-1 everywhere, E[s^2 z_i^2] is |g|^2 for every i;
    with a Gaussian z it is |g|^2 + 2 g_i^2, of which the second part drowns unless there are more directions than
    weights.
    """
    found: Fisher = {}
    for number, leaf in enumerate(leaves):
        total = 0.0
        for start in range(0, len(examples.y), examples.batch):
            rows = slice(start, start + examples.batch)
            z = _signs(leaf, derive(seed, number, start))
            above, below = (_losses(network, overlay, leaf, z * side, examples, rows) for side in (EPS, -EPS))
            total += float(((above - below) / (2 * EPS)).square().sum())
        mean = total / len(examples.y) / leaf.parameter.numel()
        found[leaf.name] = torch.full(leaf.parameter.shape, mean, dtype=torch.float32, device=leaves.device)
    return found


def _signs(leaf: ModuleLeaf, seed: int) -> torch.Tensor:
    """float32, of the leaf's shape: +-1, the lowest bit of a word an element."""
    shape = leaf.parameter.shape
    words = torch.stack(blocks(words_of(seed), 0, -(-shape.numel() // 4), PERTURB, leaf.parameter.device), 1)
    return (2 * (words & 1) - 1).float().view(-1)[: shape.numel()].view(shape)


def _losses(
    network: Trained, overlay: Overlay, leaf: ModuleLeaf, shift: torch.Tensor, examples: Examples, rows: slice
) -> torch.Tensor:
    """Float64 [rows]: the loss of each example with the leaf shifted."""

    def value(other: ModuleLeaf) -> torch.Tensor:
        return (other.parameter + shift).to(other.seen) if other is leaf else other.cast()

    with torch.no_grad(), overlay.at(value):
        logits = network(examples.x[rows])
    return F.cross_entropy(logits.double(), examples.y[rows], reduction="none")
