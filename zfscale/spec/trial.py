"""`TrialSpec`, one resolved trial, and its blocks but the stream; a field's description is its documentation."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from zfscale.block import CANONICAL, MAX_SEED, Block
from zfscale.errors import ZfscaleError
from zfscale.methods.catalogue import METHODS, method
from zfscale.spec.fork import DRAWN, ForkSpec
from zfscale.spec.names import OneOf
from zfscale.spec.outside import OpenBlock
from zfscale.spec.sources import DatasetPath, HubDataset
from zfscale.spec.stream import StreamSpec
from zfscale.spec.text import Text, UserPath
from zfscale.zo.catalogue import DIRECTIONS, FIRST_ORDER, OPTIMIZERS, Optimizer, optimizer

# Those with a name; any other is the path of a user's function.
OBJECTIVES = ("accuracy", "cross_entropy", "reconstruction")


class ModelSpec(Block):
    """The pretrained base model."""

    name: UserPath = Field(description="embedded/<name>, a Hugging Face id, or a local directory (./, /, ~)")
    input_range: Literal["processor", "unit"] = Field(
        default="processor",
        description="pixel values: as the model's processor makes them, or plain [0, 1]",
    )
    train: Text = Field(
        default="full",
        description="full, adapter, lora, or a regular expression that parameter names contain",
    )
    lora_rank: int = Field(default=8, ge=1, description="rank of an update")
    lora_alpha: float = Field(default=16.0, gt=0, description="an update is scaled by alpha / rank")


class MethodSpec(OpenBlock):
    """The continual-learning method."""

    CATALOGUE = METHODS
    facts = staticmethod(method)

    name: Annotated[str, OneOf(METHODS, "module:Class of your own")] = Field(
        description="the method: finetune to memo for class_incremental, zero-shot to joint for domain_incremental"
    )
    bottleneck: int = Field(default=64, ge=1, description="width of an adapter's bottleneck")
    adapter_scale: float = Field(default=0.1, description="factor on an adapter's output")
    adapter_dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout inside an adapter while it trains")
    alpha: float = Field(default=0.1, description="weight of the other tasks' subspaces in the logits")
    beta: float = Field(default=0.0, description="moderation of the logits of old classes")
    replay_fraction: float = Field(
        default=0.1, gt=0, le=1, description="share of each earlier domain's examples that is learned again"
    )


class FirstOrderSpec(Block):
    """A hybrid's first-order phase: the first epochs of every task go by backpropagation (ZeroFlow, enhancement 1)."""

    name: Annotated[str, OneOf(FIRST_ORDER)] = Field(description="its update rule")
    lr: float = Field(ge=0, description="its learning rate; momentum, betas, decay and schedule are the optimizer's")
    epochs: int = Field(ge=1, description="how many of train.epochs it takes, from the start of each task")
    schedule_over: Literal["task", "phase"] = Field(
        default="task",
        description="what the schedule spans: task, both phases at once; phase, each of them, so that it starts anew",
    )


class OptimizerSpec(OpenBlock):
    """The optimizer: first order (fo-), zeroth order (zo-), or forward gradient."""

    CATALOGUE = OPTIMIZERS
    facts = staticmethod(optimizer)

    name: Annotated[str, OneOf(OPTIMIZERS, "module:NAME of your own")] = Field(description="the optimizer")
    lr: float = Field(ge=0, description="learning rate")
    eps: float = Field(default=1e-3, gt=0, description="size of the perturbation")
    queries: int = Field(default=1, ge=1, le=32, description="directions per step")
    noise: Annotated[str, OneOf(DIRECTIONS)] = Field(default="rademacher", description="distribution of a direction")
    rank: int = Field(default=4, ge=1, description="rank of a matrix's direction")
    sides: int = Field(default=2, ge=1, le=2, description="1 for a one-sided difference, 2 for a two-sided one")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="decay of the first moment")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="decay of the second moment")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay; decoupled in fo-adamw only")
    history: float = Field(default=0.0, ge=0, lt=1, description="share of past estimates in g")
    sparsity: float = Field(default=0.0, ge=0, lt=1, description="share of z's entries zeroed")
    clip: float = Field(default=0.0, ge=0, description="bound on |coefficient|; 0 for none")
    sign: Literal["elementwise", "projected"] = Field(
        default="elementwise", description="what -sign takes it of: every element of g, or each query's coefficient"
    )
    schedule: Literal["constant", "cosine", "warmup-cosine"] = Field(
        default="constant",
        description="learning rate within a task; warmup-cosine warms up and decays again in every task",
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of a task's steps that warm up")
    carry_state: bool = Field(
        default=False,
        description="whether moments and past estimates live on in the next task; if not, each task starts without. "
        "With first-order steps, a killed trial then starts again from its first task",
    )
    first_order: FirstOrderSpec | None = Field(
        default=None, description="a first-order phase at the start of each task; null: none"
    )


# The leaves by which trials are repetitions of each other: what is drawn.
RUN = ("seed", "stream.class_order_seed", "stream.class_order", *DRAWN)
OPEN: dict[str, type[OpenBlock]] = {"stream": StreamSpec, "method": MethodSpec, "optimizer": OptimizerSpec}


class TrainSpec(Block):
    """How long a task is trained."""

    epochs: int = Field(ge=1, description="passes over the data of a task")
    batch_size: int = Field(ge=1, description="examples per step")
    micro_batch_size: int | None = Field(
        default=None, ge=1, description="examples per forward; a step's loss is the mean over its batch. null: all"
    )
    precision: Literal["fp32", "bf16-mixed", "bf16"] = Field(
        default="fp32",
        description="fp32; bf16-mixed: a bf16 model that trains fp32 weights; bf16: those too, rounded stochastically",
    )
    frozen_cache_mib: int = Field(
        default=1024,
        ge=0,
        description="MiB in which a stage keeps what frozen blocks before the first trained one make of its images; "
        "where it takes more, they run once a step instead of once an image",
    )
    parallel: Literal["data", "query"] = Field(
        default="data",
        description="what workers share: data, the examples of a batch; query, the forwards of a forward-only step",
    )
    objective: Annotated[str, OneOf(OBJECTIVES, "package.module:function", "objective")] = Field(
        default="cross_entropy",
        description="what is minimised: cross_entropy, accuracy (0-1 loss), reconstruction (squared error of hidden "
        "pixels, for image domains), or your own package.module:function",
    )


class EngineSpec(Block):
    """What DeepSpeed is told: how a trial is divided over its ranks, and in which number format it trains."""

    stage: int = Field(
        default=0,
        ge=0,
        le=3,
        description="ZeRO: 0 divides nothing; fo-: 1 divides the optimizer's state, 2 the gradients too; "
        "zo-: 3 divides the weights",
    )
    dtype: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="fo- at stages 1 and 2: the format DeepSpeed computes in, with fp32 weights in its optimizer",
    )
    offload: Literal["none", "cpu"] = Field(
        default="none", description="cpu: what the stage divides (of 3, the weights) is kept in the host's memory"
    )


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
        return bool(rates) and method(self.method.name).trained != "none"

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
        for name, default in _defaults():
            value = getattr(self, name)
            if value != default:
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
def _defaults() -> list[tuple[str, Any]]:
    """The fields of a trial in order, with their defaults; nothing is equal to that of a field without one."""
    return [(name, TrialSpec.model_fields[name].default) for name in sorted(TrialSpec.model_fields)]
