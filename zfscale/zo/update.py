"""Stage 3 of Algorithm 1: the parameter update as pure functions, `init`, `apply` and `reverse`.

`apply` never writes: it returns the step (theta is to become theta - step) and the state that belongs to it, so that
conserve can look at a step before it is taken. Rules and defaults are those of `torch.optim`, weight decay coupled.

Each operation is rounded by itself (no fused multiply-add, exact square root), so that an element's bits do not depend
on where in a vector it stands: any sharding of the flat vector takes the same step. These rules are by elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch

from zfscale.zo.exact import divide, sqrt

State = Any  # of unit "element": dict[str, tensor like theta]; of unit "leaf": whatever the update wants
Unit = Literal["element", "leaf"]


class Update(Protocol):
    """An update rule.

    Attributes:
        unit: What one call gets. "element": any stretch of the flat vector, since no element's step depends on another;
            its state is a dict of vectors like theta. "leaf": a whole leaf in its own shape, a matrix say; its state
            is an object of any kind, one a leaf.
    """

    unit: ClassVar[Unit]

    def init(self, theta: torch.Tensor) -> State:
        """The state before the first step, of all elements or of one leaf."""
        ...

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, state: State, lr: float, t: int
    ) -> tuple[torch.Tensor, State]:
        """(step, state after it), both new; t counts the steps taken, from 1."""
        ...

    def reverse(self, state: State) -> State:
        """The state that the step in the opposite direction would have led to; new.

        That is what was kept of h with its sign turned: a mean of h is, one of its squares is not.
        """
        ...


@dataclass(frozen=True)
class SGD:
    """v <- momentum v + h + weight_decay theta; step = lr v. The first v is its d, as in torch.optim.SGD."""

    unit: ClassVar[Unit] = "element"
    momentum: float = 0.9
    weight_decay: float = 0.0

    def init(self, theta: torch.Tensor) -> State:
        """No state without momentum: then SGD costs no memory."""
        return {"v": _zeros(theta)} if self.momentum else {}

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, state: State, lr: float, t: int
    ) -> tuple[torch.Tensor, State]:
        """See the class."""
        d = _decayed(theta, h, self.weight_decay)
        if not self.momentum:
            return d * lr, state
        v = state["v"] * self.momentum + d
        return v * lr, {"v": v}

    def reverse(self, state: State) -> State:
        """The velocity turned round."""
        return {name: -v for name, v in state.items()}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma, Ba 2015): d = h + weight_decay theta; m, v means of d, d^2; step = lr m^ / (sqrt v^ + eps)."""

    unit: ClassVar[Unit] = "element"
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    eps: float = 1e-8
    amsgrad: bool = False  # AdaMM: v^ never shrinks (Reddi et al. 2018; ZO-AdaMM, Chen et al. 2019)

    def init(self, theta: torch.Tensor) -> State:
        """Both moments zero."""
        names = ("m", "v", "v_max") if self.amsgrad else ("m", "v")
        return {name: _zeros(theta) for name in names}

    def apply(
        self, theta: torch.Tensor, h: torch.Tensor, state: State, lr: float, t: int
    ) -> tuple[torch.Tensor, State]:
        """See the class."""
        d = _decayed(theta, h, self.weight_decay)
        m = state["m"] + (d - state["m"]) * (1 - self.beta1)
        v = state["v"] * self.beta2 + d * d * (1 - self.beta2)
        new = {"m": m, "v": v}
        if self.amsgrad:
            new["v_max"] = v = torch.maximum(state["v_max"], v)
        scale = lr / (1 - self.beta1**t)
        return m * scale / (sqrt(divide(v, 1 - self.beta2**t)) + self.eps), new

    def reverse(self, state: State) -> State:
        """The first moment turned round; the second is even in h."""
        return state | {"m": -state["m"]}


@dataclass(frozen=True)
class AdaMM(Adam):
    """ZO-AdaMM (Chen et al. 2019): Adam whose second moment never shrinks."""

    amsgrad: bool = True


def _zeros(theta: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(theta, dtype=torch.promote_types(theta.dtype, torch.float32))


def _decayed(theta: torch.Tensor, h: torch.Tensor, weight_decay: float) -> torch.Tensor:
    return theta.to(h.dtype) * weight_decay + h if weight_decay else h
