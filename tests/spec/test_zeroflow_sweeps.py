"""The sweep files of ZeroFlow's tables and figures, and their embedded twins: valid, and counted in their README."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from zfscale import spec
from zfscale.spec import names

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "sweeps" / "zeroflow"
FILES = sorted(file.name for file in FOLDER.glob("*.yaml"))
README = (FOLDER / "README.md").read_text()
ROWS = {name: (int(a), int(b)) for name, a, b in re.findall(r"`(\w+\.yaml)` \| (\d+) \| (\d+) \|", README)}

# What a twin may set besides model, stream and seeds: its adapters, its rates and its epochs.
OWN: Any = {
    "method": {"bottleneck", "adapter_scale", "head_start", "head_scale"},
    "optimizer": {"lr": True, "first_order": {"lr", "epochs"}},
    "train": {"epochs"},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's directory with the one data set that no hub has, which the files name."""
    for i in range(20):  # classes; a file needs 10 tasks of them
        for split in ("train", "test"):
            (tmp_path / "data" / "omnibenchmark" / split / f"class{i}").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def twin(name: str) -> list[str]:
    """The overrides of a file's twin."""
    files = [FOLDER / "embedded" / f"{stem}.args" for stem in ("all", "rates", Path(name).stem)]
    words = [word for file in files if file.exists() for word in shlex.split(file.read_text())]
    assert words[::2] == ["--set"] * (len(words) // 2)
    return words[1::2]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_valid_and_counted_in_the_readme(name: str) -> None:
    sweep = spec.load(FOLDER / name)
    assert len(sweep.trials) == ROWS[name][0]
    assert all(t.optimizer.noise == "gaussian" for t in sweep.trials if not t.optimizing.first_order)
    assert all(t.stream.class_order_seed == 1993 for t in sweep.trials)
    assert all(t.stream.random_flip and t.stream.random_crop == 0.05 for t in sweep.trials)
    assert all(t.stream.transform == "crop" for t in sweep.trials)
    assert sweep.spec.name.removeprefix("zeroflow_") == name.split("_")[0].removesuffix(".yaml")


@pytest.mark.parametrize("name", FILES)
def test_a_twin_differs_in_what_its_readme_says_alone(name: str) -> None:
    paper, sweep = spec.load(FOLDER / name), spec.load(FOLDER / name, twin(name))
    assert len(sweep.trials) == ROWS[name][1]
    assert all(t.model.name.startswith("embedded/") and t.stream.dataset in names.CLASSES for t in sweep.trials)
    assert set(Counter(t.seed for t in sweep.trials).values()) == {len(sweep.trials) // 3}
    assert sweep.spec.output.dir != paper.spec.output.dir

    def rest(trials: tuple[spec.TrialSpec, ...]) -> set[str]:
        return {t.model_dump_json(include={"method", "optimizer", "train"}, exclude=OWN) for t in trials}

    assert rest(sweep.trials) <= rest(paper.trials)


def test_every_table_and_figure_has_its_file() -> None:
    stems = {name.split("_")[0].removesuffix(".yaml") for name in FILES}
    assert stems == {f"table{i}" for i in range(1, 9)} | {f"figure{i}" for i in (5, 7, 8, 9)}
    assert set(ROWS) == set(FILES)
    twins = {file.stem for file in (FOLDER / "embedded").glob("*.args")} - {"all", "rates", "search", "search_memo"}
    assert all((FOLDER / f"{stem}.yaml").exists() for stem in twins)


SEARCHED: dict[str, list[str]] = {
    f"table1_{data}": [] for data in ("cifar100", "cub", "imagenet_a", "omnibenchmark")
} | {"table6": ["search_memo"]}


@pytest.mark.parametrize("stem", SEARCHED)
def test_the_rates_of_the_twins_are_searched_without_a_test_image_at_one_budget(stem: str) -> None:
    more = ["search", *SEARCHED[stem]]
    words = [w for one in more for w in shlex.split((FOLDER / "embedded" / f"{one}.args").read_text())[1::2]]
    sweep = spec.load(FOLDER / f"{stem}.yaml", [*twin(stem), *words])
    cells = {(t.method.name, t.optimizer.name, t.stream.dataset) for t in sweep.trials if t.trains}
    tuned = {
        tuple(entry.where[path] for path in ("method.name", "optimizer.name", "stream.dataset"))
        for entry in sweep.spec.tuned
    }
    assert cells <= tuned
    assert sweep.spec.search.budget is not None
    assert all(set(ranges) == {"optimizer.lr"} for ranges in sweep.spec.search.space.values())


def test_make_runs_the_twins_and_goes_on_after_failed_trials(tmp_path: Path) -> None:
    tools = tmp_path / "venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "zfscale").write_text(f'#!/bin/sh\nprintf "%s\\\\0" "$@" >> {tmp_path}/said\nexit 1\n')
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (tmp_path / "venv" / ".run").touch()
    files = "sweeps/zeroflow/table3.yaml sweeps/zeroflow/table1_cub.yaml"
    command = ["make", "-s", "zeroflow", f"VENV={tmp_path}/venv", f"ZEROFLOW={files}", "ARGS=--set 'seed = 1'"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said = (tmp_path / "said").read_text().removesuffix("\0").split("\0")
    expected = []
    for file in files.split():
        words = [word for value in twin(Path(file).name) for word in ("--set", value)]
        expected += ["run", file, *words, "--set", "seed = 1"]
    assert said == expected
