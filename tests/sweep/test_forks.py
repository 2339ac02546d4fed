"""Sweeps of forks: what they cost, how a worker begins them, and which parents are refused before anything starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweep.test_halving import needs
from tests.sweep.test_several_workers import sweep as several
from tests.sweep.test_worker_stops import HYBRID, Alone, one_trial, to_the_end
from tests.verify.trials import changed, forge
from zfscale import spec
from zfscale.errors import SpecError
from zfscale.results.attempts import was_halved
from zfscale.results.check import look
from zfscale.results.inputs import OtherInputs
from zfscale.results.layout import file_of, ledger_of, snapshots_of, starts_of
from zfscale.results.missing import missing, root
from zfscale.results.parents import lookup
from zfscale.results.tables import rows
from zfscale.spec import Sweep
from zfscale.sweep import worker
from zfscale.sweep.driver import begin, forget
from zfscale.sweep.dry_run import describe
from zfscale.trial.forking import start_of
from zfscale.trial.inputs import read
from zfscale.trial.replay import replay
from zfscale.tuning.planning import plan

LEDGER = ["task", "step", "query", "seed", "coefficient"]
Make = Callable[..., Sweep]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "node_name", lambda: "here")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def parent(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> Make:
    """Make a sweep of one trial, of six steps in three tasks."""

    def make(name: str = "parent", **blocks: Any) -> Sweep:
        return one_trial(tmp_path / name, tiny_vit, image_folder, **blocks)

    return make


def write(folder: Path, of: Sweep, step: int, **blocks: Any) -> Path:
    """A sweep file of forks that says nothing but what differs."""
    fork = {"trial": of.trials[0].trial_id, "step": step, "results": str(root(of))}
    output = {"dir": str(folder / "results"), "wandb": {"mode": "disabled"}}
    content = {"name": "forks", "fork": fork, "output": output, **blocks}
    (folder / "forks.yaml").write_text(json.dumps(content, indent=1))  # ids in quotes: 977245084e97 is a number
    return folder / "forks.yaml"


def forks(folder: Path, of: Sweep, step: int, **blocks: Any) -> Sweep:
    return spec.load(write(folder, of, step, **blocks), parents=lookup)


def refused(folder: Path, of: Sweep, step: int = 3, **blocks: Any) -> str:
    """Why a sweep of forks is none, before any trial of it starts; on one line, of the file."""

    def started() -> None:
        sweep = forks(folder, of, step, **blocks)
        read(sweep, sweep.trials)

    with pytest.raises(SpecError) as error:
        started()
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{folder}/forks.yaml:")
    return line


def steps(sweep: Sweep, columns: list[str] = LEDGER) -> list[dict[str, Any]]:
    return list(rows(root(sweep), "ledger", columns).to_pylist())


def test_a_dry_run_counts_no_shared_step(tmp_path: Path, parent: Make) -> None:
    """Of a hybrid of two epochs: a task has two first-order steps and two of two forwards."""
    made = parent(optimizer=HYBRID, train={"epochs": 2, "batch_size": 8})
    assert "18 training forwards" in describe(made)
    to_the_end(Alone(made))
    for step, forwards in ((2, 16), (3, 14), (4, 12), (7, 8)):
        sweep = forks(tmp_path, made, step)
        assert f"1 trials, 1 to run, {forwards} training forwards" in describe(sweep)
    to_the_end(Alone(sweep))
    (row,) = rows(root(sweep), "trials", ["forwards"]).to_pylist()
    assert row["forwards"] == 8


def test_a_stopped_fork_is_continued_and_needs_no_parent(tmp_path: Path, parent: Make) -> None:
    made = parent(optimizer=HYBRID, train={"epochs": 2, "batch_size": 8})
    to_the_end(Alone(made))
    sweep = forks(tmp_path, made, 4)
    mine, (one,) = Alone(sweep), sweep.trials
    mine.step()
    mine.stop_here()
    assert mine.step()["status"] == "stopped"
    todo = begin(sweep, retry_failed=False, continue_stopped=True)
    forget(root(sweep), todo)
    assert to_the_end(Alone(sweep))[-1]["status"] == "finished"
    assert steps(sweep) == steps(made)
    root(made).remove("")
    again = spec.load(tmp_path / "forks.yaml", parents=lookup)
    assert again.trials == sweep.trials
    assert missing(again) == []
    assert "1 trials, 0 to run" in describe(again)
    assert replay(root(sweep), one.trial_id, tmp_path / "m") == 12


def test_a_fork_that_runs_out_of_memory_begins_again_with_what_it_shares(tmp_path: Path, parent: Make) -> None:
    made = parent(optimizer=HYBRID, train={"epochs": 2, "batch_size": 8})
    to_the_end(Alone(made))
    blocks = needs("full", tmp_path, 4, "MemoryError()")
    sweep = forks(tmp_path, made, 4, train={"objective": blocks["train"]["objective"]})  # type: ignore[index]
    assert to_the_end(Alone(sweep))[-1]["status"] == "finished"
    (row,) = rows(root(sweep), "trials", ["attempts", "micro_batch", "trial_id"]).to_pylist()
    assert (row["attempts"], row["micro_batch"]) == (2, 4)
    assert steps(sweep)[:2] == steps(made)[:2]
    assert replay(root(sweep), row["trial_id"], tmp_path / "m") == 12


@pytest.mark.parametrize("runs", [False, True])
def test_a_fork_goes_on_with_the_micro_batch_of_a_parent_that_ran_out_of_memory(
    runs: bool, tmp_path: Path, parent: Make
) -> None:
    """Nothing is changed, and memory suffices now: it ends in the same numbers, as one of its own size may not."""
    blocks = needs(f"parent{runs}", tmp_path, 4, "MemoryError()")
    made = parent(**blocks)
    mine = Alone(made)
    to_the_end(mine)
    (row,) = rows(root(made), "trials", ["micro_batch"]).to_pylist()
    assert row["micro_batch"] == 4
    sweep = forks(tmp_path, made, 3)
    if runs:  # its ledger is there, and no row
        start = start_of(sweep.trials[0])
        root(made).write(ledger_of(made.trials[0].trial_id), start.ledger)
        begun = start_of(sweep.trials[0], root(made))
        assert (begun.halved, begun.inputs) == (True, None)
    to_the_end(Alone(sweep))
    (row,) = rows(root(sweep), "trials", ["attempts", "micro_batch"]).to_pylist()
    assert (row["attempts"], row["micro_batch"]) == (1, 4)
    assert steps(sweep) == steps(made)
    (tmp_path / "own").mkdir()
    other = forks(tmp_path / "own", made, 3, train={"micro_batch_size": 2})
    to_the_end(Alone(other))
    (row,) = rows(root(other), "trials", ["micro_batch"]).to_pylist()
    assert row["micro_batch"] is None, "it has a size of its own"
    assert was_halved(root(sweep), sweep.trials[0].trial_id), "for forks of it"


def test_a_parent_that_was_stopped_or_failed_shares_the_steps_it_took(tmp_path: Path, parent: Make) -> None:
    cut = parent()
    mine = Alone(cut)
    mine.step()
    mine.stop_here()
    mine.step()
    assert "fork.step: trial" in refused(tmp_path, cut, 3)
    assert "took 2 steps; allowed: 1 to 2" in refused(tmp_path, cut, 3)
    sweep = forks(tmp_path, cut, 2)
    assert to_the_end(Alone(sweep))[-1]["status"] == "finished"

    broken = parent("broken", **needs("broken", tmp_path, 1, "ValueError('of its own')"))
    assert to_the_end(Alone(broken))[-1]["status"] == "failed"
    assert "took 2 steps" in refused(tmp_path, broken, 5)
    sweep = forks(tmp_path, broken, 2, train={"objective": "cross_entropy"}, name="healed")
    assert to_the_end(Alone(sweep))[-1]["status"] == "finished"
    assert steps(sweep)[:2] == steps(broken)


def test_a_parent_that_cannot_be_one_is_refused(tmp_path: Path, parent: Make) -> None:
    made = parent()
    assert f"no trial {made.trials[0].trial_id} in {root(made)}; no trial has ended there" in refused(tmp_path, made)
    root(made).write(starts_of(made.trials[0].trial_id), b".")
    assert "has not ended in" in refused(tmp_path, made)
    backward = parent("backward", optimizer={"name": "fo-sgd", "lr": 0.1})
    to_the_end(Alone(backward))
    assert "is of fo-sgd, which is first-order: it has no ledger" in refused(tmp_path, backward)
    still = parent("still", optimizer={"name": "zo-sgd", "lr": 0.0})
    to_the_end(Alone(still))
    assert "took no step that could be shared" in refused(tmp_path, still)


def test_inside_a_first_order_phase_there_is_no_fork(tmp_path: Path, parent: Make) -> None:
    made = parent(optimizer=HYBRID, train={"epochs": 2, "batch_size": 8})
    to_the_end(Alone(made))
    for step in (1, 5):
        assert f"fork.step: {step} is inside a first-order phase" in refused(tmp_path, made, step)


def test_what_is_damaged_is_named(tmp_path: Path, parent: Make) -> None:
    made = parent(optimizer=HYBRID, train={"epochs": 2, "batch_size": 8})
    to_the_end(Alone(made))
    there, trial = Path(str(root(made))), made.trials[0].trial_id
    snapshot = there / snapshots_of(trial) / "task-1.safetensors"
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert str(snapshot) in refused(tmp_path, made, 4)
    snapshot.unlink()
    assert f"{snapshot}: the snapshot of a first-order phase is missing" in refused(tmp_path, made, 4)
    for table in ("ledger", "trials"):
        file = there / file_of(table, trial)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        assert str(file) in refused(tmp_path, made, 4)


def test_a_fork_reads_what_its_parent_has_read(tmp_path: Path, parent: Make) -> None:
    made = parent()
    to_the_end(Alone(made))
    other = {"base weights": "0" * 64}
    place, trial = Path(str(root(made))), made.trials[0].trial_id
    forge(place, trial, "trials", lambda t: changed(t, "inputs", lambda old: json.dumps(json.loads(old) | other)))
    with pytest.raises(OtherInputs, match=f"fork.trial: base weights changed since {trial}, whose steps"):
        Alone(forks(tmp_path, made, 3))


def test_tasks_that_have_begun_stay_as_they_are(tmp_path: Path, parent: Make) -> None:
    """Classes 0 to 5 in three tasks; two of these have begun at step 3, and one at step 2."""
    made = parent(stream={**_stream(parent), "class_order": list(range(6))})
    to_the_end(Alone(made))
    other = {"class_order": [0, 1, 2, 3, 5, 4]}
    sweep = forks(tmp_path, made, 3, stream=other)
    to_the_end(Alone(sweep))
    assert steps(sweep)[:3] == steps(made)[:3]
    text = refused(tmp_path, made, 3, stream={"class_order": [0, 1, 3, 2, 4, 5]})
    assert "stream.class_order: the first 2 tasks, which had begun at step 3" in text
    forks(tmp_path, made, 2, stream={"class_order": [0, 1, 3, 2, 4, 5]})
    assert "the first task, which had begun at step 2" in refused(tmp_path, made, 2, stream={"task_sizes": [3, 3]})
    longer = forks(tmp_path, made, 2, stream={"task_sizes": [2, 4]}, name="longer")
    assert to_the_end(Alone(longer))[-1]["status"] == "finished"


def _stream(parent: Make) -> dict[str, Any]:
    dataset = parent("only-for-its-stream").trials[0].stream.dataset
    return {"dataset": dataset.model_dump(), "tasks": 3}  # type: ignore[union-attr]


def test_a_search_for_values_takes_no_forks(tmp_path: Path, parent: Make) -> None:
    made = parent()
    to_the_end(Alone(made))
    searched = {"zo-*": {"optimizer.lr": {"grid": [1e-3, 1e-2]}}}
    sweep = forks(tmp_path, made, 3, search={"budget": 1000, "seeds": [7], "space": searched})
    with pytest.raises(SpecError, match=r"fork: a search has seeds .* allowed: no fork"):
        plan(sweep)


def run(file: Path, *more: str) -> str:
    """The command, which ends well; what it prints."""
    command = [sys.executable, "-m", "zfscale", "run", str(file), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_forks_on_ray(tmp_path: Path, parent: Make) -> None:
    """One with nothing changed, and one at another rate."""
    made = parent(optimizer={"name": "zo-adam", "lr": 1e-3})
    run(made.path)
    grid = {"optimizer.lr": {"grid": [1e-3, 1e-2]}}
    sweep = forks(tmp_path, made, 3, space=grid)
    assert "2 trials, 2 to run, 12 training forwards" in run(tmp_path / "forks.yaml", "--dry-run")
    run(tmp_path / "forks.yaml")
    assert not look(root(sweep)).faults
    same, other = (rows(root(sweep), "ledger", LEDGER, trials=[t.trial_id]).to_pylist() for t in sweep.trials)
    assert same == steps(made)
    assert other[:3] == same[:3]
    assert other[4:] != same[4:]


@pytest.mark.long
def test_a_fork_on_two_ranks_that_divide_the_weights(tmp_path: Path) -> None:
    """Moments go on where each rank holds half of them; another optimizer starts without."""
    stream = {"block_size": 32, "tokens_per_domain": 2048, "held_out_tokens": 1024}
    two = {"engine": {"stage": 3}, "resources": {"workers": 2}}
    file = several(tmp_path / "two.yaml", 2, optimizer={"name": "zo-adam", "lr": 1e-4}, **two)
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "stream": {**content["stream"], **stream}}))
    run(file)
    made = spec.load(file)
    assert len(steps(made)) == 8
    optimizers = {"optimizer": {"grid": [{"lr": 1e-4}, {"name": "zo-sgd", "lr": 1e-4}]}}
    sweep = forks(tmp_path, made, 3, resources=two["resources"], space=optimizers)
    run(tmp_path / "forks.yaml")
    same, other = (rows(root(sweep), "ledger", LEDGER, trials=[t.trial_id]).to_pylist() for t in sweep.trials)
    assert same == steps(made)
    assert other[:4] == same[:4]
    assert other[4:] != same[4:]
