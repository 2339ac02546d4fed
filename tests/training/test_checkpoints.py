"""A first-order trial that is killed inside a stage resumes there, as if nothing had been."""

from __future__ import annotations

import pytest

from tests.conftest import Memory
from zfscale.engine.deepspeed import Engine
from zfscale.results.layout import checkpoint_of
from zfscale.training.snapshots import Snapshots
from zfscale.zo.ledger import Ledger

ALWAYS = 1e-9  # minutes: a checkpoint after every step


class Killed(BaseException):
    """In place of SIGKILL."""


class Fatal(Memory):
    """A sink that kills its trial at a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, record):
        super().step(record)
        if len(self.steps) == self.at:
            raise Killed


def specs(small):
    adam = {"optimizer__schedule": "cosine", "train__epochs": 2}
    yield "adam", small.spec("finetune", "fo-adam", **adam)
    yield "momentum", small.spec("ease", "fo-sgd", **adam)
    yield "no momentum", small.spec("finetune", "fo-sgd", **adam, optimizer__momentum=0.0)
    hybrid = {"name": "fo-adam", "lr": 0.01, "epochs": 2}
    yield "hybrid", small.spec("ease", "zo-sgd", optimizer__first_order=hybrid, train__epochs=3)


def counted(small, monkeypatch, spec, ledger, snapshots):
    """What the trial says, and how many steps it took by backpropagation."""
    count, step = [0], Engine.step

    def one(self):
        count[0] += 1
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", one)
        told = small.run(spec, ledger=ledger, snapshots=snapshots)
    return told, count[0]


def kill(small, spec, at, ledger, snapshots):
    from zfscale.trial import run as trial

    with pytest.raises(Killed):
        trial.run(spec, small.base, small.data, Fatal(at), ledger=ledger, snapshots=snapshots)


@pytest.mark.parametrize("case", ["adam", "momentum", "no momentum", "hybrid"])
def test_it_resumes_bit_for_bit(case, small, tmp_path, monkeypatch):
    spec, file = dict(specs(small))[case], checkpoint_of("t")
    whole, steps = counted(small, monkeypatch, spec, Ledger(tmp_path / "a"), Snapshots(tmp_path / "sa", "t", ALWAYS))
    per_task = len(whole.steps) // 3
    kill(small, spec, per_task + 3, Ledger(tmp_path / "b"), Snapshots(tmp_path / "sb", "t", ALWAYS))
    assert (tmp_path / "sb" / file).exists()
    kill(small, spec, per_task + 3, Ledger(tmp_path / "b"), Snapshots(tmp_path / "sb", "t", ALWAYS))  # at once again
    again = Snapshots(tmp_path / "sb", "t", ALWAYS)
    resumed, count = counted(small, monkeypatch, spec, Ledger(tmp_path / "b"), again)
    assert resumed.told == whole.told
    assert count == steps - (steps // 3 + 2), "the first task and two steps of the second were not taken again"
    assert not (tmp_path / "sb" / file).exists()


@pytest.mark.parametrize("damage", ["torn", "of other steps", "off"])
def test_without_a_checkpoint_of_its_own_it_resumes_at_the_stage(damage, small, tmp_path, monkeypatch):
    spec, file = dict(specs(small))["adam"], tmp_path / "s" / checkpoint_of("t")
    whole, steps = counted(small, monkeypatch, spec, Ledger(tmp_path / "a"), Snapshots(tmp_path / "sa", "t"))
    kill(small, spec, 3, Ledger(tmp_path / "b"), Snapshots(tmp_path / "s", "t", ALWAYS))
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-1])
    if damage == "of other steps":
        (tmp_path / "b").unlink()
    off = Snapshots(tmp_path / "s", "t", None if damage == "off" else ALWAYS)
    resumed, count = counted(small, monkeypatch, spec, Ledger(tmp_path / "b"), off)
    assert (resumed.told, count) == (whole.told, steps)


def test_none_is_written_before_it_is_time(small, tmp_path):
    kill(small, dict(specs(small))["adam"], 3, Ledger(tmp_path / "b"), Snapshots(tmp_path / "s", "t", 60.0))
    assert not (tmp_path / "s" / checkpoint_of("t")).exists()
