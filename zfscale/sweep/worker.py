"""A warm worker: one Ray actor that runs trial after trial, with torch and DeepSpeed imported once."""

from __future__ import annotations

import logging
import traceback
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from zfscale.errors import StorageError, ZfscaleError
from zfscale.garbage import Settled
from zfscale.records import Outcome, Status
from zfscale.results.attempts import attempts_of, open_ledger, start_attempt
from zfscale.results.plan import label
from zfscale.results.storage import Place, storage
from zfscale.results.tables import statuses
from zfscale.results.workers import Speaker
from zfscale.sinks.about import About
from zfscale.spec import METRICS, TrialSpec
from zfscale.sweep.node import ModulePath, extend_path, node_name, unseen
from zfscale.sweep.team import RankLost, Team
from zfscale.sweep.unfinished import UNFINISHED
from zfscale.trial.inputs import data_key, model_key

if TYPE_CHECKING:
    from zfscale.spec import OutputSpec, ResourcesSpec
    from zfscale.zo.ledger import Entry


class Worker(tune.Trainable):
    """Tune's class API: `setup` once an actor, then `reset_config` and `step` once a trial."""

    def setup(  # type: ignore[override]
        self,
        config: dict[str, Any],
        shared: dict[str, Any],
        output: OutputSpec,
        name: str,
        run: str,
        resources: ResourcesSpec,
        path: ModulePath,
    ) -> None:
        """Import what is slow; `shared` maps keys of inputs to references in the object store.

        `path` is where the driver finds modules. `run` is the id of the run, by which a node that has joined since
        knows the results.
        """
        extend_path(path.libraries)
        if problem := unseen(output.dir, name, run):
            raise ZfscaleError(problem)
        import torch

        import zfscale.trial.run  # noqa: F401

        # Reductions depend on the number of threads: it belongs to the file, not to the machine.
        torch.set_num_threads(resources.cpus)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        extend_path(path.own)
        self.settled = Settled()
        self.shared, self.output, self.name, self.node = shared, output, name, node_name()
        self.results = storage(output.dir, name)
        self.speaker = Speaker(self.results, run, self.node)
        self.fetched: dict[str, Any] = {}
        self.features: dict[Any, Any] = {}
        self.team = Team(resources, shared, path) if resources.workers > 1 else None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Every trial starts from its spec alone, so nothing is to be reset."""
        return True

    def step(self) -> dict[str, Any]:
        """Run one whole trial. Its failure is recorded, not raised; the death of one of its ranks is.

        Where our own storage refuses, which is not the trial's failure, the trial is left to the next run.
        """
        try:
            return self._run()
        except StorageError as error:
            if self.team:
                raise  # its ranks have ended with it: Tune shall make new ones, which take the trial up again
            return {"done": True, "status": UNFINISHED, "why": str(error)}

    def _run(self) -> dict[str, Any]:
        from zfscale.sinks.fanout import Fanout, make_sinks
        from zfscale.training.journal import Snapshots
        from zfscale.trial import run as trial

        self.settled.again()
        spec = TrialSpec.from_json(self.config["spec"])
        root = self.results
        if status := statuses(root, [spec.trial_id]).get(spec.trial_id):
            return {"done": True, "status": status.value}  # by a worker that died right after; and see below
        attempt = start_attempt(root, spec.trial_id)
        sink = Fanout([self.speaker, *make_sinks(About.of(root, self.name, spec), self.output).sinks])
        ledger, snapshots = open_ledger(root, spec.trial_id), Snapshots(root, spec.trial_id)
        team = self._team(spec, ledger.past) if self.team else nullcontext()
        try:
            base, data = self._get(model_key(spec)), self._get(data_key(spec))
            with team, self.speaker.of(spec.trial_id, label(spec), attempt, self.config["spec"]):
                outcome = trial.run(spec, base, data, sink, attempt, ledger, snapshots, self.features)
        except (RankLost, StorageError):
            raise
        except Exception:
            error, versions = traceback.format_exc(), trial.versions()
            outcome = Outcome(Status.FAILED, attempts=attempt, error=error, versions=versions)
        # Outside: a disk that refuses the rows does not make the trial a failed one.
        sink.close(replace(outcome, node=self.node))
        ledger.remove()
        if not spec.hybrid or outcome.status is Status.FAILED:  # a hybrid's are needed for replay
            snapshots.remove()
        if self.team and outcome.status is Status.FAILED:
            # The ranks may be out of step: Tune shall make new ones. It will start this trial again, too, in vain.
            raise RankLost(f"trial {spec.trial_id} failed, and with it this worker's process group")
        return {"done": True, **summary(outcome)}

    def _team(self, spec: TrialSpec, past: list[Entry]) -> AbstractContextManager[None]:
        assert self.team is not None
        # Another thread records it, and the views are this one's.
        record = partial(record_failure, self.results, self.name, spec, self.output, committing=True)
        return self.team.running(spec.to_json(), past, record)

    def _get(self, key: str) -> Any:
        if key not in self.fetched:
            self.fetched[key] = ray.get(self.shared[key])
        return self.fetched[key]


def summary(outcome: Outcome) -> dict[str, Any]:
    """What the driver's display needs of an outcome."""
    shown = ("seconds", "forwards", *METRICS)
    return {"status": outcome.status.value, **{name: outcome.measures.get(name) for name in shown}}


def record_failure(
    root: Place, name: str, spec: TrialSpec, output: OutputSpec, error: str, committing: bool = False
) -> None:
    """Write the row of a trial whose own worker cannot; of all sinks, or only of those that commit it."""
    from zfscale.sinks.fanout import make_sinks

    sink = make_sinks(About.of(root, name, spec), output, committing)
    sink.close(Outcome(Status.FAILED, attempts=attempts_of(root, spec.trial_id), error=error))
