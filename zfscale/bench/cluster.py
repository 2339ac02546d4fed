"""`zfscale bench cluster`: how many GPUs one driver keeps busy, reckoned from what trials that sleep cost it.

Each case is a run of its own on a Ray cluster of this machine that is told of more CPUs than there are, so that many
trials sleep at a time. Seconds are of processor time, user and system, which other work on the machine changes little.

NOTE: all nodes are on this machine, so the network is not in these figures.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from zfscale.bench.processes import module_path, watch
from zfscale.driver_load import LOOKS, SERVERS, Load, Look

REPORTS = 20  # of a trial that reports
SHARE = 0.5  # of a driver's one busy thread that a plan may count on
HOUR = 3600.0
LENGTHS = {"1 minute": 60.0, "10 minutes": 600.0, "1 hour": HOUR}
PER_HOUR = (6, 60, 3600)  # reports of one trial; a worker sends one a second at most where nobody decides


def loads(workers: int, trials: int, nodes: int) -> dict[str, Load]:
    """Case -> what its driver has to bear."""
    few = max(workers // 4, 1)
    found = {
        "few": Load(few, max(trials // 4, 2 * few), 0, 4.0),
        "silent": Load(workers, trials, 0, 4.0),
        "telling": Load(workers, max(trials // 2, 2 * workers), REPORTS, 8.0),
        "judged": Load(workers, max(trials // 2, 2 * workers), REPORTS, 8.0, judged=True),
        "flat_out": Load(workers, 2 * trials, 0, 0.0),
    }
    return {name: replace(load, nodes=nodes) for name, load in found.items()}


def measure(workers: int, trials: int, nodes: int = 1) -> dict[str, Any]:
    """All cases, and what follows from them; the keys are those that `--json` prints. Errors: ZfscaleError."""
    found = {name: figures(load, looks_at(load)) for name, load in loads(workers, trials, nodes).items()}
    prices = costs(found)
    return {"cpus": os.cpu_count(), "cases": found, **prices, "gpus": gpus(prices)}


def looks_at(load: Load) -> list[Look]:
    """A run of such a load, in processes of its own. Errors: ZfscaleError."""
    command = [sys.executable, "-m", "zfscale.sweep.sleeping", json.dumps(asdict(load))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": module_path()}
    with tempfile.TemporaryDirectory(prefix="zfscale-bench-") as name:
        watch([*command, name], Path(name), environment)
        return [Look(**look) for look in json.loads((Path(name) / LOOKS).read_text())]


def figures(load: Load, looks: Sequence[Look]) -> dict[str, Any]:
    """What a case took from the first look that saw an ended trial to the last; `idle` is of those before it."""
    first = next(i for i, look in enumerate(looks) if look.done)
    start, end = looks[first], looks[-1]
    if end.done == start.done:  # all within two looks
        start = looks[max(first - 1, 0)]
    trials, seconds = max(end.done - start.done, 1), end.when - start.when
    used = {"driver": end.driver - start.driver}
    used |= {name: end.servers[name] - start.servers[name] for name in SERVERS}
    waiting = looks[first - 1].when - looks[0].when if first else 0.0
    return {
        **asdict(load),
        "counted": trials,
        "trials_a_second": trials / seconds,
        "share": {name: value / seconds for name, value in used.items()},
        "seconds_a_trial": {name: value / trials for name, value in used.items()},
        "idle": (looks[first - 1].driver - looks[0].driver) / waiting if waiting else None,
        "mib": end.mib,
        "driver_mib_per_1000": (end.mib - start.mib) / trials * 1000,
    }


def costs(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Driver seconds: of a second in which nothing happens, of a trial, and of a report that is shown or judged."""
    idle = min((case["idle"] for case in cases.values() if case["idle"] is not None), default=0.0)
    own = {name: case["seconds_a_trial"]["driver"] - idle / case["trials_a_second"] for name, case in cases.items()}
    told = {name: max(own[name] - own["silent"], 0.0) / cases[name]["reports"] for name in ("telling", "judged")}
    return {"idle": idle, "trial": own["silent"], "report": told["telling"], "judged_report": told["judged"]}


def gpus(prices: Mapping[str, float], share: float = SHARE) -> list[dict[str, Any]]:
    """How many trials at a time, one on a GPU, take such a share of the driver's time, by length and reports.

    With L seconds a trial and r reports an hour, a trial takes trial / L + r report / 3600 of each second.
    """
    found = []
    for length, seconds in LENGTHS.items():
        for reports in PER_HOUR:
            row: dict[str, Any] = {"length": length, "reports_an_hour": reports}
            for name in ("report", "judged_report"):
                each = prices["trial"] / seconds + reports * prices[name] / HOUR
                row[name] = int((share - prices["idle"]) / each)
            found.append(row)
    return found


def report(workers: int, trials: int, nodes: int, as_json: bool) -> str:
    """`measure` as JSON or as a table."""
    found = measure(workers, trials, nodes)
    return json.dumps(found, indent=2) if as_json else table(found)


def table(found: Mapping[str, Any]) -> str:
    """The same, to be read."""
    names = ("driver", *SERVERS)
    lines = [
        f"one driver and trials that sleep, on {found['cpus']} CPUs; ms of processor time a trial, and share of a core",
        "",
        f"{'':10}{'workers':>9}{'reports':>9}{'trials/s':>10}" + "".join(f"{name:>20}" for name in names),
    ]
    for name, case in found["cases"].items():
        cells = (f"{1e3 * case['seconds_a_trial'][n]:.1f} ({100 * case['share'][n]:.0f} %)" for n in names)
        counts = f"{case['workers']:9}{case['reports']:9}{case['trials_a_second']:10.2f}"
        lines.append(f"{name:10}{counts}" + "".join(f"{cell:>20}" for cell in cells))
    shown = (f"{1e3 * found[key]:.2f} ms a {key.replace('_', ' ')}" for key in ("trial", "report", "judged_report"))
    lines += ["", f"of the driver: {', '.join(shown)}, {100 * found['idle']:.1f} % when nothing happens"]
    lines += ["", f"trials at a time that take {100 * SHARE:.0f} % of a driver:"]
    lines.append(f"{'length':14}{'reports an hour':>16}{'shown':>10}{'judged':>10}")
    lines += [
        f"{r['length']:14}{r['reports_an_hour']:16}{r['report']:10}{r['judged_report']:10}" for r in found["gpus"]
    ]
    return "\n".join(lines)
