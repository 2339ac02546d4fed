"""A sink of the user's own, in the working directory, on a real cluster: it is found, and may break."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.conftest import sweep_file

MINE = """
import json
from pathlib import Path

from zfscale.sinks.about import About
from zfscale.block import Block


class Mine:
    class Options(Block):
        folder: str

    def __init__(self, about: About, options: Options) -> None:
        self.file, self.losses = Path(options.folder, about.trial_id), []

    def step(self, record): self.losses.append(record.loss)
    def query(self, record): pass
    def eval(self, record): pass
    def close(self, outcome): self.file.write_text(json.dumps([str(outcome.status), len(self.losses)]))


class Broken(Mine):
    Options = None

    def __init__(self, about, options):
        raise RuntimeError("no such server")
"""


@pytest.mark.long  # tests/plugins has another sink of a user's on Ray
def test_a_sink_of_the_working_directory_is_told_of_every_trial(tmp_path, tiny_vit, image_folder):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "told").mkdir()
    sinks = [{"name": "mine:Mine", "folder": str(tmp_path / "told")}, "mine:Broken"]
    output = {"dir": str(tmp_path / "results"), "wandb": {"mode": "disabled"}, "sinks": sinks}
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, output=output)
    command = [sys.executable, "-m", "zfscale", "run", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    warning = "warning: mine:Broken stopped for this trial, which goes on: no such server"
    assert done.stderr.count(warning) == 1
    trials = pq.read_table(tmp_path / "results/small/trials").to_pylist()
    steps = pq.read_table(tmp_path / "results/small/steps")["trial_id"].to_pylist()
    assert [trial["status"] for trial in trials] == ["finished"] * 2
    told = {path.name: path.read_text() for path in (tmp_path / "told").iterdir()}
    assert told == {trial["trial_id"]: f'["finished", {steps.count(trial["trial_id"])}]' for trial in trials}
