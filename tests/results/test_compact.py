"""Files of many trials: the same rows for every reader, whatever is killed, damaged, added or run again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow.parquet as pq
import pytest

from tests.conftest import id_of
from tests.results import small_results
from tests.results.kills import kills
from zfscale import report
from zfscale.cli import main
from zfscale.records import Outcome, Status
from zfscale.results import pack
from zfscale.results.attempts import attempts_of, start_attempt
from zfscale.results.check import contents, look
from zfscale.results.compact import compact, drop, pays
from zfscale.results.layout import TABLES, is_pack
from zfscale.results.lock import held
from zfscale.results.missing import missing, root
from zfscale.results.schema import RECORDS
from zfscale.results.storage import storage
from zfscale.results.switch import settle
from zfscale.results.tables import rows, statuses
from zfscale.sinks.about import About, Scalar
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import Sweep
from zfscale.sweep.driver import begin, forget
from zfscale.trial.replay import finished
from zfscale.watch.logs import logs
from zfscale.watch.standing import standing


@pytest.fixture
def sweep(tmp_path):
    """Of three trials, the first of which has failed."""
    made = small_results.sweep(tmp_path)
    for trial in made.trials:
        start_attempt(root(made), trial.trial_id)
        small_results.run(root(made), trial, "failed" if trial is made.trials[0] else "finished")
    return made


def folder(made: Sweep) -> Path:
    return Path(str(root(made)))


def plain(there: Path) -> dict[str, list[Any]]:
    """What a reader of plain Parquet sees, in a stable order."""
    found = {table: [row for file in (there / table).glob("*.parquet") for row in rows_of(file)] for table in TABLES}
    return {table: small_results.sort(of) for table, of in found.items()}


def rows_of(file: Path) -> list[Any]:
    return pq.ParquetFile(file).read().to_pylist()


def ours(there: Path) -> dict[str, Any]:
    """What we see: rows, the contents of whole trials, faults."""
    found = look(there, ["avg_accuracy", "error"])
    records = {table: small_results.sort(rows(there, table, RECORDS[table].names).to_pylist()) for table in RECORDS}
    return {"trials": found.rows, "faults": found.faults, "ignored": found.ignored, **records}


def killed(monkeypatch, there, act):
    """Kill at each write, removal and renaming in turn, of the same results, until the act ends before."""
    kept = there.with_name("kept")
    shutil.copytree(there, kept)

    def from_the_start():
        shutil.rmtree(there)
        shutil.copytree(kept, there)
        act()

    return kills(monkeypatch, from_the_start)


def test_every_reader_sees_the_same_rows_in_few_files(sweep):
    there = folder(sweep)
    before, seen, text = plain(there), ours(there), report.make(there)[0]
    assert str(compact(root(sweep))) == "merged the files of 3 trials: the tables have 4 files, and had 12"
    assert plain(there) == before
    assert ours(there) == seen
    assert report.make(there)[0] == text
    assert not list((there / ".attempts").iterdir())
    for table in TABLES:
        (file,) = (there / table).iterdir()
        assert is_pack(file.name)
        count = len(before[table])
        assert len(pandas.read_parquet(there / table)) == len(polars.read_parquet(there / table)) == count
        assert len(duckdb.execute(f"from '{there / table}/*.parquet'").fetchall()) == count


def test_what_asks_for_one_trial_finds_it(sweep):
    there, trial = root(sweep), sweep.trials[1].trial_id
    before = contents(there, finished(there, trial)), logs(there, trial), standing(there).ended
    compact(there)
    after = contents(there, finished(there, trial)), logs(there, trial[:5]), standing(there).ended
    assert after == before
    assert logs(there, trial[:5]) == before[1]


def test_killed_at_any_moment_no_row_is_lost_or_seen_twice(sweep, monkeypatch):
    there, before, seen = folder(sweep), plain(folder(sweep)), ours(folder(sweep))
    text, moments = report.make(there)[0], 0
    for moment in killed(monkeypatch, there, lambda: compact(storage(there))):
        moments += 1
        assert ours(there) == seen
        assert report.make(there)[0] == text
        for table, found in plain(there).items():
            keys = [json.dumps(row) for row in found]
            assert len(set(keys)) == len(keys)
            assert set(keys) <= {json.dumps(row) for row in before[table]}
        if moment % 2:  # a run finishes what was begun
            assert begin(sweep, retry_failed=False) == []
        else:
            compact(storage(there))
        assert plain(there) == before
        assert ours(there) == seen
        assert not (there / ".switch").exists()
    assert moments > 25


def test_a_failed_trial_is_run_again_and_no_other(sweep, monkeypatch):
    there, failed = root(sweep), sweep.trials[0]
    before = look(there).rows
    compact(there)
    todo = begin(sweep, retry_failed=True)
    assert todo == [failed]
    assert attempts_of(there, failed.trial_id) == 1
    rest = [row for row in before if row["trial_id"] != failed.trial_id]
    for _ in killed(monkeypatch, folder(sweep), lambda: forget(root(sweep), todo)):
        assert look(there).rows in (before, rest)
        assert not look(there).faults
        forget(root(sweep), begin(sweep, retry_failed=True))
        assert look(there).rows == rest
    for table in TABLES:
        assert failed.trial_id not in pandas.read_parquet(folder(sweep) / table)["trial_id"].to_list()
    assert look(there).rows == rest
    assert start_attempt(there, failed.trial_id) == 2
    small_results.run(there, failed)
    assert set(statuses(there).values()) == {Status.FINISHED}
    compact(there)
    assert len(there.names("trials")) == 1
    assert len(look(there).rows) == 3


def test_trials_that_are_added_lie_beside(sweep):
    there = root(sweep)
    compact(there)
    extra = id_of("extra")
    sink = ParquetSink(About(there, extra, "{}", {"seed": "seven", "more": 1.5}))
    sink.close(Outcome(Status.FINISHED))
    assert len(look(there).rows) == 4
    assert missing(sweep) == []
    compact(there)
    seen = look(there)
    assert (len(seen.rows), seen.faults) == (4, [])
    assert len(there.names("trials")) == 2  # `seed` is of another type there
    assert len(there.names("evals")) == 1
    assert str(compact(there)).startswith("merged the files of 0 trials")


def test_rows_of_many_kinds_are_merged_where_their_types_go_together(tmp_path):
    leaves: list[dict[str, Scalar]] = [{"a": 1}, {"a": 1.5}, {"a": None, "b": "x"}, {"a": "text"}, {"b": "y"}]
    for i, one in enumerate(leaves):
        ParquetSink(About(tmp_path, id_of(str(i)), "{}", one, {"a": int} if i == 2 else {})).close(
            Outcome(Status.FINISHED)
        )
    compact(storage(tmp_path))
    found = sorted(
        (row.get("a"), row.get("b"))
        for row in plain(tmp_path)["trials"]
        if not isinstance(row.get("a"), (str, type(None)))
    )
    assert found == [(1.0, None), (1.5, None)]
    assert len(look(tmp_path).rows) == 5
    assert len(storage(tmp_path).names("trials")) == 2


def test_long_tables_are_cut_into_row_groups_and_files(sweep, monkeypatch):
    monkeypatch.setattr(pack, "SIZE", 5_000)
    monkeypatch.setattr("zfscale.results.compact.ROWS", dict.fromkeys(TABLES, 30))
    seen, before = ours(folder(sweep)), plain(folder(sweep))
    compact(root(sweep))
    assert len(root(sweep).names("ledger")) > 1
    assert ours(folder(sweep)) == seen
    assert plain(folder(sweep)) == before


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("place", [0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999])
def test_damage_costs_the_trials_concerned(sweep, table, place, monkeypatch, capsys):
    monkeypatch.setattr("zfscale.results.compact.ROWS", dict.fromkeys(TABLES, 1))  # a row group a trial
    there, before = root(sweep), plain(folder(sweep))
    compact(there)
    (file,) = (folder(sweep) / table).iterdir()
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 16
    file.write_bytes(data)
    found = look(there)
    assert place < 0.01 or found.faults
    assert {fault.file for fault in found.faults} <= {f"{table}/{file.name}"}
    hurt = {fault.trial_id for fault in found.faults}
    assert 1 <= len(hurt) <= 3 or place < 0.01
    report.make(there)[0]
    todo = begin(sweep, retry_failed=False)
    assert {trial.trial_id for trial in todo} == hurt
    assert capsys.readouterr().err.count("damaged: ") == len(hurt)
    forget(there, todo)
    assert not hurt or there.read(f".damaged/{table}.{file.name}") == data
    assert not look(there).faults
    for trial in todo:
        small_results.run(there, trial, "failed" if trial is sweep.trials[0] else "finished")
    assert plain(folder(sweep)) == before


def test_a_lost_file_costs_its_trials(sweep):
    there, before = root(sweep), plain(folder(sweep))
    for table in TABLES:
        compact(there)
        for name in there.names(table):
            there.remove(name)
        todo = begin(sweep, retry_failed=False)
        assert len(todo) == 3
        forget(there, todo)
        for trial in todo:
            small_results.run(there, trial, "failed" if trial is sweep.trials[0] else "finished")
        assert plain(folder(sweep)) == before


def test_a_copy_of_a_merged_file_is_told(sweep):
    there, trial = root(sweep), sweep.trials[1].trial_id
    kept = {table: there.read(f"{table}/{trial}.parquet") for table in TABLES}
    compact(there)
    for table in TABLES:
        there.write(f"{table}/{trial}.parquet", kept[table] or b"")
        assert {fault.trial_id for fault in look(there).faults} == {trial}
        there.remove(f"{table}/{trial}.parquet")
    drop(there, [trial])
    assert trial not in statuses(there)


def test_a_run_merges_where_there_are_many_trials(sweep, monkeypatch):
    assert not pays(root(sweep))
    monkeypatch.setattr("zfscale.results.compact.MANY", 3)
    assert pays(root(sweep))
    compact(root(sweep))
    assert not pays(root(sweep))


def test_results_of_earlier_versions_stay_as_they_are(sweep):
    small_results.as_of_earlier_versions(folder(sweep))
    before = plain(folder(sweep))
    compact(root(sweep))
    assert plain(folder(sweep)) == before
    assert len(root(sweep).names("trials")) == 3


def test_what_was_hidden_and_not_committed_is_removed(sweep):
    there = root(sweep)
    there.write(".switch/0123", b"half")
    settle(there)
    assert not (folder(sweep) / ".switch").exists()


def test_a_damaged_journal_is_said_with_its_remedy(sweep, capsys):
    root(sweep).write(".switch/journal", b'{"put": ')
    assert main(["report", str(root(sweep))]) == 2
    assert ".switch/journal: damaged; remove it and run the sweep again" in capsys.readouterr().err


def test_the_command_says_what_it_did_and_waits_for_no_run(sweep, capsys):
    there = root(sweep)
    with held(there):
        assert main(["compact", str(there)]) == 2
        assert "another run of this sweep is writing here" in capsys.readouterr().err
    assert main(["compact", str(there)]) == 0
    assert "merged the files of 3 trials: the tables have 4 files, and had 12" in capsys.readouterr().out
    assert main(["compact", f"{there}/no"]) == 2
