"""Gives Ray Tune the trials of a list one at a time, in order: its own grid would copy the whole list for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.search import Searcher

from zfscale.records import Status
from zfscale.spec import TrialSpec
from zfscale.sweep.gate import Gate
from zfscale.sweep.unpickled import Unpickled


class Listed(Unpickled, Searcher):
    """A search algorithm that has made up its mind; `Tuner` must ask for as many samples as the list is long.

    `over` says whether the rest of the list is not wanted any more, `gate` whether another trial may start.
    """

    def __init__(
        self, specs: Iterable[TrialSpec], over: Callable[[], bool] = lambda: False, gate: Gate | None = None
    ) -> None:
        super().__init__()
        self._left, self._over, self._gate = iter(specs), over, gate or Gate()
        self.running: dict[str, str] = {}  # Tune's id -> ours

    def suggest(self, trial_id: str) -> Any:
        """The next trial's configuration, under Tune's own id of it; None if it has to wait."""
        if self._over() or self._gate.closed:
            return Searcher.FINISHED
        if self._gate.full or self.waits:
            return None
        spec = self.following()
        if spec is None:
            return Searcher.FINISHED
        self.running[trial_id] = spec.trial_id
        self._gate.begin(trial_id, spec.trial_id)
        return {"spec": spec.to_json()}

    @property
    def waits(self) -> bool:
        """Whether the next trial cannot be told yet."""
        return False

    def following(self) -> TrialSpec | None:
        """The next trial, if there is one."""
        return next(self._left, None)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Makes room; the list stays."""
        self._gate.end(trial_id, result)
        recorded = result is not None and result.get("status") in list(Status)
        self.ended(self.running.pop(trial_id), result if recorded else None)

    def ended(self, name: str, row: dict[str, Any] | None) -> None:
        """A trial of ours has its row, or none: its workers have died, or could not write."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Keep nothing: Parquet says what is left of the list."""

    def get_state(self) -> dict[str, Any]:
        """Nothing, as above, where Tune has wrapped this one."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing, as above."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a sweep that goes on is a new list."""
