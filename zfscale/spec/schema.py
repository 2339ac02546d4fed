"""What a sweep file may say: one frozen pydantic model per block; a field's description is its documentation.

`SweepSpec` is the file: its template blocks stay plain mappings, because the space may complete them; only the trials
that come out of the expansion (`TrialSpec`) are whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field

from zfscale.block import MAX_SEED, Block
from zfscale.metrics.catalogue import BY_NAME, SEARCHED
from zfscale.spec.algorithms import Algorithm, AlgorithmSpec
from zfscale.spec.distributions import Distribution
from zfscale.spec.names import OneOf
from zfscale.spec.owners import owners
from zfscale.spec.scheduling import Scheduler, SchedulerSpec
from zfscale.spec.sinks import Sinks
from zfscale.spec.spending import Budget
from zfscale.spec.text import LONGEST_NAME, ResultsPlace, Text
from zfscale.spec.trial import TrialSpec
from zfscale.spec.trial_blocks import OPEN
from zfscale.spec.tuned import TunedSpec

METRICS = SEARCHED  # those that `search.metric` may name
MAX_COMBINATIONS = 100_000  # of a space: more than anybody means to run
MOST = 65_536  # of what one machine, or one trial, may have: more than any has
YEAR = 366 * 24 * 3600  # seconds


class SearchSpec(Block):
    """How the space is sampled, and which trial counts as the best."""

    samples: int = Field(
        default=1,
        ge=1,
        le=MAX_COMBINATIONS,
        description="draws from the non-grid distributions per grid point, or proposals of a searcher; those of one "
        "proposal that differ in `seed` alone count once",
    )
    algorithm: Algorithm = Field(
        default=AlgorithmSpec(), description="how the draws are made: a name, or `{name: ..., its options}`"
    )
    metric: Annotated[str, OneOf(METRICS)] = Field(
        default=METRICS[0],
        description="what the best trial is best at; accuracies and plasticity are of class_incremental trials, losses "
        "and learning_gain of domain_incremental ones",
    )
    mode: Literal["max", "min"] = Field(default="max", description="whether a larger or a smaller metric is better")
    scheduler: Scheduler = Field(
        default=SchedulerSpec(), description="which trials are stopped early: a name, or `{name: ..., its options}`"
    )
    until: dict[Annotated[str, OneOf(METRICS)], float] = Field(
        default={},
        description="metric -> the value that ends the sweep: once a finished trial has reached all of them, those "
        "that run stop after their stage, and no other starts",
    )
    budget: Budget | None = Field(
        default=None, description="what may be spent; a number alone is `each`. null: nothing is tuned, and all is run"
    )
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...], Field(strict=False)] = Field(
        default=(),
        description="seeds of the search's trials and of their class orders; none that the sweep itself uses",
    )
    validation: float = Field(
        default=0.2,
        gt=0,
        description="`stream.validation` of the search's trials: the training images on which candidates are compared",
    )
    space: dict[str, dict[str, Distribution]] = Field(
        default={},
        description="optimizer, or a pattern such as zo-* -> dotted path -> the values that it may choose; the longest "
        "pattern that fits an optimizer counts",
    )

    @property
    def each(self) -> int | None:
        """Forwards that a search may spend on each method and optimizer."""
        return None if self.budget is None else self.budget.each

    @property
    def limited(self) -> bool:
        """Whether a run may have to end before all trials are run, for what they take."""
        return self.budget is not None and self.budget.limited

    @property
    def judged(self) -> bool:
        """Whether a trial may be stopped before its end."""
        return bool(self.scheduler.path or self.until)

    @property
    def compared(self) -> tuple[str, Literal["max", "min"]]:
        """By what a scheduler compares trials that run, and whether more of it is better."""
        return (self.scheduler.loss, "min") if self.scheduler.every else (self.metric, self.mode)

    def reached(self, measures: Mapping[str, float | None]) -> bool:
        """Whether a finished trial with these measures ends the sweep."""
        return bool(self.until) and all(
            (value := measures.get(name)) is not None
            and (value >= bound if BY_NAME[name].better == "max" else value <= bound)
            for name, bound in self.until.items()
        )

    def pattern(self, optimizer: str) -> str | None:
        """The longest key of `space` that fits an optimizer."""
        return max((pattern for pattern in self.space if fnmatchcase(optimizer, pattern)), key=len, default=None)

    @property
    def searched(self) -> frozenset[str]:
        """The dotted paths whose values are to be chosen, of any optimizer."""
        return frozenset(path for ranges in self.space.values() for path in ranges)


class ResourcesSpec(Block):
    """What one trial occupies."""

    cpus: int = Field(default=1, ge=1, le=MOST, description="CPU cores of each worker")
    gpus: float = Field(
        default=0.0, ge=0, le=MOST, description="GPUs of each worker; may be a fraction of one, if that is all"
    )
    workers: int = Field(default=1, ge=1, le=MOST, description="processes (ranks) of a trial")
    max_concurrent: int | None = Field(
        default=None, ge=1, le=MAX_COMBINATIONS, description="trials at a time; null: as many as fit"
    )
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        le=YEAR,
        description="time limit of a trial, from when a worker takes it up; it is then ended and recorded as failed. "
        "null: none",
    )
    max_idle_seconds: float | None = Field(
        default=None,
        gt=0,
        le=YEAR,
        description="how long a trial may take no step and measure nothing, its start included, before it is ended and "
        "recorded as failed; workers say how far they are every 5 s, to a bucket every 30 s. null: no limit",
    )
    checkpoint_minutes: float | None = Field(
        default=5.0,
        ge=0,
        le=YEAR,
        description="minutes between two checkpoints inside a first-order phase, from which a killed trial resumes bit "
        "for bit; with ranks, ZeRO or a 16-bit engine it resumes at the start of the stage, with "
        "`optimizer.carry_state` or `stream.old_loss_every` at that of the trial. 0 or null: none",
    )


class WandbSpec(Block):
    """Where Weights & Biases runs go."""

    mode: Literal["offline", "online", "disabled"] = Field(default="offline", description="what W&B does")
    project: Text = Field(default="zfscale", description="W&B project")
    every: int = Field(
        default=10, ge=1, description="steps of a task that a row of W&B's history stands for, by their mean loss"
    )


class OutputSpec(Block):
    """Where the results go."""

    dir: ResultsPlace = Field(
        default="results", description="directory or URL (s3://, gs://); tables go to <dir>/<name of the sweep>/"
    )
    wandb: WandbSpec = Field(default=WandbSpec(), description="Weights & Biases")
    sinks: Sinks = Field(
        default=(), description="further sinks: names, module:Class of your own, or {name: ..., and its own options}"
    )


class SweepSpec(Block):
    """A sweep file: a trial template, and a space of dotted paths that vary."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        max_length=LONGEST_NAME - len("-tune"),  # which the search for its values appends
        description="name of the sweep and of its directory",
    )
    model: dict[str, Any] = Field(default={}, description="template of the model block")
    stream: dict[str, Any] = Field(default={}, description="template of the stream block")
    method: dict[str, Any] = Field(default={}, description="template of the method block")
    optimizer: dict[str, Any] = Field(default={}, description="template of the optimizer block")
    train: dict[str, Any] = Field(default={}, description="template of the train block")
    engine: dict[str, Any] = Field(default={}, description="template of the engine block")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="template of the seed")
    fork: dict[str, Any] = Field(default={}, description="template of the fork block")
    space: dict[str, Distribution] = Field(
        default={}, description="dotted path of a leaf or block of the template -> the values it takes"
    )
    search: SearchSpec = Field(default=SearchSpec(), description="how the space is sampled")
    tuned: Annotated[tuple[TunedSpec, ...], Field(strict=False)] = Field(
        default=(), description="what `zfscale tune` has chosen, which wins over template and space"
    )
    resources: ResourcesSpec = Field(default=ResourcesSpec(), description="what one trial occupies")
    output: OutputSpec = Field(default=OutputSpec(), description="where the results go")


def paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted path of a model, blocks before their leaves."""
    for name, field in model.model_fields.items():
        if name in getattr(model, "FILLED", ()):
            continue
        yield prefix + name
        for block in blocks_of(field.annotation):
            yield from paths(block, f"{prefix}{name}.")


def blocks_of(annotation: Any) -> list[type[Block]]:
    """The blocks that an annotation names; a list of blocks names none."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return [annotation]
    if get_origin(annotation) is tuple:  # a list is a leaf: its items have no dotted path
        return []
    return [block for part in get_args(annotation) for block in blocks_of(part)]


TEMPLATE_PATHS = tuple(paths(TrialSpec))


def json_schema() -> dict[str, Any]:
    """JSON Schema of a sweep file, for editors; only `name` is required, as the space may supply the rest."""
    sweep, trial = SweepSpec.model_json_schema(), TrialSpec.model_json_schema()
    for block in ("model", "stream", "method", "optimizer", "train", "fork"):
        described = trial["$defs"][f"{block.title()}Spec"]
        described.pop("required", None)
        for option, field in described["properties"].items():
            if who := owners(f"{block}.{option}"):
                field["description"] = f"{who}: {field['description']}"
    values = sweep["properties"]["space"].pop("additionalProperties")
    sweep["properties"]["space"] |= {
        "properties": dict.fromkeys(TEMPLATE_PATHS, values),
        "patternProperties": {rf"^({'|'.join(OPEN)})\.[A-Za-z_]\w*$": values},
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **sweep,
        "title": "zfscale sweep file",
        "properties": sweep["properties"] | trial["properties"],
        "allOf": [_closed(block, trial["$defs"][kind.__name__]) for block, kind in OPEN.items()],
        "$defs": sweep["$defs"] | trial["$defs"],
    }


def _closed(block: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Paths of the space below a block whose name, in the template, has no options of its own: those listed."""
    known = [f"{block}.{option}" for option in schema["else"]["propertyNames"]["enum"]]
    named = {"required": [block], "properties": {block: schema["if"]}}
    keys = {"anyOf": [{"enum": known}, {"not": {"pattern": rf"^{block}\."}}]}
    return {"if": named, "else": {"properties": {"space": {"propertyNames": keys}}}}
