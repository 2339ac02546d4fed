"""`zfscale logs`: what is known of one trial, while it runs or after."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow.compute as pc

from zfscale.metrics.catalogue import MEASURES
from zfscale.results.forecast import clock
from zfscale.results.layout import EVALS, STEPS, TRIALS
from zfscale.results.storage import Place, Storage
from zfscale.results.tables import rows
from zfscale.results.workers import Word
from zfscale.text_table import aligned
from zfscale.watch.standing import Standing, named, one, results_of, standing

LAST = 10  # steps that are shown


def logs(directory: Place, trial: str) -> str:
    """A trial by its id, or by the beginning of one: how it stands, its last steps, what it measured, spec and error.

    Raises:
        ZfscaleError: No trial, or more than one, has an id that begins so.
    """
    there = results_of(directory)
    trial_id = one(there, trial)
    now = standing(directory, only=[trial_id])
    row = next((row for row in now.rows if row["trial_id"] == trial_id), None)
    word = next((word for word in now.running if word.trial_id == trial_id), None)
    spec = row["spec"] if row else word.spec if word else ""
    parts = [_state(now, trial_id, row, word), _steps(there, trial_id, word), _measures(there, trial_id)]
    if spec:
        parts.append(f"spec\n{json.dumps(json.loads(spec), indent=2)}")
    if row and row["error"]:
        parts.append(f"error\n{row['error'].rstrip()}")
    return "\n\n".join("".join(c if c.isprintable() or c == "\n" else " " for c in part) for part in parts if part)


def _state(now: Standing, trial_id: str, row: dict[str, Any] | None, word: Word | None) -> str:
    if row is not None:
        took = [f"after {clock(row['seconds'])}"] if row["seconds"] is not None else []
        made = [f"{row['forwards']} forwards"] if row["forwards"] is not None else []
        where = [f"on {row['node']}"] if row["node"] else []
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now.ended.get(trial_id, 0.0)))
        attempts = f"in attempt {row['attempts']}"
        return f"{trial_id}: {named(row)}\n{', '.join([row['status'], *where, attempts, *took, *made, f'at {at}'])}"
    if word is not None:
        place = f" on {word.node}, process {word.pid}," if word.node else ""
        elapsed, said = clock(now.now - word.started), clock(max(now.now - word.said, 0.0))
        return (
            f"{trial_id}: {word.label}\n"
            f"running{place} in attempt {word.attempt} for {elapsed}; its worker spoke {said} ago"
        )
    return f"{trial_id}\n{'interrupted, to be resumed' if trial_id in now.interrupted else 'not started yet'}"


def _steps(there: Storage, trial_id: str, word: Word | None) -> str:
    """The last steps of a trial that ended; of one that runs, the last that its worker told of."""
    if word is not None and word.task:
        made = f"{word.forwards} forwards in {clock(word.seconds)}"
        return f"last step: task {word.task}, step {word.step}, loss {word.loss:.6g}, {made}"
    kept = rows(there, STEPS, ["task", "step", "loss", "lr", "forwards", "seconds"], trials=[trial_id]).to_pylist()
    cells = [["task", "step", "loss", "lr", "forwards", "seconds"]]
    cells += [
        [
            str(s["task"]),
            str(s["step"]),
            f"{s['loss']:.6g}",
            f"{s['lr']:.4g}",
            str(s["forwards"]),
            f"{s['seconds']:.1f}",
        ]
        for s in kept[-LAST:]
    ]
    return f"last of {len(kept)} steps\n{aligned(cells, 0)}" if kept else ""


def _measures(there: Storage, trial_id: str) -> str:
    """What was measured after each stage on all tasks seen, and in all."""
    over_all = rows(there, EVALS, ["stage", "metric", "value"], pc.field("task") == 0, [trial_id]).to_pylist()
    (row,) = rows(there, TRIALS, [m.name for m in MEASURES], trials=[trial_id]).to_pylist() or [{}]
    return "\n".join(
        [f"after stage {each['stage']}: {each['metric']} {each['value']:.4f}" for each in over_all]
        + [f"{name}: {value:.6g}" for name, value in row.items() if value is not None]
    )
