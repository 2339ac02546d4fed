"""A worker that is told to stop ends its trial in good order; continued, it is as if nothing had been. No Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import sweep_file
from tests.results.small_results import tables
from zfscale import report, spec
from zfscale.garbage import Settled
from zfscale.results import workers
from zfscale.results.check import look
from zfscale.results.layout import ledger_of, stop_of
from zfscale.results.missing import root
from zfscale.results.workers import Speaker
from zfscale.sinks import parquet
from zfscale.spec import Sweep
from zfscale.sweep import worker
from zfscale.sweep.driver import begin, forget
from zfscale.sweep.worker import Worker
from zfscale.trial.fingerprints import prints_of
from zfscale.trial.forking import start_key
from zfscale.trial.inputs import data_key, model_key, read
from zfscale.verify.results import HOLDS, verify

FREE = {"seconds", "peak_memory_bytes", "attempts", "files"}
HYBRID = {"name": "zo-sgd", "lr": 1e-3, "first_order": {"name": "fo-sgd", "lr": 0.03, "epochs": 1}}
CASES: dict[str, dict[str, Any]] = {
    "forward-only": {"optimizer": {"name": "zo-adam", "lr": 1e-3, "queries": 2}},
    "hybrid": {"optimizer": HYBRID, "train": {"epochs": 2, "batch_size": 8}},
    "first-order": {"optimizer": {"name": "fo-sgd", "lr": 0.03}},
    "rehearsal": {"method": {"name": "rehearsal"}},  # what it learns at a stage follows from the stages before
}


class Alone(Worker):
    """A worker that is no actor."""

    def __init__(self, sweep: Sweep, judged: bool = True, every: int = 0) -> None:
        (one,) = sweep.trials
        inputs = read(sweep, [one])
        base, data = inputs.of(one)
        self.config = {"spec": one.to_json()}
        self.results, self.name, self.output = root(sweep), sweep.spec.name, sweep.spec.output
        self.inputs = prints_of([one], inputs)
        self.fetched, self.features = {model_key(one): base, data_key(one): data}, {}
        self.fetched[start_key(one)] = inputs.start(one)
        self.shared, self.forked = dict.fromkeys(self.fetched), False
        self.settled, self.team, self.walk, self.judged = Settled(), None, None, judged
        self.every, self.checkpoint_minutes = every, None
        self.node, self.speaker = "here", Speaker(self.results, "a run", "here")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "node_name", lambda: "here")


def one_trial(folder: Path, tiny_vit: Path, image_folder: Path, **blocks: Any) -> Sweep:
    folder.mkdir()
    return spec.load(sweep_file(folder / "s.yaml", tiny_vit, image_folder, **{"space": {}, "seed": 1} | blocks))


def to_the_end(mine: Alone) -> list[dict[str, Any]]:
    said = [mine.step()]
    while not said[-1].get("done"):
        said.append(mine.step())
    return said


def contents(sweep: Sweep) -> dict[str, list[dict[str, Any]]]:
    found = tables(Path(str(root(sweep))))
    return {name: [{k: v for k, v in row.items() if k not in FREE} for row in rows] for name, rows in found.items()}


def test_a_trial_ends_after_its_stage_when_a_user_asks(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    sweep = one_trial(tmp_path / "a", tiny_vit, image_folder, **CASES["forward-only"])
    there, (one,) = root(sweep), sweep.trials
    there.write(stop_of(one.trial_id), b"")
    *_, end = to_the_end(Alone(sweep, judged=False))
    assert end["status"] == "stopped"
    assert [(row["status"], row["stopped_at"]) for row in look(there, ["stopped_at"]).rows] == [("stopped", 1)]
    begin(sweep, retry_failed=False, continue_stopped=True)
    forget(there, [one])
    assert not there.exists(stop_of(one.trial_id))
    assert to_the_end(Alone(sweep, judged=False))[-1]["status"] == "finished"


class Ranks:
    """Other ranks, of which one fails while rank 0 cannot be told: another thread records the trial."""

    @contextmanager
    def running(self, spec: str, past: list[Any], record: Callable[[str], None], keep: bool) -> Iterator[None]:
        self.record = record
        yield


def test_what_another_thread_has_recorded_stays_as_it_is(
    tmp_path: Path, tiny_vit: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SAY_EVERY", 0.02)
    monkeypatch.setattr(parquet, "SHOW_FIRST", 0.0)
    monkeypatch.setattr(parquet, "SHOW_EVERY", 0.0)
    monkeypatch.setattr(parquet, "SHARE", float("inf"))
    sweep = one_trial(tmp_path / "a", tiny_vit, image_folder, **CASES["forward-only"])
    mine, ranks = Alone(sweep), Ranks()
    mine.team = ranks  # type: ignore[assignment]
    mine.step()
    ranks.record("another rank failed")
    monkeypatch.setattr(parquet.ParquetSink, "step", lambda self, record: self._rows["steps"].add(record))
    monkeypatch.setattr(parquet.ParquetSink, "eval", lambda self, record: None)
    mine.step()  # rows that only the thread could show
    time.sleep(0.5)
    found = look(root(sweep))
    assert [row["status"] for row in found.rows] == ["failed"]
    assert not found.faults


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("after", [1, 2])
def test_a_continued_trial_is_as_one_that_was_never_stopped(
    case: str, after: int, tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    whole, cut = (one_trial(tmp_path / name, tiny_vit, image_folder, **CASES[case]) for name in ("whole", "cut"))
    reports = to_the_end(Alone(whole))
    assert [said.get("stage") for said in reports] == [1, 2, 3]
    assert [said.get("status") for said in reports] == [None, None, "finished"]
    mine, trial_id = Alone(cut), cut.trials[0].trial_id
    for stage in range(1, after + 1):
        said = mine.step()
        free = {"status": None, "seconds": None}
        assert said | free == reports[stage - 1] | free
    mine.stop_here()
    said = mine.step()
    assert (said["done"], said["status"], said["stage"]) == (True, "stopped", after)
    assert said["forwards"] == reports[after - 1]["forwards"]
    (row,) = contents(cut)["trials"]
    assert (row["status"], row["stopped_at"]) == ("stopped", after)
    assert {e["stage"] for e in contents(cut)["evals"]} == set(range(1, after + 1))
    assert not look(root(cut)).faults
    assert root(cut).read(ledger_of(trial_id)) is None
    assert "0 trials finished, 0 failed, 1 stopped" in report.make(root(cut))[0]

    todo = begin(cut, retry_failed=False, continue_stopped=True)
    forget(root(cut), todo)
    assert to_the_end(Alone(cut))[-1]["status"] == "finished"
    assert contents(cut) == contents(whole)


@pytest.mark.parametrize(("every", "reports", "stage"), [(1, 1, 0), (2, 1, 0), (1, 3, 1), (2, 2, 1)])
def test_one_that_was_stopped_inside_a_stage_holds_when_verified(
    every: int, reports: int, stage: int, tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    """Also where it was stopped after the last step of the stage, before that was evaluated."""
    sweep = one_trial(tmp_path / "a", tiny_vit, image_folder, **CASES["forward-only"])
    mine = Alone(sweep, every=every)
    while reports:
        reports -= "loss" in mine.step()
    mine.stop_here()
    assert mine.step()["status"] == "stopped"
    (row,) = look(root(sweep), ["stopped_at"]).rows
    assert row["stopped_at"] == stage
    said: list[str] = []
    assert verify(root(sweep), tell=said.append).status == HOLDS, said


@pytest.mark.parametrize("case", [case for case in CASES if case != "hybrid"])
@pytest.mark.parametrize(("every", "stage"), [(1, 0), (3, 1)])
def test_one_that_was_stopped_inside_a_stage_is_continued_as_well(
    case: str, every: int, stage: int, tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    whole, cut = (one_trial(tmp_path / name, tiny_vit, image_folder, **CASES[case]) for name in ("whole", "cut"))
    to_the_end(Alone(whole))
    mine = Alone(cut, every=every)
    while "loss" not in (said := mine.step()):
        pass
    assert (said["stage"], said["step"]) == (stage, every)
    mine.stop_here()
    assert (mine.step() | {"stage": stage})["status"] == "stopped"
    (row,) = contents(cut)["trials"]
    assert (row["status"], row["stopped_at"], len(contents(cut)["steps"])) == ("stopped", stage, every)
    assert not look(root(cut)).faults
    assert "1 stopped" in report.make(root(cut))[0]
    forget(root(cut), begin(cut, retry_failed=False, continue_stopped=True))
    to_the_end(Alone(cut))
    assert contents(cut) == contents(whole)


def test_a_worker_that_died_after_its_report_says_it_again(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    """So it is stopped where it was to stop, if it died before it could."""
    sweep = one_trial(tmp_path / "a", tiny_vit, image_folder, **CASES["forward-only"])
    mine = Alone(sweep, every=3)
    before = mine.step()
    while before.get("step") != 3:
        before = mine.step()
    mine.reset_config({})
    other = Alone(sweep, every=3)
    again = other.step()
    while "loss" not in again:
        again = other.step()
    assert again | {"seconds": None} == before | {"seconds": None}
    other.stop_here()
    assert other.step()["status"] == "stopped"
    assert len(contents(sweep)["steps"]) == 3


def test_a_worker_takes_the_next_trial_after_one_that_was_stopped(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    first, second = (one_trial(tmp_path / name, tiny_vit, image_folder) for name in ("first", "second"))
    mine, other = Alone(first), Alone(second)
    mine.step()
    mine.stop_here()
    assert mine.step()["status"] == "stopped"
    assert mine.reset_config(other.config)
    mine.config, mine.results = other.config, other.results
    assert to_the_end(mine)[-1]["status"] == "finished"


def test_short_trials_that_nobody_judges_report_their_end_alone(
    tmp_path: Path, tiny_vit: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REPORT_EVERY", 3600)  # this machine may be slow
    sweep = one_trial(tmp_path / "quick", tiny_vit, image_folder)
    (said,) = to_the_end(Alone(sweep, judged=False))
    assert (said["status"], said["stage"]) == ("finished", 3)


def test_an_interrupted_trial_is_not_stopped(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    """Its worker goes away between two reports: no row, and its ledger is left to the next attempt."""
    sweep = one_trial(tmp_path / "cut", tiny_vit, image_folder)
    mine = Alone(sweep)
    mine.step()
    mine.reset_config({})
    assert contents(sweep)["trials"] == []
    assert root(sweep).read(ledger_of(sweep.trials[0].trial_id))
    assert to_the_end(Alone(sweep))[-1]["status"] == "finished"
