"""`zfscale bench sweep`: what a sweep takes beside its trials, with Ray Tune alone beside it.

A trial of the sweep is `simplecil` on `digits`, which is nearly free; one of Ray Tune alone does nothing. Each
contestant is a command in a process and a folder of its own, which is watched from outside.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfscale.bench.processes import Watched, module_path, watch

FEW = 200  # trials at the start and at the end of a run that are compared
NAME, FILE = "bench", "bench.yaml"
ENDED = "ended.json"  # when the trials of Ray Tune alone ended
SWEEP = """\
name: bench
model: {{name: embedded/vit-nano}}
stream: {{dataset: digits, tasks: 5}}
method: {{name: simplecil}}
optimizer: {{name: zo-sgd, lr: 1.0e-3}}
train: {{epochs: 1, batch_size: 32}}
space: {{seed: {{grid: {seeds}}}}}
output: {{wandb: {{mode: {wandb}}}}}
"""
SECONDS = ("seconds_a_trial", "first", "last")
TITLES = {
    "seconds_a_trial": "seconds a trial",
    "first": "first {few}",
    "last": "last {few}",
    "first_trial_after": "first trial after, s",
    "after_the_last_trial": "after the last trial, s",
    "driver_mib_at_first": "driver at the first trial, MiB",
    "driver_mib_per_1000": "driver, MiB per 1,000 trials",
    "driver_mib_at_end": "driver at the end, MiB",
    "bytes_a_trial": "bytes on disk a trial",
    "entries_a_trial": "files and folders a trial",
    "validate": "zfscale validate, s",
    "dry_run": "zfscale run --dry-run, s",
    "second_run": "the same command again, s",
    "report": "zfscale report, s",
}


@dataclass(frozen=True)
class Contestant:
    """One way to run N trials.

    Args:
        prepare: Writes what the command needs into a folder, given N, and says what the command is.
        results: Where its results lie in that folder.
        ends: When the trials ended, as `time.time` has it, from `results` and from what was seen of the run.
        counted: A folder in `results` that has one file more after each trial, while it runs.
        more: What else is timed, once the trials have ended: name -> arguments of zfscale.
    """

    prepare: Callable[[Path, int], list[str]]
    results: str
    ends: Callable[[Path, Watched], list[float]]
    counted: str = ""
    more: tuple[tuple[str, tuple[str, ...]], ...] = ()


def _plain(folder: Path, trials: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "zfscale.sweep.plain",
        str(trials),
        str(folder / "tune"),
        str(folder / "tune" / ENDED),
    ]


def _zfscale(wandb: str) -> Contestant:
    def prepare(folder: Path, trials: int) -> list[str]:
        (folder / FILE).write_text(SWEEP.format(seeds=list(range(trials)), wandb=wandb))
        return [*ZFSCALE, "run", FILE]

    again = ("second_run", ("run", FILE)), ("report", ("report", f"results/{NAME}"))
    checks = ("validate", ("validate", FILE)), ("dry_run", ("run", "--dry-run", FILE))
    return Contestant(prepare, f"results/{NAME}", _counted, "trials", (*checks, *again))


def _counted(results: Path, watched: Watched) -> list[float]:
    """A worker writes a trial's row when the trial ends; what the run merges at its end was counted before."""
    ends: list[float] = []
    for when, count in watched.counts:
        ends += [when] * (count - len(ends))
    return ends


def _told(results: Path, watched: Watched) -> list[float]:
    """What the trials themselves said, for the times of Tune's files are of the moment when it copied them."""
    found: list[float] = json.loads((results / ENDED).read_text())
    return found


ZFSCALE = (sys.executable, "-m", "zfscale")
ALONE = "ray_tune"
CONTESTANTS = {
    ALONE: Contestant(_plain, "tune", _told),
    "wandb_off": _zfscale("disabled"),
    "wandb_offline": _zfscale("offline"),
}


def measure(trials: int) -> dict[str, Any]:
    """All contestants, one after the other; the keys are those that `--json` prints. Errors: ZfscaleError."""
    found = {name: _run(one, trials) for name, one in CONTESTANTS.items()}
    off, offline = (found[name]["seconds_a_trial"] / found[ALONE]["seconds_a_trial"] for name in list(found)[1:])
    return {
        "trials": trials,
        "few": _few(trials),
        "cpus": os.cpu_count(),
        "ratio_to_ray_tune": off,
        "ratio_to_ray_tune_offline": offline,
        "contestants": found,
    }


def _run(one: Contestant, trials: int) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": module_path()}
    with tempfile.TemporaryDirectory(prefix="zfscale-bench-") as name:
        folder = Path(name)
        results = folder / one.results
        watched = watch(one.prepare(folder, trials), folder, environment, results / one.counted)
        found = figures(sorted(one.ends(results, watched)), watched)
        sizes = [path.lstat().st_size * path.is_file() for path in results.rglob("*")]
        found |= {"bytes_a_trial": sum(sizes) / trials, "entries_a_trial": len(sizes) / trials}
        return found | {key: watch([*ZFSCALE, *more], folder, environment).seconds for key, more in one.more}


def figures(ends: list[float], watched: Watched) -> dict[str, float]:
    """Time and memory of a run, given when its trials ended, in order: two at least."""
    few, mib = _few(len(ends)), 2**-20
    first, last = watched.memory(ends[0]), watched.memory(ends[-1])
    return {
        "seconds_a_trial": (ends[-1] - ends[0]) / (len(ends) - 1),
        "first": (ends[few] - ends[0]) / few,
        "last": (ends[-1] - ends[-1 - few]) / few,
        "first_trial_after": ends[0] - watched.began,
        "after_the_last_trial": watched.ended - ends[-1],
        "driver_mib_at_first": first * mib,
        "driver_mib_per_1000": (last - first) * mib / (len(ends) - 1) * 1000,
        "driver_mib_at_end": watched.memory(watched.ended) * mib,
    }


def _few(trials: int) -> int:
    return min(FEW, trials // 2)


def report(trials: int, as_json: bool) -> str:
    """`measure` as JSON or as a table."""
    found = measure(trials)
    return json.dumps(found, indent=2) if as_json else table(found)


def table(found: dict[str, Any]) -> str:
    """The same, to be read."""
    contestants = found["contestants"]
    rows = [f"{found['trials']} trials on {found['cpus']} CPUs", "", f"{'':32}" + "".join(map(_cell, contestants))]
    for key, title in TITLES.items():
        values = [one.get(key) for one in contestants.values()]
        cells = ("" if value is None else f"{value:.{4 if key in SECONDS else 1}f}" for value in values)
        rows.append(f"{title.format(few=found['few']):32}" + "".join(map(_cell, cells)))
    ratios = (f"{found[key]:.2f}" for key in ("ratio_to_ray_tune", "ratio_to_ray_tune_offline"))
    return "\n".join(
        [*rows, "", f"seconds a trial over those of Ray Tune alone, W&B off and offline: {', '.join(ratios)}"]
    )


def _cell(text: str) -> str:
    return f"{text:>16}"
