"""What `zfscale bench sweep` and `bench sinks` say is what was watched. No time is asserted."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from zfscale.bench import sinks, sweeps
from zfscale.bench.processes import Watched, watch
from zfscale.cli import main
from zfscale.errors import ZfscaleError
from zfscale.sinks.catalogue import SINKS

MIB = 2**20


def test_figures_are_of_the_times_at_which_trials_ended() -> None:
    ends = [110 + 0.5 * i for i in range(1000)] + [610 + i for i in range(1, 201)]  # the last 200 take twice as long
    watched = Watched(began=100, ended=820, looks=[(100, 5 * MIB), (109, 300 * MIB), (700, 423 * MIB), (815, MIB)])
    found = sweeps.figures(ends, watched)
    assert found["first"] == pytest.approx(0.5)
    assert found["last"] == pytest.approx(1, abs=0.01)
    assert found["seconds_a_trial"] == pytest.approx(700 / 1199)
    assert found["first_trial_after"] == 10
    assert found["after_the_last_trial"] == 10
    assert found["driver_mib_at_first"] == 300
    assert found["driver_mib_per_1000"] == pytest.approx(123 / 1.199)
    assert found["driver_mib_at_end"] == 1


def test_a_trial_ends_when_its_file_is_there_until_files_are_merged(tmp_path: Path) -> None:
    watched = Watched(began=0, counts=[(1, 0), (2, 1), (3, 1), (4, 4), (5, 2), (6, 1)])
    assert sweeps.CONTESTANTS["wandb_off"].ends(tmp_path, watched) == [2, 4, 4, 4]


def test_the_files_of_a_folder_are_counted(tmp_path: Path) -> None:
    code = "import os, time; time.sleep(0.5); os.mkdir('a'); time.sleep(1); open('a/b', 'w'); time.sleep(1)"
    watched = watch([sys.executable, "-c", code], tmp_path, os.environ, tmp_path / "a")
    assert [count for _, count in watched.counts][:: len(watched.counts) - 1] == [0, 1]


def test_a_command_is_watched_to_its_end(tmp_path: Path) -> None:
    code = "import time; held = bytearray(b'x') * (200 << 20); time.sleep(1)"
    watched = watch([sys.executable, "-c", code], tmp_path, os.environ)
    assert watched.began <= watched.looks[0][0] < watched.looks[-1][0] <= watched.ended <= time.time()
    assert max(size for _, size in watched.looks) > 200 << 20


def test_a_command_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ZfscaleError, match=r"-c .*: boom"):
        watch([sys.executable, "-c", "import sys; print(1); sys.exit('boom')"], tmp_path, os.environ)


def test_the_sweep_is_one_of_so_many_trials(tmp_path: Path) -> None:
    from zfscale import spec

    for one in (sweeps.CONTESTANTS["wandb_off"], sweeps.CONTESTANTS["wandb_offline"]):
        command = one.prepare(tmp_path, 3)
        assert command[1:] == ["-m", "zfscale", "run", sweeps.FILE]
        sweep = spec.load(tmp_path / sweeps.FILE)
        assert len(sweep.trials) == 3
        assert f"{sweep.spec.output.dir}/{sweep.spec.name}" == one.results


def test_the_ratios_are_to_ray_tune_alone(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    seconds = {"ray_tune": 0.02, "wandb_off": 0.03, "wandb_offline": 0.05}
    names = iter(seconds)
    monkeypatch.setattr(sweeps, "_run", lambda one, trials: {"seconds_a_trial": seconds[next(names)], "first": trials})
    assert main(["bench", "sweep", "--trials", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio_to_ray_tune"] == pytest.approx(1.5)
    assert found["ratio_to_ray_tune_offline"] == pytest.approx(2.5)
    assert (found["trials"], found["few"]) == (40, 20)
    text = sweeps.table(found)
    assert "1.50, 2.50" in text
    assert "first 20" in text


@pytest.mark.long
def test_a_bench_of_a_few_trials_runs(capsys: Any) -> None:
    assert main(["bench", "sweep", "--trials", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name, one in found["contestants"].items():
        keys = {*sweeps.TITLES} - (
            {key for key, _ in sweeps.CONTESTANTS["wandb_off"].more} if name == "ray_tune" else set()
        )
        assert one.keys() == keys
        assert all(value > 0 for key, value in one.items() if key != "driver_mib_per_1000")
    assert found["ratio_to_ray_tune"] > 0


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_is_told_every_row(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = sinks.child(name, 300)
    assert found["rows_per_second"] == pytest.approx(601 / found["seconds"])
    assert 0 < found["at_close"] < found["seconds"]
    assert found["peak_mib"] >= 0


def test_the_rows_of_the_bench_are_those_of_a_trial(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from zfscale.results.check import look
    from zfscale.sinks.catalogue import Chosen

    sinks._tell(Chosen("parquet", SINKS["parquet"]), tmp_path, 50)
    assert not look(tmp_path, all_tables=False).faults
    rows = {
        table: pq.ParquetFile(next((tmp_path / table).iterdir())).metadata.num_rows for table in ("steps", "ledger")
    }
    assert rows == {"steps": 50, "ledger": 50}


def test_bench_sinks_prints_one_object(capsys: Any) -> None:
    assert main(["bench", "sinks", "--steps", "200", "--sink", "jsonl", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 200
    assert found["sinks"]["jsonl"].keys() == sinks.TITLES.keys()
    assert "jsonl" in sinks.report(200, ["jsonl"], as_json=False)


def test_an_unknown_sink_is_told(capsys: Any) -> None:
    assert main(["bench", "sinks", "--sink", "parquett"]) == 2
    assert "--sink parquett: unknown; did you mean 'parquet'?" in capsys.readouterr().err
