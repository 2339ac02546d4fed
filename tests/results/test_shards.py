"""Results of the shares of a sweep, copied together, are the sweep's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.results.small_results import run, sweep
from zfscale.results.missing import missing, root
from zfscale.results.tables import rows
from zfscale.spec.sharding import Shard, shard_of

ROOT = Path(__file__).parents[2]


def gathered(folder: Path, name: str) -> str:
    """The command of the docs, of a sweep of that name, run in a folder."""
    (line,) = [line for line in (ROOT / "sweeps/README.md").read_text().splitlines() if line.startswith("mkdir ")]
    return subprocess.run(["bash", "-c", line.replace("NAME", name)], cwd=folder, check=False, text=True).args[-1]


def test_shares_that_are_copied_together_are_the_sweep(tmp_path: Path) -> None:
    whole = sweep(tmp_path)
    shards = [Shard(i, 2) for i in (1, 2) if any(Shard(i, 2).has(trial.trial_id) for trial in whole.trials)]
    for shard in shards:
        share = shard_of(whole, shard)
        assert missing(share) == list(share.trials)
        for trial in share.trials:
            run(root(share), trial)
        assert missing(share) == []
    assert len(missing(whole)) == len(whole.trials)
    assert "small" in gathered(tmp_path, "small")
    assert missing(whole) == []
    assert rows(root(whole), "steps", ["trial_id"]).num_rows == 80 * len(whole.trials)
