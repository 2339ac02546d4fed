"""What a dry run says of all trials together."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.sweep.dry_run import describe


def test_a_budget_is_told_beside_what_all_trials_would_take(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder)
    total = describe(spec.load(file)).splitlines()[-1]
    assert total == "2 trials, 2 to run, 24 training forwards; memory is an estimate a worker"
    limited = spec.load(file, ["search.budget={trials: 1, forwards: 12000}"])
    assert describe(limited).splitlines()[-1] == (
        "2 trials, 2 to run, 24 training forwards; search.budget: at most 1 trials, 12,000 forwards; "
        "memory is an estimate a worker"
    )
