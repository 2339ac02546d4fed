"""Whether the tables of a population are those that its recorded decisions imply, whatever happened to its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.sweep.test_worker_stops import Alone, to_the_end
from zfscale import spec
from zfscale.records import Status
from zfscale.results.check import look
from zfscale.results.decisions import EXPLOIT, FINISHED, Decision, kept
from zfscale.results.missing import root
from zfscale.results.parents import lookup
from zfscale.results.proposals import known
from zfscale.results.schema import RECORDS
from zfscale.results.tables import rows
from zfscale.results.takeovers import takeover_of
from zfscale.spec import Sweep, TrialSpec

FREE = {"seconds"}  # what two runs of a trial may differ in
MEASURED = ("evals", "steps", "ledger")


def assert_explained(made: Sweep) -> None:
    """The trials are those of the file and of the decisions, and stopped where these say."""
    decisions, whole = kept(root(made)), known(made)
    assert [row.number for row in decisions] == list(range(len(decisions)))
    judged = [(row.trial_id, row.metric, row.stage) for row in decisions]
    assert len(set(judged)) == len(judged), "a report was decided on twice"
    found = look(root(made))
    assert not found.faults
    assert {row["trial_id"] for row in found.rows} == {trial.trial_id for trial in whole.trials}
    stops = {row.trial_id: json.loads(row.why)["step"] for row in decisions if row.decision == EXPLOIT}
    of = {row["trial_id"]: row["status"] for row in found.rows}
    assert {name for name, status in of.items() if status == Status.STOPPED} == stops.keys()
    assert {of[row.trial_id] for row in decisions if row.decision == FINISHED} <= {Status.FINISHED}
    taken = rows(root(made), "steps", ["trial_id"]).to_pylist()
    assert {name: sum(row["trial_id"] == name for row in taken) for name in stops} == stops


def assert_rebuilt(made: Sweep, folder: Path) -> None:
    """Each trial, run alone from a plain file, has the rows that it has here, as far as it went."""
    folder.mkdir()
    decisions = {fork_of(row): row for row in kept(root(made)) if row.decision == EXPLOIT}
    for i, trial in enumerate(known(made).trials):
        plain = alone(made, trial, decisions.get(key_of(trial)), folder / f"{i}.yaml")
        assert plain.trials == (trial,)
        with one_thread():
            assert to_the_end(Alone(plain))[-1]["status"] == "finished"
        theirs, mine = of_trial(made, trial), of_trial(plain, trial)
        for table in MEASURED:
            mine[table] = mine[table][: len(theirs[table])]  # of one that was stopped, up to there
        assert mine == theirs, f"{trial.trial_id} of {root(made)}"


def alone(made: Sweep, trial: TrialSpec, decision: Decision | None, file: Path) -> Sweep:
    """A trial as a plain file has it: what its file says of it, or the decision by which it is a fork."""
    output = {"dir": str(file.with_suffix("")), "wandb": {"mode": "disabled"}}
    if decision is None:
        blocks = trial.model_dump(mode="json", exclude_defaults=True)
    else:
        what = takeover_of(decision)
        assert what is not None
        fork = {"trial": what.donor, "step": what.step, "seed": what.seed, "results": str(root(made))}
        blocks = {"fork": fork, "optimizer": {path.split(".")[1]: value for path, value in what.values.items()}}
    file.write_text(yaml.safe_dump({"name": "plain", "output": output, **blocks}))
    return spec.load(file, parents=lookup)


def fork_of(decision: Decision) -> tuple[Any, ...]:
    """What tells the forks of a population apart."""
    what = takeover_of(decision)
    assert what is not None
    return (what.donor, what.step, what.seed)


def key_of(trial: TrialSpec) -> tuple[Any, ...]:
    """The same of a trial."""
    return () if trial.fork is None else (trial.fork.trial, trial.fork.step, trial.fork.seed)


def of_trial(made: Sweep, trial: TrialSpec) -> dict[str, list[dict[str, Any]]]:
    """The rows of a trial, in order."""
    columns = {table: [name for name in RECORDS[table].names if name not in FREE] for table in MEASURED}
    return {t: rows(root(made), t, columns[t], trials=[trial.trial_id]).to_pylist() for t in MEASURED}


@contextmanager
def one_thread() -> Iterator[None]:
    """As a worker of one CPU has it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
