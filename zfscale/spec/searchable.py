"""What is wrong with a file that asks for an algorithm which its space, or the installation, does not suit."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from zfscale.spec.distributions import Grid
from zfscale.spec.document import Document
from zfscale.spec.names import Finding
from zfscale.spec.schema import SweepSpec
from zfscale.spec.yaml import Place

EXTRA = "pip install 'zfscale[search]'"


def unsearchable(document: Document, spec: SweepSpec) -> dict[Place, str]:
    """Where the file says what is to be searched, or how -> what is wrong with it."""
    algorithm = spec.search.algorithm
    if algorithm.facts.whole:
        return dict(_not_listed(spec))
    return dict(_not_proposed(document, spec)) if algorithm.searches else {}


def _not_listed(spec: SweepSpec) -> Iterator[Finding]:
    if spec.search.samples != 1:
        yield ("search", "samples"), "has no effect on grid, which takes every value once"
    for path, values in spec.space.items():
        if values.all is None:
            kind = next(iter(values.model_dump()))
            yield ("space", path), f"{kind} has no list of values that grid could take; allowed: grid, choice, quniform"


def _not_proposed(document: Document, spec: SweepSpec) -> Iterator[Finding]:
    name, facts = spec.search.algorithm.name, spec.search.algorithm.facts
    searched = {path: values for path, values in spec.space.items() if not isinstance(values, Grid)}
    if find_spec(facts.needs) is None:
        yield ("search", "algorithm"), f"{name} is not installed ({facts.needs} is missing); {EXTRA}"
    if not document.has(("search", "samples")):
        yield ("search", "samples"), f"missing; expected how many proposals {name} makes at each grid point"
    if not searched:
        yield ("space",), f"all of it is grids; expected a path for {name} to search, such as a loguniform"
    for path, values in searched.items():
        if path == "seed":
            yield ("space", path), f"a seed is nothing to search for; expected a grid, whose mean {name} is told"
        elif facts.ordered and values.options is not None:
            yield ("space", path), f"a choice has no order; {name} searches numbers alone"
    if spec.search.scheduler.path and not facts.early:
        message = f"{name} cannot learn from trials that are stopped early; expected none, or algorithm: optuna"
        yield ("search", "scheduler"), message
