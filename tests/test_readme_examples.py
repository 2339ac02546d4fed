"""Every example of how to extend the package runs: its file is written, its block of a sweep file validated and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.sinks.about import About
from zfscale.sinks.fanout import make_sinks
from zfscale.testing.running import ran
from zfscale.trial.inputs import Inputs
from zfscale.trial.run import run

README = Path(__file__).parents[1] / "zfscale" / "README.md"
CODE = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README.read_text(), re.S)
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.S)]
CASES = {name: block for (name, _), block in zip(CODE, BLOCKS, strict=False)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's directory, with the files of all examples."""
    for name, code in CODE:
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, _ in CODE:
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    return tmp_path


def test_there_are_examples() -> None:
    assert len(CODE) == len(BLOCKS) + 1 >= 8  # the last is the test
    assert all(str(block).count(name.removesuffix(".py") + ":") for name, block in CASES.items())


@pytest.mark.parametrize("name", CASES)
def test_an_example_runs(name: str, here: Path, tiny_vit: Path, image_folder: Path) -> None:
    file = sweep_file(here / "s.yaml", tiny_vit, image_folder, method={"name": "finetune"}, space={})
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    for block, values in CASES[name].items():
        content[block] = {**content[block], **values} if block in ("stream", "output") else values
    file.write_text(yaml.safe_dump(content))
    sweep = spec.load(file)
    (trial,) = sweep.trials
    inputs = Inputs([trial])
    assert ran(trial, inputs).said.outcome is not None
    if "output" in CASES[name]:
        sink = make_sinks(About.of(here, "small", trial), sweep.spec.output)
        sink.close(run(trial, *inputs.of(trial), sink))
        assert len((here / f"losses-{trial.trial_id}.txt").read_text().splitlines()) == 6


def test_the_example_of_a_test_passes(here: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "test_mine.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
