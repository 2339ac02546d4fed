"""Trials of two workers, run by the real command: the same as of one, and the same when a worker is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pytest
import yaml

from tests.conftest import Memory
from zfscale import spec
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs

PLAIN = {"seconds", "peak_memory_bytes", "attempts", "bytes_sent", "files"}
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def sweep(path: Path, workers: int, **blocks: object) -> Path:
    text = path.parent / "text.txt"
    text.write_text("".join(f"{i} times {i % 97} is {i * (i % 97)}\n\n" for i in range(6000)))
    content = {
        "name": "w",
        "model": {"name": "embedded/lm-nano"},
        "stream": {
            "kind": "domain_incremental",
            "domains": [{"name": "sums", "dataset": {"path": str(text), "format": "text"}}],
            "block_size": 32,
            "tokens_per_domain": 24576,
            "held_out_tokens": 1024,
        },
        "method": {"name": "sequential"},
        "optimizer": {"name": "zo-sgd", "lr": 1e-4},
        "train": {"epochs": 1, "batch_size": 8},
        "resources": {"workers": workers},
        "output": {"dir": str(path.parent / path.stem), "wandb": {"mode": "disabled"}},
    }
    path.write_text(yaml.safe_dump(content | blocks))
    return path


def start(file: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zfscale", "run", str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert "0 failed" in out


def rows(file: Path, table: str) -> list[dict]:
    found = ds.dataset(file.parent / file.stem / "w" / table, format="parquet").to_table().to_pylist()
    return [{k: v for k, v in row.items() if k not in PLAIN} for row in found]


def on_one_rank(file: Path) -> Memory:
    (one,), told = spec.load(file).trials, Memory()
    trial.run(one, *Inputs([one]).of(one), told)
    return told


def kill(process: subprocess.Popen[str], name: str, ledger: Path, size: int) -> None:
    """SIGKILL the worker of that name once the ledger has grown to a size."""
    deadline = time.monotonic() + 200
    while not ledger.exists() or ledger.stat().st_size < size:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    (found,) = [p for p in family if " ".join(p.cmdline()).startswith(f"ray::{name}.")]
    found.kill()


def test_a_killed_rank_changes_nothing(tmp_path: Path) -> None:
    """Rank 1 dies, later rank 0: the trial goes on from its ledger each time."""
    whole, hurt = sweep(tmp_path / "whole.yaml", 2), sweep(tmp_path / "hurt.yaml", 2)
    finish(start(whole))
    process = start(hurt)
    ledgers = tmp_path / "hurt" / "w" / ".ledgers"
    (trial_id,) = [row["trial_id"] for row in rows(whole, "trials")]
    kill(process, "Rank", ledgers / trial_id, 32 * 12)
    kill(process, "ResourceTrainable", ledgers / trial_id, 32 * 36)
    finish(process)
    for table in ("trials", "evals", "ledger"):
        assert rows(hurt, table) == rows(whole, table)
    (row,) = ds.dataset(tmp_path / "hurt" / "w" / "trials", format="parquet").to_table().to_pylist()
    assert row["attempts"] == 3
    alone = on_one_rank(sweep(tmp_path / "one.yaml", 1))
    assert [query.seed for query in alone.queries] == [row["seed"] for row in rows(whole, "ledger")]
    losses = [row["loss"] for row in rows(whole, "steps")[:8]]  # later, rounding has grown
    assert [step.loss for step in alone.steps[:8]] == pytest.approx(losses, rel=1e-4)
    (told,) = ds.dataset(tmp_path / "whole" / "w" / "trials", format="parquet").to_table().to_pylist()
    steps = ds.dataset(tmp_path / "whole" / "w" / "steps", format="parquet").count_rows()
    assert 0 < told["bytes_sent"] <= 64 * steps + 64


def test_a_trial_that_fails_on_its_ranks_is_recorded_once(tmp_path: Path) -> None:
    file = sweep(tmp_path / "bad.yaml", 2, optimizer={"name": "zo-sgd", "lr": 1e38})
    out, err = start(file).communicate(timeout=400)
    assert "1 failed" in out, err
    (row,) = ds.dataset(tmp_path / "bad" / "w" / "trials", format="parquet").to_table().to_pylist()
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert "Diverged" in row["error"]
