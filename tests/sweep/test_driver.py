"""What ends Ray Tune is told in a line, and what is left comes back. No Ray runs."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ray.exceptions import RayError

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.records import Outcome, Status
from zfscale.results.layout import SNAPSHOTS
from zfscale.results.missing import root
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec.own import own_code
from zfscale.sweep import driver
from zfscale.sweep.driver import drive
from zfscale.sweep.node import module_path


@pytest.fixture
def sweep(tmp_path, tiny_vit, image_folder, monkeypatch):
    for name in ("check_resources", "check_nodes"):
        monkeypatch.setattr(driver, name, lambda *_: None)
    monkeypatch.setattr(driver, "Gauges", lambda _name: SimpleNamespace(tell=lambda _display: None))
    return spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder))


class Tuner:
    """Runs the first trial, then fails."""

    def __init__(self, sweep, error):
        self.sweep, self.error = sweep, error

    def fit(self):
        one = self.sweep.trials[0]
        ParquetSink(About(root(self.sweep), one.trial_id, one.to_json(), one.leaves())).close(
            Outcome(Status.FINISHED, {"avg_accuracy": 0.5, "last_accuracy": 0.4})
        )
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (RayError("the cluster\n\nis gone"), "the cluster is gone"),
        (RuntimeError("Caught unexpected exception"), "Caught unexpected exception"),
    ],
)
def test_an_error_of_tune_is_a_line_and_the_rest_is_left(sweep, tmp_path, monkeypatch, capsys, error, told):
    monkeypatch.setattr(driver, "_tuner", lambda *_: Tuner(sweep, error))
    left = drive(sweep, list(sweep.trials), {}, {}, "me", tmp_path, {})
    assert left == list(sweep.trials[1:])
    err = capsys.readouterr().err
    assert f"Ray Tune has ended: {told}\n" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("kept", [False, True])
def test_a_folder_of_snapshots_stays_only_with_snapshots(sweep, tmp_path, monkeypatch, kept):
    folder = tmp_path / "results" / "small" / SNAPSHOTS
    folder.mkdir(parents=True)
    if kept:
        (folder / sweep.trials[0].trial_id).mkdir()
    monkeypatch.setattr(driver, "_tuner", lambda *_: Tuner(sweep, RayError("ended")))
    drive(sweep, list(sweep.trials), {}, {}, "me", tmp_path, {})
    assert folder.exists() is kept


def test_ctrl_c_is_no_error_of_tune(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "_tuner", lambda *_: Tuner(sweep, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        drive(sweep, list(sweep.trials), {}, {}, "me", tmp_path, {})


@pytest.mark.parametrize(("objective", "own"), [("mine:loss", True), ("cross_entropy", False)])
def test_workers_look_in_the_working_directory_for_own_code_only(tmp_path, monkeypatch, sweep, objective, own):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend("")
    one = sweep.trials[0]
    given = one.model_copy(update={"train": one.train.model_copy(update={"objective": objective})})
    path = module_path(own_code([given], sweep.spec.output))
    assert not {"", os.getcwd()} & set(path.libraries)
    assert path.own == ([os.getcwd()] if own else [])
