"""A sweep with nothing left to run needs no cluster."""

from __future__ import annotations

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.records import Outcome, Status
from zfscale.results.missing import root
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.sweep.launch import run


def test_with_nothing_left_to_run_there_is_the_report_and_no_cluster(tmp_path, tiny_vit, image_folder):
    sweep = spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder))
    for trial in sweep.trials:
        ParquetSink(About(root(sweep), trial.trial_id, trial.to_json(), trial.leaves())).close(
            Outcome(Status.FINISHED, {"avg_accuracy": 0.5, "last_accuracy": 0.4})
        )
    ended = run(sweep, address="10.255.255.1:1")
    assert (ended.left, ended.failed) == (0, 0)
    assert ended.report.endswith(f"report: {tmp_path}/results/small/report.md")
    assert "2 trials finished" in ended.report
