"""What a past trial is tested on: its own test data, other images of its classes, or one more domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from pydantic import ValidationError

from zfscale.errors import SpecError
from zfscale.measure.point import Seen
from zfscale.methods.base import Learner
from zfscale.models.catalogue import family
from zfscale.spec import TrialSpec, yaml
from zfscale.spec.problems import explain
from zfscale.streams import catalogue as streams
from zfscale.streams.domain_incremental import DomainTask
from zfscale.trial.class_incremental import task_accuracy
from zfscale.trial.inputs import Inputs

Ended = Iterator[tuple[int, str, float]]  # task, metric, value


@dataclass(frozen=True)
class Tested:
    """Test data, for each stage.

    Args:
        of: The number of the stage that is learned -> the tasks, or domains, that are looked at.
        ended: Learner and number of a stage that has ended -> accuracies that only its classifier gives now.
    """

    of: Callable[[int], Sequence[Any]]
    ended: Callable[[Learner[Any], int], Ended] = lambda learner, stage: iter(())

    @cached_property
    def seen(self) -> Callable[[int], Seen]:
        """The number of a stage -> what is looked at, the same object for as long as it is the same stage."""
        return lru_cache(maxsize=1)(lambda stage: Seen(self.of(stage)))


def tested(spec: TrialSpec, inputs: Inputs, data: str | None) -> Tested:
    """A trial's own test data, or what `data` stands for. Errors: ZfscaleError for data that do not go with it."""
    if data is None:
        return OWN[spec.stream.protocol](inputs.stream(spec))
    given, _ = yaml.parse(data, lambda line: "--data")
    if not given:
        raise SpecError(f"--data {data!r}: names no data")
    return OTHER[spec.stream.protocol](spec, inputs, given)


def _own_images(stream: Any) -> Tested:
    return Tested(lambda stage: [task for task in stream if task.index <= stage])


def _own_domains(stream: Any) -> Tested:
    return Tested(lambda stage: list(stream))


def _images(spec: TrialSpec, inputs: Inputs, given: Any) -> Tested:
    """Test images of the same classes, cut into the same tasks."""
    other = _changed(spec, {"dataset": given, "validation": None})
    kind, (model, own) = streams.stream(spec.stream.kind).load(), inputs.of(spec)
    found = kind.read(other.stream, family(other), model)
    theirs, ours = found.classes, own.classes
    if theirs != ours:
        odd = sorted(set(theirs) ^ set(ours))[:3]
        raise SpecError(f"--data: other classes than the trial's {len(ours)}, such as {', '.join(map(repr, odd))}")
    tasks = list(kind.of(other.stream, found))

    def ended(learner: Any, stage: int) -> Ended:
        # Learners keep features of test images by the number of their task: these are of other images.
        for task in tasks[:stage]:
            yield task.index, "accuracy", task_accuracy(learner, replace(task, index=-task.index))

    return Tested(lambda stage: [task for task in tasks if task.index <= stage], ended)


def _domain(spec: TrialSpec, inputs: Inputs, given: Any) -> Tested:
    """One more domain, with the number after the last."""
    one = given if isinstance(given, dict) and "name" in given else {"name": "data", "dataset": given}
    domains = spec.model_dump(mode="json")["stream"]["domains"]
    other = _changed(spec, {"domains": [*domains, one]})
    found = streams.stream(spec.stream.kind).load().read(other.stream, family(other), inputs.of(spec)[0])
    domain = DomainTask(**vars(found.tasks[-1]), index=len(domains) + 1)
    return Tested(lambda stage: [domain])


OWN = {"class_incremental": _own_images, "domain_incremental": _own_domains}
OTHER = {"class_incremental": _images, "domain_incremental": _domain}


def _changed(spec: TrialSpec, keys: dict[str, Any]) -> TrialSpec:
    """The spec with other keys of `stream`. Errors: SpecError if these are none."""
    whole = spec.model_dump(mode="json", exclude_unset=True)
    try:
        return TrialSpec.model_validate({**whole, "stream": whole["stream"] | keys})
    except ValidationError as error:
        found = explain(TrialSpec, error)
        raise SpecError("\n".join(f"--data: {yaml.dotted(place)}: {text}" for place, text in found.items())) from error
