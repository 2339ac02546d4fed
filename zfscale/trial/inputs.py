"""What trials read: base weights and data, loaded once by the driver and shared through Ray's object store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from zfscale.data.images import ImageData, load
from zfscale.data.overlap import say_shared_domains
from zfscale.data.text import load_domain
from zfscale.errors import ModelError, SpecError, ZfscaleError
from zfscale.models.lm import LanguageBase, load_lm, outline_lm, tokenizer_of
from zfscale.models.mim import MaskedImageBase, load_mim, outline_mim
from zfscale.models.precision import PRECISIONS
from zfscale.models.pretrained import Pretrained
from zfscale.models.vit import BaseModel, load_base
from zfscale.spec import DomainSpec, Problem, StreamSpec, Sweep, TrialSpec
from zfscale.spec.domains import modality
from zfscale.spec.names import Finding
from zfscale.spec.tasks import misfit
from zfscale.spec.yaml import Place, dotted
from zfscale.streams import STREAMS, Stream
from zfscale.streams.domain_incremental import Domains, DomainTask, causal, masked
from zfscale.streams.masked_images import Patches, image_domain
from zfscale.training import objective

Base = BaseModel | LanguageBase | MaskedImageBase
Data = ImageData | Domains

# What of a stream only arranges its data.
ORDER = {
    "order_seed",
    "class_order_seed",
    "tasks",
    "first_task_classes",
    "task_sizes",
}


def model_key(spec: TrialSpec) -> str:
    """Trials with equal keys start from the same weights."""
    return f"{_kind(spec)} {spec.model.model_dump_json(include={'name', 'input_range'})}"


def data_key(spec: TrialSpec) -> str:
    """Trials with equal keys read the same arrays: the dataset, at the size of the model, or in its tokens."""
    return f"{spec.model.name} {spec.stream.model_dump_json(exclude=ORDER)}"


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
        self._models: dict[str, Base] = {}
        self._data: dict[str, Data] = {}
        self._streams: dict[tuple[str, StreamSpec], Stream] = {}
        specs = list(specs)
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
                    self._models[key] = _load_model(spec)
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
            data, key = data_key(spec), (data_key(spec), spec.stream)
            if data not in self._data and data not in refused:
                with noted(problems, spec, "stream", "dataset"):
                    self._data[data] = _load_data(spec, self._models[model_key(spec)])
            if data not in self._data or key in refused:
                refused |= {data, key}
            elif finding := _misfit(spec.stream, self._data[data]):
                problems.append(Problem(spec, *finding))
                refused.add(key)
            elif key not in self._streams:
                self._streams[key] = STREAMS[spec.stream.kind](spec.stream, self._data[data])

    def of(self, spec: TrialSpec) -> tuple[Any, Any]:
        """The trial's model and data: BaseModel and ImageData, or a language or masked image model and Domains."""
        return self._models[model_key(spec)], self._data[data_key(spec)]

    def stream(self, spec: TrialSpec) -> Any:
        """The trial's stream."""
        return self._streams[data_key(spec), spec.stream]

    def put(self, put: Callable[[Any], Any]) -> dict[str, Any]:
        """Key -> reference of everything, after `put` has stored it."""
        return {key: put(value) for key, value in (self._models | self._data).items()}


@contextmanager
def noted(problems: list[Problem], spec: TrialSpec, *place: str | int) -> Iterator[None]:
    """Add an error that is raised inside to the problems, as one of the spec's at this place."""
    try:
        yield
    except Unfit as error:
        problems += error.problems
    except ZfscaleError as error:
        problems.append(Problem(spec, place, str(error).removeprefix(f"{dotted(place)}: ")))


def read(sweep: Sweep, trials: Iterable[TrialSpec]) -> Inputs:
    """The inputs of some trials of a sweep. Errors: SpecError with the lines of the file."""
    try:
        return Inputs(trials)
    except Unfit as error:
        raise sweep.error(error.problems) from error


def _kind(spec: TrialSpec) -> str:
    """What is loaded for a trial: "vit", "lm" or "mim"."""
    if spec.stream.kind == "class_incremental":
        return "vit"
    return "lm" if modality(spec.stream) == "text" else "mim"


def _load_model(spec: TrialSpec) -> Base:
    if _kind(spec) == "mim":
        return load_mim(spec.model.name, spec.model.input_range)
    if _kind(spec) == "lm":
        return load_lm(spec.model.name)
    return load_base(spec.model.name, spec.model.input_range)


def _check_block(spec: TrialSpec, base: Base) -> None:
    limit, size = getattr(base, "max_block", None), spec.stream.block_size
    if limit is not None and size is not None and size > limit:
        raise SpecError(f"stream.block_size: {size} tokens, but {base.name} has positions for {limit}")


def _misfit(stream: StreamSpec, data: Data) -> Finding | None:
    return misfit(stream, len(data.classes), "the dataset") if isinstance(data, ImageData) else None


def _check_train(spec: TrialSpec, base: Base) -> None:
    """Whether `model.train` finds something to train in the model, without its weights."""
    if isinstance(base, BaseModel):
        return
    module = outline_lm(base) if isinstance(base, LanguageBase) else outline_mim(base)
    try:
        Pretrained(module, spec.model.train, PRECISIONS["fp32"], seed=0)
    except ModelError as error:
        reason = str(error).removeprefix("model.train: ")
        raise SpecError(f"model.train: {spec.model.train!r} does not fit {base.name}: {reason}") from error


def _load_data(spec: TrialSpec, base: Base) -> Data:
    if isinstance(base, LanguageBase):
        return _texts(spec, base)
    if isinstance(base, MaskedImageBase):
        return _images(spec, base)
    return load(spec.stream.dataset, base.pixels.size)


def _texts(spec: TrialSpec, base: LanguageBase) -> Domains:
    tokenizer, stream, size = tokenizer_of(base), spec.stream, spec.stream.block_size
    assert size is not None

    def read(domain: DomainSpec, tokens: int | None) -> DomainTask:
        text = load_domain(domain.name, domain.source, tokenizer, size, tokens, stream.held_out_tokens)
        return masked(text, tokenizer) if base.masked else causal(text)

    return _domains(spec, read, stream.tokens_per_domain, size)


def _images(spec: TrialSpec, base: MaskedImageBase) -> Domains:
    c = base.config
    patches = Patches(c.image_size, c.num_channels, c.patch_size, base.hidden)
    loaded: list[tuple[str, ImageData]] = []

    def read(domain: DomainSpec, images: int | None) -> DomainTask:
        loaded.append((domain.name, load(domain.source, c.image_size)))
        return image_domain(*loaded[-1], patches, images, spec.stream.held_out_images)

    domains = _domains(spec, read, spec.stream.images_per_domain, 1)
    say_shared_domains(loaded)
    return domains


def _domains(
    spec: TrialSpec, read: Callable[[DomainSpec, int | None], DomainTask], budget: int | None, upstream: int
) -> Domains:
    """All domains of a stream, each of `budget`, and of `upstream` the one that is only evaluated on."""
    problems: list[Problem] = []
    found: list[DomainTask] = []
    stream = spec.stream
    places: list[tuple[Place, DomainSpec, int | None]] = [
        (("stream", "domains", i), domain, budget) for i, domain in enumerate(stream.domains or ())
    ]
    if stream.upstream is not None:
        places.append((("stream", "upstream"), stream.upstream, upstream))
    for place, domain, amount in places:
        with noted(problems, spec, *place, "name" if domain.dataset is None else "dataset"):
            found.append(read(domain, amount))
    if problems:
        raise Unfit(problems)
    return Domains(found, None) if stream.upstream is None else Domains(found[:-1], found[-1])
