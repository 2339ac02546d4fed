"""The contract of sinks, as tests to inherit.

Say how a sink is made:

    class TestMine(SinkContract):
        def make(self, root):
            return Mine(example(root), Mine.Options(path="x"))
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from zfscale.metrics.catalogue import MEASURES
from zfscale.records import Eval, Outcome, Query, Sink, Status, Step
from zfscale.sinks.about import About, Scalar

SPEC = '{"method": {"name": "finetune"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "seed": 0}'
LEAVES: dict[str, Scalar] = {"method.name": "finetune", "optimizer.name": "zo-sgd", "optimizer.lr": 0.1, "seed": 0}

BEFORE = dict(os.environ)  # a sink may leave in it what only its own process knows
# An attempt that is killed: the module path, the contract's class and attributes, and the directory come as JSON.
KILLED = """
import importlib, json, os, pathlib, sys
given = json.load(sys.stdin)
sys.path[:] = given["path"]
suite = getattr(importlib.import_module(given["module"]), given["name"])
contract = suite.__new__(suite)
vars(contract).update(given["attributes"])
from zfscale.testing.sinks import send
send(contract.make(pathlib.Path(given["root"])))
os._exit(9)
"""


def example(root: Path, trial_id: str = "0123456789ab") -> About:
    """Tell a sink of a small trial whose results are in a directory."""
    return About(root, trial_id, SPEC, LEAVES, sweep="example")


def send(sink: Sink) -> None:
    """Tell a sink of two tasks, with all that odd trials have: NaN, infinity, seeds of 64 bits, no query."""
    for task in (1, 2):
        for step, loss in enumerate((0.5, math.nan, math.inf)):
            sink.step(Step(task, step, loss, 0.1, 2 * step + 2, 0.01))
            for query in range(step):
                sink.query(Query(task, step, query, 2**64 - 1 - query, -0.25, (-1) ** query))
        for seen in range(1, task + 1):
            sink.eval(Eval(task, seen, "accuracy", 0.5))
        sink.eval(Eval(task, 0, "stage_accuracy", 0.5))


def outcome(status: Status) -> Outcome:
    """Tell how a trial ended that has every measure, or of a failed one, none."""
    if status is Status.FAILED:
        return Outcome(status, error="Traceback\nValueError: boom", node="n0")
    return Outcome(status, {measure.name: measure.type(i) for i, measure in enumerate(MEASURES)}, versions="{}")


class SinkContract:
    """What every sink keeps to."""

    def make(self, root: Path) -> Sink:
        """The sink of a trial whose results are in the directory; called again, that of its next attempt."""
        raise NotImplementedError

    def test_it_takes_every_record_and_every_end(self, tmp_path: Path) -> None:
        """Whatever a trial says is taken, and nothing is answered."""
        for status in Status:
            sink = self.make(tmp_path / status)
            send(sink)
            assert sink.close(outcome(status)) is None  # type: ignore[func-returns-value]

    def test_it_takes_an_end_alone(self, tmp_path: Path) -> None:
        """A trial may fail before it says anything."""
        for status in Status:
            assert self.make(tmp_path / status).close(outcome(status)) is None  # type: ignore[func-returns-value]

    def test_it_takes_measures_that_are_missing(self, tmp_path: Path) -> None:
        """A trial has the measures of its own kind of stream, and some may be NaN."""
        sink = self.make(tmp_path)
        send(sink)
        sink.close(Outcome(Status.FINISHED, {"seconds": math.nan, "forwards": None}))

    def test_a_killed_attempt_is_no_obstacle_to_the_next(self, tmp_path: Path) -> None:
        """The first process ends without closing its sink; the second tells all from the beginning."""
        suite = type(self)
        given = {"path": sys.path, "module": suite.__module__, "name": suite.__name__, "root": str(tmp_path)}
        text = json.dumps({**given, "attributes": vars(self)})
        killed = subprocess.run([sys.executable, "-c", KILLED], input=text, env=BEFORE, text=True)
        assert killed.returncode == 9
        again = self.make(tmp_path)
        send(again)
        again.close(outcome(Status.FINISHED))

    def test_a_trial_may_run_again_after_its_end(self, tmp_path: Path) -> None:
        """A failed one is, with `--retry-failed`."""
        for status in (Status.FAILED, Status.FINISHED):
            sink = self.make(tmp_path)
            send(sink)
            sink.close(outcome(status))

    def test_it_changes_nothing_around_it(self, tmp_path: Path, capfd: Any) -> None:
        """The screen is the sweep's, and paths are of the working directory."""
        before = os.getcwd()
        sink = self.make(tmp_path)
        send(sink)
        sink.close(outcome(Status.FINISHED))
        assert os.getcwd() == before
        assert capfd.readouterr() == ("", "")
