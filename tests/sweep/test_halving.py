"""A trial that runs out of memory is run once more with half the micro-batch. No Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweep.test_worker_stops import Alone, one_trial, to_the_end
from zfscale.results.attempts import was_halved
from zfscale.results.causes import causes
from zfscale.results.check import look
from zfscale.results.halving import CAUSE
from zfscale.results.missing import root
from zfscale.results.tables import rows
from zfscale.spec import Sweep
from zfscale.spec.spending import taken
from zfscale.sweep import worker
from zfscale.trial.replay import replay

OBJECTIVE = """
import torch
import torch.nn.functional as F

calls = 0


def loss(logits, labels):
    global calls
    calls += 1
    if len(labels) > {most} and calls > 5:
        raise {error}
    return F.cross_entropy(logits, labels)
"""
FULL = ["torch.OutOfMemoryError('CUDA out of memory')", 'RuntimeError("can\'t allocate memory")', "MemoryError()"]
ABOUT = ["status", "attempts", "micro_batch", "error", "avg_accuracy", "forwards"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "node_name", lambda: "here")
    monkeypatch.syspath_prepend(str(tmp_path))


def needs(name: str, folder: Path, most: int, error: str) -> dict[str, object]:
    """Blocks of a trial that cannot take more than so many examples at once, after its fifth loss."""
    (folder / f"{name}.py").write_text(OBJECTIVE.format(most=most, error=error))
    return {"train": {"epochs": 1, "batch_size": 8, "objective": f"{name}:loss"}}


def only_row(sweep: Sweep) -> dict[str, object]:
    (row,) = rows(root(sweep), "trials", ABOUT).to_pylist()
    return dict(row)


@pytest.mark.parametrize("error", FULL)
def test_it_ends_as_the_same_trial_in_parts(error: str, tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    name = f"full{FULL.index(error)}"
    cut = one_trial(tmp_path / "cut", tiny_vit, image_folder, **needs(name, tmp_path, 4, error))
    (said,) = [each for each in to_the_end(Alone(cut)) if each.get("done")]
    assert said["status"] == "finished"
    row = only_row(cut)
    assert (row["status"], row["attempts"], row["micro_batch"], row["error"]) == ("finished", 2, 4, None)
    assert not look(root(cut)).faults
    parts = {"train": {"epochs": 1, "batch_size": 8, "micro_batch_size": 4}}
    whole = one_trial(tmp_path / "whole", tiny_vit, image_folder, **parts)
    to_the_end(Alone(whole))
    for table, columns in (("evals", ["stage", "task", "value"]), ("ledger", ["task", "step", "seed", "coefficient"])):
        mine, theirs = (rows(root(sweep), table, columns) for sweep in (cut, whole))
        assert mine.to_pylist() == theirs.to_pylist()
    assert was_halved(root(cut), cut.trials[0].trial_id)
    assert replay(root(cut), cut.trials[0].trial_id, tmp_path / "out") > 0
    assert only_row(whole)["micro_batch"] is None


def test_a_second_time_it_fails_and_says_why(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    sweep = one_trial(tmp_path / "s", tiny_vit, image_folder, **needs("twice", tmp_path, 1, "MemoryError()"))
    assert to_the_end(Alone(sweep))[-1]["status"] == "failed"
    row = only_row(sweep)
    assert (row["status"], row["attempts"], row["micro_batch"]) == ("failed", 2, 4)
    (cause,) = causes([("a", str(row["error"]))])
    assert cause.name == f"{CAUSE}: also with half the micro-batch, N"


def test_any_other_error_fails_it_at_once(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    sweep = one_trial(tmp_path / "s", tiny_vit, image_folder, **needs("other", tmp_path, 0, "RuntimeError('a bug')"))
    assert to_the_end(Alone(sweep))[-1]["status"] == "failed"
    assert (only_row(sweep)["attempts"], only_row(sweep)["micro_batch"]) == (1, None)


def test_the_row_of_one_that_failed_says_what_it_took_up_to_then(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    """Of a step of two losses, the sixth raises; a budget counts what was spent on it."""
    sweep = one_trial(tmp_path / "s", tiny_vit, image_folder, **needs("took", tmp_path, 0, "RuntimeError('a bug')"))
    said = to_the_end(Alone(sweep))[-1]
    (row,) = rows(root(sweep), "trials", ["forwards", "seconds", "avg_accuracy"]).to_pylist()
    (last,) = rows(root(sweep), "steps", ["forwards", "seconds"]).to_pylist()[-1:]
    assert (row["forwards"], row["avg_accuracy"]) == (4, None)
    assert row["forwards"] == last["forwards"] == said["forwards"]
    assert row["seconds"] == pytest.approx(last["seconds"])
    assert not look(root(sweep)).faults
    assert taken([row])["forwards"] == 4


def test_one_that_failed_before_its_first_step_took_nothing_of_the_one_before(
    tmp_path: Path, tiny_vit: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = one_trial(tmp_path / "s", tiny_vit, image_folder)
    mine = Alone(sweep)
    to_the_end(mine)
    other = sweep.trials[0].model_copy(update={"seed": 7})

    def broken(*_: object) -> None:
        raise RuntimeError("no start")

    monkeypatch.setattr(mine, "_share", broken)
    mine.config = {"spec": other.to_json()}
    assert to_the_end(mine)[-1]["status"] == "failed"
    found = rows(root(sweep), "trials", ["status", "forwards", "seconds"]).to_pylist()
    assert [row["forwards"] for row in found if row["status"] == "failed"] == [None]
