"""What the types of a domain-incremental stream cannot say: which keys it needs, and what its domains are made of."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from zfscale import installed
from zfscale.data.formats.catalogue import claimed, contradiction, facts_of, which
from zfscale.errors import DataError, ModelError, SpecError, nearest, one_line
from zfscale.registry import is_path
from zfscale.spec.backtracking import backtracking
from zfscale.spec.directories import layout
from zfscale.spec.names import CLASSES, IMAGE_MODELS, LANGUAGE_MODELS, PATH_LIKE, TEXTS, Finding, hub_id
from zfscale.spec.sources import DomainPath, HubDataset
from zfscale.spec.stream import DomainSpec, StreamSpec
from zfscale.spec.trial_blocks import ModelSpec
from zfscale.spec.yaml import Place

Modality = Literal["text", "images"]
FASHION = ("fashion_mnist", "zalando-datasets/fashion_mnist")  # where Fashion-MNIST is had


def modality(stream: StreamSpec) -> Modality:
    """Whether the stream's domains are text or images; hub ids, which do not tell, are text if blocks have a size."""
    found = {_kind(domain) for domain in stream.domains or ()} - {None}
    if len(found) == 1:
        return found.pop()  # type: ignore[return-value]
    return "text" if stream.block_size is not None else "images"


def domain_order(count: int, seed: int | None) -> list[int]:
    """The domain that arrives i-th, a permutation of 0 .. count - 1 by seed; None is the file's order."""
    import numpy as np

    return list(range(count)) if seed is None else np.random.RandomState(seed).permutation(count).tolist()


def domain_findings(stream: StreamSpec) -> list[Finding]:
    """Everything wrong with a stream of kind `domain_incremental`."""
    if stream.domains is None:
        return [(("stream", "domains"), "missing; expected a list such as [{name: licenses}, {name: reference}]")]
    names = [domain.name for domain in stream.domains]
    found: list[Finding] = [
        (("stream", "domains", i, "name"), f"{name!r} is the name of an earlier domain; allowed: a name of its own")
        for i, name in enumerate(names)
        if name in names[:i]
    ]
    everyone: list[tuple[Place, DomainSpec]] = [
        (("stream", "domains", i), domain) for i, domain in enumerate(stream.domains)
    ]
    if stream.upstream is not None:
        everyone.append((("stream", "upstream"), stream.upstream))
    what = modality(stream)
    for place, domain in everyone:
        found += _source(place, domain, what)
        found += _no_use(place, domain, what)
    return [*found, *_overlap(stream.domains, stream.upstream), *_blocks(stream, what)]


def _kind(domain: DomainSpec) -> Modality | None:
    """What a domain is, as far as its name tells."""
    source = domain.source
    if isinstance(source, DomainPath):
        return "images" if source.format == "imagefolder" else "text"
    if isinstance(source, HubDataset):
        return None
    return "text" if source in TEXTS else "images" if source in CLASSES else None


def _source(place: Place, domain: DomainSpec, what: Modality) -> list[Finding]:
    if (kind := _kind(domain)) not in (None, what):
        return [(place, f"{domain.name!r} is {kind}, other domains are {what}; allowed: one of the two")]
    at, source = (*place, "name" if domain.dataset is None else "dataset"), domain.source
    if isinstance(source, DomainPath):
        return _imported((*at, "format"), source) or [*_options(at, source), *_files((*at, "path"), source)]
    if isinstance(source, HubDataset):
        return hub_dataset(at, source)
    if kind is not None:
        return []
    if source.startswith(PATH_LIKE):
        format = claimed(source)
        other = ", or format: imagefolder" if format is None else ""
        return [(at, f"{source!r} is a path; write {{path: {source}, format: {format or 'text'}}}{other}")]
    if (format := claimed(source)) is not None:
        return [(at, f"{source!r} is the name of a file; write {{path: {source}, format: {format}}}")]
    known = TEXTS if what == "text" else CLASSES
    return [(at, problem) for problem in hub_id(source, () if "/" in source else known, "domain")]


def _overlap(domains: Sequence[DomainSpec], upstream: DomainSpec | None) -> list[Finding]:
    """fashion1k is made of images that Fashion-MNIST is evaluated on: nothing that trains on it may be."""
    everyone = [*domains, *([upstream] if upstream else [])]
    whole = next((domain.name for domain in everyone if domain.source in FASHION), None)
    return [
        (
            ("stream", "domains", i),
            f"{domain.name!r} trains on images of fashion1k, which {whole!r}, Fashion-MNIST, is evaluated on; "
            "allowed: one of the two, or fashion1k as the upstream domain",
        )
        for i, domain in enumerate(domains)
        if domain.source == "fashion1k" and whole is not None
    ]


def _imported(place: Place, source: DomainPath) -> list[Finding]:
    """What is wrong with a format of the user's own."""
    if not is_path(source.format):
        return []
    try:
        facts_of(source.format)
    except SpecError as error:
        return [(place, str(error))]
    except Exception as error:  # whatever a user's module raises
        return [(place, f"{source.format!r} cannot be imported: {one_line(error)}")]
    return []


def _options(place: Place, source: DomainPath) -> list[Finding]:
    """Options that the format has no use for."""
    found: list[Finding] = []
    facts = None if source.format == "imagefolder" else facts_of(source.format)
    if source.column is not None and not (facts and facts.columns):
        message = f"{source.column!r} has no effect on format: {source.format}; allowed: null, or {which('columns')}"
        found.append(((*place, "column"), message))
    if source.encoding != "utf-8" and not (facts and facts.encoding):
        message = f"{source.encoding!r} has no effect on format: {source.format}; allowed: utf-8"
        found.append(((*place, "encoding"), message))
    return found


def _files(place: Place, source: DomainPath) -> list[Finding]:
    if source.format != "imagefolder":
        pattern = glob.escape(source.path) if os.path.isfile(source.path) else source.path  # as file_sets.matching
        files = (f for f in glob.iglob(pattern, recursive=True) if not os.path.isdir(f))
        if (first := next(files, None)) is not None:  # the others are looked at before they are read
            problems = ((path, contradiction(path, source.format)) for path in (source.path, first))
            return [(place, f"{path!r} {problem}") for path, problem in problems if problem is not None][:1]
        hint = f"; it is a directory: {os.path.join(source.path, '**', '*')}?" if os.path.isdir(source.path) else ""
        return [(place, f"no file matches {source.path!r}{hint}")]
    if not Path(source.path).is_dir():
        return [(place, f"{source.path!r} is not a directory; expected one with one subdirectory per class")]
    try:
        layout(Path(source.path))
    except DataError as error:
        return [(place, str(error))]
    return []


def hub_dataset(place: Place, source: HubDataset) -> list[Finding]:
    """What is wrong with a dataset of the hub, as far as its name and its directory tell."""
    if source.hub.startswith(PATH_LIKE) or source.hub in (".", ".."):
        what = "is not a directory" if Path(source.hub).exists() else "does not exist"
        return [] if Path(source.hub).is_dir() else [((*place, "hub"), f"{source.hub!r} {what}")]
    return [((*place, "hub"), problem) for problem in hub_id(source.hub, (), "dataset")]


def _no_use(place: Place, domain: DomainSpec, what: Modality) -> list[Finding]:
    """Options of a hub dataset that mean nothing to a domain of text."""
    source = domain.source
    if what != "text" or not isinstance(source, HubDataset):
        return []
    blocks = (("columns", source.columns, "text"), ("split", source.split, "train"))
    return [
        (
            (*place, "dataset", block, key),
            f"{value!r} has no effect on text; allowed: null, or {block}: {{{used}: ...}}",
        )
        for block, options, used in blocks
        for key, value in (options or ())
        if value is not None and key != used
    ]


def _blocks(stream: StreamSpec, what: Modality) -> list[Finding]:
    if what == "images":
        return []
    if stream.block_size is None:
        return [(("stream", "block_size"), "missing; expected an integer >= 2, the tokens of an example")]
    return [
        (("stream", key), f"{budget} tokens are less than one block of {stream.block_size}")
        for key in ("tokens_per_domain", "held_out_tokens")
        if (budget := getattr(stream, key)) is not None and budget < stream.block_size
    ]


def domain_model(model: ModelSpec, stream: StreamSpec) -> list[Finding]:
    """What is wrong with a model for this stream; only what can be seen without reading it."""
    return [*_named(model.name, stream), *_trained(model.train)]


def _trained(pattern: str) -> list[Finding]:
    try:
        re.compile(pattern)
    except re.error as error:
        message = f"{pattern!r} is no regular expression ({error}); allowed: full, adapter, lora, or a pattern of names"
        return [(("model", "train"), message)]
    return [(("model", "train"), f"{pattern!r} {problem}") for problem in [backtracking(pattern)] if problem]


def _named(name: str, stream: StreamSpec) -> list[Finding]:
    known = LANGUAGE_MODELS if modality(stream) == "text" else IMAGE_MODELS
    place = ("model", "name")
    if name.startswith(installed.PREFIX) and modality(stream) == "text":
        try:
            installed.find(name)
        except ModelError as error:
            return [(place, str(error).partition(": ")[2])]
        return []
    if name.endswith(".gguf") and modality(stream) == "text":
        return [] if Path(name).is_file() else [(place, f"{name!r} is not an existing file")]
    if name.startswith(PATH_LIKE) or name in (".", ".."):
        return [] if Path(name).is_dir() else [(place, f"{name!r} is not an existing directory")]
    if name in known or is_path(name):
        return []
    if name.startswith("embedded/"):
        return [(place, f"unknown model {name!r}; {nearest(name, known)}")]
    return [(place, problem) for problem in hub_id(name, known, "model")]
