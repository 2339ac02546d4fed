"""Tune may pickle what is ours, and gets nothing of what it holds."""

from __future__ import annotations

import pickle
from pathlib import Path

from tests.results import small_results
from zfscale.sweep.deaths import RecordDeaths
from zfscale.sweep.limits import Limits
from zfscale.sweep.progress import Progress
from zfscale.sweep.unfinished import Unfinished
from zfscale.sweep.unpickled import Unpickled


def test_no_trial_of_a_sweep_is_pickled_with_a_callback(tmp_path: Path) -> None:
    sweep = small_results.sweep(tmp_path)
    for callback in (Limits(sweep, "me"), RecordDeaths(sweep), Unfinished()):
        assert vars(callback)
        assert vars(pickle.loads(pickle.dumps(callback))) == {}
    assert issubclass(Progress, Unpickled)
