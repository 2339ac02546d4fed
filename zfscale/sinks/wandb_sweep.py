"""The W&B run of a whole sweep: how it stands while it runs, and the report at its end.

`python -m zfscale.sinks.wandb_sweep` is told by the driver, a JSON object a line. It is a process of its own, so that
W&B's threads and a slow server hold nothing up. It ends with its standard input, however the driver ended; a later run
of the sweep replaces it, as a trial's next attempt replaces a trial's.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zfscale.records import Status
from zfscale.results.layout import WANDB
from zfscale.results.storage import Place, storage
from zfscale.sinks.guard import warn
from zfscale.sinks.wandb_finish import finish
from zfscale.sinks.wandb_runs import OF_SWEEP
from zfscale.sinks.wandb_start import Named, start
from zfscale.spec import WandbSpec

AXIS = "minutes"  # of this run of the driver, which everything else is drawn against
COUNTS = ("left", "running", *(status.value for status in Status))  # of trials


class SweepRun:
    """The run.

    Args:
        root: The results.
        sweep: The sweep's name.
        config: The sweep file, resolved.
        options: Mode and project, those of the trials.
    """

    def __init__(self, root: Place, sweep: str, config: Mapping[str, Any], options: WandbSpec) -> None:
        self._there = storage(root)
        self._run = start(self._there, Named(id_of(sweep), sweep, sweep, job="sweep"), config, options)
        self._run.define_metric("*", step_metric=AXIS)

    def tell(self, row: Mapping[str, Any]) -> None:
        """How the sweep stands: numbers against `AXIS`; text goes to the summary."""
        self._run.log({name: value for name, value in row.items() if not isinstance(value, str)})
        self._run.summary.update({name: value for name, value in row.items() if isinstance(value, str)})

    def close(self, shown: Iterable[str] = ()) -> bool:
        """End the run, with files of the report to look at: pictures, and a page; whether it is where it belongs."""
        import wandb

        for name in shown:
            with self._there.reading(name) as path:
                page = path.suffix == ".html"
                self._run.log({Path(name).stem: wandb.Html(path, inject=False) if page else wandb.Image(str(path))})
        return finish(self._there, self._run)


def best_of(metric: str) -> str:
    """The name of the best value so far of what a sweep searches by.

    >>> best_of("avg_accuracy")
    'best_avg_accuracy'
    """
    return f"best_{metric}"


def id_of(sweep: str) -> str:
    """The id of a sweep's own run; trials have others.

    >>> id_of("vit_classil")
    'sweepf55a4661958e'
    """
    return f"{OF_SWEEP}{hashlib.sha256(sweep.encode()).hexdigest()[:12]}"


def main(lines: Iterable[str]) -> int:
    """Do what the lines say: first what the run is, then how the sweep stands, at the end what else is to be seen."""
    words = map(json.loads, lines)
    about = next(words, None)
    if about is None:
        return 0
    options, shown = WandbSpec.model_validate(about["options"]), []
    try:
        run = SweepRun(about["root"], about["sweep"], about["config"], options)
        for word in words:
            shown = word.pop("shown", [])
            run.tell(word)
        whole = run.close(shown)
    except Exception as error:
        warn(about["root"], WANDB, "W&B stopped for the sweep's own run; its trials go on", error)
        return 1
    return int(not whole)


if __name__ == "__main__":
    sys.exit(main(sys.stdin))
