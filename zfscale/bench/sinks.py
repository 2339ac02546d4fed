"""`zfscale bench sinks`: rows a second of each sink in one process, and its memory in one trial of many steps.

    python -m zfscale.bench.sinks NAME STEPS

is the process of one sink, which prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from zfscale.bench.processes import module_path
from zfscale.errors import ZfscaleError, nearest
from zfscale.metrics import peak_memory as memory
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.sinks.about import About
from zfscale.sinks.catalogue import SINKS, Chosen
from zfscale.spec import OutputSpec

MEASURED = tuple(name for name, facts in SINKS.items() if not facts.block)
TITLES = {
    "rows_per_second": "rows/s",
    "step_us": "us a step",
    "seconds": "seconds",
    "at_close": "at close",
    "peak_mib": "MiB",
}


def measure(steps: int, names: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """The figures of each sink, from a process of its own. Errors: ZfscaleError."""
    for name in names:
        if name not in SINKS:
            raise ZfscaleError(f"--sink {name}: unknown; {nearest(name, SINKS)}")
    return {name: _of(name, steps) for name in names or MEASURED}


def _of(name: str, steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, name, str(steps)]
    environment = {**os.environ, "PYTHONPATH": module_path()}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        told = result.stderr.strip().splitlines()
        raise ZfscaleError(f"sink {name}: {told[-1] if told else f'exit code {result.returncode}'}")
    return dict(json.loads(result.stdout.splitlines()[-1]))


def child(name: str, steps: int) -> dict[str, float]:
    """Tell a sink of a trial of one-query steps; its rows are the steps, the queries and one evaluation."""
    facts = SINKS[name]
    options = getattr(OutputSpec(), facts.block) if facts.block else {}
    with tempfile.TemporaryDirectory(prefix="zfscale-bench-") as folder:
        _tell(Chosen(name, facts, options), Path(folder) / "warm", 10)
        memory.reset_peak()
        before = memory.peak()
        seconds, at_close = _tell(Chosen(name, facts, options), Path(folder) / "long", steps)
        peak = max(memory.peak() - before, 0)
    rows = 2 * steps + 1
    return {
        "rows_per_second": rows / seconds,
        "step_us": 1e6 * seconds / steps,
        "seconds": seconds,
        "at_close": at_close,
        "peak_mib": peak / 2**20,
    }


def _tell(chosen: Chosen, root: Path, steps: int) -> tuple[float, float]:
    """Seconds of a whole trial, and those of its end."""
    began = time.perf_counter()
    sink = chosen.make(About(root, "0123456789ab", sweep="bench"))
    for step in range(steps):
        sink.step(Step(1, step, 0.5 / (step + 1), 1e-3, 2 * step, 1e-3 * step))
        sink.query(Query(1, step, 0, step * 0x9E3779B97F4A7C15 % 2**64, 0.25 / (step + 1), 1))
    sink.eval(Eval(1, 0, "stage_accuracy", 0.5))
    closing = time.perf_counter()
    sink.close(Outcome(Status.FINISHED, {"forwards": 2 * steps}))
    ended = time.perf_counter()
    return ended - began, ended - closing


def report(steps: int, names: Collection[str], as_json: bool) -> str:
    """`measure` as JSON or as a table."""
    found = measure(steps, names)
    if as_json:
        return json.dumps({"steps": steps, "sinks": found}, indent=2)
    head = f"{f'{steps:,} steps':16}" + "".join(f"{title:>12}" for title in TITLES.values())
    rows = [f"{name:16}" + "".join(f"{values[key]:>12,.1f}" for key in TITLES) for name, values in found.items()]
    return "\n".join([head, *rows])


if __name__ == "__main__":
    print(json.dumps(child(sys.argv[1], int(sys.argv[2]))))
