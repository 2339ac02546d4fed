"""Template + space -> trials.

A combination is a point of the grids' product plus one draw of every other distribution. A draw depends only
on its own path and distribution, the sample's index, and the grid point without `seed`: a grid that grows
leaves all other trials as they were, and replicas that differ only in `seed` share their draws.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from zfscale.errors import nearest
from zfscale.spec.distributions import Distribution, Grid
from zfscale.spec.document import Document, Problems
from zfscale.spec.drawing import count_ends, written
from zfscale.spec.inheriting import Parents
from zfscale.spec.outside import Outside, is_own
from zfscale.spec.problems import show
from zfscale.spec.schema import MAX_COMBINATIONS, TEMPLATE_PATHS, SweepSpec
from zfscale.spec.strays import Assignment
from zfscale.spec.trial import TrialSpec
from zfscale.spec.trial_blocks import OPEN
from zfscale.spec.tuned import Tuned
from zfscale.spec.yaml import Place

SEED = ("seed",)


class Problem(NamedTuple):
    """What is wrong with a trial, and with which path of its spec."""

    trial: TrialSpec
    place: Place
    message: str


class Axis(NamedTuple):
    """A path whose values are drawn."""

    path: str
    target: tuple[str, ...]
    values: Distribution
    source: Place


def template_of(document: Document) -> dict[str, Any]:
    """What the file says of every trial."""
    return {key: document.data[key] for key in TrialSpec.model_fields if key in document.data}


def located(document: Document, spec: SweepSpec, found: Collection[Problem]) -> Problems:
    """Problems of trials as problems of the file: each where the file says what the trial has there."""
    template, outside = template_of(document), Outside({block: OPEN[block] for block in document.opened})
    of_trial: dict[str, list[Problem]] = {}
    for problem in found:
        of_trial.setdefault(problem.trial.trial_id, []).append(problem)
    problems: dict[Place, str] = {}
    for assignments in settled(combinations(spec), template, outside, Tuned(spec.tuned), document.parents):
        if not of_trial:
            break
        trial = whole_trial(template, assignments, outside, document.parents)
        for problem in of_trial.pop(trial.trial_id, ()):
            problems.setdefault(source(document, assignments, problem.place), problem.message)
    for problem in itertools.chain(*of_trial.values()):  # of trials that a search has made of those of the file
        problems.setdefault(problem.place, problem.message)
    return problems


def misspelt(document: Document) -> dict[Place, str]:
    """The paths of a space, valid or not, that the template does not have and no block that it names something for."""
    space = document.data.get("space")
    keys = [path for path in space if path not in TEMPLATE_PATHS] if isinstance(space, dict) else ()
    return {("space", path): unknown_path(path) for path in keys if not is_own(path, document.opened)}


def unknown_path(path: str) -> str:
    """The message for a path that the template does not have."""
    block = path.split(".")[0]
    inside = [known for known in TEMPLATE_PATHS if known.startswith(f"{block}.")]
    if inside:
        return f"not a path of the template; {nearest(path, inside)}"
    close = difflib.get_close_matches(path, TEMPLATE_PATHS, n=1)
    blocks = ", ".join(TrialSpec.model_fields)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"not a path of the template; {hint}allowed: {blocks}, and the keys inside them"


def too_many(spec: SweepSpec) -> dict[Place, str]:
    """A space that nobody means to run."""
    grids, draws = split(spec)
    count = math.prod(len(values.grid) for values in grids.values()) * (spec.search.samples if draws else 1)
    message = f"{count} combinations of grids and samples; allowed: at most {MAX_COMBINATIONS}"
    return {("space",): message} if count > MAX_COMBINATIONS else {}


def scalar_blocks(spec: SweepSpec) -> dict[Place, str]:
    """Values for a whole block that are no mapping, which a deeper path would silently replace."""
    return {
        ("space", path, kind, i): f"expected a mapping with keys of {path}, got {show(value)}"
        for path, distribution in spec.space.items()
        if "." not in path and path != "seed"
        for kind, values in distribution.model_dump().items()
        for i, value in enumerate(values)
        if not isinstance(value, dict)
    }


def combinations(spec: SweepSpec) -> Iterator[list[Assignment]]:
    """The assignments of every combination, shallow paths first, so that a leaf wins over its block.

    Of a space that a searcher is to look at, its ends: no trial of the sweep, but one of each kind.
    """
    grids, draws = split(spec)
    facts, samples = spec.search.algorithm.facts, range(spec.search.samples if draws else 1)
    if facts.path:
        samples = range(count_ends(draws))
    axes = [
        Axis(path, target(path), values, ("space", path, *type(values).model_fields)) for path, values in draws.items()
    ]
    for fixed in grid_points(grids):
        point = written({".".join(one.target): one.value for one in fixed if one.target != SEED}) if draws else ""
        for sample in samples:
            yield in_depth([*fixed, *drawn(axes, facts.draw(draws, point, sample))])


def grid_points(grids: Mapping[str, Grid]) -> Iterator[tuple[Assignment, ...]]:
    """Every point of the grids' product; the assignment of a value is one object."""
    values = [
        [Assignment(target(path), value, ("space", path, "grid", i)) for i, value in enumerate(grid.grid)]
        for path, grid in grids.items()
    ]
    return itertools.product(*values)


@functools.lru_cache(maxsize=1024)
def target(path: str) -> tuple[str, ...]:
    """The keys of a dotted path."""
    return tuple(path.split("."))


def drawn(axes: Iterable[Axis], shares: Mapping[str, float]) -> list[Assignment]:
    """The values of paths at these numbers of [0, 1)."""
    return [Assignment(target, values.draw(shares[path]), source) for path, target, values, source in axes]


def in_depth(assignments: Iterable[Assignment]) -> list[Assignment]:
    """Shallow paths first."""
    return sorted(assignments, key=lambda assignment: len(assignment.target))


def settled(
    points: Iterable[list[Assignment]], template: dict[str, Any], outside: Outside, tuned: Tuned, parents: Parents
) -> Iterator[list[Assignment]]:
    """The combinations, with what a search has chosen for each trial."""
    for assignments in points:
        whole = parents.inherit(applied(template, assignments)).whole if tuned.entries else {}
        yield [*assignments, *(tuned.assignments(outside.fit(whole).whole) if tuned.entries else [])]


def whole_trial(
    template: dict[str, Any], assignments: Iterable[Assignment], outside: Outside, parents: Parents
) -> TrialSpec:
    """The trial of a combination. Errors: pydantic's, where its values do not go together."""
    inherited = parents.inherit(applied(template, assignments)).whole
    return TrialSpec.model_validate(outside.fit(inherited).whole)


def split(spec: SweepSpec) -> tuple[dict[str, Grid], dict[str, Distribution]]:
    """The paths whose values are crossed, and those whose values are drawn."""
    grids = {path: grid for path, values in spec.space.items() if (grid := _crossed(spec, values)) is not None}
    return grids, {path: values for path, values in spec.space.items() if path not in grids}


def _crossed(spec: SweepSpec, values: Distribution) -> Grid | None:
    if isinstance(values, Grid):
        return values
    return Grid(grid=values.all) if spec.search.algorithm.facts.whole and values.all else None


def applied(template: dict[str, Any], assignments: Iterable[Assignment]) -> dict[str, Any]:
    """The template with these values, the later over the earlier."""
    for assignment in assignments:
        template = _put(template, assignment.target, assignment.value)
    return template


def _put(tree: Any, target: tuple[str, ...], value: Any) -> Any:
    """A copy of the tree with the value at the target; a mapping is merged over a mapping."""
    if target:
        base = tree if isinstance(tree, dict) else {}
        return {**base, target[0]: _put(base.get(target[0]), target[1:], value)}
    if isinstance(tree, dict) and isinstance(value, dict):
        return {**tree, **{key: _put(tree.get(key), (), inner) for key, inner in value.items()}}
    return value


def source(document: Document, assignments: list[Assignment], place: Place) -> Place:
    """Where the file says what a trial has at `place`: in the space, else in the template."""
    candidates = [
        assignment.source + place[len(assignment.target) :]
        for assignment in reversed(assignments)
        if place[: len(assignment.target)] == assignment.target
    ]
    written = [source for source in (*candidates, place) if document.has(source)]
    first: Place = (written or candidates or [place])[0]
    return first
