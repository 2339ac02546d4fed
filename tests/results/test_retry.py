"""Which of the failed trials are run again: none, all, or those of a cause."""

from __future__ import annotations

import pytest

from tests.results import small_results
from zfscale.arguments import parse
from zfscale.cli import main
from zfscale.records import Outcome, Status
from zfscale.results.missing import check, missing, root, unmatched
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

ERRORS = ["torch.OutOfMemoryError: tried 3 GiB", "zfscale.training.fit.Diverged: task 1, step 20: nan"]


@pytest.fixture
def sweep(tmp_path):
    """Two trials failed, for two causes, and the third finished."""
    sweep = small_results.sweep(tmp_path)
    for trial, error in zip(sweep.trials, ERRORS, strict=False):
        ParquetSink(About.of(root(sweep), "small", trial)).close(Outcome(Status.FAILED, error=error))
    small_results.run(root(sweep), sweep.trials[2])
    return sweep


@pytest.mark.parametrize(
    ("asked", "again"),
    [
        (False, []),
        (True, [0, 1]),
        ("OutOfMemory", [0]),
        ("Diverged: task N, step N: nan", [1]),
        ("step 20", [1]),
        ("no such thing", []),
    ],
)
def test_trials_of_a_cause_are_run_again(sweep, asked, again):
    assert missing(sweep, asked) == [sweep.trials[i] for i in again]


def test_a_cause_that_nothing_failed_for_is_told(sweep):
    told = unmatched(check(sweep, "OOM"), "OOM")
    assert told.startswith("--retry-failed=OOM: no trial failed for this; causes: ")
    assert "OutOfMemoryError: tried N GiB (1)" in told
    assert unmatched(check(sweep, "OutOf"), "OutOf") == unmatched(check(sweep, True), True) == ""


@pytest.mark.parametrize(
    ("words", "value"),
    [([], False), (["--retry-failed"], True), (["--retry-failed=x y"], "x y"), (["--retry-failed="], True)],
)
def test_the_option_takes_a_cause_behind_an_equals_sign_only(monkeypatch, words, value):
    """`--retry-failed FILE` retries all failed trials of FILE, as it always did."""
    seen = []
    monkeypatch.setattr("zfscale.commands.sweeps.run", lambda args: seen.append((args.retry_failed, args.file)) or 0)
    assert main(["run", *words, "s.yaml"]) == 0
    assert main(["run", "s.yaml", *words]) == 0
    assert seen == [(value, "s.yaml")] * 2


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "soon"])
def test_hours_are_a_number_above_zero(hours, capsys):
    with pytest.raises(SystemExit):
        parse(["run", "s.yaml", "--max-hours", hours])
    assert "--max-hours" in capsys.readouterr().err
