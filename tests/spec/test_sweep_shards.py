"""The shares of a sweep are its trials, each in one share; they stay where they are when the file grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zfscale import spec
from zfscale.arguments import parse
from zfscale.cli import main
from zfscale.errors import ZfscaleError
from zfscale.spec.sharding import Shard, shard_of

FILE = """\
name: many
model: {{name: embedded/vit-nano}}
stream: {{dataset: digits, tasks: 5}}
method: {{name: simplecil}}
optimizer: {{name: zo-sgd, lr: 1.0e-3}}
train: {{epochs: 1, batch_size: 32}}
space: {{seed: {{grid: {seeds}}}}}
"""


def load(directory: Path, seeds: int = 40, name: str = "many") -> spec.Sweep:
    file = directory / "many.yaml"
    file.write_text(FILE.format(seeds=list(range(seeds))).replace("name: many", f"name: {name}"))
    return spec.load(file)


@pytest.mark.parametrize("n", [1, 3, 7])
def test_every_trial_is_in_one_share(tmp_path: Path, n: int) -> None:
    whole = load(tmp_path)
    shares = [shard_of(whole, Shard(i, n)) for i in range(1, n + 1)]
    found = [trial.trial_id for share in shares for trial in share.trials]
    assert sorted(found) == sorted(trial.trial_id for trial in whole.trials)
    assert len(set(found)) == len(found)
    assert [share.spec.name for share in shares] == [f"many.{i}of{n}" for i in range(1, n + 1)]
    assert [trial.trial_id for trial in shares[0].trials if trial not in whole.trials] == []


def test_a_trial_stays_in_its_share_when_the_file_grows(tmp_path: Path) -> None:
    few, more = (shard_of(load(tmp_path, count), Shard(2, 3)).trials for count in (20, 40))
    assert len(few) < len(more)
    assert {trial.trial_id for trial in few} < {trial.trial_id for trial in more}


def test_a_share_without_a_trial_is_refused(tmp_path: Path) -> None:
    sweep = load(tmp_path, 1)
    empty = next(shard for shard in (Shard(1, 2), Shard(2, 2)) if not shard.has(sweep.trials[0].trial_id))
    with pytest.raises(ZfscaleError, match="none of the 1 trials is in it; expected fewer shards"):
        shard_of(sweep, empty)


def test_a_name_that_becomes_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZfscaleError, match=r"expected at most \d+"):
        shard_of(load(tmp_path, name="n" * 250), Shard(10, 100))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "4", "a/b", "1/1001", "-1/4", "1/4/2", ""])
def test_what_is_no_share_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["run", "s.yaml", f"--shard={text}"])
    assert "expected i/n with 1 <= i <= n <= 1000, such as 2/4" in capsys.readouterr().err


def test_a_dry_run_is_of_the_share(tmp_path: Path, capsys: Any) -> None:
    sweep = load(tmp_path)
    count = len(shard_of(sweep, Shard(1, 4)).trials)
    assert main(["run", str(sweep.path), "--shard", "1/4", "--dry-run"]) == 0
    assert f"{count} trials" in capsys.readouterr().out
