"""The sweep file: read, validated, resolved, expanded to trial specs, before anything starts.

    text --yaml--> data + lines --overrides--> data --schema--> SweepSpec --space--> trials

Every mistake is a line of a `SpecError`: file, line, dotted path, what was given, what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zfscale.block import Block
from zfscale.errors import SpecError
from zfscale.spec.cells import Cell, cells
from zfscale.spec.document import Document
from zfscale.spec.expansion import expand
from zfscale.spec.fork import ForkSpec, Lookup
from zfscale.spec.inheriting import Parents
from zfscale.spec.outside import opened
from zfscale.spec.overrides import in_order, override
from zfscale.spec.problems import explain
from zfscale.spec.schema import METRICS, OutputSpec, ResourcesSpec, SearchSpec, SweepSpec, WandbSpec, json_schema
from zfscale.spec.sinks import sink_problems
from zfscale.spec.sources import DatasetPath, DomainPath, HubDataset
from zfscale.spec.space import Problem, located, misspelt
from zfscale.spec.stream import DomainSpec, StreamSpec
from zfscale.spec.trial import TrialSpec
from zfscale.spec.trial_blocks import OPEN, EngineSpec, MethodSpec, ModelSpec, OptimizerSpec, TrainSpec
from zfscale.spec.yaml import Place

__all__ = [
    "METRICS",
    "Block",
    "DatasetPath",
    "DomainPath",
    "DomainSpec",
    "EngineSpec",
    "ForkSpec",
    "HubDataset",
    "MethodSpec",
    "ModelSpec",
    "OptimizerSpec",
    "OutputSpec",
    "Problem",
    "ResourcesSpec",
    "SearchSpec",
    "StreamSpec",
    "Sweep",
    "SweepSpec",
    "TrainSpec",
    "TrialSpec",
    "WandbSpec",
    "json_schema",
    "load",
]


@dataclass(frozen=True)
class Sweep:
    """A valid sweep file and its trials: distinct, in a stable order, first path of the space outermost.

    Args:
        spec: The file.
        trials: All trials; where a searcher proposes them, those that the results know of (`results.proposals`).
        path: Where the file is.
        document: As it was read.
        cells: Where a searcher makes its proposals; none where all trials are known.
        ends: Trials at the ends of what a searcher may propose, which are not run.
        unknown: How many trials it may propose yet, at most.
    """

    spec: SweepSpec
    trials: tuple[TrialSpec, ...]
    path: Path
    document: Document
    cells: tuple[Cell, ...] = ()
    ends: tuple[TrialSpec, ...] = ()
    unknown: int = 0

    @property
    def outline(self) -> tuple[TrialSpec, ...]:
        """Trials that read all that any trial of the sweep will read."""
        return (*self.trials, *self.ends)

    @property
    def size(self) -> int:
        """How many trials it has, at most, unless it grows."""
        return len(self.trials) + self.unknown

    @property
    def grows(self) -> bool:
        """Whether trials may be added while it runs, beyond that size: those by which members of a population go on."""
        return self.spec.search.scheduler.takes_over

    def error(self, problems: Collection[Problem]) -> SpecError:
        """Problems of trials that show only when models and data are read, with the lines of the file."""
        return self.document.error(located(self.document, self.spec, problems))


def load(path: str | Path, overrides: Sequence[str] = (), parents: Callable[[str, str], Lookup] | None = None) -> Sweep:
    """Read a sweep file, apply `path=value` overrides, and expand it; raises SpecError on any mistake.

    `parents` makes, of a sweep's directory and name, what reads the parents of its forks: `results.parents.lookup`.
    """
    file = Path(path).expanduser()
    document = Document.load(file)
    document.opened = opened(document.data, OPEN)
    for text in in_order(overrides):
        override(document, text)
    if document.forks:  # what a block names may be the parent's
        document.opened = frozenset(OPEN)
    spec, problems = _validate(document)
    if document.forks and parents is not None:
        document.parents = Parents(parents(spec.output.dir, spec.name))
    trials, searched = tuple(expand(document, spec, problems)), tuple(cells(document, spec))
    if not searched:
        return Sweep(spec, trials, file, document)
    unknown = sum(spec.search.samples * len(cell.seeds) for cell in searched)
    return Sweep(spec, (), file, document, searched, trials, unknown)


def _validate(document: Document) -> tuple[SweepSpec, dict[Place, str]]:
    """The file as a SweepSpec, and what is wrong with its template, but for keys the space may supply.

    Errors: SpecError where the trials that are meant cannot be told.
    """
    template = {key: _ours(document, key) for key in TrialSpec.model_fields if key in document.data}
    spec, problems = _check(SweepSpec, document.data)
    problems |= misspelt(document)
    whole = spec is not None and not problems
    problems |= {} if spec is None else sink_problems(spec.output.sinks)
    problems |= _check(TrialSpec, template, partial=True)[1]
    if spec is None or not whole:
        raise document.error(problems)
    return spec, problems


def _ours(document: Document, key: str) -> Any:
    """A block of the template without what may be an option of something that the file names; trials tell that."""
    block = document.data[key]
    if key not in document.opened or not isinstance(block, dict):
        return block
    return {option: value for option, value in block.items() if option in OPEN[key].model_fields}


def _check(model: Any, data: dict[str, Any], *, partial: bool = False) -> tuple[Any, dict[Place, str]]:
    try:
        return model.model_validate(data), {}
    except ValidationError as error:
        return None, explain(model, error, partial=partial)
