"""What Algorithm 1 asks for: losses at points, and slopes where they exist. Who answers is not its business.

`zfscale.engine.module_oracle` answers with torch modules. A formula, an ONNX session or a remote model can as well:
subclass `Oracle`, keep the weights in `leaves.flat`, and answer `losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from zfscale.errors import ZfscaleError
from zfscale.zo.leaves import Leaves

Point = Callable[[int, int, torch.Tensor], None]  # (start, stop, out): write those elements of the weights to `out`
Tangent = Callable[[int, int], torch.Tensor]  # (start, stop): those elements of a direction, float32


class Oracle(Protocol):
    """Answers for the loss of the current batch as a function of the weights, which it never changes.

    Args:
        leaves: The weights, theta, and how they divide into matrices and vectors. A step is written into
            `leaves.flat`, and the next answer is of what stands there then.
    """

    leaves: Leaves

    def losses(self, points: Sequence[Point | None]) -> list[float]:
        """The loss at each of these weights, None for theta.

        All the points of an estimate come in one call, so that they can share a batch, a message or a machine. A point
        may be asked for any range of elements that cuts no leaf, or (where the weights are sharded) for any held one,
        as often as needed. Over several ranks, every rank gets the same numbers.
        """
        ...

    def slopes(self, tangents: Sequence[Tangent]) -> list[tuple[float, float]]:
        """(loss at theta, its derivative along the tangent) for each of them; only forward-grad optimizers ask."""
        raise ZfscaleError(f"optimizer: forward-grad needs forward derivatives, which {type(self).__name__} has not")
