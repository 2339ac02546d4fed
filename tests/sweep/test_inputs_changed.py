"""Results are of one set of inputs: a run that reads others than its trials have read begins nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import sweep_file
from tests.results import small_results
from tests.sweep.test_worker_stops import Alone, to_the_end
from zfscale import spec
from zfscale.records import Outcome, Status
from zfscale.results.attempts import open_ledger
from zfscale.results.check import Found, look
from zfscale.results.inputs import OtherInputs, agree, as_json
from zfscale.results.missing import root
from zfscale.results.plan import Plan
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.driver import Reading, begin
from zfscale.sweep.source import planned
from zfscale.trial.fingerprints import prints_of
from zfscale.trial.inputs import Inputs, keys_of

OBJECTIVE = (
    "import torch.nn.functional as F\n\ndef mine(logits, labels):\n    return {} * F.cross_entropy(logits, labels)\n"
)


@pytest.fixture
def copied(tiny_vit: Path, image_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    return shutil.copytree(tiny_vit, tmp_path / "vit"), shutil.copytree(image_folder, tmp_path / "images")


def sweep_of(folder: Path, copied: tuple[Path, Path], seeds: int, **blocks: Any) -> Sweep:
    space = {"seed": {"grid": list(range(seeds))}}
    return spec.load(sweep_file(folder / "s.yaml", *copied, space=space, **blocks))


def run_one(sweep: Sweep, which: int = 0) -> TrialSpec:
    """Run a trial of the sweep as a worker does."""
    one = sweep.trials[which]
    assert to_the_end(Alone(replace(sweep, trials=(one,))))[-1]["status"] == "finished"
    return one


def start_again(sweep: Sweep) -> list[TrialSpec]:
    """What a run does before it starts anything."""
    return begin(sweep, False, reading=Reading(sweep))


def another_weight(vit: Path, images: Path) -> None:
    weights = load_file(vit / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, vit / "model.safetensors", metadata={"format": "pt"})


def another_image(vit: Path, images: Path) -> None:
    pixels = np.full((20, 20, 3), 77, np.uint8)
    for file in sorted((images / "class0").iterdir())[:5]:
        Image.fromarray(pixels).save(file)
        pixels = pixels + 1


def a_processor(vit: Path, images: Path) -> None:
    (vit / "preprocessor_config.json").write_text('{"image_mean": [0.4], "image_std": [0.5]}')


@pytest.mark.parametrize(
    ("change", "part"),
    [(another_weight, "base weights"), (another_image, "training data"), (a_processor, "image processor")],
)
def test_other_inputs_are_refused_before_anything_is_begun(
    change: Callable[[Path, Path], None], part: str, tmp_path: Path, copied: tuple[Path, Path]
) -> None:
    sweep = sweep_of(tmp_path, copied, 2)
    done = run_one(sweep)
    assert [trial.trial_id for trial in start_again(sweep)] == [sweep.trials[1].trial_id]
    change(*copied)
    before = sorted(path for path in (tmp_path / "results").rglob("*"))
    with pytest.raises(OtherInputs, match=rf"{part} changed since trial {done.trial_id}: .*\n.*another name") as caught:
        start_again(sweep)
    assert "output.dir" in str(caught.value)
    assert sorted(path for path in (tmp_path / "results").rglob("*")) == before


def test_an_objective_that_was_edited_is_refused(
    tmp_path: Path, copied: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "edited_objective.py"
    file.write_text(OBJECTIVE.format(1.0))
    train = {"epochs": 1, "batch_size": 8, "objective": "edited_objective:mine"}
    sweep = sweep_of(tmp_path, copied, 2, train=train)
    run_one(sweep)
    file.write_text(OBJECTIVE.format(2.0))
    with pytest.raises(OtherInputs, match="code of edited_objective:mine changed"):
        start_again(sweep)


def test_a_trial_that_was_interrupted_is_not_resumed_on_other_inputs(tmp_path: Path, copied: tuple[Path, Path]) -> None:
    sweep = sweep_of(tmp_path, copied, 1)
    there, (one,) = root(sweep), sweep.trials
    planned(sweep, {}, "a run", prints_of([one], Inputs([one]))).write(there)
    open_ledger(there, one.trial_id).close()
    assert start_again(sweep) == [one]
    another_weight(*copied)
    with pytest.raises(OtherInputs, match=f"base weights changed since trial {one.trial_id}"):
        start_again(sweep)


def test_what_failed_and_rows_of_earlier_versions_are_in_nobodys_way(tmp_path: Path, copied: tuple[Path, Path]) -> None:
    sweep = sweep_of(tmp_path, copied, 3)
    there = root(sweep)
    for trial, outcome in zip(
        sweep.trials, [Outcome(Status.FAILED, inputs='{"base weights": "0"}'), Outcome(Status.FAILED)], strict=False
    ):
        ParquetSink(About.of(there, "s", trial)).close(outcome)
    assert start_again(sweep) == [sweep.trials[2]]


def test_the_plan_keeps_what_this_run_has_not_read(tmp_path: Path) -> None:
    sweep = small_results.sweep(tmp_path)
    replace(Plan.of(sweep.trials, {}, "first"), inputs={"a": {"x": "1"}, "b": {"x": "1"}}).write(root(sweep))
    assert planned(sweep, {}, "second", {"b": {"x": "2"}}).inputs == {"a": {"x": "1"}, "b": {"x": "2"}}


@pytest.mark.long
def test_ten_thousand_trials_are_compared(tmp_path: Path, copied: tuple[Path, Path]) -> None:
    sweep = sweep_of(tmp_path, copied, 10_000)
    known = {key: {f"part of {key}": "0" * 64} for key in keys_of(sweep.trials[0])}
    text = as_json(["model"], {"model": {"base weights": "1" * 64}})
    rows = [{"trial_id": trial.trial_id, "status": "finished", "inputs": text} for trial in sweep.trials]
    known[keys_of(sweep.trials[0])[0]] = {"base weights": "2" * 64}
    with pytest.raises(OtherInputs, match="and 9997 more"):
        agree(root(sweep), Found(rows), sweep.trials, set(), known, keys_of)


@pytest.mark.long
def test_the_command_says_what_has_changed(tmp_path: Path, copied: tuple[Path, Path]) -> None:
    """And the rows of both inputs are never in one table."""
    file = sweep_file(tmp_path / "s.yaml", *copied)
    run = [sys.executable, "-m", "zfscale", "run", str(file)]
    assert subprocess.run(run, capture_output=True, text=True, timeout=240).returncode == 0
    there = tmp_path / "results" / "small"
    rows = look(there, ["inputs", "weights"]).rows
    assert len({row["inputs"] for row in rows}) == 1
    assert len({row["weights"] for row in rows}) == 2
    (there / "trials" / f"{rows[0]['trial_id']}.parquet").unlink()
    another_weight(*copied)
    began = time.monotonic()
    refused = subprocess.run(run, capture_output=True, text=True, timeout=240)
    assert refused.returncode == 2, refused.stderr
    assert f"base weights changed since trial {rows[1]['trial_id']}" in refused.stderr
    assert "Traceback" not in refused.stderr
    print(f"refused in {time.monotonic() - began:.1f} s")
