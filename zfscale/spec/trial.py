"""`TrialSpec`, one resolved trial: which one it is, and what follows from its blocks together."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any, ClassVar

from pydantic import Field, model_validator

from zfscale.block import CANONICAL, MAX_SEED, Block
from zfscale.errors import ZfscaleError
from zfscale.methods.catalogue import method
from zfscale.spec.fork import DRAWN, ForkSpec
from zfscale.spec.sources import DatasetPath, HubDataset
from zfscale.spec.stream import StreamSpec
from zfscale.spec.trial_blocks import OPEN, EngineSpec, FirstOrderSpec, MethodSpec, ModelSpec, OptimizerSpec, TrainSpec
from zfscale.zo.catalogue import Optimizer, optimizer

# The leaves by which trials are repetitions of each other: what is drawn.
RUN = ("seed", "stream.class_order_seed", "stream.class_order", *DRAWN)


class TrialSpec(Block):
    """One resolved trial: what is learned from what, by which method. Threads and device decide last bits only."""

    model: ModelSpec = Field(description="the pretrained base model")
    stream: StreamSpec = Field(description="the tasks, in order")
    method: MethodSpec = Field(description="the continual-learning method")
    optimizer: OptimizerSpec = Field(description="the optimizer")
    train: TrainSpec = Field(description="how long a task is trained")
    engine: EngineSpec = Field(default=EngineSpec(), description="DeepSpeed's settings")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="seed of everything random but the class order")
    fork: ForkSpec | None = Field(default=None, description="the trial whose first steps it shares; null: none")

    @model_validator(mode="before")
    @classmethod
    def _ordered(cls, given: Any) -> Any:
        """A class order by the trial's seed is written as that seed: what is equal has one id."""
        stream = given.get("stream") if isinstance(given, dict) else None
        if isinstance(stream, dict) and stream.get("class_order_seed", 0) is None:
            return given | {"stream": stream | {"class_order_seed": given.get("seed", 0)}}
        return given

    @property
    def optimizing(self) -> Optimizer:
        """The facts of its optimizer."""
        return optimizer(self.optimizer.name)

    @property
    def hybrid(self) -> bool:
        """Whether a forward-only optimizer has a first-order phase."""
        return self.optimizer.first_order is not None and not self.optimizing.first_order

    @property
    def trains(self) -> bool:
        """Whether it trains anything: not if its method does not, or if every learning rate is 0."""
        phase = None if self.optimizing.first_order else self.optimizer.first_order
        rates = self.optimizer.lr or (phase is not None and phase.lr)
        return bool(rates) and method(self.method.name).trains

    @property
    def sameness(self) -> str:
        """Trials that are equal in it end equally: its id; where nothing is trained, all but optimizer and epochs."""
        return self.trial_id if self.trains else self.model_dump_json(exclude={"optimizer": True, "train": {"epochs"}})

    @functools.cached_property
    def trial_id(self) -> str:
        """12 hex digits of a hash of all but the defaults: a new option with a default keeps old ids."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:12]

    @property
    def canonical(self) -> str:
        """As a block's, put together from those of its blocks, which trials share."""
        texts = []
        for name, default, required in _fields():
            value = getattr(self, name)
            if required or (value is not default and value != default):
                texts.append(f'"{name}":{value.canonical if isinstance(value, Block) else CANONICAL.encode(value)}')
        return "{" + ",".join(texts) + "}"

    @property
    def parent(self) -> TrialSpec | None:
        """The trial of which it is a fork. Errors: ZfscaleError where that was not filled in."""
        if self.fork is None:
            return None
        if self.fork.spec is None:
            raise ZfscaleError(
                f"fork.trial: the spec of {self.fork.trial} is missing; it was not read from its results"
            )
        return TrialSpec.from_json(json.dumps(self.fork.spec))

    @property
    def lineage(self) -> tuple[tuple[int | None, TrialSpec], ...]:
        """The trials whose steps these are, the eldest first: each up to a step of the trial, the last to its end."""
        parent = self.parent
        if self.fork is None or parent is None:
            return ((None, self),)
        found: list[tuple[int | None, TrialSpec]] = []
        for stop, spec in parent.lineage:
            if not found or (found[-1][0] or 0) < self.fork.step:
                found.append((self.fork.step if stop is None else min(stop, self.fork.step), spec))
        return (*found, (None, self))

    @property
    def step_seed(self) -> int:
        """The seed of what its own steps draw."""
        if self.fork is not None and self.fork.seed is not None:
            return self.fork.seed
        parent = self.parent
        return self.seed if parent is None else parent.step_seed

    # Leaves that may be null -> what they are otherwise.
    NULLABLE: ClassVar[dict[str, type]] = {
        "stream.dataset": str,
        "stream.tasks": int,
        "stream.first_task_classes": int,
        "stream.task_sizes": str,
        "stream.class_order": str,
        "stream.validation": float,
        "stream.old_loss_every": int,
        "stream.domains": str,
        "stream.upstream": str,
        "stream.order_seed": int,
        "stream.block_size": int,
        "stream.tokens_per_domain": int,
        "stream.images_per_domain": int,
        "optimizer.first_order.name": str,
        "optimizer.first_order.lr": float,
        "optimizer.first_order.epochs": int,
        "optimizer.first_order.schedule_over": str,
        "train.micro_batch_size": int,
        "fork.trial": str,
        "fork.step": int,
        "fork.results": str,
        "fork.seed": int,
    }

    def to_json(self) -> str:
        """The whole spec, defaults included, as one line of JSON."""
        return json.dumps(self.model_dump(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrialSpec:
        """The inverse of `to_json`; a spec that was read lately is the same object, which nobody changes."""
        return _parsed(text)

    def leaves(self) -> dict[str, str | int | float | None]:
        """Dotted path -> scalar for every leaf, defaults included; a directory is its path, a domain its name.

        Of the options that one thing alone has, those that are not the default; one that is no scalar is JSON.
        """
        flat: dict[str, Any] = {"seed": self.seed}
        for block, values in self.model_dump(exclude={"seed", "fork"}).items():
            flat |= {f"{block}.{key}": value for key, value in values.items()}
        for block in OPEN:
            own = getattr(self, block).model_extra or {}
            flat |= {f"{block}.{key}": json.dumps(v) for key, v in own.items() if isinstance(v, (dict, list))}
        if isinstance(self.stream.dataset, DatasetPath):
            flat["stream.dataset"] = self.stream.dataset.path
        if isinstance(self.stream.dataset, HubDataset):
            flat["stream.dataset"] = self.stream.dataset.hub
        for key in ("task_sizes", "class_order"):
            if (listed := getattr(self.stream, key)) is not None:
                flat[f"stream.{key}"] = ", ".join(map(str, listed))
        if self.stream.domains is not None:
            flat["stream.domains"] = ", ".join(domain.name for domain in self.stream.domains)
        if self.stream.upstream is not None:
            flat["stream.upstream"] = self.stream.upstream.name
        flat |= {
            f"fork.{key}": getattr(self.fork, key, None) for key in ForkSpec.model_fields if key not in ForkSpec.FILLED
        }
        phase = flat.pop("optimizer.first_order") or dict.fromkeys(FirstOrderSpec.model_fields)
        return flat | {f"optimizer.first_order.{key}": value for key, value in phase.items()}


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> TrialSpec:
    """A spec as JSON: trials by the thousand have the same parent, and a driver asks for each again and again."""
    return TrialSpec.model_validate_json(text)


@functools.cache
def _fields() -> list[tuple[str, Any, bool]]:
    """The fields of a trial in order, with their defaults, and whether they have none."""
    return [(name, field.default, field.is_required()) for name, field in sorted(TrialSpec.model_fields.items())]
