"""Who runs on the toy: every optimizer of the catalogue, and ZO-SGD with each of ZeroFlow's enhancements.

A racer is written NAME, or with enhancements after it: NAME+hybrid, NAME+history, NAME+hybrid+history+sparse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zfscale import registry
from zfscale.errors import ZfscaleError, nearest
from zfscale.spec import OptimizerSpec
from zfscale.zo import catalogue

RATE = 0.1  # of the official toolkit's toy, whose rules have no momentum
SHARE = 0.5  # of past estimates in g, and of entries that a sparse estimate zeroes
FIRST_ORDER = {"name": "fo-sgd", "lr": RATE / 10}  # of a hybrid, for a tenth of its steps

# Enhancement -> options of the `optimizer` block. Epochs of the first-order phase count steps here.
ENHANCEMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "hybrid": lambda steps: {"first_order": {**FIRST_ORDER, "epochs": max(1, steps // 10)}},
    "history": lambda steps: {"history": SHARE},
    "sparse": lambda steps: {"sparsity": SHARE},
}
ENHANCED = "zo-sgd"  # that of the paper's tables 3 to 5
DEFAULT = (
    *catalogue.OPTIMIZERS,
    *(f"{ENHANCED}+{one}" for one in ENHANCEMENTS),
    "+".join((ENHANCED, *ENHANCEMENTS)),
)


@dataclass(frozen=True)
class Racer:
    """An optimizer with its options; racers of one group share a panel of the figure."""

    name: str
    group: str
    options: OptimizerSpec


def racer(name: str, steps: int) -> Racer:
    """The racer of that name in a race of `steps` steps.

    Raises:
        ZfscaleError: No such optimizer or enhancement, or one that backpropagates and cannot be enhanced.
    """
    base, *extras = name.split("+")
    if base not in catalogue.OPTIMIZERS and not registry.is_path(base):
        raise ZfscaleError(f"optimizer {name!r}: {nearest(base, catalogue.OPTIMIZERS)}")
    facts = catalogue.optimizer(base)
    for extra in extras:
        if extra not in ENHANCEMENTS:
            raise ZfscaleError(f"optimizer {name!r}: no enhancement {extra!r}; {nearest(extra, ENHANCEMENTS)}")
        if facts.first_order:
            raise ZfscaleError(f"optimizer {name!r}: enhancements are of forward-only optimizers")
    enhanced = {option: value for extra in extras for option, value in ENHANCEMENTS[extra](steps).items()}
    options = OptimizerSpec.model_validate({"name": base, "lr": RATE, "noise": "gaussian", **enhanced})
    return Racer(name, _group(facts, bool(extras)), options.model_copy(update={"lr": _rate(facts, options)}))


def _rate(facts: catalogue.Optimizer, options: OptimizerSpec) -> float:
    """RATE, where steps do not add up: a velocity of momentum m moves theta by 1 / (1 - m) steps in the end."""
    return round(RATE * (1 - options.momentum), 6) if "momentum" in facts.rule.arguments else RATE


def _group(facts: catalogue.Optimizer, enhanced: bool) -> str:
    if enhanced:
        return "enhanced"
    if facts.first_order:
        return "first order"
    estimate, update = (axis if isinstance(axis, str) else "own" for axis in (facts.estimate, facts.update))
    return f"{estimate.replace('_', ' ')}, {update}"
