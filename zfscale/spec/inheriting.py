"""What a fork has from its parent: every option that its file does not give, and, of some, the only value allowed.

Steps are shared bit for bit only if everything is the same that decides the weights up to there: model, data, method,
seed, batches, and first-order phases. Optimizer, objective and the tasks that have not begun may be others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from zfscale.spec.fork import ForkSpec, Lookup, Origin, Unforkable
from zfscale.spec.names import Finding
from zfscale.spec.problems import explain, show
from zfscale.spec.trial import TrialSpec
from zfscale.spec.trial_blocks import OPEN
from zfscale.spec.yaml import Place
from zfscale.streams.catalogue import stream

# The options in which a fork may differ, beside those of the optimizer but for its first-order phase, and those that
# order a stream, if the tasks that have begun stay as they are.
FREE = {
    "train": frozenset({"objective", "micro_batch_size", "frozen_cache_mib", "parallel"}),
    "engine": frozenset({"stage", "offload"}),
    "stream": frozenset({"domains"}),
}
HELD = frozenset({"validation", "random_crop", "random_flip"})  # of a stream's options for trials that share arrays
# Options that say the same thing in two ways: whoever gives one of them has none of the parent's.
ONE_OF = (
    frozenset({"tasks", "first_task_classes", "task_sizes"}),
    frozenset({"class_order", "class_order_seed"}),
)


class Inherited(NamedTuple):
    """The data of a trial with what it has from its parent, and what keeps it from being a fork."""

    whole: dict[str, Any]
    problems: Mapping[Place, str] = {}


@dataclass
class Parents:
    """The parents of a file's trials; each is looked up once.

    Args:
        lookup: Reads the results of trials; None where no trial can be a fork.
    """

    lookup: Lookup | None = None
    _found: dict[tuple[str | None, str, int], Origin | Unforkable] = field(default_factory=dict)

    def inherit(self, whole: dict[str, Any]) -> Inherited:
        """Fill in what a fork's file does not say; any other trial is as it was."""
        if "fork" not in whole:
            return Inherited(whole)
        given = whole["fork"]
        if given is None or given == {}:
            return Inherited({key: value for key, value in whole.items() if key != "fork"})
        try:
            if unknown := [key for key in ForkSpec.FILLED if isinstance(given, dict) and key in given]:
                raise Unforkable(unknown[0], "unknown key; it is read from the results")
            fork = ForkSpec.model_validate(given)
            origin = self._origin(fork)
        except ValidationError as error:
            return Inherited(whole, {("fork", *place): why for place, why in explain(ForkSpec, error).items()})
        except Unforkable as error:
            return Inherited(whole, {("fork", error.key): str(error)})
        parent = json.loads(origin.spec)
        made = {block: _merged(block, parent[block], whole[block]) for block in parent if block in whole}
        filled = {**given, "results": origin.results, "spec": parent, "tasks": origin.tasks}
        problems: dict[Place, str] = {(block, OPEN[block].KEY): why for block, why in _other_things(parent, whole)}
        return Inherited({**parent, **whole, **made, "fork": filled}, problems)

    def _origin(self, fork: ForkSpec) -> Origin:
        key = (fork.results, fork.trial, fork.step)
        if key not in self._found:
            try:
                if self.lookup is None:
                    raise Unforkable("trial", "no results are read here, so no trial can be a fork")
                self._found[key] = self.lookup(*key)
            except Unforkable as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, Unforkable):
            raise found
        return found


def _merged(block: str, parent: Any, mine: Any) -> Any:
    """A block of the fork: what the file says of it over the parent's; of another optimizer, little of the parent's."""
    if not isinstance(parent, dict) or not isinstance(mine, dict):
        return mine
    if block == "optimizer" and mine.get("name", parent["name"]) != parent["name"]:
        return {"first_order": parent["first_order"], **mine}
    given = {option for group in ONE_OF if block == "stream" and group & mine.keys() for option in group}
    return {**{key: value for key, value in parent.items() if key not in given}, **mine}


def _other_things(parent: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Blocks that name another thing than the parent, where that may not be, whose options would not go together."""
    for block, kind in OPEN.items():
        mine = whole.get(block)
        name = mine.get(kind.KEY) if isinstance(mine, dict) else None
        if block != "optimizer" and name not in (None, parent[block][kind.KEY]):
            yield block, _says(name, parent[block][kind.KEY])


def differing(fork: TrialSpec, parent: TrialSpec) -> Iterator[Finding]:
    """Where a fork is other than its parent and may not be, or asks for what no fork can do."""
    if fork.seed != parent.seed:
        yield ("seed",), f"{_says(fork.seed, parent.seed)}; fork.seed draws what comes after the fork anew"
    ours, theirs = json.loads(fork.to_json()), json.loads(parent.to_json())
    for block in ("model", "stream", "method", "optimizer", "train", "engine"):
        mine, other = ours[block], theirs[block]
        for key in (*mine, *(key for key in other if key not in mine)):
            if mine.get(key) != other.get(key) and not may_differ(fork, block, key):
                yield (block, key), _says(mine.get(key), other.get(key))
    yield from _impossible(fork, parent)


def may_differ(fork: TrialSpec, block: str, option: str) -> bool:
    """Whether an option of a fork may be another than its parent's, if the tasks that have begun stay as they are."""
    if block == "optimizer":
        return option != "first_order"
    ordering = stream(fork.stream.kind).order - HELD if block == "stream" else frozenset()
    return option in FREE.get(block, ()) or option in ordering


def _impossible(fork: TrialSpec, parent: TrialSpec) -> Iterator[Finding]:
    if fork.optimizing.first_order:
        yield ("optimizer", "name"), f"{fork.optimizer.name!r} is first-order; a fork goes on with a forward-only one"
    elif not fork.optimizer.lr:
        yield ("optimizer", "lr"), "0 trains nothing, and replays nothing; allowed: a fork whose rate is above 0"
    if fork.hybrid:
        # Their phases are trained again from the start, where a ledger does not do.
        carry = fork.optimizer.carry_state or parent.optimizer.carry_state
        for place, given in (
            (("optimizer", "carry_state"), carry),
            (("stream", "old_loss_every"), fork.stream.old_loss_every),
        ):
            if given:
                yield place, f"{show(given)} goes with no fork of a hybrid, whose first-order phases are not replayed"


def _says(mine: Any, parent: Any) -> str:
    return f"{show(mine)}, but the steps that are shared were taken with {show(parent)}; allowed: {show(parent)}"
