"""Every kind of damage to every table: said by report and run with the file's name, and healed by running again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.results import small_results
from tests.troubles import No, assert_covers
from zfscale import report
from zfscale.results.check import look
from zfscale.results.layout import TABLES, file_of
from zfscale.results.missing import missing, root
from zfscale.sweep.driver import begin, forget


def cut(share: float) -> Callable[[Path, Path], None]:
    def act(file: Path, other: Path) -> None:
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    return act


def flip(place: float) -> Callable[[Path, Path], None]:
    def act(file: Path, other: Path) -> None:
        data = bytearray(file.read_bytes())
        data[int(place * len(data))] ^= 16
        file.write_bytes(data)

    return act


def zero(file: Path, other: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 3] + bytes(len(data) // 3) + data[2 * len(data) // 3 :])


def rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path, Path], None]:
    """By another program: a whole Parquet file."""

    def act(file: Path, other: Path) -> None:
        pq.write_table(change(pq.ParquetFile(file).read()), file)

    return act


def column(name: str, values: Callable[[pa.Table], pa.Array]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, values(table))


def as_directory(file: Path, other: Path) -> None:
    file.unlink()
    (file / "in").mkdir(parents=True)


def dangling(file: Path, other: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def pipe(file: Path, other: Path) -> None:
    """Whoever reads it waits for ever."""
    file.unlink()
    os.mkfifo(file)


ANY = {
    "cut at half": cut(0.5),
    "cut by a byte": lambda file, _: file.write_bytes(file.read_bytes()[:-1]),
    "cut to nothing": cut(0.0),
    "removed": lambda file, _: file.unlink(),
    "a byte flipped at the start": flip(0.02),
    "a byte flipped in the data": flip(0.3),
    "a byte flipped in the footer": flip(0.9),
    "a byte flipped at the end": flip(0.998),
    "a block zeroed": zero,
    "text": lambda file, _: file.write_text("<html>404</html>"),
    "longer": lambda file, _: file.write_bytes(file.read_bytes() + b"x"),
    "another schema": rewrite(lambda table: pa.table({"other": [1]})),
    "another trial's file": lambda file, other: shutil.copy(other, file),
    "rows missing": rewrite(lambda table: table.slice(0, table.num_rows - 1)),
    "rows doubled": rewrite(lambda table: pa.concat_tables([table, table])),
    "no rows": rewrite(lambda table: table.slice(0, 0)),
    "a directory": as_directory,
    "a link to nowhere": dangling,
    "a named pipe": pipe,
    "no permission": lambda file, _: None,  # see below: root has every permission
    "trial_id of another type": rewrite(column("trial_id", lambda t: pa.array(range(t.num_rows)))),
    "trial_id null": rewrite(column("trial_id", lambda t: pa.nulls(t.num_rows, pa.string()))),
    "trial_id of another trial": rewrite(column("trial_id", lambda t: pa.array(["0" * 12] * t.num_rows))),
}
TRIALS = {
    "spec that is no JSON": rewrite(column("spec", lambda t: pa.array(["{"]))),
    "spec null": rewrite(column("spec", lambda t: pa.nulls(1, pa.string()))),
    "spec that is no object": rewrite(column("spec", lambda t: pa.array(["[]"]))),
    "spec of another trial": lambda file, other: rewrite(
        column("spec", lambda t: pq.ParquetFile(other).read()["spec"].combine_chunks())
    )(file, other),
    "an unknown status": rewrite(column("status", lambda t: pa.array(["stopped?"]))),
    "files that are no JSON": rewrite(column("files", lambda t: pa.array(["{"]))),
    "files of no tables": rewrite(column("files", lambda t: pa.array(["{}"]))),
    "files of another type": rewrite(column("files", lambda t: pa.array(['{"evals": 1, "steps": [], "ledger": 0}']))),
}
CASES = [(table, kind) for table in TABLES for kind in ANY] + [("trials", kind) for kind in TRIALS]


@pytest.fixture
def sweep(tmp_path):
    made = small_results.sweep(tmp_path)
    for trial in made.trials:
        small_results.run(root(made), trial)
    return made


def refuse(monkeypatch, file: Path) -> None:
    """To read a file, until it is another one."""
    read_bytes, written = Path.read_bytes, file.stat().st_mtime_ns

    def act(self):
        if self == file and self.stat().st_mtime_ns == written:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", act)


TROUBLE: dict[str, Any] = {  # of those that all loaders are tried with: the case above, or why there is none
    "null": ANY["trial_id null"],
    "wrong type": ANY["trial_id of another type"],
    "wrong encoding": ANY["text"],
    "cut": ANY["cut at half"],
    "empty": ANY["cut to nothing"],
    "hidden": lambda file, _: shutil.copy(file, file.with_name(f".{file.name}")),
    "duplicate": ANY["rows doubled"],
    "other schema": ANY["another schema"],
    "other class set": No("a table has no classes"),
    "other bit depth": No("a table has no pixels"),
    "rotated": No("a table has no pixels"),
    "link": ANY["a link to nowhere"],
    "unreadable": ANY["a named pipe"],
}


def test_the_troubles_of_all_loaders_are_covered():
    assert_covers(TROUBLE)


def test_a_hidden_copy_changes_nothing(sweep):
    there: Any = root(sweep)
    victim = sweep.trials[1]
    for table in TABLES:
        TROUBLE["hidden"](there.root / file_of(table, victim.trial_id), there.root)
    assert missing(sweep) == []
    assert not look(there).faults


@pytest.mark.parametrize(("table", "kind"), CASES)
def test_damage_is_said_and_healed(table, kind, sweep, monkeypatch, capsys):
    there: Any = root(sweep)
    _, victim, other = sweep.trials
    undisturbed = small_results.tables(there.root)
    name = file_of(table, victim.trial_id)
    (ANY | TRIALS)[kind](there.root / name, there.root / file_of(table, other.trial_id))
    if kind == "no permission":
        refuse(monkeypatch, there.root / name)

    text = report.make(there)[0]
    assert "2 trials finished, 0 failed, 1 damaged." in text
    assert "run the same command again" in text
    assert sum(name in line for line in text.splitlines()) == 1

    todo = begin(sweep, retry_failed=False)
    assert [trial.trial_id for trial in todo] == [victim.trial_id]
    assert f"damaged: {name}: " in capsys.readouterr().err
    forget(there, todo)
    assert not look(there).faults
    for trial in todo:
        small_results.run(there, trial)
    assert small_results.tables(there.root) == undisturbed
    assert missing(sweep) == []
    assert "damaged" not in report.make(there)[0]


OF_CONTENT = ("another schema", "rows doubled", "removed", "cut at half", "trial_id null", "no rows")
COPIES = ("{} (copy).parquet", ".{}.parquet.swp", "{}.parquet.sync-conflict-7", "{}.parquet~", "a\udcff")


@pytest.mark.parametrize("kind", OF_CONTENT)
@pytest.mark.parametrize("table", TABLES)
def test_results_of_earlier_versions_are_checked_by_their_content(table, kind, sweep):
    there: Any = root(sweep)
    _, victim, other = sweep.trials
    small_results.as_of_earlier_versions(there.root)
    assert missing(sweep) == []
    ANY[kind](there.root / file_of(table, victim.trial_id), there.root / file_of(table, other.trial_id))
    assert [fault.file for fault in look(there).faults] == [file_of(table, victim.trial_id)]
    assert missing(sweep) == [victim]


@pytest.mark.parametrize("name", ["avg_accuracy", "attempts", "versions"])
def test_run_and_report_agree_on_a_column_of_another_type(name, sweep):
    there: Any = root(sweep)
    _, victim, _ = sweep.trials
    small_results.as_of_earlier_versions(there.root)
    change = column(name, lambda table: pa.array([b"?"], pa.binary()))
    rewrite(change)(there.root / file_of("trials", victim.trial_id), there.root)
    assert f"column '{name}' is of another type" in report.make(there)[0]
    assert missing(sweep) == [victim]


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("table", TABLES)
def test_files_of_other_names_are_ignored_and_said_once(table, name, sweep, capsys):
    there: Any = root(sweep)
    trial = sweep.trials[0]
    before = report.make(there)[0]
    file = there.root / file_of(table, trial.trial_id)
    shutil.copy(file, file.parent / name.format(trial.trial_id))
    assert begin(sweep, retry_failed=True) == []
    text = report.make(there)[0]
    assert text.startswith(before)
    shown = name.format(trial.trial_id).encode(errors="backslashreplace").decode()
    assert text.count(f"{table}/{shown}") == 1
    assert "Ignored" in text
    report.make(there)
    assert "3 trials finished, 0 failed." in (there.root / "report.md").read_text()


def test_only_the_first_files_are_named(sweep):
    there: Any = root(sweep)
    for number in range(25):
        (there.root / "evals" / f"{number}.txt").touch()
    text = report.make(there)[0]
    assert "and 15 more" in text
    assert text.count(".txt") == 10


def test_a_failed_trial_is_not_tried_again_because_another_is_damaged(sweep):
    there: Any = root(sweep)
    failed, victim, _ = sweep.trials
    small_results.run(there, failed, "failed")
    cut(0.5)(there.root / file_of("steps", victim.trial_id), there.root)
    assert missing(sweep) == [victim]
    assert missing(sweep, retry_failed=True) == [failed, victim]


def test_storage_that_does_not_answer_is_no_damage(sweep, monkeypatch):
    def fail(self):
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match=r"small/\S+: Connection timed out"):
        missing(sweep)
