"""The same trajectory as the official toolkit (infty 0.1.2), given its draws, where it does what the paper says.

It perturbs weights in place and so lets rounding in; in float64 that is far below the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import optimizer_of, weights

from zfscale.engine.module_leaves import ModuleLeaves, trainable
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.overlay import Overlay
from zfscale.zo.directions.dense import Gaussian
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper

reason = "pip install --no-deps infty==0.1.2"
ZeroFlow = pytest.importorskip(
    "infty.optim.zeroth_order_updates.zeroflow", reason=reason, exc_type=ImportError
).ZeroFlow

STEPS = 100
DATA = torch.Generator().manual_seed(0)
X = torch.randn(24, 6, generator=DATA, dtype=torch.float64)
Y = torch.randint(4, (24,), generator=DATA)


def network(convex: bool) -> nn.Module:
    """A classifier, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = [nn.Linear(6, 4)] if convex else [nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)]
        return nn.Sequential(*layers).double().eval()


class Theirs(Gaussian):
    """z as infty draws it: of each parameter in turn, from the global generator seeded anew."""

    def __init__(self, leaves: ModuleLeaves, randn: bool) -> None:
        super().__init__(leaves)
        self._sizes, self._randn = [leaf.parameter.size() for leaf in leaves], randn
        self._drawn: dict[int, torch.Tensor] = {}

    def slice(self, seed: int, start: int, stop: int) -> torch.Tensor:
        if seed not in self._drawn:
            torch.manual_seed(seed)
            self._drawn[seed] = torch.cat([self._draw(size).flatten() for size in self._sizes])
        return self._drawn[seed][start:stop]

    def _draw(self, size: torch.Size) -> torch.Tensor:
        if self._randn:
            return torch.randn(size, dtype=torch.float64)
        return torch.normal(mean=0, std=1, size=size, dtype=torch.float64)


@pytest.fixture(autouse=True)
def global_generators() -> Iterator[None]:
    """It reseeds torch's and draws its seeds from numpy's."""
    numpy_state = np.random.get_state()
    with torch.random.fork_rng():
        yield
    np.random.set_state(numpy_state)


def theirs(net: nn.Module, kind: str, base: Any, steps: int, **options: Any) -> list[torch.Tensor]:
    lr, weight_decay = options.pop("lr", 0.0), options.pop("weight_decay", 0.0)
    args = {"inftyopt": kind, **options}
    optimizer = ZeroFlow(net.parameters(), base(net.parameters()), net, args, lr=lr, weight_decay=weight_decay)

    def closure() -> tuple[torch.Tensor, list[torch.Tensor]]:
        logits = net(X)
        return logits, [F.cross_entropy(logits, Y)]

    def functional(params: list[torch.Tensor], names: list[str], buffers: dict, model: nn.Module, batch: Any) -> Any:
        logits = torch.func.functional_call(model, (dict(zip(names, params, strict=True)), buffers), (X,))
        return logits, [F.cross_entropy(logits, Y)]

    if kind == "forward_grad":
        optimizer.set_closure(functional, batch=())
    else:
        optimizer.set_closure(closure)
    np.random.seed(7)
    path = []
    for _ in range(steps):
        optimizer.step()
        path.append(weights(net))
    return path


def ours(net: nn.Module, name: str, lr: float, steps: int, q: int = 1, **options: Any) -> tuple[list, set[int]]:
    leaves = trainable(net)
    oracle = ModuleOracle(lambda: F.cross_entropy(net(X), Y), leaves, Overlay(net, leaves))
    problem = Problem(oracle, Theirs(leaves, randn=name.startswith("forward")))
    stepper = Stepper(optimizer_of(name, queries=q, **options), problem)
    draws = np.random.RandomState(7)
    path, accepted = [], set()
    for t in range(steps):
        accepted.add(stepper.step([int(draws.randint(int(1e9))) for _ in range(q)], lr, t).accepted)
        path.append(weights(net))
    return path, accepted


def sgd(lr: float, momentum: float = 0.9, weight_decay: float = 5e-4) -> Any:
    return lambda p: torch.optim.SGD(p, lr, momentum=momentum, weight_decay=weight_decay)


def adam(lr: float, weight_decay: float = 5e-4) -> Any:
    return lambda p: torch.optim.Adam(p, lr, weight_decay=weight_decay)


ONE = {"perturbation_mode": "one_side"}
CASES = [  # ours, its learning rate and options; theirs, its base optimizer and options
    ("zo-sgd", 0.01, {"weight_decay": 5e-4}, "zo_sgd", sgd(0.01), {}),
    ("zo-sgd", 0.01, {"weight_decay": 5e-4, "sides": 1}, "zo_sgd", sgd(0.01), ONE),
    ("zo-sgd", 0.01, {"weight_decay": 5e-4, "q": 4}, "zo_sgd", sgd(0.01), {"q": 4}),
    ("zo-sgd", 0.01, {"sides": 1, "q": 4, "momentum": 0}, "zo_sgd", sgd(0.01, 0, 0), {"q": 4, **ONE}),
    ("zo-adam", 0.01, {"weight_decay": 5e-4}, "zo_adam", adam(0.01), {}),
    ("zo-adam", 0.01, {"weight_decay": 5e-4, "q": 4}, "zo_adam", adam(0.01), {"q": 4}),
    ("zo-sgd-sign", 1e-3, {"sign": "projected"}, "zo_sgd_sign", sgd(1e-3, weight_decay=0), {}),
    ("zo-adam-sign", 0.01, {"sign": "projected", "q": 4}, "zo_adam_sign", adam(0.01, 0), {"q": 4}),
    ("forward-grad", 0.01, {"momentum": 0}, "forward_grad", sgd(0.01), {"lr": 0.01}),
]


@pytest.mark.parametrize(("name", "lr", "options", "kind", "base", "their_options"), CASES)
def test_same_trajectory(name, lr, options, kind, base, their_options):
    start = weights(network(convex=False))
    expected = theirs(network(convex=False), kind, base, STEPS, **their_options)
    got, _ = ours(network(convex=False), name, lr, STEPS, **options)
    scale = float(start.abs().max())
    assert float((expected[-1] - start).abs().max()) > 0.05 * scale  # it went somewhere
    for a, b in zip(got, expected, strict=True):
        assert float((a - b).abs().max()) < 1e-6 * scale


@pytest.mark.parametrize("sides", [1, 2])
def test_same_conserve_where_the_base_has_no_state(sides):
    """On a convex loss at most one candidate is better, so looking at the second only if needed decides alike.

    NOTE: with momentum, Adam or weight decay it differs by design: there infty's steps forth and back do not cancel.
    """
    mode = ONE if sides == 1 else {}
    expected = theirs(network(convex=True), "zo_sgd_conserve", sgd(0.2, 0, 0), STEPS, **mode)
    got, accepted = ours(network(convex=True), "zo-sgd-conserve", 0.2, STEPS, sides=sides, momentum=0)
    assert {0, 1} <= accepted
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_forward_grad_decays_weights_but_not_biases_there():
    """Ours decays them all, as its other optimizers do; so the two are the same but for the biases' decay."""
    lr, decay = 0.01, 0.1
    net = network(convex=True)
    (expected,) = theirs(network(convex=True), "forward_grad", sgd(1.0), 1, lr=lr, weight_decay=decay)
    (got,), _ = ours(network(convex=True), "forward-grad", lr, 1, momentum=0, weight_decay=decay)
    bias = weights(net)[24:]
    torch.testing.assert_close(got[:24], expected[:24], rtol=0, atol=1e-9)
    torch.testing.assert_close(got[24:], expected[24:] - lr * decay * bias, rtol=0, atol=1e-9)
