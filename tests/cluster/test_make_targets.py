"""make's targets hand on what they are given, word for word, and run none of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from programs import PATH, REPOSITORY

# A program that says how it was called, as the virtual environment's and as Slurm's.
CALLED = """#!{python}
import json, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv) + "\\n")
if sys.argv[0].endswith("sbatch"):
    print("7;cluster")
sys.exit({status})
"""
FILES = ["s.yaml", "my sweep.yaml", "x; touch pwned", "$(touch pwned)", "$(shell touch pwned)", "a$b'\".yaml"]
WORDS = """--set 'name="a b"' --set output.dir=\\$HOME/c --set "seed=$(touch pwned)" --set x='`touch pwned`' *"""
SPLIT = ["--set", 'name="a b"', "--set", "output.dir=$HOME/c", "--set", "seed=$(touch pwned)", "--set"]
SPLIT += ["x=`touch pwned`", "*"]
SUBMITTED = ["--parsable", "--output=results/slurm-%j.log", "--nodes=2", "--cpus-per-task=4"]


class Made:
    """A copy of what make needs, with a virtual environment whose programs only say how they were called."""

    def __init__(self, root: Path, status: int = 0) -> None:
        self.root, self.calls = root, root / "calls"
        for name in ("Makefile", "cluster", "pyproject.toml", "requirements.lock"):
            (root / name).symlink_to(REPOSITORY / name)
        programs = root / "venv/bin"
        programs.mkdir(parents=True)
        text = CALLED.format(python=sys.executable, calls=str(self.calls), status=status)
        for name in ("zfscale", "sbatch"):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        # No link: Python finds its packages by where it is called.
        (programs / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        (programs / "python").chmod(0o755)
        for mark in (".run", ".dev"):
            (root / "venv" / mark).touch()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "-s", "VENV=venv", *words]
        path = f"{self.root}/venv/bin:{PATH}"
        done = subprocess.run(command, cwd=self.root, env={"PATH": path}, capture_output=True, text=True)
        assert not list(self.root.glob("pwned*"))
        return done

    def words(self) -> list[list[str]]:
        """What each program was called with, its own name first, without the directory."""
        calls = [json.loads(line) for line in self.calls.read_text().splitlines()]
        return [[Path(call[0]).name, *call[1:]] for call in calls]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("sweep", [["zfscale", "run", "FILE", *SPLIT]]),
        ("dry-run", [["zfscale", "run", "FILE", "--dry-run", *SPLIT]]),
        (
            "slurm",
            [
                ["zfscale", "validate", "FILE"],
                ["sbatch", *SUBMITTED, "--partition=p q", "cluster/slurm/sweep.sbatch", "FILE", *SPLIT],
            ],
        ),
    ],
)
def test_a_sweep_file_and_arguments_arrive_as_they_are(made: Made, target: str, expected: list, file: str) -> None:
    done = made.run(target, f"SWEEP={file}", f"ARGS={WORDS}", "PARTITION=p q")
    assert done.returncode == 0, done.stderr
    assert made.words() == [[word if word != "FILE" else file for word in call] for call in expected]


@pytest.mark.parametrize("target", ["report", "base"])
def test_other_names_arrive_as_they_are(made: Made, target: str) -> None:
    variable, words = {"report": ("RESULTS", ["report"]), "base": ("NAME", ["base", "build"])}[target]
    assert made.run(target, f"{variable}=a b; touch pwned").returncode == 0
    assert made.words() == [["zfscale", *words, "a b; touch pwned"]]


def test_tests_are_given_arguments_in_words(made: Made) -> None:
    (made.root / "test_one.py").write_text("def test_a(): pass\ndef test_b(): assert False\n")
    done = made.run("test", "ARGS=-k 'a and not b' test_one.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, done.stdout


def test_the_base_model_has_a_default(made: Made) -> None:
    made.run("base")
    assert made.words() == [["zfscale", "base", "build", "vit-nano"]]


def test_an_open_quote_is_one_line(made: Made) -> None:
    done = made.run("sweep", "ARGS=--set 'a=1")
    assert done.returncode != 0
    assert done.stderr.startswith("ARGS=--set 'a=1: No closing quotation\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("status", [1, 2, 130])
def test_make_says_the_commands_status(tmp_path: Path, status: int) -> None:
    done = Made(tmp_path, status).run("sweep")
    assert f"Error {status}" in done.stderr


def test_gpu_tests_run_by_their_own_target_and_are_told_without_a_gpu(made: Made) -> None:
    """One line says how many were skipped; no other target looks at them."""
    for name in ("tests", "zfscale"):
        (made.root / name).symlink_to(REPOSITORY / name)
    python = made.root / "venv/bin/python"
    python.unlink()  # a link to it would be a Python without torch
    python.write_text(f'#!/bin/sh\nCUDA_VISIBLE_DEVICES= exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = made.run("test-gpu", "ARGS=-p no:cacheprovider tests/gpu/test_gpu_noise.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^no CUDA device: (\d+) GPU tests skipped\n\1 skipped", done.stdout, re.MULTILINE), done.stdout
    done = made.run("test", "ARGS=-p no:cacheprovider -n 0 tests/gpu")
    assert "deselected" in done.stdout
    assert "no CUDA device" not in done.stdout
