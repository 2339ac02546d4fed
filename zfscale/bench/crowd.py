"""`zfscale bench crowd`: what one driver takes for a trial as more trials run at a time, thousands on one machine.

The trials sleep, many of them in each of a few processes, so that a machine can have as many as a large cluster. All on
the driver's side is that of `zfscale run`, but for what hosts lack (see `zfscale.sweep.hosted`), so a trial of a worker
with a process of its own takes more. Seconds are of processor time, user and system.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from zfscale.bench.cluster import figures, looks_at
from zfscale.driver_load import Load, Look

HOSTS = 2
CASES, APART = 4, 4  # so many crowds, each so many times the one before
RATE = 30.0  # trials that end a second, if the driver keeps up
LEAST = 2.0  # seconds that a trial sleeps


def loads(workers: int, trials: int) -> list[Load]:
    """Crowds of up to so many workers, each with so many trials or with two a worker, the smallest crowd first."""
    crowds = sorted({max(workers // APART**i, 1) for i in range(CASES)})
    return [Load(n, max(trials, 2 * n), 0, max(n / RATE, LEAST), hosts=HOSTS) for n in crowds]


def measure(workers: int, trials: int) -> dict[str, Any]:
    """All crowds; the keys are those that `--json` prints. Errors: ZfscaleError."""
    return {"cpus": os.cpu_count(), "cases": [case(load, looks_at(load)) for load in loads(workers, trials)]}


def case(load: Load, looks: Sequence[Look]) -> dict[str, Any]:
    """As of `zfscale bench cluster`; `seconds_a_worker`: what the driver took until first trials ended, a worker."""
    first = next(look for look in looks if look.done)
    found = {**figures(load, looks), "seconds_a_worker": (first.driver - looks[0].driver) / load.workers}
    del found["idle"]  # workers start while no trial has ended
    return found


def report(workers: int, trials: int, as_json: bool) -> str:
    """`measure` as JSON or as a table."""
    found = measure(workers, trials)
    return json.dumps(found, indent=2) if as_json else table(found)


def table(found: Mapping[str, Any]) -> str:
    """The same, to be read."""
    lines = [
        f"one driver and trials that sleep in {HOSTS} processes, on {found['cpus']} CPUs; ms of its processor time",
        "",
        f"{'at a time':>10}{'trials/s':>10}{'a worker':>10}{'a trial':>10}{'of a core':>11}{'MiB':>7}",
    ]
    for each in found["cases"]:
        times = f"{1e3 * each['seconds_a_worker']:10.1f}{1e3 * each['seconds_a_trial']['driver']:10.1f}"
        share = f"{100 * each['share']['driver']:9.0f} %"
        lines.append(f"{each['workers']:10}{each['trials_a_second']:10.1f}{times}{share}{each['mib']:7.0f}")
    return "\n".join(lines)
