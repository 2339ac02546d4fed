"""One contract for directories and buckets; what is particular to each."""

from __future__ import annotations

import os

import pyarrow.fs as pafs
import pytest

from tests.buckets import bucket
from tests.conftest import id_of
from zfscale.errors import ZfscaleError
from zfscale.records import Eval, Outcome, Status
from zfscale.report import make
from zfscale.results.check import look
from zfscale.results.compact import compact, drop
from zfscale.results.storage import Directory, Storage, storage
from zfscale.results.tables import statuses
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink


@pytest.fixture(params=["directory", "bucket"])
def there(request, tmp_path):
    return storage(tmp_path / "r") if request.param == "directory" else bucket()


def test_what_was_written_is_read_listed_and_removed(there):
    assert there.read("trials/a") is None
    assert there.names("trials") == []
    there.write("trials/b", b"2")
    there.write("trials/a", b"0")
    there.write("trials/a", b"1")
    assert there.read("trials/a") == b"1"
    assert there.names("trials") == ["trials/a", "trials/b"]
    with there.reading("trials/b") as path:
        assert path.read_bytes() == b"2"
    there.remove("trials/a")
    assert (there.exists("trials/a"), there.exists("trials/b")) == (False, True)
    there.remove("trials")
    there.remove("trials")
    assert not there.exists("trials/b")
    assert there.name == "r"


def test_a_file_is_there_when_its_writing_has_ended_and_not_before(there):
    there.write("trials/a", b"old")
    with there.writing("trials/a") as path:
        path.write_bytes(b"ne")
        assert there.read("trials/a") == b"old"
        path.write_bytes(b"new")
    assert there.read("trials/a") == b"new"
    assert list(there.scratch.iterdir()) == []


def fail(there, name):
    with there.writing(name) as path:
        path.write_bytes(b"half")
        raise RuntimeError("no more")


def test_a_writing_that_fails_leaves_what_was_there(there):
    there.write("trials/a", b"old")
    for name in ("trials/a", "trials/b"):
        with pytest.raises(RuntimeError, match="no more"):
            fail(there, name)
    assert (there.read("trials/a"), there.read("trials/b")) == (b"old", None)
    assert list(there.scratch.iterdir()) == []


def test_what_grows_on_this_machine_is_sent_and_found_again(there):
    there.local("live/t").write_bytes(b"12")
    there.send("live/t")
    assert there.read("live/t") == b"12"
    with open(there.local("live/t"), "ab") as file:
        file.write(b"3")
    there.send("live/t")
    assert there.read("live/t") == b"123"
    for run in ("one", "two"):
        folder = there.local("runs") / run
        folder.mkdir(parents=True)
        (folder / "log").write_text(run)
        there.send("runs")
    assert (there.read("runs/one/log"), there.read("runs/two/log")) == (b"one", b"two")


def test_another_machine_goes_on_with_what_was_sent():
    there = bucket()
    there.local("live/t").write_bytes(b"12")
    there.send("live/t")
    there.clear()
    assert there.local("live/t").read_bytes() == b"12"


def test_tables_and_report_of_a_sweep(there):
    for trial in (id_of("t1"), id_of("t2")):
        spec = '{"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "seed": 0}'
        sink = ParquetSink(About(there, trial, spec, {"seed": 0}))
        sink.eval(Eval(1, 0, "stage_accuracy", 0.5))
        sink.close(
            Outcome(
                Status.FINISHED,
                {
                    "avg_accuracy": 0.5,
                    "last_accuracy": 0.4,
                    "forgetting": 0.1,
                    "bwt": 0.0,
                    "seconds": 1.0,
                    "forwards": 8,
                    "peak_memory_bytes": 1,
                },
            )
        )
    assert statuses(there) == dict.fromkeys(sorted([id_of("t1"), id_of("t2")]), "finished")
    shown, written = make(there)
    assert "2 trials finished" in shown
    assert written == f"{there}/report.md"
    assert b"ease" in there.read("report.md")
    assert there.read("accuracy_per_stage.png").startswith(b"\x89PNG")
    drop(there, [id_of("t1")])
    ParquetSink(About(there, id_of("t1"), "{}", {})).close(Outcome(Status.FAILED, error="boom"))
    assert there.names("evals") == [f"evals/{id_of('t2')}.parquet"]
    before = look(there).rows
    assert compact(there).after == 4
    assert look(there).rows == before
    drop(there, [id_of("t1")])
    assert statuses(there) == {id_of("t2"): "finished"}
    assert not there.names(".switch")


def test_a_report_leaves_no_file_beside_those_it_names(tmp_path):
    ParquetSink(About(tmp_path, id_of("t"), '{"method": {"name": "ease"}}')).close(Outcome(Status.FAILED, error="boom"))
    storage(tmp_path).clear()
    make(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.md", "tables", "trials"]


def test_a_file_url_is_a_directory(tmp_path):
    storage(f"file://{tmp_path}", "mine").write("a", b"1")
    assert (tmp_path / "mine" / "a").read_bytes() == b"1"


def test_a_directory_is_the_same_after_a_change_of_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = storage("results", "mine")
    os.chdir("/")
    there.write("a", b"1")
    assert isinstance(there, Directory)
    assert str(there) == "results/mine"
    assert (tmp_path / "results" / "mine" / "a").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/x", "unknown scheme 'ftp'; allowed: file, gs, s3, or a directory"),
        ("gss://bucket", "did you mean 'gs'"),
        ("s3:///results", "as in s3://bucket/results"),
        ("file://results", "as in file:///shared/results"),
    ],
)
def test_a_url_that_is_no_place_is_told(url, message):
    with pytest.raises(ZfscaleError, match=message):
        storage(url)


def test_a_credential_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(ZfscaleError, match="holds a credential") as caught:
        storage("s3://user:hunter22@bucket/x")
    assert "hunter22" not in str(caught.value)


def test_a_directory_knows_when_files_were_written(tmp_path):
    there = storage(tmp_path / "r")
    assert there.times("trials") == there.times("") == {}
    there.write("trials/a", b"1")
    there.write("b", b"1")
    os.utime(tmp_path / "r" / "trials" / "a", (5, 7))
    (tmp_path / "r" / "trials" / "gone").symlink_to("nowhere")
    assert there.times("trials")["trials/a"] == 7
    assert set(there.times("")) >= {"trials", "b"}
    through_arrow = Storage("x", pafs.LocalFileSystem(), str(tmp_path / "r"))
    assert through_arrow.times("trials")["trials/a"] == 7
    assert through_arrow.times("nothing") == {}
