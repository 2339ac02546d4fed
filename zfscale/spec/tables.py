"""The option tables of the documentation, made from the fields of the blocks and from who their options belong to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from zfscale.block import Block
from zfscale.spec.algorithms import AlgorithmSpec
from zfscale.spec.fork import ForkSpec
from zfscale.spec.outside import OpenBlock
from zfscale.spec.owners import owners
from zfscale.spec.scheduling import SchedulerSpec
from zfscale.spec.schema import OutputSpec, ResourcesSpec, SearchSpec, WandbSpec
from zfscale.spec.spending import BudgetSpec
from zfscale.spec.stream import DomainSpec, StreamSpec
from zfscale.spec.trial_blocks import EngineSpec, FirstOrderSpec, MethodSpec, ModelSpec, OptimizerSpec, TrainSpec
from zfscale.spec.tuned import TunedSpec

# Block -> its model; a block inside another has its own table below that one's.
TABLES: dict[str, type[Block]] = {
    "model": ModelSpec,
    "stream": StreamSpec,
    "stream.domains[]": DomainSpec,
    "method": MethodSpec,
    "optimizer": OptimizerSpec,
    "optimizer.first_order": FirstOrderSpec,
    "train": TrainSpec,
    "engine": EngineSpec,
    "fork": ForkSpec,
    "search": SearchSpec,
    "search.algorithm": AlgorithmSpec,
    "search.scheduler": SchedulerSpec,
    "search.budget": BudgetSpec,
    "tuned[]": TunedSpec,
    "resources": ResourcesSpec,
    "output": OutputSpec,
    "output.wandb": WandbSpec,
}
HEAD = ("option", "default", "applies to", "meaning")
START, END = "<!-- options: zfscale schema --markdown -->", "<!-- end of options -->"


def markdown() -> str:
    """Every option of a sweep file: one table a block, with what the option is for and who it belongs to."""
    return "\n\n".join(f"### `{block}`\n\n{_table(block, model)}" for block, model in TABLES.items())


def _table(block: str, model: type[Block]) -> str:
    rows = [_row(HEAD), _row(["---"] * len(HEAD)), *_options(block, model)]
    if issubclass(model, OpenBlock):
        rows += _own(model)
        rows.append(_row(["...", "", f"a `{model.KEY}` of your own", "the options that it declares itself"]))
    return "\n".join(rows)


def _options(block: str, model: type[Block]) -> Iterator[str]:
    filled = getattr(model, "FILLED", ())
    for name, field in model.model_fields.items():
        if name not in filled:
            yield _option(name, field, owners(f"{block}.{name}") or "all")


def _own(model: type[OpenBlock]) -> Iterator[str]:
    """The options that some of the package's own things have alone."""
    for thing, facts in model.CATALOGUE.items():
        for name, field in (facts.own.model_fields if facts.own is not None else {}).items():
            yield _option(name, field, thing)


def _option(name: str, field: FieldInfo, owner: str) -> str:
    default = "required" if field.is_required() else _default(field.default)
    meaning = re.sub(r"([|<])", r"\\\1", field.description or "")
    return _row([f"`{name}`", default, owner, meaning])


def _default(value: Any) -> str:
    if value is PydanticUndefined or isinstance(value, Block):
        return ""
    if isinstance(value, bool) or value is None:
        return f"`{json.dumps(value)}`"
    if isinstance(value, dict):
        return f"`{json.dumps(value)}`"
    if isinstance(value, tuple):
        return f"`{json.dumps(list(value))}`"
    return f"`{value}`"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
