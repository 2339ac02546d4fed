"""Quadratic penalties around the weights of earlier tasks, added up into one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zfscale.engine.module_leaves import ModuleLeaf
from zfscale.training.objective import Loss, Objective


@dataclass(frozen=True)
class _Well:
    """Of one leaf: sum_t F_t (theta - theta_t)^2 = stiffness (theta - centre)^2 + a constant."""

    stiffness: torch.Tensor
    centre: torch.Tensor


class Quadratic:
    """sum_t sum_i F_ti (theta_i - theta_ti)^2, of weights as the latest forward has read them.

    `see` is told these (it watches a network), so that the penalty is one of perturbed weights where the forward is. A
    leaf that has grown by rows since then is compared in its old ones.

    NOTE: where forwards compute in 16 bits, centre and weights are compared in them.
    """

    def __init__(self) -> None:
        self._wells: dict[str, _Well] = {}
        self._rest = 0.0  # what is left of the sum when theta is at every centre
        self._seen: dict[str, torch.Tensor] = {}

    def add(self, name: str, stiffness: torch.Tensor, theta: torch.Tensor) -> None:
        """One more task's F and weights of a leaf, float32 in its shape, which are copied."""
        old = self._wells.get(name, _Well(stiffness.new_zeros(0), theta.new_zeros(0)))
        was, centre = _grown(old.stiffness, theta), _grown(old.centre, theta)
        total, apart = was + stiffness, theta - centre
        share = torch.where(total > 0, stiffness / total, 0)
        self._wells[name] = _Well(total, centre + share * apart)
        self._rest += float((was * share * apart.square()).double().sum())

    def see(self, leaf: ModuleLeaf, value: torch.Tensor) -> None:
        """A forward reads the leaf as `value`."""
        if leaf.name in self._wells:
            self._seen[leaf.name] = value

    def take(self) -> torch.Tensor:
        """Scalar: the sum for the forward that has just ended."""
        assert self._seen, "no forward was watched"
        parts = [self._of(self._wells[name], value) for name, value in self._seen.items()]
        self._seen = {}
        return torch.stack(parts).sum() + self._rest

    @staticmethod
    def _of(well: _Well, value: torch.Tensor) -> torch.Tensor:
        now = value if value.shape == well.centre.shape else value[: len(well.centre)]
        return (well.stiffness * (now.float() - well.centre.to(now.dtype).float()).square()).sum()


def penalised(quadratic: Quadratic, weight: float) -> Loss:
    """The objective plus weight / 2 times the quadratic."""

    def loss(objective: Objective, outputs: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return objective(outputs, labels) + weight / 2 * quadratic.take()

    return loss


def _grown(old: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`old` with rows of 0 up to the shape of `like`."""
    if old.shape == like.shape:
        return old
    whole = torch.zeros_like(like)
    if old.numel():
        whole[: len(old)] = old
    return whole
