"""What a trial does with odd models, odd batches and losses that are not numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.training import toy
from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.engine.ranks import Ranks
from zfscale.errors import ZfscaleError
from zfscale.methods.ease import Ease
from zfscale.methods.finetune import Finetune
from zfscale.testing.running import Kept
from zfscale.training import objective
from zfscale.training.fit import PATIENCE, Diverged
from zfscale.training.journal import Journal
from zfscale.training.trainers import check_eps

NAN, INF = math.nan, math.inf
KINDS = ["zo-sgd", "forward-grad", "fo-sgd"]


class Odd:
    """Cross-entropy, times a factor at some calls."""

    def __init__(self) -> None:
        self.factors: dict[int, float] = {}
        self.calls = 0

    def __call__(self, logits, labels):
        self.calls += 1
        return F.cross_entropy(logits, labels) * self.factors.get(self.calls - 1, 1.0)

    def fit(self, factors, *args):
        self.factors, self.calls = factors, 0
        return toy.fit(*args)


@pytest.fixture
def odd(monkeypatch) -> Odd:
    mine = Odd()
    monkeypatch.setitem(objective.OBJECTIVES, "cross_entropy", mine)
    return mine


@pytest.mark.parametrize("optimizer", KINDS)
@pytest.mark.parametrize("unused", [False, True])
def test_nothing_to_train_is_a_clear_error(unused, optimizer):
    net = toy.network()
    net.requires_grad_(False)
    net.encoder.unused.requires_grad_(unused)
    with pytest.raises(ZfscaleError, match="nothing to train"):
        toy.fit(toy.spec(optimizer), net)


@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, 1e-12), (torch.bfloat16, 1e-5)])
def test_an_eps_that_the_number_format_loses_is_a_clear_error(dtype, eps):
    leaves = ModuleLeaves([("w", nn.Parameter(torch.ones(300, dtype=dtype)))])
    with pytest.raises(ZfscaleError, match=rf"optimizer\.eps: {eps:g} is lost in {str(dtype)[6:]}"):
        check_eps(leaves, eps, Ranks())
    check_eps(leaves, 0.1, Ranks())


@pytest.mark.parametrize("method", ["finetune", "ease"])
def test_a_trial_whose_eps_is_lost_is_a_clear_error(method, small):
    """Weights that are zero, as biases are at the start, move by any eps: they are no reason to go on."""
    with pytest.raises(ZfscaleError, match=r"optimizer\.eps: 1e-12 is lost in float32"):
        small.run(small.spec(method, optimizer__eps=1e-12))


@pytest.mark.parametrize("optimizer", KINDS)
def test_what_no_loss_reaches_is_frozen(optimizer):
    """Also from weight decay, which would move it without a gradient."""
    net: Any = toy.network()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    toy.fit(toy.spec(optimizer, weight_decay=0.5, lr=0.1, epochs=3), net)
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if "unused" not in k}
    assert not any(p.requires_grad for p in net.encoder.unused.parameters())


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd"])
def test_what_no_loss_reaches_in_a_backbone_is_frozen(optimizer, small, memory):
    spec = small.spec("finetune", optimizer, optimizer__weight_decay=0.5)
    method = Finetune(spec, small.base)
    extra = method.network.encoder.backbone.extra = nn.Linear(16, 16)
    before = extra.weight.clone()
    method.learn(small.tasks(spec)[0], Journal(memory))
    assert torch.equal(extra.weight, before)
    assert not extra.weight.requires_grad


@pytest.mark.parametrize("optimizer", ["zo-sgd", "fo-sgd"])
def test_the_adapters_and_prototypes_of_old_tasks_stay(optimizer, small, memory):
    spec = small.spec("ease", optimizer, optimizer__weight_decay=0.5)
    method: Any = Ease(spec, small.base)
    old = []
    for task in small.tasks(spec):
        method.learn(task, Journal(memory))
        adapters = [p.clone() for p in method.network.adapters.sets[task.index - 1].parameters()]
        old.append((adapters, [p.clone() for p in method._measured[-1]]))
        for k, (weights, prototypes) in enumerate(old):
            assert all(map(torch.equal, weights, method.network.adapters.sets[k].parameters()))
            assert all(map(torch.equal, prototypes, method._measured[k]))


@pytest.mark.parametrize("optimizer", KINDS)
@pytest.mark.parametrize(("images", "batch_size"), [(3, 1), (5, 4), (1, 8)])
def test_one_sample_is_a_batch(images, batch_size, optimizer):
    told = toy.fit(toy.spec(optimizer, batch_size=batch_size, micro_batch_size=3), data=toy.task(images))
    assert len(told.steps) == -(-images // batch_size)
    assert all(math.isfinite(s.loss) for s in told.steps)


@pytest.mark.parametrize("optimizer", KINDS)
def test_a_last_batch_of_one_image(optimizer, small):
    told = small.run(small.spec("finetune", optimizer, train__batch_size=5))
    assert len(told.steps) == 3 * 4


@pytest.mark.parametrize("factor", [NAN, INF])
@pytest.mark.parametrize("more", [{}, {"clip": 1.0}, {"sign": "projected"}], ids=["plain", "clip", "projected"])
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("optimizer", ["zo-sgd-sign", "zo-adam-conserve"])
def test_a_step_that_meets_no_number_is_skipped(optimizer, sides, more, factor, odd):
    """One of the third step's two losses: the step is recorded and moves nothing; the fourth is as any."""
    nets = [toy.network() for _ in range(3)]
    specs = [toy.spec(optimizer, sides=sides, epochs=n, **more) for n in (2, 3, 6)]
    calm = odd.fit({}, specs[0], nets[0])
    third = {calm.steps[-1].forwards: factor}
    told = odd.fit(third, specs[1], nets[1])
    assert told.queries[:2] == calm.queries
    assert told.queries[2].accepted == 0
    assert not (math.isfinite(told.steps[2].loss) and math.isfinite(told.queries[2].coefficient))
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))
    on = odd.fit(third, specs[2], nets[2])
    assert len(on.steps) == 6
    assert all(math.isfinite(s.loss) for s in on.steps[3:])
    assert not all(map(torch.equal, nets[1].parameters(), nets[2].parameters()))


@pytest.mark.parametrize("optimizer", ["fo-adam", "forward-grad"])
def test_of_a_skipped_step_no_gradient_stays(optimizer, odd):
    """Whether the second of a batch's two parts is odd or both are, the next steps are the same."""
    spec = toy.spec(optimizer, epochs=4, lr=0.05, micro_batch_size=20)
    found = []
    for factors in ({3: NAN}, {2: NAN, 3: NAN}, {2: INF, 3: -INF}):
        net = toy.network()
        told = odd.fit(factors, spec, net)
        assert [math.isfinite(s.loss) for s in told.steps] == [True, False, True, True]
        found.append(net.state_dict())
    for other in found[1:]:
        assert all(torch.equal(v, other[k]) for k, v in found[0].items())


@pytest.mark.parametrize(("optimizer", "per_step"), [("zo-sgd", 2), ("fo-sgd", 1)])
def test_patience_has_an_end(optimizer, per_step, odd):
    spec, data = toy.spec(optimizer, batch_size=2), toy.task(60)
    last = 3 + PATIENCE - 1
    with pytest.raises(Diverged, match=f"task 1, step {last}: no finite loss in {PATIENCE} steps, but nan"):
        odd.fit(dict.fromkeys(range(3 * per_step, 1000), NAN), spec, None, data)
    assert odd.calls == (last + 1) * per_step
    told = odd.fit(dict.fromkeys(range(3 * per_step, last * per_step), NAN), spec, None, data)
    assert sum(math.isnan(s.loss) for s in told.steps) == PATIENCE - 1
    short = toy.spec(optimizer, epochs=2)
    with pytest.raises(Diverged, match="task 1, step 1: no finite loss in 2 steps"):
        odd.fit(dict.fromkeys(range(4), NAN), short)


@pytest.mark.parametrize("calm", [3, 10])
def test_patience_has_an_end_for_who_died_there(calm, odd):
    """It was killed once the step was in the ledger: with steps left or none, the next attempt ends alike."""
    spec, data, ledger = toy.spec(batch_size=2), toy.task(60), Kept([])
    with pytest.raises(Diverged) as first:
        odd.fit(dict.fromkeys(range(2 * calm, 1000), NAN), spec, None, data, ledger)
    assert len(ledger.entries) == calm + PATIENCE
    with pytest.raises(Diverged) as second:
        odd.fit({}, spec, None, data, Kept(ledger.entries))
    assert (str(second.value), odd.calls) == (str(first.value), 0)


@pytest.mark.parametrize("optimizer", ["fo-sgd", "zo-sgd"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_weights_that_are_no_numbers_are_a_clear_error(epochs, optimizer, odd):
    """At the end of a phase, or as soon as a loss is not a number."""
    place = f"task 1, step {min(epochs, 2) - 1}: weights are not finite; a smaller optimizer.lr may help"
    with pytest.raises(Diverged, match=place):
        odd.fit({0: 1e30}, toy.spec(optimizer, lr=1e30, epochs=epochs))


@pytest.mark.parametrize(("optimizer", "training"), [("zo-sgd", False), ("forward-grad", False), ("fo-sgd", True)])
def test_dropout_is_for_backpropagation_only(optimizer, training, monkeypatch):
    net, modes = toy.network(), []

    def loss(logits, labels):
        modes.append([m.training for m in net.modules()])
        return F.cross_entropy(logits, labels)

    monkeypatch.setitem(objective.OBJECTIVES, "cross_entropy", loss)
    toy.fit(toy.spec(optimizer, epochs=2), net)
    assert modes
    assert all(mode == training for seen in modes for mode in seen)
    assert not any(m.training for m in net.modules())


def test_a_hybrid_changes_modes_in_time(monkeypatch):
    net, modes = toy.network(), []

    def loss(logits, labels):
        modes.append(net.training)
        return F.cross_entropy(logits, labels)

    monkeypatch.setitem(objective.OBJECTIVES, "cross_entropy", loss)
    toy.fit(toy.spec(epochs=3, first_order={"name": "fo-sgd", "lr": 0.1, "epochs": 2}), net)
    assert modes == [True, True, False, False]
    assert not net.training
