"""The real command, in a process of its own: exit codes, one line of error, no heavy imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zfscale import __version__

GOOD = """\
name: broken
model: {name: embedded/vit-nano}
stream:
  dataset: mnist5k
  tasks: 5
method: {name: ease}
optimizer:
  name: zo-sgd
  lr: 1e-3
train: {epochs: 1, batch_size: 8}
space:
  seed: {grid: [0, 1]}
"""

BROKEN = {  # what to replace, by what, line, dotted path, hint
    "misspelt key": ("  name: zo-sgd", "  nmae: zo-sgd", 8, "optimizer.nmae", "did you mean 'name'?"),
    "wrong type": ("epochs: 1", "epochs: many", 10, "train.epochs", "expected an integer >= 1, got 'many'"),
    "unknown optimizer": ("zo-sgd", "zo-sdg", 8, "optimizer.name", "did you mean 'zo-sgd'? allowed: fo-adam"),
    "not a number": ("1e-3", "1e-3x", 9, "optimizer.lr", "expected a number >= 0, got '1e-3x'"),
    "empty grid": ("[0, 1]", "[]", 12, "space.seed.grid", "at least 1 value"),
    "tasks that do not divide": ("tasks: 5", "tasks: 3", 5, "stream.tasks", "allowed: 1, 2, 5, 10"),
    "missing dataset path": (
        "mnist5k",
        "{path: no/such/dir, format: imagefolder}",
        4,
        "stream.dataset.path",
        "'no/such/dir' does not exist",
    ),
    "bad path in space": (
        "  seed:",
        "  optimizer.rl:",
        12,
        "space.optimizer.rl",
        "did you mean 'optimizer.lr'?",
    ),
    "output in space": ("  seed:", "  output.dir:", 12, "space.output.dir", "allowed: model, stream"),
    "duplicate key": (
        "  lr: 1e-3",
        "  lr: 1e-3\n  lr: 2",
        10,
        "optimizer.lr",
        "duplicate key; first given on line 9",
    ),
    "not YAML": ("[0, 1]", "[0, 1", 12, "not YAML", "expected ',' or ']'"),
    "unknown distribution": ("grid", "gird", 12, "space.seed.gird", "did you mean 'grid'?"),
}


def zfscale(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zfscale", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_costs_one_line(tmp_path: Path, case: str) -> None:
    old, new, line, path, hint = BROKEN[case]
    assert old in GOOD
    file = tmp_path / "x.yaml"
    file.write_text(GOOD.replace(old, new, 1))
    result = zfscale("validate", file)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{file}:{line}: {path}: ")
    assert hint in result.stderr


def test_a_good_file_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD)
    result = zfscale("validate", file)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{file}: ok, 2 trials\n", "")
    result = zfscale("validate", file, "--set", "seed=3", "--set", "optimizer.lr=1")
    assert result.stdout == f"{file}: ok, 1 trial\n"


def test_validate_reads_models_and_data_where_asked(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD)
    result = zfscale("validate", "--data", file)
    assert (result.returncode, result.stdout) == (0, f"{file}: ok, 2 trials, models and data read\n")
    (tmp_path / "model").mkdir()
    file.write_text(GOOD.replace("embedded/vit-nano", str(tmp_path / "model")))
    assert zfscale("validate", file).returncode == 0
    result = zfscale("validate", "--data", file)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{file}:2: model.name: ")
    assert "Traceback" not in result.stderr


def test_an_override_is_cited_in_place_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD)
    result = zfscale("validate", file, "--set", "optimizer.lr=1e-3x")
    assert result.returncode == 2
    assert result.stderr.startswith("--set optimizer.lr=1e-3x: optimizer.lr: expected a number")


def test_schema_prints_json() -> None:
    assert json.loads(zfscale("schema").stdout)["$schema"].endswith("2020-12/schema")


def test_version() -> None:
    assert zfscale("--version").stdout == f"zfscale {__version__}\n"


@pytest.mark.parametrize("command", ["--help", "validate"])
def test_answers_without_heavy_imports(tmp_path: Path, command: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD)
    args = ["--help"] if command == "--help" else ["validate", str(file)]
    code = (
        "import sys\nfrom zfscale.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'ray', 'transformers', 'datasets', 'numpy', 'deepspeed', 'wandb', 'pyarrow'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr, end='')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["vit-mini", "embedded/vit-mini"])
def test_a_base_is_named_as_its_directory_or_as_in_a_sweep_file(name: str) -> None:
    assert "mnist5k" in zfscale("base", "show", name).stdout
    refused = zfscale("base", "build", f"{name}s")
    assert refused.returncode == 2
    assert refused.stderr.startswith("base model 'vit-minis': unknown; did you mean 'vit-mini'?")
