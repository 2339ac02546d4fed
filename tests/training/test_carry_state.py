"""Optimizer states that live on in the next task, and a schedule for each phase of a hybrid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import OPTIMIZERS
from tests.training.toy import fit, network, spec, task
from zfscale.spec import TrialSpec
from zfscale.testing.running import ran
from zfscale.training.fit import batches
from zfscale.training.seeds import ORDER
from zfscale.training.snapshots import Snapshots
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import Taken, rebuild
from zfscale.zo.catalogue import FIRST_ORDER
from zfscale.zo.philox import derive

FORWARD_ONLY = [name for name in OPTIMIZERS if name not in FIRST_ORDER]
TORCH = {"fo-sgd": torch.optim.SGD, "fo-adam": torch.optim.Adam, "fo-adamw": torch.optim.AdamW}
HYBRID = {"name": "fo-adam", "lr": 0.01, "epochs": 1}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_two_tasks_are_one_run_of_torchs_optimizer(name):
    """The reference is one optimizer of torch.optim over both tasks' batches."""
    trial = spec(name, epochs=2, batch_size=8, carry_state=True)
    net: Any = network()
    twin = network()
    tasks = [task(16), replace(task(24), index=2)]
    for one in tasks:
        fit(trial, net, one)
    parameters = [p for n, p in twin.named_parameters() if "unused" not in n]
    more = {"momentum": 0.9, "weight_decay": 0.0} if name == "fo-sgd" else {"weight_decay": 0.0}
    optimizer = TORCH[name](parameters, lr=trial.optimizer.lr, **more)
    for one in tasks:
        for rows in batches(len(one.train_y), 8, 2, derive(0, one.index, ORDER)):
            optimizer.zero_grad()
            F.cross_entropy(twin(torch.tensor(one.train_x[rows])), torch.tensor(one.train_y[rows])).backward()
            optimizer.step()
    found = dict(net.named_parameters())
    assert all(torch.allclose(found[n], p, atol=1e-6) for n, p in twin.named_parameters())
    apart: Any = network()
    for one in tasks:
        fit(spec(name, epochs=2, batch_size=8), apart, one)
    assert not torch.allclose(apart.head.weight, net.head.weight, atol=1e-4)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_head_that_grew_keeps_the_state_of_its_old_rows(name):
    trial = spec(name, carry_state=True)
    net: Any = network()
    fit(trial, net)
    kept = net.carried["first-order"]["head.weight"]
    net.head.grow(3, seed=2)
    fit(trial, net, replace(task(), index=2))
    for key, value in net.carried["first-order"]["head.weight"].items():
        if value.ndim:
            assert value.shape == (5, 6)
            assert value[:2].abs().sum() > 0
            assert kept[key].shape == (2, 6)
        else:
            assert float(value) == 2.0


@pytest.mark.parametrize("name", FORWARD_ONLY)
def test_a_trial_repeats_resumes_and_is_replayed(name, small, tmp_path):
    given = {"optimizer__carry_state": True, "optimizer__history": 0.4, "train__epochs": 2}
    trial = small.spec("finetune", name, **given)
    inputs = Inputs([trial])
    first = ran(trial, inputs)
    alone = ran(small.spec("finetune", name, **{**given, "optimizer__carry_state": False}), inputs)
    told, other = ([s.loss for s in one.said.steps] for one in (first, alone))
    assert told[:5] == other[:5]  # the first task's, and the first loss of the second
    assert told[5:] != other[5:]
    resumed = ran(trial, inputs, first.ledger[:7])
    assert resumed.said.told == first.said.told
    taken = [Taken(s.task, s.lr, e) for s, e in zip(first.said.steps, first.ledger, strict=True)]
    rebuilt = rebuild(trial, taken, Snapshots(tmp_path, trial.trial_id)).network.state_dict()
    assert all(value.equal(rebuilt[name]) for name, value in first.weights.items())


def run(trial: TrialSpec, inputs: Inputs, results, past=()):
    """A trial with snapshots, after the first steps of an earlier attempt."""
    from zfscale.recording import Recording
    from zfscale.testing.running import Kept
    from zfscale.trial.run import run as whole

    said, ledger = Recording(), Kept(list(past))
    ledger.drop = lambda count: None  # type: ignore[method-assign]
    said.close(whole(trial, *inputs.of(trial), said, ledger=ledger, snapshots=Snapshots(results, trial.trial_id)))
    return said, ledger.entries


@pytest.mark.parametrize("optimizer", ["fo-adam", "zo-adam"])
def test_a_first_order_state_is_in_no_snapshot_so_a_killed_trial_starts_again(optimizer, small, tmp_path):
    """Of a hybrid, too; and a hybrid is replayed from its snapshots and ledger."""
    hybrid = {} if optimizer.startswith("fo") else {"optimizer__first_order": HYBRID}
    trial = small.spec("finetune", optimizer, optimizer__carry_state=True, train__epochs=2, **hybrid)
    inputs = Inputs([trial])
    said, entries = run(trial, inputs, tmp_path)
    again, _ = run(trial, inputs, tmp_path, entries[:9])
    assert again.told == said.told
    if hybrid:
        taken = [Taken(s.task, s.lr, e) for s, e in zip(said.steps, entries, strict=True)]
        rebuilt = rebuild(trial, taken, Snapshots(tmp_path, trial.trial_id)).network.state_dict()
        whole = ran(trial, inputs).weights
        assert all(value.equal(rebuilt[name]) for name, value in whole.items())


@pytest.mark.parametrize(("schedule", "factors"), [("cosine", (1.0, 0.5)), ("constant", (1.0, 1.0))])
def test_each_phase_of_a_hybrid_may_have_its_own_schedule(schedule, factors, small):
    phase = {**HYBRID, "schedule_over": "phase"}
    told = small.run(small.spec("ease", optimizer__schedule=schedule, optimizer__first_order=phase, train__epochs=2))
    rates = [0.01 * f for f in factors] + [1e-3 * f for f in factors]  # two steps each
    assert [s.lr for s in told.steps] == pytest.approx(rates * 3)


def test_the_defaults_keep_old_ids(small):
    plain = small.spec("finetune", optimizer__first_order=HYBRID, train__epochs=2)
    said = {**HYBRID, "schedule_over": "task"}
    same = small.spec("finetune", optimizer__first_order=said, optimizer__carry_state=False, train__epochs=2)
    assert plain.trial_id == same.trial_id
