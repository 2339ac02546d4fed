"""The trials of a results directory as plain Python; the spec is read from its JSON, so any leaf may vary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from zfscale.errors import DataError
from zfscale.methods.catalogue import METHODS
from zfscale.metrics.catalogue import EVALUATED
from zfscale.records import Status
from zfscale.report.kinds import CLASSES, KINDS, MEASURES, SEARCHED
from zfscale.report.mixing import mixed
from zfscale.results import tables as read
from zfscale.results.certificates import SIGNED, Certificate
from zfscale.results.certificates import read as read_certificates
from zfscale.results.check import Found, look
from zfscale.results.inputs import Prints, from_json
from zfscale.results.layout import EVALS, TRIALS
from zfscale.results.plan import read as read_plan
from zfscale.results.reading import Fault
from zfscale.results.storage import Place, storage
from zfscale.results.tuned import spent
from zfscale.spec.domains import domain_order
from zfscale.spec.trial import RUN
from zfscale.zo.catalogue import FIRST_ORDER

NO_OPTIMIZER, UNTRAINED = "none", "untrained"  # in place of an optimizer: nothing to train, or a learning rate of 0
VALIDATION = "stream.validation"  # the leaf that says that validation images stand for the test images
READ = (*MEASURES, EVALUATED)

Run = tuple[Any, ...]


@dataclass(frozen=True)
class Trial:
    """One row of `trials/`. `spec` is flat: dotted path -> scalar, a list as JSON text."""

    trial_id: str
    status: Status
    spec: dict[str, Any]
    measures: dict[str, float | None]
    error: str | None
    allocator: bool = False  # whether its memory is that of an accelerator's allocator, not a resident set
    stopped_at: int | None = None  # the stage after which a scheduler stopped it
    certificate: Certificate | None = None  # what `zfscale verify` found of this very row
    inputs: Prints = field(default_factory=dict)  # content hashes of what it read; nothing of earlier versions
    url: str | None = None  # of its online W&B run

    @property
    def verified(self) -> bool:
        """Whether its certificate says that all that was looked at holds."""
        return self.certificate is not None and self.certificate.get("holds") is True

    @property
    def method(self) -> str:
        """The name of the method, or "-"."""
        return str(self.spec.get("method.name", "-"))

    @property
    def optimizer(self) -> str:
        """The name of the optimizer, or "-"."""
        return str(self.spec.get("optimizer.name", "-"))

    @cached_property
    def trained_by(self) -> str:
        """The name of the optimizer; of a trial that trains nothing, which kind of control it is."""
        if (facts := METHODS.get(self.method)) is not None and not facts.trains:
            return NO_OPTIMIZER
        if self.kind != CLASSES.name:
            return self.optimizer
        phase = None if self.optimizer in FIRST_ORDER else self.spec.get("optimizer.first_order.lr")
        rates = [rate for rate in (self.spec.get("optimizer.lr"), phase) if rate is not None]
        return self.optimizer if not rates or any(rates) else UNTRAINED

    @property
    def run(self) -> Run:
        """What of it is drawn: the seed, and the order of the classes by seed or by list."""
        return tuple(self.spec.get(leaf) for leaf in RUN)

    @cached_property
    def kind(self) -> str:
        """The kind of its stream; of a stream of the user's own, that which has the same measures."""
        kind = str(self.spec.get("stream.kind", CLASSES.name))
        if kind in KINDS:
            return kind
        return next((known.name for known in KINDS.values() if self.measures[known.first] is not None), CLASSES.name)

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of its domains in order of arrival, if it has any."""
        listed = json.loads(self.spec.get("stream.domains") or "[]")
        order = domain_order(len(listed), self.spec.get("stream.order_seed"))
        return tuple(listed[i]["name"] for i in order)


@dataclass(frozen=True)
class Contents:
    """The whole trials by id, the files by which others are damaged, and files that are not tables of ours.

    Of several directories, `twice` says which trials are in more than one. `unwanted` says of each that has ended
    before all its trials were run how many were not, and why.
    """

    trials: list[Trial]
    faults: list[Fault]
    ignored: list[str]
    twice: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)

    @cached_property
    def mixed(self) -> list[str]:
        """What of the inputs of finished trials that name the same is not the same; tables make one mean of them."""
        return mixed(trial for trial in self.trials if trial.status is Status.FINISHED)

    @property
    def finished(self) -> list[str]:
        """Ids of the trials that finished."""
        return [trial.trial_id for trial in self.trials if trial.status is Status.FINISHED]


def contents(root: Place, found: Found | None = None) -> Contents:
    """What is in a results directory, `found` by a look at all columns or by one now.

    Raises:
        DataError: `root` holds no trials, not even damaged ones.
    """
    if not storage(root).exists(TRIALS):
        raise DataError(f"{root} is not a results directory: it has no folder `{TRIALS}`")
    found = found or look(root, [*READ, "error", "versions", "stopped_at", "url", *SIGNED])
    if not found.rows and not found.faults:
        raise DataError(f"{root} has no results yet: no trial has finished or failed")
    searched, certified = spent(root), read_certificates(root, found.rows)
    trials = [_trial(row, searched, certified.get(row["trial_id"])) for row in found.rows]
    plan = read_plan(root)
    ended = {trial.trial_id for trial in trials} | {fault.trial_id for fault in found.faults}
    unwanted = plan.unwanted(ended) if plan else ""
    return Contents(trials, found.faults, found.ignored, unwanted=[unwanted] if unwanted else [])


def stage_accuracies(root: Place, trials: Collection[str]) -> dict[str, dict[int, float]]:
    """Trial id -> stage -> accuracy over all classes seen, of these trials."""
    table = read.rows(
        root,
        EVALS,
        ["trial_id", "stage", "value"],
        (pc.field("metric") == "stage_accuracy") & (pc.field("task") == 0),
        trials,
    )
    found: dict[str, dict[int, float]] = {}
    for trial_id, stage, value in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found.setdefault(trial_id, {})[stage] = value
    return found


def losses(root: Place, trials: Collection[str]) -> dict[str, dict[tuple[int, int], float]]:
    """Trial id -> (stage, task) -> held-out loss, of those of these trials that are domain-incremental."""
    table = read.rows(root, EVALS, ["trial_id", "stage", "task", "value"], pc.field("metric") == "loss", trials)
    found: dict[str, dict[tuple[int, int], float]] = {}
    for trial_id, stage, task, value in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found.setdefault(trial_id, {})[stage, task] = value
    return found


def flatten(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested spec as dotted paths.

    >>> flatten({"optimizer": {"lr": 0.1}, "seed": 0, "domains": [1, 2]})
    {'optimizer.lr': 0.1, 'seed': 0, 'domains': '[1, 2]'}
    """
    flat: dict[str, Any] = {}
    for key, value in spec.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _trial(row: dict[str, Any], searched: Mapping[str, int], certificate: Certificate | None) -> Trial:
    measures = {**{name: row[name] for name in READ}, SEARCHED: searched.get(row["trial_id"])}
    spec, status = flatten(_branched(json.loads(row["spec"]))), Status(row["status"])
    allocator = read.versions(row["versions"]).get("memory") == "allocator"
    about = (row["error"], allocator, row["stopped_at"], certificate, from_json(row["inputs"]), row["url"])
    return Trial(row["trial_id"], status, spec, measures, *about)


def _branched(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec in which a fork has, in place of its parent's, in a few words what repetitions of the parent share."""
    fork = spec.get("fork")
    if not fork:
        return {key: value for key, value in spec.items() if key != "fork"}
    told = {key: fork[key] for key in ("trial", "step", "seed")}
    if parent := fork["spec"]:
        shared = {path: value for path, value in flatten(_branched(parent)).items() if path not in RUN}
        key = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:4]
        told["of"] = f"{shared['optimizer.name']} lr {shared['optimizer.lr']:g} #{key}"
    return {**spec, "fork": told}
