"""`output.sinks`: where else the records of trials go; sinks by name, or the user's own by module:Class."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from zfscale import registry
from zfscale.block import Block
from zfscale.errors import one_line
from zfscale.sinks.catalogue import LISTED, SINKS
from zfscale.spec.named import by_name
from zfscale.spec.names import OneOf
from zfscale.spec.outside import made, secrets
from zfscale.spec.problems import explain
from zfscale.spec.yaml import Place

TOLD = ("step", "query", "eval", "close")  # what a sink must have


class SinkSpec(Block):
    """A sink; the keys beside its name are options of its own."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, OneOf(LISTED, "module:Class of your own")] = Field(description="the sink")

    @property
    def options(self) -> dict[str, Any]:
        """Its own options, as they were written."""
        return dict(self.model_extra or {})


Listed = Annotated[SinkSpec, BeforeValidator(by_name, json_schema_input_type=str | SinkSpec)]
Sinks = Annotated[tuple[Listed, ...], Field(strict=False)]


def sink_problems(sinks: tuple[SinkSpec, ...]) -> dict[Place, str]:
    """What is wrong with sinks that a type cannot say: those that cannot be imported, and their options."""
    found: dict[Place, str] = {}
    for i, sink in enumerate(sinks):
        found |= {("output", "sinks", i, *place): message for place, message in _problems(sink).items()}
        if sink in sinks[:i]:
            found["output", "sinks", i] = f"{sink.name!r} is listed twice with the same options"
    return found


def _problems(sink: SinkSpec) -> dict[Place, str]:
    if sink.name in SINKS and (package := SINKS[sink.name].package) and find_spec(package) is None:
        return {("name",): f"{sink.name!r} needs the package {package}; pip install 'zfscale[{sink.name}]'"}
    if sink.name in SINKS and not sink.options:
        return {}  # nothing is to be imported
    try:
        found = registry.load_user(SINKS[sink.name].path if sink.name in SINKS else sink.name)
    except Exception as error:  # whatever a user's module raises
        return {("name",): f"{sink.name!r} cannot be imported: {one_line(error)}"}
    if lacking := [name for name in TOLD if not callable(getattr(found, name, None))]:
        return {("name",): f"{sink.name!r} is no sink: it has no {', '.join(lacking)}"}
    options = getattr(found, "Options", None)
    if options is not None and not (isinstance(options, type) and issubclass(options, Block)):
        return {("name",): f"{sink.name!r} has `Options` that are no subclass of zfscale.spec.Block"}
    if options is None or not options.model_fields:
        return {(key,): f"unknown key; {sink.name} has no options" for key in sink.options}
    try:
        made(options, sink.options)
    except ValidationError as error:
        return explain(options, error)
    return dict(secrets(sink.options))
