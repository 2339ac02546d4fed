"""Code of the user's own that a sweep names by "package.module:Name": it must reach every node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter

from pydantic import BaseModel

from zfscale.registry import is_path
from zfscale.spec.names import OneOf
from zfscale.spec.schema import OutputSpec, blocks_of
from zfscale.spec.sources import DomainPath
from zfscale.spec.trial import TrialSpec

OBJECTIVE = "train.objective"


def unlike(trials: Iterable[TrialSpec]) -> list[TrialSpec]:
    """The first of each kind of trials that read the same, as far as they share the blocks themselves."""
    found: dict[tuple[object, ...], TrialSpec] = {}
    for trial in list(trials):  # all are kept until the end, so that no two blocks have one id
        blocks = (trial.model, trial.stream, trial.method, trial.train, trial.engine, trial.fork)
        found.setdefault((trial.optimizer.name, *map(id, blocks)), trial)
    return list(found.values())


def own_code(trials: Iterable[TrialSpec], output: OutputSpec) -> dict[str, str]:
    """Path of an object of the user's own -> the first key of the sweep file that names it."""
    found = {sink.name: "output.sinks" for sink in output.sinks if is_path(sink.name)}
    for taker in (taker for trial in unlike(trials) for _, taker in reversed(trial.lineage)):
        for key, name in (*_names(taker), *_parts(taker)):
            if name not in found and is_path(name):
                found[name] = key
    return found


def own_paths(trial: TrialSpec, objectives: bool = True) -> list[str]:
    """The paths of objects of the user's own that decide what a trial computes; a replay needs no `objectives`."""
    takers = [taker for _, taker in trial.lineage]
    found = {(key, name) for one in takers for key, name in (*_names(one), *_parts(one)) if is_path(name)}
    return sorted({name for key, name in found if objectives or key != OBJECTIVE})


def _names(trial: TrialSpec) -> Iterator[tuple[str, str]]:
    for key, get in PLACES.items():
        yield key, get(trial)
    upstream = trial.stream.upstream
    for domain in (*(trial.stream.domains or ()), *([upstream] if upstream else ())):
        if isinstance(domain.source, DomainPath):
            yield "stream.domains", domain.source.format


def _parts(trial: TrialSpec) -> Iterator[tuple[str, str]]:
    """What the user's own optimizer is made of, which may lie in other modules."""
    if is_path(trial.optimizer.name):
        yield from (("optimizer.name", path) for path in trial.optimizing.paths if not path.startswith("zfscale."))


def _places(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted paths of fields that may name such an object; what may be null or is in a list has none."""
    for name, field in model.model_fields.items():
        if any(isinstance(part, OneOf) and part.own for part in field.metadata):
            yield prefix + name
        elif blocks_of(field.annotation) == [field.annotation]:
            yield from _places(blocks_of(field.annotation)[0], f"{prefix}{name}.")


# A model's name is free: of a hub, a directory, or a family of the user's own.
PLACES = {key: attrgetter(key) for key in ("model.name", *_places(TrialSpec))}
