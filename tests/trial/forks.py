"""Forks of small trials, as a sweep makes them: read from results, begun with the steps that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from zfscale.results.layout import EVALS, LEDGER, STEPS
from zfscale.results.parents import lookup
from zfscale.results.tables import rows
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import TrialSpec
from zfscale.spec.inheriting import Parents, differing
from zfscale.training.snapshots import Snapshots
from zfscale.trial import run as trial
from zfscale.trial.forking import start_of
from zfscale.zo.ledger import Ledger


def run_into(root: Path, spec: TrialSpec, small: Any, ledger: Path | None = None) -> None:
    """Run a trial, a fork or not, and write its tables."""
    sink, snapshots = ParquetSink(About.of(root, "s", spec)), Snapshots(root, spec.trial_id)
    kept = Ledger(ledger or root / ".ledgers" / spec.trial_id)
    if spec.fork is not None:
        start_of(spec).give(kept, snapshots)
    sink.close(trial.run(spec, small.base, small.data, sink, ledger=kept, snapshots=snapshots))
    kept.close()


def fork_of(root: Path, parent: TrialSpec, step: int, **blocks: Any) -> TrialSpec:
    """A fork of a trial, as a file would say that has these blocks; `fork` may have more options."""
    fork = {"trial": parent.trial_id, "step": step, "results": str(root), **blocks.pop("fork", {})}
    inherited = Parents(lookup("nowhere", "s")).inherit({**blocks, "fork": fork})
    assert not inherited.problems, inherited.problems
    spec = TrialSpec.model_validate(inherited.whole)
    assert spec.parent is not None
    assert not list(differing(spec, spec.parent))
    return spec


def tables(root: Path, spec: TrialSpec) -> dict[str, pa.Table]:
    """All rows of a trial, but for its id, and for what a fork does not spend."""
    found = {table: rows(root, table, _columns(table), trials=[spec.trial_id]) for table in (EVALS, STEPS, LEDGER)}
    assert all(table.num_rows for table in found.values())
    return found


def _columns(table: str) -> list[str]:
    return {
        EVALS: ["stage", "task", "metric", "value"],
        STEPS: ["task", "step", "loss", "lr"],
        LEDGER: ["task", "step", "query", "seed", "coefficient", "accepted"],
    }[table]


def column(root: Path, spec: TrialSpec, name: str) -> list[Any]:
    """A column of the trial's steps."""
    return list(rows(root, STEPS, [name], trials=[spec.trial_id])[name].to_pylist())
