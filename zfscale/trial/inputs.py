"""What trials read: base weights and data, loaded once by the driver and shared through Ray's object store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from zfscale.errors import ModelError, SpecError, ZfscaleError
from zfscale.models.catalogue import family, family_name
from zfscale.models.precision import PRECISIONS
from zfscale.models.pretrained import Pretrained
from zfscale.spec import ModelSpec, Problem, StreamSpec, Sweep, TrialSpec
from zfscale.spec.own import own_paths, unlike
from zfscale.spec.yaml import dotted
from zfscale.streams.base import Stream, Unread
from zfscale.streams.catalogue import stream
from zfscale.training import objective
from zfscale.trial.forking import Start, misfit, start_key, start_of


def model_key(spec: TrialSpec) -> str:
    """Trials with equal keys start from the same weights."""
    return _model_key(family_name(spec), spec.model)


@functools.lru_cache(maxsize=1024)  # trials by the thousand have the same model
def _model_key(family: str, model: ModelSpec) -> str:
    return f"{family} {model.model_dump_json(include={'name', 'input_range'})}"


def data_key(spec: TrialSpec) -> str:
    """Trials with equal keys read the same arrays: the dataset, at the size of the model, or in its tokens."""
    return _data_key(spec.model.name, spec.stream)


@functools.lru_cache(maxsize=1024)
def _data_key(model: str, data: StreamSpec) -> str:
    return f"{model} {data.model_dump_json(exclude=set(stream(data.kind).order))}"


def keys_of(spec: TrialSpec) -> list[str]:
    """All that a trial reads: its model, its data, and the paths of what the user has written."""
    return [model_key(spec), data_key(spec), *own_paths(spec)]


class Unfit(SpecError):
    """Models or data that trials cannot use: all `problems` of the kind that shows only when they are read."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{dotted(problem.place)}: {problem.message}" for problem in problems))
        self.problems = list(problems)


class Inputs:
    """The distinct models and datasets of a set of trials, in memory; `objectives` are tried too, unless told not to.

    All models are read before any data, which takes longer. Errors: `Unfit` before any trial starts, with every problem
    of the models, of what trials train of them and of objectives, or else with every problem of the data.
    """

    def __init__(self, specs: Iterable[TrialSpec], objectives: bool = True) -> None:
        self._starts: dict[str, Start] = {}
        self._models: dict[str, Any] = {}
        self._data: dict[str, Any] = {}
        self._streams: dict[tuple[str, StreamSpec], Stream[Any]] = {}
        specs = unlike(specs)
        for read in (partial(self._read_models, objectives=objectives), self._read_data):
            problems: list[Problem] = []
            read(specs, problems)
            if problems:
                raise Unfit(problems)

    def _read_models(self, specs: Iterable[TrialSpec], problems: list[Problem], objectives: bool) -> None:
        tried: set[Any] = set()

        def first(*key: Any) -> bool:
            """Whether this was not tried before; what is wrong is said once."""
            new = key not in tried
            tried.add(key)
            return new

        for spec in specs:
            key, t = model_key(spec), spec.train.objective
            if objectives and first("objective", t):
                with noted(problems, spec, "train", "objective"):
                    objective.load(t)
            if first("model", key):
                with noted(problems, spec, "model", "name"):
                    self._models[key] = family(spec).load(spec.model)
            if key not in self._models:
                continue
            if first("block", key, spec.stream.block_size):
                with noted(problems, spec, "stream", "block_size"):
                    _check_block(spec, self._models[key])
            if first("train", key, spec.model.train):
                with noted(problems, spec, "model", "train"):
                    _check_train(spec, self._models[key])

    def _read_data(self, specs: Iterable[TrialSpec], problems: list[Problem]) -> None:
        refused: set[Any] = set()
        for spec in specs:
            data = data_key(spec)
            key = data, spec.stream
            if key in self._streams:
                continue
            kind = stream(spec.stream.kind).load()
            if data not in self._data and data not in refused:
                with noted(problems, spec, "stream", "dataset"):
                    self._data[data] = kind.read(spec.stream, family(spec), self._models[model_key(spec)])
            if data not in self._data or key in refused:
                refused |= {data, key}
            elif finding := kind.misfit(spec.stream, self._data[data]):
                problems.append(Problem(spec, *finding))
                refused.add(key)
            else:
                self._streams[key] = kind.of(spec.stream, self._data[data])

    def read_starts(self, specs: Iterable[TrialSpec]) -> None:
        """How forks begin, for trials that are to be run. Errors: `Unfit`, with every problem of theirs."""
        problems: list[Problem] = []
        for spec in (spec for spec in specs if spec.fork is not None):
            key = start_key(spec)
            if key not in self._starts:
                with noted(problems, spec, "fork", "trial"):
                    self._starts[key] = start_of(spec)
            if finding := misfit(spec, self.of(spec)[1], self.stream(spec)):
                problems.append(Problem(spec, *finding))
        if problems:
            raise Unfit(problems)

    def start(self, spec: TrialSpec) -> Start | None:
        """How a fork begins that may be started; None of any other trial."""
        return self._starts.get(start_key(spec))

    def of(self, spec: TrialSpec) -> tuple[Any, Any]:
        """The trial's model, as its family loads it, and the data of its stream."""
        return self._models[model_key(spec)], self._data[data_key(spec)]

    def stream(self, spec: TrialSpec) -> Any:
        """The trial's stream."""
        return self._streams[data_key(spec), spec.stream]

    def put(self, put: Callable[[Any], Any]) -> dict[str, Any]:
        """Key -> reference of everything, after `put` has stored it."""
        return {key: put(value) for key, value in (self._models | self._data | self._starts).items()}


@contextmanager
def noted(problems: list[Problem], spec: TrialSpec, *place: str | int) -> Iterator[None]:
    """Add an error that is raised inside to the problems, as one of the spec's at this place."""
    try:
        yield
    except Unread as error:
        problems += [Problem(spec, *finding) for finding in error.findings]
    except ZfscaleError as error:
        problems.append(Problem(spec, place, str(error).removeprefix(f"{dotted(place)}: ")))


def read(sweep: Sweep, trials: Iterable[TrialSpec], started: Iterable[TrialSpec] | None = None) -> Inputs:
    """The inputs of some trials of a sweep, and how those that may be `started` begin, by default all.

    Errors: SpecError with the lines of the file.
    """
    trials = list(trials)
    try:
        inputs = Inputs(trials)
        inputs.read_starts(_outside(sweep, trials if started is None else started))
        return inputs
    except Unfit as error:
        raise sweep.error(error.problems) from error


def _outside(sweep: Sweep, trials: Iterable[TrialSpec]) -> Iterator[TrialSpec]:
    """All but those that a population has made: workers read their parents' ledgers, once these are as far."""
    mine = {trial.trial_id for trial in sweep.trials} if sweep.grows else set()
    return (trial for trial in trials if trial.fork is None or trial.fork.trial not in mine)


def _check_block(spec: TrialSpec, base: Any) -> None:
    limit, size = family(spec).longest_block(base), spec.stream.block_size
    if limit is not None and size is not None and size > limit:
        raise SpecError(f"stream.block_size: {size} tokens, but {base.name} has positions for {limit}")


def _check_train(spec: TrialSpec, base: Any) -> None:
    """Whether `model.train` finds something to train in the model, without its weights."""
    module = family(spec).outline(base)
    if module is None:
        return
    try:
        Pretrained(module, spec.model.train, PRECISIONS["fp32"], seed=0)
    except ModelError as error:
        reason = str(error).removeprefix("model.train: ")
        raise SpecError(f"model.train: {spec.model.train!r} does not fit {base.name}: {reason}") from error
