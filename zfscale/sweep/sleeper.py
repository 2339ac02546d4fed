"""A trial that sleeps, for `zfscale bench cluster`: it imports no torch and writes no tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ray import tune

from zfscale.records import Status
from zfscale.results.storage import storage
from zfscale.results.workers import Speaker
from zfscale.spec import METRICS, TrialSpec

if TYPE_CHECKING:
    from zfscale.spec import OutputSpec


def asleep(reports: int, seconds: float) -> type[Sleeper]:
    """The class of trials that sleep so long, and report so often before they end."""
    return type("Asleep", (Sleeper,), {"reports": reports, "seconds": seconds})


class Sleeper(tune.Trainable):
    """A trial of `zfscale.sweep.worker.Worker` as its driver sees it, asleep; `setup` is given what that is given."""

    reports: int
    seconds: float

    def setup(self, config: dict[str, Any], output: OutputSpec, name: str, run: str, **others: Any) -> None:  # type: ignore[override]
        """Set up what tells the driver how far a trial is."""
        self.speaker = Speaker(storage(output.dir, name), run, "here")
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
        with self.speaker.of(trial.trial_id, "asleep", 1, self.config["spec"]):
            for stage in range(1, self.reports + 1):
                time.sleep(self.seconds / (self.reports + 1))
                yield {"stage": stage, "seconds": self.seconds, "forwards": stage, **told}
            time.sleep(self.seconds / (self.reports + 1))
        last = {"seconds": self.seconds, "forwards": self.reports + 1, **told}
        yield {"done": True, "stage": self.reports + 1, "status": Status.FINISHED.value, **last}
