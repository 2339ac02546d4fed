"""Who an option belongs to: which options mean nothing in a trial, because of its method, optimizer, model or stream.

What a method or an optimizer reads stands in its catalogue. The options of `model` and `stream` have their owners here.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from zfscale.methods import catalogue as methods
from zfscale.spec.algorithms import AlgorithmSpec
from zfscale.spec.domains import modality
from zfscale.spec.problems import show
from zfscale.spec.scheduling import SchedulerSpec
from zfscale.spec.trial_blocks import MethodSpec, OptimizerSpec
from zfscale.zo import catalogue
from zfscale.zo.catalogue import DIRECTIONS, OPTIMIZERS, Optimizer

# Kind of stream, or of what its domains are made of -> the options of `stream` that it alone has.
STREAM: dict[str, tuple[str, ...]] = {
    "class_incremental": (
        "dataset",
        "tasks",
        "first_task_classes",
        "task_sizes",
        "class_order_seed",
        "class_order",
        "validation",
        "transform",
        "random_crop",
        "random_flip",
        "old_loss_every",
        "forward_transfer",
    ),
    "domain_incremental": ("domains", "upstream", "order_seed"),
    "text": ("block_size", "tokens_per_domain", "held_out_tokens"),
    "images": ("images_per_domain", "held_out_images"),
}
MODALITIES = ("text", "images")
CARRY = "carry_state"  # of the optimizer, for methods whose tasks train the same weights
LORA = ("lora_rank", "lora_alpha")
# Option of the optimizer -> the option, and its value, that it needs beside it.
GIVEN = {"warmup": ("schedule", "warmup-cosine")} | {
    argument: ("noise", name) for name, direction in DIRECTIONS.items() for argument in direction.arguments
}
# The options of the optimizer that can decide which others it reads: all but real numbers.
CHOICES = tuple(key for key, field in OptimizerSpec.model_fields.items() if field.annotation is not float)
DECIDING = operator.attrgetter(*CHOICES)
NUMBERS = operator.attrgetter(*(key for key in OptimizerSpec.model_fields if key not in CHOICES))
GROUPS: tuple[tuple[str, Callable[[Optimizer], bool]], ...] = (
    ("the zo- optimizers", lambda facts: facts.derivative == "none"),
    ("the zo- and forward-grad optimizers", lambda facts: not facts.first_order),
    ("the fo- optimizers", lambda facts: facts.first_order),
    ("the -sign optimizers", lambda facts: facts.direct == "sign"),
)


class Unused(NamedTuple):
    """Why an option means nothing: what decides so, what it has no effect on, and who it belongs to."""

    by: str  # the dotted path of the option that decides
    on: str
    owners: str

    def says(self, value: Any) -> str:
        """The message for a value that is given in vain."""
        return f"{show(value)} has no effect on {self.on}; it belongs to {self.owners}"


class Setting(NamedTuple):
    """All of a trial that decides which of its options mean something."""

    method: str
    optimizer: str
    options: frozenset[str]  # of the optimizer: those that it reads
    schedule: str
    noise: str
    train: str
    kind: str
    modality: str


def setting(blocks: Mapping[str, Any]) -> Setting:
    """What decides about the options of a trial, whose model, stream, method and optimizer are these blocks."""
    o, stream = blocks["optimizer"], blocks["stream"]
    options = _read(*DECIDING(o)) if o.name in OPTIMIZERS else catalogue.optimizer(o.name).options(o.filled())
    what = modality(stream) if stream.protocol == "domain_incremental" and stream.domains is not None else ""
    name = blocks["method"].name
    return Setting(name, o.name, options, o.schedule, o.noise, blocks["model"].train, stream.protocol, what)


def kind(o: OptimizerSpec) -> tuple[Any, ...]:
    """All of an optimizer that any rule may look at: of a real number of ours, only whether it is 0."""
    return (*DECIDING(o), *map(bool, NUMBERS(o)), repr(o.model_extra) if o.model_extra else "")


@functools.cache
def _read(*values: Any) -> frozenset[str]:
    """The options that an optimizer of ours reads, by what decides: trials by the thousand differ in numbers alone."""
    o = OptimizerSpec(lr=0, **dict(zip(CHOICES, values, strict=True)))
    return OPTIMIZERS[o.name].options(o)


def unused(s: Setting) -> dict[str, Unused]:
    """Dotted path -> why it means nothing, for each option that does in trials of this setting."""
    return {**_model(s), **_stream(s), **_method(s), **_optimizer(s)}


def _model(s: Setting) -> dict[str, Unused]:
    found: dict[str, Unused] = {}
    if methods.method(s.method).trained != "model":
        found = {f"model.{key}": Unused("method.name", s.method, owners("model.train")) for key in ("train", *LORA)}
    elif s.train != "lora":
        on = f"model.train: {s.train}"
        found = {f"model.{key}": Unused("model.train", on, owners(f"model.{key}")) for key in LORA}
    if s.modality == "text":
        found["model.input_range"] = Unused("stream.domains", s.modality, owners("model.input_range"))
    return found


def _stream(s: Setting) -> dict[str, Unused]:
    found: dict[str, Unused] = {}
    for owner, keys in STREAM.items():
        by, on = "stream.kind", s.kind
        if owner in MODALITIES and s.kind == "domain_incremental":
            by, on = "stream.domains", s.modality
        if on not in ("", owner):
            found |= {f"stream.{key}": Unused(by, on, _domains(owner)) for key in keys}
    return found


def _method(s: Setting) -> dict[str, Unused]:
    read = methods.method(s.method).options | {"name"}
    return {
        f"method.{key}": Unused("method.name", s.method, owners(f"method.{key}"))
        for key in MethodSpec.model_fields
        if key not in read
    }


def _optimizer(s: Setting) -> dict[str, Unused]:
    found: dict[str, Unused] = {}
    for key in OptimizerSpec.model_fields:
        if key in s.options:
            continue
        by, needed = GIVEN.get(key, ("name", ""))
        given = {"schedule": s.schedule, "noise": s.noise}.get(by, needed)
        lacks = given != needed  # else it is the optimizer that has no use for it
        on = f"optimizer.{by}: {given}" if lacks else s.optimizer
        found[f"optimizer.{key}"] = Unused(f"optimizer.{by if lacks else 'name'}", on, owners(f"optimizer.{key}"))
    if not methods.method(s.method).lasting:
        found[f"optimizer.{CARRY}"] = Unused("method.name", s.method, owners(f"optimizer.{CARRY}"))
    return found


@functools.cache
def owners(path: str) -> str:
    """Who the option at a dotted path of the template belongs to, in words; empty if every trial has it."""
    block, option, *_ = [*path.split("."), ""]
    if block == "method" and option != MethodSpec.KEY:
        return ", ".join(name for name, facts in methods.METHODS.items() if option in facts.options)
    if block == "optimizer":
        return _of_optimizers(option)
    if block == "stream":
        return next((_domains(owner) for owner, keys in STREAM.items() if option in keys), "")
    return {
        "model.train": ", ".join(name for name, facts in methods.METHODS.items() if facts.trained == "model"),
        "model.input_range": "images",
        **{f"model.{key}": "model.train: lora" for key in LORA},
        **{f"search.algorithm.{key}": AlgorithmSpec.readers(key) for key in AlgorithmSpec.model_fields},
        **{f"search.scheduler.{key}": SchedulerSpec.readers(key) for key in SchedulerSpec.model_fields},
    }.get(path, "")


def _domains(owner: str) -> str:
    return f"domains of {owner}" if owner in MODALITIES else owner


def _of_optimizers(option: str) -> str:
    if option == CARRY:
        return ", ".join(name for name, facts in methods.METHODS.items() if facts.lasting)
    if option in GIVEN:
        by, value = GIVEN[option]
        return f"optimizer.{by}: {value}"
    who = {name for name, facts in OPTIMIZERS.items() if option in facts.options(OptimizerSpec(name=name, lr=0))}
    if len(who) == len(OPTIMIZERS):
        return ""
    for group, belongs in GROUPS:
        if who == _names(belongs):
            return group
    rules = {OPTIMIZERS[name].update for name in who}
    if who == _names(lambda facts: facts.update in rules):
        return f"the update{'s' * (len(rules) > 1)} {_listed(rules)}"
    return _listed(who)


def _names(belongs: Callable[[Optimizer], bool]) -> set[str]:
    return {name for name, facts in OPTIMIZERS.items() if belongs(facts)}


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names)))
