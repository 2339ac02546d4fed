"""A sweep in a directory full of traps, with secrets in its environment: nothing of either gets where it must not.

The user's directory holds modules named like those that we and our libraries import; a deep directory for temporary
files is too long for Ray's sockets.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import sweep_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRAPS = ["wandb", "yaml", "torch", "numpy", "datasets", "transformers", "deepspeed", "ray", "pyarrow", "rich", "jax"]
TRAP = "open({marker!r}, 'a').write(__name__ + '\\n')\n"
OBJECTIVE = """
import torch.nn.functional as F

def loss(logits, labels):
    import mine_as_well  # only when it is called
    return mine_as_well.SCALE * F.cross_entropy(logits, labels)
"""
NAMES = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "WANDB_API_KEY",
    "HF_TOKEN",
    "MYSQL_PWD",
    "PGPASSWORD",
    "OPENAI_APIKEY",
    "GITHUB_TOKEN",
    "AZURE_STORAGE_KEY",
    "GOOGLE_API_KEY",
]
# As long as W&B asks of a key, and found nowhere else.
SECRETS = {name: f"{number:02}c0ffee".ljust(40, "4") for number, name in enumerate(NAMES)}


class Watch(threading.Thread):
    """Reads all files of a run, and the command lines of its processes, until it is told to stop."""

    def __init__(self, pid: int, roots: list[Path]) -> None:
        super().__init__()
        self.pid, self.roots, self.over = pid, roots, threading.Event()
        self.files: dict[Path, set[str]] = {}  # with the names of the secrets in them
        self.told: set[str] = set()  # names of secrets in command lines
        self.private: dict[Path, int] = {}  # directories of Ray's sessions, with their modes

    def run(self) -> None:
        while not self.over.wait(0.3):
            with suppress(psutil.Error, OSError):  # it has just ended
                for process in psutil.Process(self.pid).children(recursive=True):
                    self.hear(" ".join(process.cmdline()))
            self.look()

    def hear(self, command: str) -> None:
        self.told |= secrets_in(command.encode())
        for place in re.findall(r"/tmp/zf-ray-\w{8}", command):
            self.private.setdefault(Path(place), Path(place).stat().st_mode & 0o777)

    def look(self) -> None:
        for root in [*self.roots, *self.private]:
            for path in (Path(folder, name) for folder, _, names in os.walk(root) for name in names):
                with suppress(OSError):  # it is gone
                    if path.is_file() and not path.is_symlink():
                        self.files.setdefault(path, set()).update(secrets_in(path.read_bytes()))

    def stop(self) -> None:
        self.over.set()
        self.join()
        self.look()


def secrets_in(content: bytes) -> set[str]:
    return {name for name, value in SECRETS.items() if value.encode() in content}


@dataclass
class Done:
    """A run that has ended, and what was seen while it ran."""

    process: subprocess.CompletedProcess[str]
    watch: Watch
    where: dict
    temporary: Path
    marker: Path

    def again(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.process.args, *more], **self.where, timeout=200)


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_vit, image_folder) -> Iterator[Done]:
    """One trial that finishes and one that fails."""
    home = tmp_path_factory.mktemp("home")
    marker = home / "marker.txt"
    for name in TRAPS:
        (home / f"{name}.py").write_text(TRAP.format(marker=str(marker)))
    (home / "mine.py").write_text(OBJECTIVE)
    (home / "mine_as_well.py").write_text("SCALE = 1\n")
    blocks = {
        "method": {"name": "finetune"},
        "optimizer": {"name": "fo-sgd"},
        "train": {"epochs": 3, "batch_size": 8, "objective": "mine:loss"},
        "space": {"optimizer.lr": {"grid": [1e-3, 1e30]}},
        "output": {"dir": "results", "wandb": {"mode": "offline"}},
    }
    file = sweep_file(home / "s.yaml", tiny_vit, image_folder, **blocks)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        deep = Path(short, "d" * 90)
        deep.mkdir()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        given = os.environ.get("PYTHONPATH")  # an empty part of it would be the working directory
        path = os.pathsep.join([os.getcwd(), *([given] if given else [])])
        where = {"cwd": home, "env": {**plain, **SECRETS, "TMPDIR": str(deep), "PYTHONPATH": path}}
        where |= {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "zfscale", "run", str(file)]
        process = subprocess.Popen(command, **where)
        watch = Watch(process.pid, [home, deep])
        watch.start()
        try:
            out, err = process.communicate(timeout=500)
        finally:
            process.kill()
            watch.stop()
        ended = subprocess.CompletedProcess(command, process.returncode, out, err)
        yield Done(ended, watch, where, deep, marker)


def test_the_sweep_runs_and_its_code_says_that_a_trial_failed(done):
    assert "1 trial finished, 1 failed" in done.process.stdout, done.process
    assert done.process.returncode == 1
    assert "failed: 1 of 2 trials; --retry-failed runs them again" in done.process.stderr
    assert "Traceback" not in done.process.stderr
    again = done.again()  # trains nothing
    assert (again.returncode, "1 failed" in again.stdout) == (1, True)
    assert done.again("--exit-zero").returncode == 0


def test_no_file_and_no_command_line_holds_a_secret(done):
    files = done.watch.files
    assert any(path.name == "runtime_env_agent.log" for path in files), "Ray's logs were not looked at"
    assert any("offline-run-" in str(path) for path in files), "W&B's files were not looked at"
    assert {path: names for path, names in files.items() if names} == {}
    assert done.watch.told == set()


def test_ray_s_directory_is_private_and_gone(done):
    assert list(done.watch.private.values()) == [0o700]
    assert not [place for place in done.watch.private if place.exists()]
    assert not list(done.temporary.glob("z*"))


def test_no_module_of_the_working_directory_is_run_but_the_objective(done):
    assert not done.marker.exists(), done.marker.read_text()
