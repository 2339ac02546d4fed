"""Trials are given to Tune as listed, one at a time, and no more than there are."""

from __future__ import annotations

import pickle

from ray.tune.search import ConcurrencyLimiter, Searcher

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.sweep.listed import Listed


def test_trials_come_in_order_and_end(tmp_path, tiny_vit, image_folder):
    trials = spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder)).trials
    listed = Listed(trials)
    assert [listed.suggest(name) for name in "ab"] == [{"spec": trial.to_json()} for trial in trials]
    assert listed.suggest("c") == Searcher.FINISHED


def test_a_list_is_read_as_it_is_needed_and_no_faster_than_a_limit_allows(tmp_path, tiny_vit, image_folder):
    read = []

    def trials():
        for trial in spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder)).trials:
            read.append(trial)
            yield trial

    limited = ConcurrencyLimiter(Listed(trials()), max_concurrent=1)
    assert limited.suggest("a") is not None
    assert limited.suggest("b") is None
    assert len(read) == 1
    limited.on_trial_complete("a", error=True)
    assert limited.suggest("b") is not None


def test_tune_may_pickle_it_and_gets_nothing_of_the_list() -> None:
    assert pickle.loads(pickle.dumps(Listed(iter([])))).__dict__ == {}
