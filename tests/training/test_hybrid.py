"""A first-order phase before the forward-only one, and restarts in either."""

from __future__ import annotations

import itertools
import shutil

import pytest

from zfscale.engine.deepspeed import Engine
from zfscale.training.snapshots import Snapshots
from zfscale.zo.ledger import MAGIC, Ledger

PHASE = {"name": "fo-adam", "lr": 0.01, "epochs": 1}
OF_FIRST_ORDER = {0, 1, 4, 5, 8, 9}  # of 12 steps: two an epoch, two epochs a task


def hybrid(small, method="ease", optimizer="zo-adam-conserve", **more):
    return small.spec(method, optimizer, **{"train__epochs": 2, "optimizer__first_order": PHASE} | more)


@pytest.mark.parametrize("method", ["ease", "finetune"])
def test_the_first_epochs_have_no_ledger(method, small):
    told = small.run(hybrid(small, method, optimizer__schedule="cosine"))
    assert [(s.task, s.step) for s in told.steps] == [(task, step) for task in (1, 2, 3) for step in range(4)]
    assert [(q.task, q.step) for q in told.queries] == [(task, step) for task in (1, 2, 3) for step in (2, 3)]
    factors = [1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]  # one cosine over both phases
    rates = [PHASE["lr"]] * 2 + [1e-3] * 2
    assert [s.lr for s in told.steps[:4]] == pytest.approx([r * f for r, f in zip(rates, factors, strict=True)])
    forwards = [0] + [s.forwards for s in told.steps]
    own = [b - a for a, b in itertools.pairwise(forwards)]
    assert all((n == 1) == (i in OF_FIRST_ORDER) for i, n in enumerate(own))


def test_the_phases_meet(small):
    """The first phase is a first-order trial's, step for step, and the second starts from its weights."""
    alone = small.run(small.spec("ease", "fo-adam", optimizer__lr=0.01))
    told = small.run(hybrid(small))
    assert [s.loss for s in told.steps[:2]] == [s.loss for s in alone.steps[:2]]
    slow = small.run(hybrid(small, optimizer__first_order=PHASE | {"lr": 1e-5}))
    assert [q.coefficient for q in slow.queries] != [q.coefficient for q in told.queries]


def cut(tmp_path, small, spec, kept, lost=()):
    """An undisturbed trial, and one that goes on after `kept` steps; `lost` snapshots are not there.

    Also how many steps the second took by backpropagation.
    """
    whole = small.run(spec, ledger=Ledger(tmp_path / "a"), snapshots=Snapshots(tmp_path / "sa", "t"))
    past, count = Ledger(tmp_path / "a").past, 0
    size = len(MAGIC) + sum(len(entry.pack()) for entry in past[:kept])
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:size] + b"torn")
    first = OF_FIRST_ORDER if spec.optimizer.first_order else set(range(len(past)))
    per_task = len(past) // 3
    snapshots, folder = Snapshots(tmp_path / "sb", "t"), "snapshots/t"
    (tmp_path / "sb" / folder).mkdir(parents=True)
    for task in (1, 2, 3):
        end = max(i for i in first if i // per_task == task - 1) + 1
        if kept >= end and task not in lost:
            name = f"{folder}/task-{task}.safetensors"
            shutil.copy(tmp_path / "sa" / name, tmp_path / "sb" / name)

    def counted(self, *args):
        nonlocal count
        count += 1
        return step(self, *args)

    step = Engine.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "step", counted)
        resumed = small.run(spec, ledger=Ledger(tmp_path / "b"), snapshots=snapshots)
    assert resumed.told == whole.told
    assert resumed.outcome.forwards == whole.outcome.forwards
    assert [e.coefficients for e in Ledger(tmp_path / "b").past] == [e.coefficients for e in past]
    return count


@pytest.mark.parametrize(
    ("kept", "lost", "again"),
    [
        (0, (), 6),
        (1, (), 6),  # inside a first-order phase: its steps are void
        (2, (1,), 6),  # at its end, the snapshot not yet written
        (2, (), 4),
        (3, (), 4),  # inside a forward-only phase
        (4, (), 4),  # between tasks
        (5, (), 4),
        (6, (2,), 4),
        (6, (), 2),
        (7, (2,), 4),  # a snapshot that got lost costs what came after it
        (12, (), 0),
    ],
)
def test_a_killed_hybrid_goes_on(kept, lost, again, tmp_path, small):
    assert cut(tmp_path, small, hybrid(small), kept, lost) == again


def test_a_killed_hybrid_of_all_weights_goes_on(tmp_path, small):
    assert cut(tmp_path, small, hybrid(small, "finetune", "zo-sgd"), 7) == 2


@pytest.mark.parametrize(("kept", "lost", "again"), [(1, (), 6), (2, (1,), 6), (2, (), 4), (5, (), 2), (6, (), 0)])
def test_a_killed_first_order_trial_goes_on_from_its_last_task(kept, lost, again, tmp_path, small):
    assert cut(tmp_path, small, small.spec("finetune", "fo-sgd"), kept, lost) == again


def test_snapshots_are_removed_with_their_directory(tmp_path, small):
    snapshots = Snapshots(tmp_path, "t")
    small.run(hybrid(small), snapshots=snapshots)
    assert sorted(p.name for p in (tmp_path / "snapshots" / "t").iterdir()) == [
        f"task-{k}.safetensors" for k in (1, 2, 3)
    ]
    snapshots.remove()
    assert not (tmp_path / "snapshots" / "t").exists()
    snapshots.remove()
