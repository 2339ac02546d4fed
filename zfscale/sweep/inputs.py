"""What trials read: base weights and data, loaded once by the driver and shared through Ray's object store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from zfscale.methods import objective
from zfscale.models.vit import BaseModel, load_base
from zfscale.spec import StreamSpec, TrialSpec
from zfscale.streams import STREAMS
from zfscale.streams.class_incremental import ClassIncremental
from zfscale.streams.datasets import ImageData, load


def model_key(spec: TrialSpec) -> str:
    """Trials with equal keys start from the same weights."""
    return spec.model.model_dump_json()


def data_key(spec: TrialSpec) -> str:
    """Trials with equal keys read the same arrays: the dataset, at the size of the model."""
    return json.dumps([spec.stream.model_dump()["dataset"], spec.model.name])


class Inputs:
    """The distinct models and datasets of a set of trials, in memory; `objectives` are tried too, unless told not to.

    Errors: ModelError, DataError, SpecError where tasks do not divide classes, or ZfscaleError for an objective that
    cannot be imported, before any trial starts.
    """

    def __init__(self, specs: Iterable[TrialSpec], objectives: bool = True) -> None:
        self._models: dict[str, BaseModel] = {}
        self._data: dict[str, ImageData] = {}
        self._streams: dict[tuple[str, StreamSpec], ClassIncremental] = {}
        for spec in specs:
            if objectives:
                objective.load(spec.train.objective)
            if model_key(spec) not in self._models:
                self._models[model_key(spec)] = load_base(spec.model.name, spec.model.input_range)
            if data_key(spec) not in self._data:
                size = self._models[model_key(spec)].pixels.size
                self._data[data_key(spec)] = load(spec.stream.dataset, size)
            key = (data_key(spec), spec.stream)
            if key not in self._streams:
                order = spec.stream.class_order_seed
                self._streams[key] = STREAMS[spec.stream.kind](self._data[key[0]], spec.stream.tasks, order)

    def of(self, spec: TrialSpec) -> tuple[BaseModel, ImageData]:
        """The trial's model and data."""
        return self._models[model_key(spec)], self._data[data_key(spec)]

    def stream(self, spec: TrialSpec) -> ClassIncremental:
        """The trial's stream."""
        return self._streams[data_key(spec), spec.stream]

    def put(self, put: Callable[[Any], Any]) -> dict[str, Any]:
        """Key -> reference of everything, after `put` has stored it."""
        return {key: put(value) for key, value in (self._models | self._data).items()}
