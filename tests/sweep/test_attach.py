"""One sweep on two real Ray nodes that ask for a token: refused, run, stopped by a signal, continued, a node lost."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from tests.conftest import Memory, sweep_file
from zfscale import spec
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs

SEEDS = 8
OBJECTIVE = """
import torch.nn.functional as F
import zfscale

def loss(logits, labels):
    with open({seen!r}, "a") as file:
        file.write(zfscale.__file__ + "\\n")
    return F.cross_entropy(logits, labels)
"""


@dataclass
class TwoNodes:
    """A cluster in a process of its own."""

    process: subprocess.Popen[str]
    env: dict[str, str]  # with its token
    address: str

    def lose_beta(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("lose beta\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "lost\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env = {**plain, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, str(Path(__file__).with_name("two_nodes.py"))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # A session of its own: Ray ends its process group where a node does not start.
    process = subprocess.Popen(command, env=env, text=True, start_new_session=True, **pipes)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address
        yield TwoNodes(process, env, address)
    finally:
        process.communicate(timeout=60)


@dataclass
class Project:
    """A user's directory with a sweep file and an objective of the user's own."""

    file: Path
    seen: Path  # where the objective writes which code it was called by

    @property
    def results(self) -> Path:
        return self.file.parent / "results" / "small"

    def start(self, address: str, env: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "zfscale", "run", str(self.file), "--address", address]
        path = os.pathsep.join([os.getcwd(), env.get("PYTHONPATH", "")])
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.file.parent, env={**env, "PYTHONPATH": path}, text=True, **pipes)

    def rows(self) -> list[dict]:
        """Of the trials that have ended."""
        files = sorted(map(str, (self.results / "trials").glob("*.parquet")))
        return ds.dataset(files).to_table().to_pylist() if files else []

    def starts(self) -> int:
        """Of all trials, by any run."""
        return sum(mark.stat().st_size for mark in (self.results / ".attempts").glob("*"))


@pytest.fixture
def project(tmp_path, tiny_vit, image_folder) -> Project:
    seen = tmp_path / "seen.txt"
    (tmp_path / "mine.py").write_text(OBJECTIVE.format(seen=str(seen)))
    train = {"epochs": 8, "batch_size": 8, "objective": "mine:loss"}
    space = {"seed": {"grid": list(range(SEEDS))}}
    return Project(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, train=train, space=space), seen)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 400
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_sweep_on_two_nodes_with_a_token(cluster, project, monkeypatch):
    without = {name: value for name, value in cluster.env.items() if not name.startswith("RAY_AUTH")}
    outsider = project.start(cluster.address, {**without, "XDG_CACHE_HOME": str(project.file.parent)})
    _, told = outsider.communicate(timeout=400)
    assert outsider.returncode == 2
    assert "needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH" in told
    assert "Traceback" not in told
    assert project.starts() == 0

    run = project.start(cluster.address, cluster.env)
    wait_until(lambda: {row["node"] for row in project.rows()} == {"alpha", "beta"}, run)
    run.send_signal(signal.SIGUSR1)
    _, told = run.communicate(timeout=120)
    assert run.returncode == 130, told
    assert "run the same command to go on" in told
    before = {row["trial_id"] for row in project.rows()}
    assert 2 <= len(before) < SEEDS

    started = project.starts()
    run = project.start(cluster.address, cluster.env)
    wait_until(lambda: project.starts() >= started + 2, run)
    cluster.lose_beta()
    out, told = run.communicate(timeout=400)
    assert run.returncode == 0, told
    assert f"{SEEDS} trials finished, 0 failed" in out
    rows = project.rows()
    assert len(rows) == SEEDS
    assert sum(row["attempts"] for row in rows) == project.starts() > SEEDS
    assert all("/py_modules_files/" in line for line in project.seen.read_text().splitlines())
    assert not any(cluster.env["RAY_AUTH_TOKEN"].encode() in path.read_bytes() for path in files(project.results))

    monkeypatch.syspath_prepend(project.file.parent)
    again = next(row for row in rows if row["attempts"] > 1)
    check_against_an_undisturbed_trial(project, again["trial_id"])


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def check_against_an_undisturbed_trial(project: Project, trial_id: str) -> None:
    """A trial that was started more than once took the steps of one that was not, bit for bit."""
    one = next(t for t in spec.load(project.file).trials if t.trial_id == trial_id)
    told, inputs = Memory(), Inputs([one])
    trial.run(one, *inputs.of(one), told)
    kept = ds.dataset(project.results / "ledger" / f"{trial_id}.parquet").to_table()
    assert kept["coefficient"].to_pylist() == [query.coefficient for query in told.queries]
    assert kept["step"].to_pylist() == [query.step for query in told.queries]
