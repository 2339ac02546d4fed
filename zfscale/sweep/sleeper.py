"""A trial that sleeps, for `zfscale bench cluster`: it imports no torch and writes no tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ray import tune

from zfscale.records import Status
from zfscale.results.storage import storage
from zfscale.results.workers import Speaker
from zfscale.spec import METRICS, TrialSpec

if TYPE_CHECKING:
    from zfscale.spec import OutputSpec


def asleep(reports: int, pause: float, speaks: bool = True) -> type[Sleeper]:
    """The class of trials that report so often before they end, and sleep so long before each report and their end.

    Whether a worker `speaks`, to say how far it is: many in one process would do so in one file.
    """
    return type("Asleep", (Sleeper,), {"reports": reports, "pause": pause, "speaks": speaks})


class Sleeper(tune.Trainable):
    """A trial of `zfscale.sweep.worker.Worker` as its driver sees it, asleep; `setup` is given what that is given."""

    reports: int
    pause: float  # seconds
    speaks: bool

    def setup(self, config: dict[str, Any], output: OutputSpec, name: str, run: str, **others: Any) -> None:  # type: ignore[override]
        """Set up what tells the driver how far a trial is."""
        self.speaker = Speaker(storage(output.dir, name), run, "here") if self.speaks else None
        self.walk: Iterator[dict[str, Any]] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Nothing is left of the last trial."""
        self.walk = None
        return True

    def stop_here(self) -> None:
        """Asleep, nothing is heard."""

    def step(self) -> dict[str, Any]:
        """The next report, or the end."""
        self.walk = self.walk or self._reports()
        return next(self.walk)

    def _reports(self) -> Iterator[dict[str, Any]]:
        told = dict.fromkeys(METRICS, 0.5)  # all alike, so that no rule stops any
        trial = TrialSpec.from_json(self.config["spec"])
        spoken = self.speaker.of(trial.trial_id, "asleep", 1, self.config["spec"]) if self.speaker else nullcontext()
        with spoken:
            for stage in range(1, self.reports + 1):
                time.sleep(self.pause)
                yield {"stage": stage, "seconds": self.pause * stage, "forwards": stage, **told}
            time.sleep(self.pause)
        last = {"seconds": self.pause * (self.reports + 1), "forwards": self.reports + 1, **told}
        yield {"done": True, "stage": self.reports + 1, "status": Status.FINISHED.value, **last}
