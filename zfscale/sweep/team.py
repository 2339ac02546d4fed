"""The other ranks of a trial that spans several workers: Ray actors beside Tune's, which is rank 0.

All run the same trial and meet in one process group; rank 0 alone has sinks, ledger file and snapshots. Where a rank
dies, or fails by itself, the others are ended, so that nobody waits for it: Tune then starts the trial again, and it
goes on from its ledger.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from zfscale.errors import ZfscaleError, one_line
from zfscale.garbage import Settled, uncollected
from zfscale.models.imported import import_library
from zfscale.spec import ResourcesSpec, TrialSpec
from zfscale.sweep.node import ModulePath, extend_path
from zfscale.sweep.tune_fixes import NO_MEMORY
from zfscale.trial.inputs import data_key, model_key
from zfscale.zo.ledger import Entry

MEETING = timedelta(minutes=5)  # for a rank to start and join
LAST_WORDS = 60.0  # seconds in which a rank must have noticed that another has died
ECHO = 5.0  # seconds after a rank's failure in which the death that caused it is told


class RankLost(ZfscaleError):
    """A rank died in mid-trial."""


class Rank:
    """One of the ranks 1 .. world - 1, kept from trial to trial."""

    def __init__(self, shared: dict[str, Any], cpus: int, path: ModulePath) -> None:
        extend_path(path.libraries)
        with uncollected():  # what is imported stays
            import torch

            import zfscale.trial.run  # noqa: F401

        torch.set_num_threads(cpus)
        extend_path(path.own)
        self.settled = Settled()
        self.shared, self.features = shared, dict[Any, Any]()

    def ready(self) -> None:
        """Answers once this rank has started."""

    def join(self, host: str, port: int, rank: int, world: int) -> None:
        """Meet the others."""
        join(host, port, rank, world)

    def run(self, spec: str, past: list[Entry], keep: bool) -> str | None:
        """Run a trial, after the steps of `past`; the traceback if it fails. What may be shared is kept, if it may."""
        from zfscale.sinks.fanout import Fanout
        from zfscale.trial import run as trial
        from zfscale.zo.ledger import Past

        self.settled.again()
        try:
            parsed = TrialSpec.from_json(spec)
            import_library(parsed)
            base, data = ray.get([self.shared[model_key(parsed)], self.shared[data_key(parsed)]])
            trial.run(parsed, base, data, Fanout([]), ledger=Past(past), cache=self.features if keep else {})
        except Exception:
            return traceback.format_exc()
        return None


def join(host: str, port: int, rank: int, world: int, store: Any = None) -> None:
    """Enter the process group that meets at a port of rank 0's host, where rank 0's `store` is."""
    import torch.distributed as dist

    from zfscale.engine.deepspeed import start_process_group

    store = store or dist.TCPStore(host, port, world, is_master=False, timeout=MEETING)
    start_process_group(store, rank, world)


class Team:
    """The ranks of one Tune worker, made in the bundles of its placement group; this process is rank 0."""

    def __init__(self, resources: ResourcesSpec, shared: dict[str, Any], path: ModulePath) -> None:
        import torch.distributed as dist

        workers, group = resources.workers, ray.util.get_current_placement_group()
        assert group is not None, "a trial of several workers runs in a placement group"
        actor: Any = ray.remote(max_restarts=0)(Rank)
        self.others: list[Any] = []
        for bundle in range(1, workers):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
            at = actor.options(num_cpus=resources.cpus, num_gpus=resources.gpus, scheduling_strategy=place)
            self.others.append(at.remote(shared, resources.cpus, path))
        self._await_start()
        host = ray.util.get_node_ip_address()
        store = dist.TCPStore(host, 0, workers, is_master=True, wait_for_workers=False, timeout=MEETING)
        joined = [other.join.remote(host, store.port, i, workers) for i, other in enumerate(self.others, start=1)]
        join(host, store.port, 0, workers, store)
        ray.get(joined)
        self._lost: str | None = None
        self._failure: str | None = None

    def _await_start(self) -> None:
        """A rank that cannot start is told here: in the meeting it would be waited for.

        Where one dies as it starts, or takes too long, this process ends. Ray would wait for the rank's start before it
        ends a worker whose own has failed, for ever, and the driver with it.
        """
        starts = [other.ready.remote() for other in self.others]
        ray.wait(starts, num_returns=len(starts), timeout=MEETING.total_seconds())
        errors = [error for start in starts if (error := _error(start))]
        for error in errors:
            if not getattr(error, "actor_init_failed", False):  # by an error of its own, which has ended its start
                print(f"a rank did not start: {one_line(error)}", file=sys.stderr, flush=True)
                os._exit(1)
        if errors:
            raise errors[0]

    @contextmanager
    def running(self, spec: str, past: list[Entry], record: Callable[[str], None], keep: bool) -> Iterator[None]:
        """The others run the trial while rank 0 does inside; they `keep` features for later trials.

        `record` writes the trial down as failed, for the reason given, where rank 0 cannot be told. Errors: RankLost
        if one dies; ZfscaleError with its traceback if one fails alone. Either way this process is of no more use: the
        group is broken.
        """
        answers = [other.run.remote(spec, past, keep) for other in self.others]
        noticed, over = threading.Event(), threading.Event()
        watch = threading.Thread(target=self._watch, args=(answers, noticed, over, record), daemon=True)
        watch.start()
        try:
            yield
        except Exception as error:
            noticed.set()
            watch.join(timeout=LAST_WORDS)  # the others' word may still be on its way
            lost, failure = self._lost, self._failure  # before they are ended, which looks like a loss
            over.set()
            self._kill()
            if lost is not None:
                raise RankLost(f"a rank died: {lost}") from error
            if failure is not None:
                raise ZfscaleError(f"another rank failed:\n{failure}") from error
            raise
        noticed.set()  # rank 0 waits for nobody any more
        watch.join()
        if self._lost is not None:
            raise RankLost(f"a rank died at the end of the trial: {self._lost}")
        if self._failure is not None:
            raise ZfscaleError(f"another rank failed at the end of the trial:\n{self._failure}")

    def _watch(
        self, answers: list[Any], noticed: threading.Event, over: threading.Event, record: Callable[[str], None]
    ) -> None:
        """Wait for the others' ends; where one is not good, end them all, which ends what rank 0 waits for."""
        waiting = list(answers)
        while waiting and not over.is_set():
            ready, waiting = ray.wait(waiting, timeout=1.0)
            self._hear(ready)
            if self._failure is not None and waiting:  # it may be the echo of another's death
                self._hear(ray.wait(waiting, num_returns=len(waiting), timeout=ECHO)[0])
            if self._lost is not None or self._failure is not None:
                self._kill()
                if not noticed.wait(LAST_WORDS):  # rank 0 waits in a collective that will not end
                    try:
                        if self._failure is not None and self._lost is None:
                            record(f"another rank failed:\n{self._failure}")
                    finally:
                        os._exit(1)
                return

    def _hear(self, answers: list[Any]) -> None:
        for answer in answers:
            try:
                self._failure = ray.get(answer) or self._failure
            except ray.exceptions.OutOfMemoryError as error:
                self._lost = f"{NO_MEMORY}\n{error}"
            except ray.exceptions.RayError as error:
                self._lost = self._lost or one_line(error)

    def _kill(self) -> None:
        for other in self.others:
            ray.kill(other)


def _error(answer: Any) -> ray.exceptions.RayError | None:
    """Why there is no answer now."""
    try:
        ray.get(answer, timeout=0)
    except ray.exceptions.RayError as error:
        return error
    return None
