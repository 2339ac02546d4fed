"""Sweeps of the real command are verified in one process: of two ranks, of ZeRO-3, and those that are shipped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.test_several_workers import finish, start, sweep
from tests.verify.trials import run
from zfscale import spec
from zfscale.spec import TrialSpec
from zfscale.verify.results import HOLDS, verify

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
SWEEPS = Path(__file__).parents[2] / "sweeps"
SHIPPED = ("vit_classil", "lm_cpt", "vit_cpt", "lm_cpt_lr", "vit_cpt_lr")  # search_surface is all first-order
RANKS: dict[str, dict[str, Any]] = {
    "two ranks": {},
    "ZeRO-3": {"engine": {"stage": 3}},
    "by query": {
        "optimizer": {"name": "zo-sgd", "lr": 1e-4, "queries": 2},
        "train": {"epochs": 1, "batch_size": 8, "parallel": "query"},
    },
}


@pytest.mark.parametrize("kind", RANKS)
def test_trials_of_several_ranks_are_verified_on_one(kind: str, tmp_path: Path) -> None:
    stream = {"tokens_per_domain": 2048, "held_out_tokens": 1024, "block_size": 32, "kind": "domain_incremental"}
    domains = [{"name": "sums", "dataset": {"path": str(tmp_path / "text.txt"), "format": "text"}}]
    file = sweep(tmp_path / "w.yaml", 2, **RANKS[kind], stream={**stream, "domains": domains})
    finish(start(file))
    command = [sys.executable, "-m", "zfscale", "verify", str(tmp_path / "w" / "w"), "--losses", "4"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert said.returncode == HOLDS, said.stdout + said.stderr
    assert "replay-exact (1 stage)" in said.stdout
    print(said.stdout)


def small(file: str) -> Iterator[TrialSpec]:
    """A trial of each method and optimizer of a sweep that has a ledger, of one epoch."""
    seen = set()
    for trial in spec.load(SWEEPS / f"{file}.yaml").trials:
        kind = (trial.method.name, trial.optimizer.name)
        if kind not in seen and not (trial.trains and trial.optimizing.first_order):
            seen.add(kind)
            short = trial.model_copy(update={"train": trial.train.model_copy(update={"epochs": 1})})
            yield TrialSpec.from_json(short.to_json())


@pytest.mark.parametrize("file", SHIPPED)
def test_what_is_shipped_is_verified(file: str, tmp_path: Path) -> None:
    for trial in small(file):
        run(tmp_path / "r", trial)
    verified = verify(tmp_path / "r", losses=2)
    assert verified.status == HOLDS, str(verified)
    assert all(checked.replay_exact and checked.rerun_exact is not False for checked in verified.checked)
    print(file, verified)
