"""Whether the tables of a disturbed sweep are those of the undisturbed one, as far as its trials went."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from tests.sweep import populations
from zfscale import spec
from zfscale.results.decisions import CONTINUE, FINISHED, STOP
from zfscale.sweep.rules import Asha

TABLES = ("trials", "evals", "steps", "ledger")
# What may differ between two runs of a trial; `files` are checksums of the other tables, `error` has a traceback.
FREE = {"seconds", "peak_memory_bytes", "attempts", "files", "error", "node", "bytes_sent", "versions"}
PLACE = {"evals": "stage", "steps": "task", "ledger": "task"}  # the column that says in which stage a row was made
UP_TO = {"avg_accuracy", "last_accuracy", "forgetting", "bwt", "plasticity", "evaluated_images", "forwards"}

Rows = list[dict[str, Any]]


def read(results: Path) -> dict[str, Rows]:
    """The deterministic columns of all tables, in a stable order; a row that is there twice is there twice."""
    found = {}
    for name in TABLES:
        rows = ds.dataset(results / name, format="parquet").to_table().to_pylist()
        found[name] = sort([{key: value for key, value in row.items() if key not in FREE} for row in rows])
    return found


def sort(rows: Rows) -> Rows:
    """In an order that the rows alone decide."""
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def implied(whole: dict[str, Rows], found: dict[str, Rows]) -> dict[str, Rows]:
    """What the undisturbed tables say of trials that were stopped where those of `found` were."""
    stopped = {row["trial_id"]: row["stopped_at"] for row in found["trials"] if row["status"] == "stopped"}
    expected = {}
    for name, place in PLACE.items():
        kept = [row for row in whole[name] if row[place] <= stopped.get(row["trial_id"], row[place])]
        expected[name] = sort(kept)
    mine = {row["trial_id"]: row for row in found["trials"]}
    about = []
    for row in whole["trials"]:
        if row["trial_id"] in stopped:  # its measures are those up to the stage, which `evals` has as well
            row = row | {key: mine[row["trial_id"]][key] for key in ("status", "stopped_at", *UP_TO)}
            row["weights"] = _first(row["weights"], row["stopped_at"]) or mine[row["trial_id"]]["weights"]
        about.append(row)
    return {"trials": sort(about), **expected}


def _first(weights: str | None, stages: int) -> str | None:
    """The hashes of so many stages; None of a trial that failed later on, whose row has none."""
    return weights and json.dumps(json.loads(weights)[:stages])


def assert_equal(whole: dict[str, Rows], results: Path) -> None:
    """Nothing lost, nothing twice, nothing else.

    Raises:
        AssertionError: It says in which table, and which rows.
    """
    found = read(results)
    expected = implied(whole, found)
    for name in TABLES:
        mine, theirs = ([json.dumps(row, sort_keys=True) for row in rows[name]] for rows in (found, expected))
        if mine != theirs:
            lost, more = sorted(set(theirs) - set(mine))[:3], sorted(set(mine) - set(theirs))[:3]
            raise AssertionError(f"{name}: {len(mine)} rows for {len(theirs)}\nlost: {lost}\nmore: {more}")


def assert_implied(file: Path) -> None:
    """The trials of a population are those of its file and its decisions, and each is as it is when it is run alone.

    Raises:
        AssertionError: It says which of it does not hold.
    """
    made, wish = spec.load(file), file.with_name("wish")
    wish.unlink(missing_ok=True)
    populations.assert_explained(made)
    sys.path.insert(0, str(file.parent))  # where the objective is
    sys.modules.pop("mine", None)
    try:
        populations.assert_rebuilt(made, file.with_name("alone"))
    finally:
        sys.path.remove(str(file.parent))


def assert_explained(file: Path, results: Path) -> None:
    """The decisions, in the order in which they are recorded, are those of ASHA, and the trials followed them."""
    search, found = spec.load(file).spec.search, read(results)
    rows = ds.dataset(results / "decisions", format="parquet").to_table().to_pylist()
    rows.sort(key=lambda row: row["number"])
    assert [row["number"] for row in rows] == list(range(len(rows)))
    assert len({(row["trial_id"], row["stage"]) for row in rows}) == len(rows), "a stage was decided on twice"
    measured = {(e["trial_id"], e["stage"]): e["value"] for e in found["evals"] if e["metric"] == "stage_accuracy"}
    rule, stopped = Asha(search), {}
    for row in rows:
        assert row["value"] == measured[row["trial_id"], row["stage"]], row
        why = rule.why(row["trial_id"], row["stage"], row["value"])
        assert row["decision"] in (CONTINUE, STOP, FINISHED)
        assert row["why"] == ("the last stage" if row["decision"] == FINISHED else why), row
        if row["decision"] == STOP:
            stopped[row["trial_id"]] = row["stage"]
    ended = {row["trial_id"]: row["stopped_at"] for row in found["trials"] if row["status"] == "stopped"}
    assert ended == stopped
