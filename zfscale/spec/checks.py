"""What a type cannot say: names that exist, directories that are there, tasks that divide the classes.

Only names and directories are looked at; nothing is imported, downloaded or decoded.
"""

from __future__ import annotations

from pathlib import Path

from zfscale.errors import DataError, nearest
from zfscale.methods import catalogue as methods
from zfscale.registry import is_path
from zfscale.spec import class_order
from zfscale.spec.directories import layout
from zfscale.spec.domains import domain_findings, domain_model, hub_dataset, modality
from zfscale.spec.names import CLASSES, MODELS, PATH_LIKE, Finding, hub_id
from zfscale.spec.sources import DatasetPath, HubDataset
from zfscale.spec.stream import StreamSpec
from zfscale.spec.tasks import misfit
from zfscale.spec.trial_blocks import MethodSpec, ModelSpec, OptimizerSpec, TrainSpec
from zfscale.spec.yaml import Place
from zfscale.zo import catalogue

DEFAULT_ORDER = StreamSpec.model_fields["class_order_seed"].default
MOST_FORWARDS = 255  # of a step: a byte of the ledger


def findings(model: ModelSpec, stream: StreamSpec) -> list[Finding]:
    """Everything wrong with the model and the stream of one trial."""
    if stream.protocol == "domain_incremental":
        found = domain_findings(stream)
        return found if any("domains" in place for place, _ in found) else [*found, *domain_model(model, stream)]
    return [*_model(model), *_stream(stream)]


def learning(method: MethodSpec, stream: StreamSpec) -> list[Finding]:
    """What of a method does not go with the stream."""
    if methods.method(method.name).stream == stream.protocol:
        return []
    allowed = ", ".join(methods.of_stream(stream.protocol))
    message = f"{method.name!r} does not learn a {stream.kind} stream; allowed: {allowed}"
    return [(("method", "name"), message)]


def aim(train: TrainSpec, stream: StreamSpec) -> list[Finding]:
    """What of an objective does not go with the stream; a user's own function goes with any."""
    domains = stream.protocol == "domain_incremental"
    images = domains and modality(stream) == "images"
    if ":" in train.objective or (domains and stream.domains is None):
        return []
    if images == (train.objective == "reconstruction"):
        return []
    allowed = "reconstruction" if images else "cross_entropy, accuracy"
    what = "image domains, whose examples are patches to predict" if images else "classes and tokens"
    message = f"{train.objective!r} is no objective for {what}; allowed: {allowed}, or package.module:function"
    return [(("train", "objective"), message)]


def training(optimizer: OptimizerSpec, train: TrainSpec) -> list[Finding]:
    """What of an optimizer does not go with how it is to train."""
    found: list[Finding] = []
    facts, phase = catalogue.optimizer(optimizer.name), optimizer.first_order
    if facts.first_order:
        phase = None
    if optimizer.sign == "projected" and facts.direct == "sign" and optimizer.clip:
        found.append((("optimizer", "clip"), "the projected sign drops the size that clip bounds; allowed: 0"))
    if (most := facts.forwards(optimizer.filled())[1]) > MOST_FORWARDS:
        message = f"{optimizer.name} takes {most} forwards a step; allowed: at most {MOST_FORWARDS}"
        found.append((("optimizer", "name"), message))
    if phase and phase.epochs > train.epochs:
        message = f"{phase.epochs} of {train.epochs} train.epochs; allowed: 1 to {train.epochs}"
        found.append((("optimizer", "first_order", "epochs"), message))
    if train.objective == "accuracy" and (phase or facts.derivative != "none"):
        what = "a first-order phase" if phase else optimizer.name
        message = f"'accuracy' has no derivative, and {what} needs one; allowed: the zo- optimizers, or cross_entropy"
        found.append((("train", "objective"), message))
    return found


def _model(model: ModelSpec) -> list[Finding]:
    place, name = ("model", "name"), model.name
    if name.startswith(PATH_LIKE) or name in (".", ".."):
        return [] if Path(name).is_dir() else [(place, f"{name!r} is not an existing directory")]
    if name in MODELS or is_path(name):
        return []
    if name.startswith("embedded/"):
        return [(place, f"unknown model {name!r}; {nearest(name, MODELS)}")]
    return [(place, problem) for problem in hub_id(name, MODELS, "model")]


def _stream(stream: StreamSpec) -> list[Finding]:
    found: list[Finding] = []
    dataset = stream.dataset
    if dataset is None:
        found.append(
            (("stream", "dataset"), f"missing; expected one of {', '.join(CLASSES)}, a hub id, or {{path: DIR}}")
        )
    listed = stream.task_sizes is not None
    if stream.tasks is None and not listed:
        found.append((("stream", "tasks"), "missing; expected an integer >= 1, or task_sizes"))
    for key in ("tasks", "first_task_classes") if listed else ():
        if getattr(stream, key) is not None:
            found.append((("stream", key), f"task_sizes says {list(stream.task_sizes or ())} already; allowed: null"))
    if stream.class_order is not None and stream.class_order_seed != DEFAULT_ORDER:
        found.append((("stream", "class_order_seed"), "class_order lists the order already; allowed: leave it out"))
    if stream.validation is not None and stream.validation >= 1 and stream.validation % 1:
        message = f"{stream.validation:g} images; allowed: a share below 1, or a whole number"
        found.append((("stream", "validation"), message))
    return found if found or dataset is None else _dataset(dataset, stream)


def _dataset(dataset: str | HubDataset | DatasetPath, stream: StreamSpec) -> list[Finding]:
    place = ("stream", "dataset")
    if isinstance(dataset, HubDataset):
        return hub_dataset(place, dataset)
    if isinstance(dataset, DatasetPath):
        return _files(place, dataset, stream)
    if dataset in CLASSES:
        return _tasks(stream, CLASSES[dataset], dataset)
    if dataset.startswith(PATH_LIKE):
        return [(place, f"{dataset!r} is a path; write {{path: {dataset}, format: imagefolder}}")]
    known = () if "/" in dataset else CLASSES
    return [(place, problem) for problem in hub_id(dataset, known, "dataset")]


def _files(place: Place, dataset: DatasetPath, stream: StreamSpec) -> list[Finding]:
    found: list[Finding] = [
        ((*place, key), f"has no effect on {dataset.format}; allowed: null, or format: csv")
        for key in ("images", "columns")
        if dataset.format != "csv" and getattr(dataset, key) is not None
    ]
    if dataset.format == "csv":
        return [*found, *_table(place, dataset)]
    if not Path(dataset.path).is_dir():
        what = "is not a directory" if Path(dataset.path).exists() else "does not exist"
        return [*found, ((*place, "path"), f"{dataset.path!r} {what}; expected a directory of images")]
    if dataset.format == "cub":
        return found
    try:
        classes = len(layout(Path(dataset.path)).classes)
    except DataError as error:
        return [*found, ((*place, "path"), str(error))]
    return [*found, *_tasks(stream, classes, dataset.path)]


def _table(place: Place, dataset: DatasetPath) -> list[Finding]:
    found: list[Finding] = []
    if not Path(dataset.path).is_file():
        what = "is not a file" if Path(dataset.path).exists() else "does not exist"
        found.append(((*place, "path"), f"{dataset.path!r} {what}; expected a table of image files and labels"))
    if dataset.images is not None and not Path(dataset.images).is_dir():
        found.append(((*place, "images"), f"{dataset.images!r} is not a directory"))
    if dataset.columns is not None and dataset.columns.text is not None:
        found.append(((*place, "columns", "text"), "has no effect on images; allowed: null"))
    return found


def _tasks(stream: StreamSpec, classes: int, dataset: str) -> list[Finding]:
    return [finding for rule in (misfit, class_order.misfit) if (finding := rule(stream, classes, dataset))]
