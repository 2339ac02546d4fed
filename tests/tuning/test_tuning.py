"""`zfscale tune` from a file to a file: two optimizers, real trials; and what it refuses before any."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import sweep_file
from zfscale import spec, tuning
from zfscale.cli import main
from zfscale.errors import SpecError, ZfscaleError
from zfscale.report.load import contents
from zfscale.results.missing import root
from zfscale.results.tuned import spent
from zfscale.sweep.ending import Ended, finish

# A trial of two tasks of 3 classes, 8 training images each of which 2 are held out: 18 images a task, 3 batches.
STEPS = 2 * 3
CONTROL = {"name": "fo-sgd", "lr": 0}
SPACE = {
    "optimizer": {"grid": [CONTROL, {"name": "fo-sgd"}, {"name": "zo-sgd"}, {"name": "zo-sgd-conserve"}]},
    "seed": {"grid": [0, 1]},
}
RANGES = {"fo-*": {"optimizer.lr": {"grid": [0.01, 0.1]}}, "*": {"optimizer.lr": {"loguniform": [1e-4, 1e-2]}}}
SEARCH = {"budget": 80, "seeds": [100, 101], "validation": 0.25, "space": RANGES}


def file(tmp_path: Path, tiny_vit: Path, images: Path, varied: Any = SPACE, **search: Any) -> Path:
    stream = {"dataset": {"path": str(images), "format": "imagefolder"}, "tasks": 2}
    blocks: dict[str, Any] = {"stream": stream, "space": varied, "search": SEARCH | search}
    return sweep_file(tmp_path / "s.yaml", tiny_vit, images, **blocks)


def test_every_cell_gets_as_many_candidates_as_one_budget_admits(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    made = tuning.plan(spec.load(file(tmp_path, tiny_vit, image_folder)))
    counts = {str(cell): (len(tried), tried[0].forwards) for cell, tried in made.tried}
    per_seed = {"fo-sgd": 1, "zo-sgd": 2, "zo-sgd-conserve": 5}  # forwards of a step, at most
    assert counts == {
        f"ease, {name}": (min(80 // (2 * STEPS * n), 2 if name == "fo-sgd" else 99), 2 * STEPS * n)
        for name, n in per_seed.items()
    }
    assert "ease, fo-sgd: 2 of 2 candidates, 24 forwards" in str(made)
    trials = made.sweep.trials
    assert {(t.seed, t.stream.class_order_seed) for t in trials} == {(100, 100), (101, 101)}
    assert {t.stream.validation for t in trials} == {0.25}
    assert made.sweep.spec.name == "small-tune"
    assert all(t.trains for t in trials)


def test_a_larger_budget_keeps_what_ran(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    one, more = (tuning.plan(spec.load(file(tmp_path, tiny_vit, image_folder, budget=b))).sweep for b in (60, 120))
    assert {t.trial_id for t in one.trials} < {t.trial_id for t in more.trials}


def test_other_settings_are_cells_of_their_own(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    space = {"method.bottleneck": {"grid": [2, 4]}, "stream.class_order_seed": {"grid": [1, 2]}}
    made = tuning.plan(spec.load(file(tmp_path, tiny_vit, image_folder, space, space={"*": RANGES["*"]})))
    assert [str(cell) for cell, _ in made.tried] == [f"ease, zo-sgd, method.bottleneck {n}" for n in (2, 4)]


def test_a_search_takes_no_forwards_that_are_not_counted(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    """FWT trains every later task again, and looks at old tasks run forwards, too: neither chooses a rate."""
    path = file(tmp_path, tiny_vit, image_folder)
    plain = tuning.plan(spec.load(path)).sweep.trials
    asked = spec.load(path, ["stream.forward_transfer=true", "stream.old_loss_every=1"])
    assert all(t.stream.forward_transfer and t.stream.old_loss_every for t in asked.trials)
    assert [t.trial_id for t in tuning.plan(asked).sweep.trials] == [t.trial_id for t in plain]


def test_a_budget_below_one_candidate_is_refused(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    sweep = spec.load(file(tmp_path, tiny_vit, image_folder, budget=2 * STEPS * 5 - 1))
    line = sweep.path.read_text().split("budget:")[0].count("\n") + 1
    told = (
        rf"s\.yaml:{line}: search\.budget: 59 forwards are less than one candidate of ease, zo-sgd-conserve takes on 2 "
    )
    with pytest.raises(SpecError, match=told + r"seeds; expected at least 60"):
        tuning.plan(sweep)


def test_what_cannot_be_tuned_is_refused(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    path = file(tmp_path, tiny_vit, image_folder)
    with pytest.raises(SpecError, match=r"search\.budget: missing; expected the forwards"):
        tuning.plan(spec.load(path, ["search={}"]))
    with pytest.raises(ZfscaleError, match="no trial trains anything"):
        tuning.plan(spec.load(path, ["optimizer.lr=0"]))
    with pytest.raises(ZfscaleError, match="is the file that is tuned"):
        tuning.target(spec.load(path), str(path))
    with pytest.raises(
        SpecError, match=r"s\.yaml:\d+: stream\.validation: "
    ):  # found in the data, under the search's split
        tuning.plan(spec.load(path, ["search.validation=1000"]))


def test_an_earlier_search_s_values_are_chosen_again_or_refused(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    """TUNED.yaml has the values of the last search alone, so a value that this search does not choose would be lost."""
    path = file(tmp_path, tiny_vit, image_folder)
    chosen = {"optimizer.lr": 0.003, "optimizer.eps": 0.02}
    entry = {"where": {"optimizer.name": "zo-sgd"}, "values": chosen, "forwards": 1, "trials": 1}
    path.write_text(path.read_text() + f"\ntuned:\n- {entry}\n")
    with pytest.raises(SpecError, match=r"s\.yaml:\d+: tuned\[0\]\.values\.optimizer\.eps: an earlier search"):
        tuning.plan(spec.load(path))
    path.write_text(path.read_text().replace(", 'optimizer.eps': 0.02", ""))
    assert tuning.plan(spec.load(path)).tried


def test_two_optimizers_are_tuned_and_the_file_is_a_sweep(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    """In a process of its own: Ray keeps the secret of the first cluster that a process starts."""
    space = {**SPACE, "optimizer": {"grid": SPACE["optimizer"]["grid"][:3]}}  # type: ignore[index]
    given, out = file(tmp_path, tiny_vit, image_folder, space, budget=50), tmp_path / "out" / "tuned.yaml"
    command = [sys.executable, "-m", "zfscale", "tune", str(given), "-o", str(out)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert told.returncode == 0, told.stderr
    assert f"tuned: {out}" in told.stdout
    assert "ease, zo-sgd: 2 candidates, 48 forwards" in told.stderr
    assert main(["validate", str(out)]) == 0
    assert main(["tune", str(given), "-o", str(out), "--dry-run"]) == 0

    tuned = spec.load(out)
    cost = {entry.where["optimizer.name"]: (entry.forwards, entry.trials) for entry in tuned.spec.tuned}
    assert cost == {"fo-sgd": (24, 4), "zo-sgd": (48, 4)}
    rates = {entry.where["optimizer.name"]: entry.values["optimizer.lr"] for entry in tuned.spec.tuned}
    assert rates["fo-sgd"] in (0.01, 0.1)
    assert {(t.optimizer.name, t.optimizer.lr) for t in tuned.trials} == {("fo-sgd", 0), *rates.items()}
    results = {trial.trial_id: trial for trial in contents(root(tuned).url + "-tune").trials}
    measured = rates_of(results, "zo-sgd")
    assert measured[rates["zo-sgd"]] == max(measured.values())
    assert all(trial.spec["seed"] in (100, 101) for trial in results.values())


@pytest.mark.parametrize(("ended", "status"), [(Ended(0, 0, ""), 0), (Ended(0, 1, ""), 1), (Ended(3, 0, ""), 130)])
def test_the_exit_status_is_that_of_run(
    ended: Ended, status: int, tmp_path: Path, tiny_vit: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, asked = list[Path](), list[dict[str, Any]]()
    monkeypatch.setattr("zfscale.sweep.launch.run", lambda *_, **options: asked.append(options) or ended)
    monkeypatch.setattr(tuning, "chosen", lambda _: [])
    monkeypatch.setattr(tuning, "write", lambda _sweep, _chosen, out: written.append(out))
    given = ["tune", str(file(tmp_path, tiny_vit, image_folder)), "-o", str(tmp_path / "t.yaml"), "--max-hours", "2"]
    assert main([*given, "--retry-failed"]) == status
    assert asked == [{"retry_failed": True, "address": "local", "max_hours": 2}]
    assert len(written) == (status != 130)


def rates_of(results: dict[str, Any], optimizer: str) -> dict[float, float]:
    """Rate -> mean of the accuracy over seeds."""
    found: dict[float, list[float]] = {}
    for trial in results.values():
        if trial.optimizer == optimizer:
            found.setdefault(trial.spec["optimizer.lr"], []).append(trial.measures["avg_accuracy"])
    return {rate: sum(values) / len(values) for rate, values in found.items()}


def test_the_report_of_a_tuned_sweep_says_what_was_spent(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    from zfscale.sinks.about import About
    from zfscale.sinks.parquet import ParquetSink
    from zfscale.trial.inputs import Inputs
    from zfscale.trial.run import run

    path = file(
        tmp_path,
        tiny_vit,
        image_folder,
        {"optimizer": {"grid": [CONTROL, {"name": "zo-sgd"}]}},
        space={"*": RANGES["*"]},
    )
    entry = {"where": {"optimizer.name": "zo-sgd"}, "values": {"optimizer.lr": 0.002}, "forwards": 1234, "trials": 3}
    path.write_text(path.read_text() + f"\ntuned: [{entry}]\n")
    sweep = spec.load(path)
    inputs = Inputs(sweep.trials)
    for trial in sweep.trials:
        sink = ParquetSink(About(root(sweep), trial.trial_id, trial.to_json(), trial.leaves()))
        sink.close(run(trial, *inputs.of(trial), sink))
    finish(spec.load(path, ["optimizer.lr=0.002"]))  # the same trial, whose rate nobody has searched for
    assert spent(root(sweep)) == {}
    report = finish(sweep).report
    assert "search forwards" in report
    lines = {line.split()[1]: line.split()[-1] for line in report.splitlines() if line.startswith("ease")}
    assert lines == {"untrained": "-", "zo-sgd": "1,234"}
