"""A fork shares a trial's first steps bit for bit, at no cost, and goes on from there as its own file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trial.forks import column, fork_of, run_into, tables
from tests.trial.test_replay import HYBRID, after, assert_same, optimized  # noqa: F401 (a fixture)
from zfscale.errors import ZfscaleError
from zfscale.recording import Recording
from zfscale.results.check import look
from zfscale.training.batch import Batch
from zfscale.training.snapshots import Snapshots
from zfscale.trial.again import again as walk_again
from zfscale.trial.forking import start_of
from zfscale.trial.replay import replay
from zfscale.zo.ledger import MAGIC, Ledger, entries
from zfscale.zo.step import Stepper

STATEFUL = {"history": 0.4, "schedule": "cosine", "carry_state": True, "weight_decay": 0.01, "sparsity": 0.5}
KINDS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "adapters": ("ease", "zo-adam", {}, {}),
    "state that lives on": ("finetune", "zo-adamm-conserve", STATEFUL, {}),
    "other settings by stage": ("memo", "zo-sgd", {"queries": 2}, {}),
    "bf16": ("finetune", "zo-sgd", {"eps": 0.1}, {"train__precision": "bf16"}),
    "low-rank": ("finetune", "zo-sgd-sign", {"noise": "low-rank"}, {}),
    "a state by leaves": ("finetune", "zo-sgd", {"name": "extras.optimizers:SPECTRAL"}, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fork_with_nothing_changed_ends_as_its_parent(kind, tmp_path, small, monkeypatch):
    """In the middle of a task (step 3) and between two (step 4)."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "plugins"))
    method, optimizer, variant, more = KINDS[kind]
    parent = optimized(small, method, optimizer, variant, **more)
    run_into(tmp_path, parent, small)
    for step in (3, 4):
        fork = fork_of(tmp_path, parent, step)
        assert fork.trial_id != parent.trial_id
        run_into(tmp_path, fork, small)
        assert tables(tmp_path, fork) == tables(tmp_path, parent)
        whole, own = column(tmp_path, parent, "forwards"), column(tmp_path, fork, "forwards")
        assert own == [max(count - whole[step - 1], 0) for count in whole]
        assert column(tmp_path, fork, "seconds")[:step] == [0.0] * step


def test_a_fork_costs_its_own_steps_alone(tmp_path, small, monkeypatch):
    parent = small.spec("ease", "zo-adam")
    run_into(tmp_path, parent, small)
    fork = fork_of(tmp_path, parent, 5, optimizer={"name": "zo-sgd", "lr": 1e-2, "queries": 3})
    forwards = []
    original = Batch.share
    monkeypatch.setattr(Batch, "share", lambda self: forwards.append(1) or original(self))
    run_into(tmp_path, fork, small)
    assert len(forwards) == 6, "one step of three queries"
    assert column(tmp_path, fork, "forwards") == [0, 0, 0, 0, 0, 6]
    shared, own = tables(tmp_path, parent)["ledger"].to_pylist(), tables(tmp_path, fork)["ledger"].to_pylist()
    assert own[:5] == shared[:5]
    assert [query["query"] for query in own[5:]] == [0, 1, 2]
    assert column(tmp_path, fork, "lr")[4:] == [1e-3, 1e-2]


@pytest.mark.parametrize("step", [3, 4])
def test_another_optimizer_starts_with_no_state(step, tmp_path, small):
    """Nor does it take over what is carried to the next task: step 4 is the first of a task."""
    parent = small.spec("finetune", "zo-sgd", optimizer__carry_state=True)
    run_into(tmp_path, parent, small)
    changed = {"name": "zo-sgd", "lr": 1e-3, "momentum": 0.5, "carry_state": True}
    fork, same = fork_of(tmp_path, parent, step, optimizer=changed), fork_of(tmp_path, parent, step)
    for spec in (fork, same):
        run_into(tmp_path, spec, small)
    assert tables(tmp_path, same) == tables(tmp_path, parent)
    mine, other = (tables(tmp_path, spec)["steps"]["loss"].to_pylist() for spec in (fork, parent))
    assert mine[: step + 1] == other[: step + 1], "the first step after the fork is taken at the same weights"
    assert mine[step + 1 :] != other[step + 1 :]


def test_state_goes_on_where_only_the_rate_changes(tmp_path, small, monkeypatch):
    parent = small.spec("finetune", "zo-adam", train__epochs=2)
    run_into(tmp_path, parent, small)
    taken = []
    original = Stepper.step
    monkeypatch.setattr(Stepper, "step", lambda self, *a: taken.append(self.taken) or original(self, *a))
    for block, counts in (
        ({"lr": 0.1, "eps": 0.01, "weight_decay": 0.1}, [3]),
        ({"lr": 0.1, "beta1": 0.5}, [0]),
        ({"name": "zo-adamm", "lr": 0.1}, [0]),
    ):
        taken.clear()
        run_into(tmp_path, fork_of(tmp_path, parent, 11, optimizer=block), small)
        assert taken == counts, block


def test_a_fork_of_a_fork(tmp_path, small, after):  # noqa: F811
    """Each part of it is replayed by the optimizer that took it, and needs no results but its own."""
    parent = small.spec("finetune", "zo-adam")
    run_into(tmp_path / "a", parent, small)
    child = fork_of(tmp_path / "a", parent, 2, optimizer={"name": "zo-sgd", "lr": 1e-3, "queries": 2})
    run_into(tmp_path / "b", child, small)
    last = fork_of(tmp_path / "b", child, 5, optimizer={"lr": 1e-2}, fork={"seed": 7})
    early = fork_of(tmp_path / "b", child, 1)
    for spec in (last, early):
        run_into(tmp_path / "c", spec, small)
    assert [(stop, spec.trial_id) for stop, spec in last.lineage] == [
        (2, parent.trial_id),
        (5, child.trial_id),
        (None, last.trial_id),
    ]
    assert [stop for stop, _ in early.lineage] == [1, None]
    kept = tables(tmp_path / "c", last)["ledger"].to_pylist()
    assert kept[:8] == tables(tmp_path / "b", child)["ledger"].to_pylist()[:8]
    again = fork_of(tmp_path / "c", last, 5)
    run_into(tmp_path / "d", again, small)
    assert tables(tmp_path / "d", again) == tables(tmp_path / "c", last), "its seed is the parent's"
    assert replay(tmp_path / "d", again.trial_id, tmp_path / "m") == 6
    assert_same(tmp_path / "m", after[-1])
    (row,) = look(tmp_path / "d", ["micro_batch", "stopped_at"]).rows
    told = Recording()
    assert len(list(walk_again(tmp_path / "d", row, told))) == 3
    kept = tables(tmp_path / "d", again)
    assert [vars(e) for e in told.evals] == kept["evals"].to_pylist()
    assert [(s.loss, s.lr) for s in told.steps] == [(s["loss"], s["lr"]) for s in kept["steps"].to_pylist()]


@pytest.mark.parametrize("step", [2, 7])
def test_a_fork_of_a_hybrid_has_its_snapshots(step, tmp_path, small, after):  # noqa: F811
    """Two steps an epoch: of a task's four, the first two go by backpropagation."""
    parent = optimized(small, "ease", "zo-adam", {"first_order": HYBRID, "schedule": "cosine"}, train__epochs=2)
    run_into(tmp_path / "a", parent, small)
    fork = fork_of(tmp_path / "a", parent, step)
    run_into(tmp_path / "b", fork, small)
    assert tables(tmp_path / "b", fork) == tables(tmp_path / "a", parent)
    for n in (2, 7, 12):
        replay(tmp_path / "b", fork.trial_id, tmp_path / str(n), n)
        assert_same(tmp_path / str(n), after[n - 1])


@pytest.mark.parametrize("more", [0, 1])
def test_a_killed_fork_goes_on(more, tmp_path, small):
    parent = small.spec("ease", "zo-sgd")
    run_into(tmp_path / "a", parent, small)
    fork = fork_of(tmp_path / "a", parent, 3, optimizer={"lr": 0.01})
    run_into(tmp_path / "b", fork, small, tmp_path / "ledger")
    past = Ledger(tmp_path / "ledger").past
    assert len(past) == 6
    size = len(MAGIC) + sum(len(entry.pack()) for entry in past[: 3 + more])
    (tmp_path / "ledger").write_bytes((tmp_path / "ledger").read_bytes()[:size])
    run_into(tmp_path / "c", fork, small, tmp_path / "ledger")
    assert tables(tmp_path / "c", fork) == tables(tmp_path / "b", fork)
    assert Ledger(tmp_path / "ledger").past[: 3 + more] == past[: 3 + more]


def test_a_ledger_that_lacks_shared_steps_is_filled_or_refused(tmp_path, small):
    parent = small.spec("ease", "zo-sgd")
    run_into(tmp_path, parent, small)
    fork = fork_of(tmp_path, parent, 3, optimizer={"lr": 0.01})
    with pytest.raises(ZfscaleError, match=rf"task 1, step 0: not in the ledger.*{parent.trial_id}"):
        small.run(fork)
    torn, start = Ledger(tmp_path / "torn"), start_of(fork)
    torn.begin_with(list(entries(start.ledger))[:2])
    start.give(torn, Snapshots(tmp_path, fork.trial_id))
    assert small.run(fork, ledger=torn).outcome.forwards == 6


def test_the_forward_transfer_of_a_fork_is_measured_alone(tmp_path, small):
    parent = small.spec("finetune", "zo-sgd", stream__forward_transfer=True)
    run_into(tmp_path, parent, small)
    fork = fork_of(tmp_path, parent, 3)
    run_into(tmp_path, fork, small)
    assert tables(tmp_path, fork) == tables(tmp_path, parent)
