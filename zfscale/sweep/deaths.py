"""What becomes of a trial whose worker died: it cannot write its row, so the driver decides, and writes."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from ray import tune

from zfscale.errors import one_line
from zfscale.results.attempts import progress
from zfscale.results.check import ended
from zfscale.results.missing import root as results
from zfscale.results.redact import redact
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.tune_fixes import NO_MEMORY
from zfscale.sweep.unfinished import REFUSED, failures
from zfscale.sweep.unpickled import Unpickled
from zfscale.sweep.worker import record_failure

RETRIES = 3  # of a trial whose worker died (killed, out of memory, its node lost), within one run
DIED = f"the worker died {RETRIES + 1} times"
REMEDY = (
    f"out of memory: {DIED}, the last time because its node had no memory left; remedies: a smaller train.batch_size "
    "or train.micro_batch_size, fewer trials at once (resources.max_concurrent)"
)


class RecordDeaths(Unpickled, tune.Callback):
    """Records a trial as failed once it is clear that the trial is to blame."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.reached: dict[str, int] = {}  # Tune's id of a trial -> its progress when it was last started

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has a worker."""
        spec = TrialSpec.from_json(trial.config["spec"])
        self.reached[trial.trial_id] = 0
        with suppress(OSError):  # a bucket that does not answer now
            self.reached[trial.trial_id] = progress(results(self.sweep), spec.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has written its row."""
        self.reached.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has given the trial up. What cannot be written now is left to the next run."""
        spec = TrialSpec.from_json(trial.config["spec"])
        try:
            self._judge(spec, trial)
        except OSError as error:
            print(f"trial {spec.trial_id}: its failure was not recorded: {one_line(error)}", file=sys.stderr)

    def _judge(self, spec: TrialSpec, trial: Any) -> None:
        """A trial that still got further is left to the next run, as is one that no worker took."""
        root, last = results(self.sweep), last_failure(trial)
        if REFUSED in last or ended(root, spec.trial_id) is not None:  # by our own storage: `Unfinished` says so
            return
        if trial.trial_id not in self.reached:
            reason = redact(last.rpartition("\n")[2])
            print(f"trial {spec.trial_id}: no worker could start it: {reason}", file=sys.stderr)
        elif NO_MEMORY in last:
            self._record(spec, f"{last}\n{REMEDY}")
        elif progress(root, spec.trial_id) > self.reached[trial.trial_id]:
            print(f"trial {spec.trial_id}: its workers died {RETRIES + 1} times; it goes on next time", file=sys.stderr)
        else:
            self._record(spec, f"{last}\n{DIED}".strip())

    def _record(self, spec: TrialSpec, error: str) -> None:
        record_failure(results(self.sweep), self.sweep.spec.name, spec, self.sweep.spec.output, error)


def last_failure(trial: Any) -> str:
    """What Tune was told when the trial's worker died for the last time."""
    return failures(trial).rpartition("Failure # ")[2].strip()
