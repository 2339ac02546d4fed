"""What a type cannot say: names that exist, directories that are there, tasks that divide the classes.

Only names and directories are looked at; nothing is imported, downloaded or decoded.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path

from zfscale.errors import nearest
from zfscale.spec.schema import DatasetPath, ModelSpec, OptimizerSpec, StreamSpec, TrainSpec
from zfscale.spec.yaml import Place

CLASSES = {"mnist5k": 10, "digits": 10, "fashion_mnist": 10}  # datasets that come by name
MODELS = ("embedded/vit-nano",)
HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)
PATH_LIKE = ("/", "./", "../", "~")

Finding = tuple[Place, str]


def findings(model: ModelSpec, stream: StreamSpec) -> list[Finding]:
    """Everything wrong with the model and the stream of one trial."""
    return [*_model(model.name), *_stream(stream)]


def training(optimizer: OptimizerSpec, train: TrainSpec) -> list[Finding]:
    """What of an optimizer does not go with how it is to train."""
    found: list[Finding] = []
    phase, backward = optimizer.first_order, optimizer.name.startswith("fo-")
    if phase and backward:
        message = f"{optimizer.name} is first-order throughout; allowed: null, or a zo- or forward-grad optimizer"
        found.append((("optimizer", "first_order"), message))
    if optimizer.sign == "projected" and not optimizer.name.endswith("-sign"):
        message = f"'projected' has no effect on {optimizer.name}; allowed: elementwise, or a -sign optimizer"
        found.append((("optimizer", "sign"), message))
    if optimizer.sign == "projected" and optimizer.clip:
        found.append((("optimizer", "clip"), "the projected sign drops the size that clip bounds; allowed: 0"))
    for option in ("history", "sparsity", "clip") if backward else ():
        if getattr(optimizer, option):
            found.append((("optimizer", option), f"{optimizer.name} is first-order and has none; allowed: 0"))
    if phase and phase.epochs > train.epochs:
        message = f"{phase.epochs} of {train.epochs} train.epochs; allowed: 1 to {train.epochs}"
        found.append((("optimizer", "first_order", "epochs"), message))
    if train.objective == "accuracy" and (phase or not optimizer.name.startswith("zo-")):
        what = "a first-order phase" if phase else optimizer.name
        message = f"'accuracy' has no derivative, and {what} needs one; allowed: the zo- optimizers, or cross_entropy"
        found.append((("train", "objective"), message))
    return found


def _model(name: str) -> list[Finding]:
    place = ("model", "name")
    if name.startswith(PATH_LIKE) or name in (".", ".."):
        return [] if Path(name).is_dir() else [(place, f"{name!r} is not an existing directory")]
    if name in MODELS:
        return []
    if name.startswith("embedded/"):
        return [(place, f"unknown model {name!r}; {nearest(name, MODELS)}")]
    return [(place, problem) for problem in _hub_id(name, MODELS, "model")]


def _hub_id(name: str, known: Collection[str], kind: str) -> list[str]:
    """A name that is not ours is a hub id, unless it is malformed or looks like a slip of one of ours."""
    slip = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    if slip or not HUB_ID.fullmatch(name):
        ours = nearest(name, known) if known else "allowed:"
        return [f"unknown {kind} {name!r}; {ours}, a hub id such as owner/name, or a directory"]
    return []


def _stream(stream: StreamSpec) -> list[Finding]:
    dataset = stream.dataset
    if isinstance(dataset, DatasetPath):
        return _directory(dataset, stream.tasks)
    if dataset in CLASSES:
        return _tasks(stream.tasks, CLASSES[dataset], dataset)
    place = ("stream", "dataset")
    if dataset.startswith(PATH_LIKE):
        return [(place, f"{dataset!r} is a path; write {{path: {dataset}, format: imagefolder}}")]
    known = () if "/" in dataset else CLASSES
    return [(place, problem) for problem in _hub_id(dataset, known, "dataset")]


def _directory(dataset: DatasetPath, tasks: int) -> list[Finding]:
    place, root = ("stream", "dataset", "path"), Path(dataset.path)
    if not root.is_dir():
        what = "is not a directory" if root.exists() else "does not exist"
        return [(place, f"{dataset.path!r} {what}; expected a directory with one subdirectory per class")]
    root = root / "train" if (root / "train").is_dir() else root
    classes = sum(child.is_dir() and not child.name.startswith(".") for child in root.iterdir())
    if not classes:
        return [(place, f"{str(root)!r} has no subdirectories; expected one per class")]
    return _tasks(tasks, classes, dataset.path)


def _tasks(tasks: int, classes: int, dataset: str) -> list[Finding]:
    if classes % tasks == 0:
        return []
    allowed = ", ".join(str(n) for n in range(1, classes + 1) if classes % n == 0)
    message = f"{tasks} does not divide the {classes} classes of {dataset}; allowed: {allowed}"
    return [(("stream", "tasks"), message)]
