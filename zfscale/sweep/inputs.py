"""What trials read: base weights and data, loaded once by the driver and shared through Ray's object store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zfscale.data.images import ImageData, load
from zfscale.data.overlap import say_shared_domains
from zfscale.data.text import load_domain
from zfscale.errors import ModelError, SpecError
from zfscale.methods import objective
from zfscale.models.lm import LanguageBase, load_lm, outline_lm, tokenizer_of
from zfscale.models.mim import MaskedImageBase, load_mim, outline_mim
from zfscale.models.precision import PRECISIONS
from zfscale.models.pretrained import Pretrained
from zfscale.models.vit import BaseModel, load_base
from zfscale.spec import DomainSpec, StreamSpec, TrialSpec
from zfscale.spec.domains import modality
from zfscale.streams import STREAMS, Stream
from zfscale.streams.domain_incremental import Domains, DomainTask, causal, masked
from zfscale.streams.masked_images import Patches, image_domain

Base = BaseModel | LanguageBase | MaskedImageBase
Data = ImageData | Domains

ORDER = {"order_seed", "class_order_seed", "tasks"}  # what of a stream only arranges its data


def model_key(spec: TrialSpec) -> str:
    """Trials with equal keys start from the same weights."""
    return f"{_kind(spec)} {spec.model.model_dump_json(include={'name', 'input_range'})}"


def data_key(spec: TrialSpec) -> str:
    """Trials with equal keys read the same arrays: the dataset, at the size of the model, or in its tokens."""
    return f"{spec.model.name} {spec.stream.model_dump_json(exclude=ORDER)}"


class Inputs:
    """The distinct models and datasets of a set of trials, in memory; `objectives` are tried too, unless told not to.

    Errors: ModelError, DataError, SpecError where tasks do not divide classes, a block is too long for its model or
    `model.train` finds nothing in it, or ZfscaleError for an objective that cannot be imported, before any trial
    starts.
    """

    def __init__(self, specs: Iterable[TrialSpec], objectives: bool = True) -> None:
        self._models: dict[str, Base] = {}
        self._data: dict[str, Data] = {}
        self._streams: dict[tuple[str, StreamSpec], Stream] = {}
        specs = list(specs)
        self._read_models(specs, objectives)
        for spec in specs:
            if data_key(spec) not in self._data:
                self._data[data_key(spec)] = _load_data(spec, self._models[model_key(spec)])
            key = (data_key(spec), spec.stream)
            if key not in self._streams:
                self._streams[key] = STREAMS[spec.stream.kind](spec.stream, self._data[key[0]])

    def _read_models(self, specs: Iterable[TrialSpec], objectives: bool) -> None:
        """All models before any data, which takes longer to read; what trials ask of them is checked."""
        tried: set[tuple[str, str]] = set()
        for spec in specs:
            key = model_key(spec)
            if objectives:
                objective.load(spec.train.objective)
            if key not in self._models:
                self._models[key] = _load_model(spec)
            _check_block(spec, self._models[key])
            if (key, spec.model.train) not in tried:
                _check_train(spec, self._models[key])
                tried.add((key, spec.model.train))

    def of(self, spec: TrialSpec) -> tuple[Any, Any]:
        """The trial's model and data: BaseModel and ImageData, or a language or masked image model and Domains."""
        return self._models[model_key(spec)], self._data[data_key(spec)]

    def stream(self, spec: TrialSpec) -> Any:
        """The trial's stream."""
        return self._streams[data_key(spec), spec.stream]

    def put(self, put: Callable[[Any], Any]) -> dict[str, Any]:
        """Key -> reference of everything, after `put` has stored it."""
        return {key: put(value) for key, value in (self._models | self._data).items()}


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
        return _texts(spec.stream, base)
    if isinstance(base, MaskedImageBase):
        return _images(spec.stream, base)
    return load(spec.stream.dataset, base.pixels.size)


def _texts(stream: StreamSpec, base: LanguageBase) -> Domains:
    tokenizer, size = tokenizer_of(base), stream.block_size
    assert size is not None
    assert stream.domains is not None

    def read(domain: DomainSpec, tokens: int | None) -> DomainTask:
        text = load_domain(domain.name, domain.source, tokenizer, size, tokens, stream.held_out_tokens)
        return masked(text, tokenizer) if base.masked else causal(text)

    tasks = [read(domain, stream.tokens_per_domain) for domain in stream.domains]
    return Domains(tasks, None if stream.upstream is None else read(stream.upstream, size))


def _images(stream: StreamSpec, base: MaskedImageBase) -> Domains:
    c = base.config
    patches = Patches(c.image_size, c.num_channels, c.patch_size, base.hidden)
    assert stream.domains is not None

    loaded: list[tuple[str, ImageData]] = []

    def read(domain: DomainSpec, images: int | None) -> DomainTask:
        loaded.append((domain.name, load(domain.source, c.image_size)))
        return image_domain(*loaded[-1], patches, images, stream.held_out_images)

    tasks = [read(domain, stream.images_per_domain) for domain in stream.domains]
    upstream = None if stream.upstream is None else read(stream.upstream, 1)
    say_shared_domains(loaded)
    return Domains(tasks, upstream)
