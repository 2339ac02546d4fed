"""The contract over every sink there is, the fan-out over them, and what an error of one means."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import id_of
from zfscale.errors import StorageError
from zfscale.records import Eval, Outcome, Query, Sink, Status, Step
from zfscale.results.tables import statuses
from zfscale.sinks.about import About
from zfscale.sinks.catalogue import LISTED, SINKS, Chosen, Facts, chosen
from zfscale.sinks.fanout import Fanout, make_sinks
from zfscale.spec.schema import OutputSpec, WandbSpec
from zfscale.testing.sinks import SinkContract, example

T1 = id_of("t1")
DONE = Outcome(Status.FINISHED)
RECORDS = [Step(1, 0, 0.5, 0.1, 2, 0.1), Query(1, 0, 0, 7, 0.5, 1), Eval(1, 1, "accuracy", 0.5)]


class TestCatalogue(SinkContract):
    """Every sink of ours."""

    @pytest.fixture(autouse=True, params=SINKS)
    def _named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self, root: Path) -> Sink:
        listed = [self.name] if self.name in LISTED else []
        (one,) = [one for one in chosen(output(*listed)) if one.name == self.name]
        return one.make(example(root))


def output(*sinks: Any, mode: str = "offline") -> OutputSpec:
    return OutputSpec.model_validate({"wandb": {"mode": mode}, "sinks": list(sinks)})


class Recorder:
    """A user's sink that keeps what it is told in a list of its class."""

    log: list[tuple[str, Any]]

    def __init__(self, about: About, options: Any) -> None:
        self.name = about.trial_id

    def step(self, record: Any) -> None:
        self.log.append((self.name, record))

    query = eval = close = step


class Broken(Recorder):
    """One that breaks at its first query."""

    def query(self, record: Query) -> None:
        raise RuntimeError("no\nroute")


class Needed(Broken):
    """One that a trial needs."""

    commits = True


class Unborn(Recorder):
    """One that cannot be made."""

    def __init__(self, about: About, options: Any) -> None:
        raise RuntimeError("no route")


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(Recorder, "log", told, raising=False)
    monkeypatch.setitem(sys.modules, "own_sinks", sys.modules[__name__])
    return told


def send(sink: Sink) -> None:
    sink.step(RECORDS[0])  # type: ignore[arg-type]
    sink.query(RECORDS[1])  # type: ignore[arg-type]
    sink.eval(RECORDS[2])  # type: ignore[arg-type]


def test_fanout_forwards_in_order(log):
    sink = Fanout([Recorder(About("r", name), None) for name in "ab"])
    send(sink)
    sink.close(DONE)
    assert log == [(name, record) for record in [*RECORDS, DONE] for name in "ab"]


def test_fanout_does_not_commit_what_an_earlier_sink_refuses(log):
    refuses: Any = Recorder(About("r", "a"), None)
    refuses.close = lambda outcome: (_ for _ in ()).throw(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        Fanout([refuses, Recorder(About("r", "b"), None)]).close(DONE)
    assert log == []


def test_no_sink_is_told_a_secret(log, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "0123456789")
    Fanout([Recorder(About("r", "a"), None)]).close(Outcome(Status.FAILED, error="got 0123456789"))
    assert log[0][1].error == "got <MY_TOKEN>"


def test_parquet_closes_last(tmp_path):
    about = About(tmp_path, T1, '{"seed": 0}', {"seed": 0}, sweep="demo")
    disabled: Any = make_sinks(about, output(mode="disabled")).sinks
    assert [sink.name for sink in disabled] == ["parquet"]
    asked = output("own_sinks:Needed", "own_sinks:Recorder")
    assert [one.name for one in chosen(asked)] == ["wandb", "own_sinks:Recorder", "own_sinks:Needed", "parquet"]
    committing: Any = make_sinks(about, asked, committing=True).sinks
    assert [sink.name for sink in committing] == ["own_sinks:Needed", "parquet"]
    sink = make_sinks(about, output())
    send(sink)
    sink.close(DONE)
    assert statuses(tmp_path) == {T1: Status.FINISHED}
    assert len(list((tmp_path / "wandb").glob(f"{T1[:2]}/wandb/offline-run-*-{T1}"))) == 1


@pytest.mark.parametrize("name", ["Broken", "Unborn"])
def test_a_view_that_breaks_is_told_of_once_and_the_trial_goes_on(tmp_path, name, log, caplog):
    sink = make_sinks(About(tmp_path, T1), output(f"own_sinks:{name}", "own_sinks:Recorder", mode="disabled"))
    for _ in range(2):
        send(sink)
    sink.close(DONE)
    told = f"own_sinks:{name} stopped for this trial, which goes on: no route"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [told]
    assert (tmp_path / f"own_sinks.{name}.txt").read_text() == told
    first = [RECORDS[0]] if name == "Broken" else []
    assert [record for _, record in log] == [*first, *RECORDS, *RECORDS, DONE]
    assert statuses(tmp_path) == {T1: Status.FINISHED}


def test_a_sink_that_commits_and_breaks_leaves_the_trial_to_the_next_run(tmp_path):
    sink = make_sinks(About(tmp_path, T1), output("own_sinks:Needed", mode="disabled"))
    with pytest.raises(StorageError, match=r"^own_sinks:Needed: no route$"):
        send(sink)
    assert statuses(tmp_path) == {}


def test_what_users_call_show_is_theirs(tmp_path, monkeypatch):
    class Figures(Recorder):
        commits = True

        def show(self, figure: Any) -> None:
            raise AssertionError

    monkeypatch.setattr(sys.modules[__name__], "Figures", Figures, raising=False)
    monkeypatch.setattr("zfscale.sinks.parquet.SHOW_EVERY", 0.0)
    monkeypatch.setattr("zfscale.sinks.parquet.SHARE", float("inf"))
    sink = make_sinks(About(tmp_path, T1), output("own_sinks:Figures", mode="disabled"))
    send(sink)
    sink.show()
    assert (tmp_path / "steps").exists()


def test_a_sink_has_its_options_as_a_block(log, tmp_path, monkeypatch):
    class Mine(Recorder):
        Options = WandbSpec

        def __init__(self, about, options):
            self.options = options

    monkeypatch.setattr(sys.modules[__name__], "Mine", Mine, raising=False)
    made = Chosen("own_sinks:Mine", Facts("own_sinks:Mine"), {"project": "p"}).make(About(tmp_path, T1))
    assert made.options == WandbSpec(project="p")


def test_sinks_that_commit_are_told_where_another_shows_the_trial(tmp_path):
    shown, last = Recorder(example(tmp_path), None), Recorder(example(tmp_path), None)
    shown.log, last.log = [], []
    shown.url = "https://example.org/t1"  # type: ignore[attr-defined]
    Fanout([shown, last]).close(DONE)
    assert shown.log[0][1].url is None
    assert last.log[0][1].url == "https://example.org/t1"
