"""What is minimised: a function of logits and labels that returns a number; it need not have a derivative."""

from __future__ import annotations

import numbers
from collections.abc import Callable

import torch
import torch.nn.functional as F

from zfscale import registry
from zfscale.data.masking import IGNORED
from zfscale.errors import ZfscaleError

# float32 [B, C], int64 [B] -> the batch's mean; of hidden patches, float32 [B, M, P] both (`models.masked_image`)
Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# A method's own use of the objective: (objective, outputs, labels, the examples' rows in the stage) -> the mean
Loss = Callable[[Objective, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def plain(objective: Objective, outputs: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The objective and nothing else."""
    return objective(outputs, labels)


def error_rate(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The share of wrong predictions, 0-1 loss: what `accuracy` minimises. Its derivative is 0 or undefined.

    Labels of -100 do not count, as in `cross_entropy`.
    """
    counts = labels != IGNORED
    return (logits.argmax(1) != labels)[counts].float().mean()


OBJECTIVES: dict[str, Objective] = {
    "cross_entropy": F.cross_entropy,
    "accuracy": error_rate,
    "reconstruction": F.mse_loss,
}


def load(name: str) -> Objective:
    """An objective by name, or by the path "package.module:function" of a user's own; it may return a plain number.

    Errors: ZfscaleError if there is no such function.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    try:
        found = registry.load_user(name)
    except Exception as error:  # whatever a user's module raises
        raise ZfscaleError(f"train.objective: {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise ZfscaleError(f"train.objective: {name!r} is not a function")

    def objective(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value = found(logits, labels)
        if not isinstance(value, (numbers.Real, torch.Tensor)):
            raise ZfscaleError(f"train.objective: expected one number from {name!r}, got {type(value).__name__}")
        return value if isinstance(value, torch.Tensor) else torch.as_tensor(float(value))

    return objective
