"""The optimizers by name: an estimate, a direction and an update each, and all that follows from these three.

A name is a preset over the axes, so a new estimate or update adds one line, not a table of products. Nothing here needs
torch: an implementation is a path, "package.module:Name", that is imported when a trial takes steps. `o` stands for the
`optimizer` block of a sweep file, its options as attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from zfscale import registry
from zfscale.errors import SpecError, nearest

Derivative = Literal["none", "forward", "backward"]
Count = Callable[[Any], int]


@dataclass(frozen=True)
class Estimator:
    """How the gradient is estimated.

    Args:
        path: The function, (problem, seeds, **arguments) -> Estimate; empty for backpropagation.
        derivative: What it needs of the loss: nothing but its values, a forward derivative, or a backward one.
        arguments: The options of the `optimizer` block that it is called with.
        forwards: How many forwards one estimate takes.
        looks_here: Whether one of them is at theta itself.
        sharded: Whether the weights may be divided over ranks (ZeRO-3).
    """

    path: str
    derivative: Derivative
    arguments: tuple[str, ...]
    forwards: Count
    looks_here: Callable[[Any], bool]
    sharded: bool = True


@dataclass(frozen=True)
class Rule:
    """How a direction becomes a step.

    Args:
        path: The class of the update rule (zfscale.zo.update.Update); for backpropagation, that of torch.optim.
        arguments: The options of the `optimizer` block that it is made with.
        states: How many vectors of the length of the weights it keeps.
        unit: What a step of it depends on: single elements, or whole leaves (the matrices and vectors of the model).
    """

    path: str
    arguments: tuple[str, ...]
    states: Count
    unit: Literal["element", "leaf"] = "element"

    def torch_options(self, o: Any) -> dict[str, Any]:
        """The options of a rule of torch.optim by its own names: both betas are one argument."""
        given = {argument: getattr(o, argument) for argument in self.arguments}
        if "beta1" in given:
            given["betas"] = (given.pop("beta1"), given.pop("beta2"))
        return given


@dataclass(frozen=True)
class Direction:
    """What z is.

    Args:
        path: The class, a subclass of zfscale.zo.directions.base.Directions.
        arguments: The options of the `optimizer` block that it is made with.
    """

    path: str
    arguments: tuple[str, ...] = ()


ESTIMATORS = {
    "spsa": Estimator(
        "zfscale.zo.estimate:spsa",
        "none",
        ("eps", "sides"),
        forwards=lambda o: o.queries + 1 if o.sides == 1 else 2 * o.queries,
        looks_here=lambda o: o.sides == 1,
    ),
    # Forward-mode AD does not go through the gathering of weights.
    "forward_gradient": Estimator(
        "zfscale.zo.estimate:forward_gradient",
        "forward",
        (),
        forwards=lambda o: o.queries,
        looks_here=lambda o: True,
        sharded=False,
    ),
    "backpropagation": Estimator("", "backward", (), forwards=lambda o: 1, looks_here=lambda o: True, sharded=False),
}
_SGD, _ADAM = ("momentum", "weight_decay"), ("beta1", "beta2", "weight_decay")
UPDATES = {
    "sgd": Rule("zfscale.zo.update:SGD", _SGD, states=lambda o: int(o.momentum > 0)),
    "adam": Rule("zfscale.zo.update:Adam", _ADAM, states=lambda o: 2),
    "adamm": Rule("zfscale.zo.update:AdaMM", _ADAM, states=lambda o: 3),
}
TORCH_UPDATES = {
    "sgd": Rule("torch.optim:SGD", _SGD, states=lambda o: int(o.momentum > 0)),
    "adam": Rule("torch.optim:Adam", _ADAM, states=lambda o: 2),
    "adamw": Rule("torch.optim:AdamW", _ADAM, states=lambda o: 2),
}
DIRECTIONS = {
    "rademacher": Direction("zfscale.zo.directions.dense:Rademacher"),
    "gaussian": Direction("zfscale.zo.directions.dense:Gaussian"),
    "low-rank": Direction("zfscale.zo.directions.low_rank:LowRank", ("rank",)),
}
DIRECTS = ("identity", "sign", "conserve")
# What every optimizer reads that draws directions, and what every optimizer reads.
DRAWS = frozenset({"queries", "noise", "history", "sparsity", "clip", "first_order"})
EVERY = frozenset({"name", "lr", "schedule", "carry_state"})


@dataclass(frozen=True)
class Optimizer:
    """An optimizer: which estimate, which direction h = direct(g), which update.

    Args:
        estimate: A name in ESTIMATORS, or an Estimator of your own.
        update: A name in UPDATES (for backpropagation, in TORCH_UPDATES), or a Rule of your own.
        direct: "identity"; "sign"; or "conserve", which compares theta - step and theta + step with theta.
        direction: What z is, in place of the option `noise`.
        own: A pydantic model (zfscale.spec.Block) of options that no other optimizer has.
    """

    estimate: str | Estimator
    update: str | Rule
    direct: Literal["identity", "sign", "conserve"] = "identity"
    direction: Direction | None = None
    own: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        axes = ((self.estimate, ESTIMATORS), (self.direct, DIRECTS), (self.update, {**UPDATES, **TORCH_UPDATES}))
        for name, known in axes:
            if isinstance(name, str) and name not in known:
                raise SpecError(f"unknown {name!r}; {nearest(name, known)}")

    @property
    def paths(self) -> tuple[str, ...]:
        """What it is made of that is imported when a trial takes steps."""
        direction = () if self.direction is None else (self.direction.path,)
        return tuple(path for path in (self.estimator.path, self.rule.path, *direction) if path)

    @property
    def estimator(self) -> Estimator:
        """The facts of the estimate."""
        return ESTIMATORS[self.estimate] if isinstance(self.estimate, str) else self.estimate

    @property
    def rule(self) -> Rule:
        """The facts of the update."""
        if isinstance(self.update, Rule):
            return self.update
        return (TORCH_UPDATES if self.first_order else UPDATES)[self.update]

    @property
    def derivative(self) -> Derivative:
        """What it needs of the loss."""
        return self.estimator.derivative

    @property
    def first_order(self) -> bool:
        """Whether it backpropagates; all others only run forward."""
        return self.derivative == "backward"

    @property
    def attention(self) -> Literal["sdpa", "eager"]:
        """The attention that models are built with: fused kernels have no forward derivative."""
        return "eager" if self.derivative == "forward" else "sdpa"

    def options(self, o: Any) -> frozenset[str]:
        """The options that mean something to it, given the others."""
        used = {*EVERY, *self.estimator.arguments, *self.rule.arguments}
        used |= {"warmup"} if o.schedule == "warmup-cosine" else set()
        used |= set(self.own.model_fields) if self.own is not None else set()
        if self.first_order:
            return frozenset(used)
        used |= DRAWS if self.direction is None else DRAWS - {"noise"}
        used |= set((self.direction or DIRECTIONS[o.noise]).arguments)
        used |= {"sign"} if self.direct == "sign" else set()
        return frozenset(used | set(OPTIMIZERS[o.first_order.name].rule.arguments if o.first_order else ()))

    def forwards(self, o: Any) -> tuple[int, int]:
        """(least, most) forwards of one step; a first-order step counts its one forward, not its backward."""
        estimate = self.estimator.forwards(o)
        if self.direct != "conserve":
            return estimate, estimate
        here = 0 if self.estimator.looks_here(o) else 1  # L(theta), where the estimate has not looked at it
        return estimate + here + 1, estimate + here + 2

    def states(self, o: Any) -> int:
        """Vectors of the length of the weights that it keeps beside them: its state, past estimates, a gradient."""
        return self.rule.states(o) + int(self.first_order or o.history > 0)

    def queries(self, o: Any) -> int:
        """How many random directions a step takes, each a row of the ledger."""
        return 0 if self.first_order else o.queries

    def stages(self, o: Any) -> tuple[int, ...]:
        """The stages of ZeRO at which DeepSpeed divides what the optimizer has.

        A forward-only optimizer has neither gradients nor a state of DeepSpeed's; a hybrid is of both kinds.
        """
        if self.first_order:
            return 0, 1, 2
        whole = o.first_order is not None or self.rule.unit == "leaf" or not self.estimator.sharded
        return (0,) if whole else (0, 3)


OPTIMIZERS: dict[str, Optimizer] = {
    "fo-sgd": Optimizer("backpropagation", "sgd"),
    "fo-adam": Optimizer("backpropagation", "adam"),
    "fo-adamw": Optimizer("backpropagation", "adamw"),
    "zo-sgd": Optimizer("spsa", "sgd"),
    "zo-sgd-sign": Optimizer("spsa", "sgd", "sign"),
    "zo-sgd-conserve": Optimizer("spsa", "sgd", "conserve"),
    "zo-adam": Optimizer("spsa", "adam"),
    "zo-adam-sign": Optimizer("spsa", "adam", "sign"),
    "zo-adam-conserve": Optimizer("spsa", "adam", "conserve"),
    "zo-adamm": Optimizer("spsa", "adamm"),
    "zo-adamm-sign": Optimizer("spsa", "adamm", "sign"),
    "zo-adamm-conserve": Optimizer("spsa", "adamm", "conserve"),
    "forward-grad": Optimizer("forward_gradient", "sgd"),
    "forward-grad-sign": Optimizer("forward_gradient", "sgd", "sign"),
    "forward-grad-conserve": Optimizer("forward_gradient", "sgd", "conserve"),
    "forward-grad-adam": Optimizer("forward_gradient", "adam"),
    "forward-grad-adam-sign": Optimizer("forward_gradient", "adam", "sign"),
    "forward-grad-adam-conserve": Optimizer("forward_gradient", "adam", "conserve"),
    "forward-grad-adamm": Optimizer("forward_gradient", "adamm"),
}
REFERENCE = "fo-adam"  # reports say what share of its gain over no training another optimizer recovers
FIRST_ORDER = tuple(name for name, optimizer in OPTIMIZERS.items() if optimizer.first_order)


def optimizer(name: str) -> Optimizer:
    """The optimizer of that name, or a user's own at "package.module:NAME". Errors: SpecError."""
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    found = registry.load_user(name)
    if not isinstance(found, Optimizer):
        raise SpecError(f"optimizer.name: {name!r} is no zfscale.zo.catalogue.Optimizer")
    return found


def keeps_state(old: Any, new: Any) -> bool:
    """Whether an optimizer goes on with the moments, past estimates and step count of another, given both blocks.

    It does where it has the same name and its update the same options, but for weight decay, which no state holds.
    """
    if old.name != new.name or bool(old.history) != bool(new.history):
        return False
    arguments = [name for name in optimizer(new.name).rule.arguments if name != "weight_decay"]
    return all(getattr(old, name) == getattr(new, name) for name in arguments)
