"""Shared by all tests: a tiny random ViT on disk, a tiny dataset, a sink that keeps everything, a sweep file."""

from __future__ import annotations

import gc
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zfscale.recording import Recording
from zfscale.testing import tiny
from zfscale.zo import catalogue

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for models this small, threads only wait for each other

RATES = {"fo-sgd": 0.1, "fo-adamw": 0.003, "fo-adam": 0.01}
OPTIMIZERS = {name: RATES.get(name, 1e-3) for name in catalogue.OPTIMIZERS}  # -> a learning rate that suits it


class Memory(Recording):
    """A sink that keeps its records; that it is closed is not for the type checker to doubt."""

    outcome: Any = None


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised ViT (12 px grey, 2 blocks of 16) as a user's local directory."""
    path = tiny.tiny_vit(tmp_path_factory.mktemp("models") / "tiny-vit")
    import deepspeed  # noqa: F401

    gc.freeze()  # DeepSpeed collects garbage at every start: seconds a trial, if it looks through all these modules
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes of ten RGB images of mixed sizes, each class of its own colour."""
    return tiny.tiny_images(tmp_path_factory.mktemp("data") / "colours")


@dataclass(frozen=True)
class Small:
    """Small trials: 6 classes in 3 tasks, each of 16 training images, on the tiny ViT."""

    spec_of: dict[str, Any]
    base: Any  # BaseModel
    data: Any  # ImageData

    def spec(self, method: str = "ease", optimizer: str = "zo-sgd", **changes: Any) -> Any:
        """The spec of one; `optimizer__eps=1` sets a leaf."""
        from zfscale.spec import TrialSpec

        own = {
            "method": {"name": method, "bottleneck": 4},
            "optimizer": {"name": optimizer, "lr": OPTIMIZERS[optimizer]},
        }
        spec = {**self.spec_of, "train": {"epochs": 1, "batch_size": 8}, **own}
        for path, value in changes.items():
            block, _, key = path.partition("__")
            spec[block] = {**spec[block], key: value} if key else value
        return TrialSpec.model_validate(spec)

    def run(self, spec: Any, **more: Any) -> Memory:
        """What the trial says."""
        from zfscale.trial import run as trial

        sink = Memory()
        sink.close(trial.run(spec, self.base, self.data, sink, **more))
        return sink

    def tasks(self, spec: Any) -> Any:
        """Its stream."""
        from zfscale.streams.catalogue import stream

        return stream(spec.stream.kind).load().of(spec.stream, self.data)


@pytest.fixture(scope="session")
def small(tiny_vit: Path, image_folder: Path) -> Small:
    from zfscale.data.images import load
    from zfscale.models.vit import load_base
    from zfscale.spec import DatasetPath

    dataset = {"path": str(image_folder), "format": "imagefolder"}
    base = load_base(str(tiny_vit))
    spec_of = {"model": {"name": str(tiny_vit)}, "stream": {"dataset": dataset, "tasks": 3}}
    return Small(spec_of, base, load(DatasetPath.model_validate(dataset), base.pixels.size))


def id_of(name: str) -> str:
    """A trial's id for tests that need no spec: readers know files by 12 hex digits."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def sweep_file(path: Path, tiny_vit: Path, image_folder: Path, **blocks: Any) -> Path:
    """Write a small sweep file: 6 classes in 3 tasks; `blocks` replace or add top-level keys."""
    import yaml

    content: dict[str, Any] = {
        "name": "small",
        "model": {"name": str(tiny_vit)},
        "stream": {"dataset": {"path": str(image_folder), "format": "imagefolder"}, "tasks": 3},
        "method": {"name": "ease", "bottleneck": 4},
        "optimizer": {"name": "zo-sgd", "lr": 1e-3},
        "train": {"epochs": 1, "batch_size": 8},
        "space": {"seed": {"grid": [0, 1]}},
        "output": {"dir": str(path.parent / "results"), "wandb": {"mode": "disabled"}},
    }
    path.write_text(yaml.safe_dump(content | blocks))
    return path


def pipe_table(text: str) -> list[dict[str, str]]:
    """The first Markdown table of a text, a dict per line."""
    lines = [[c.strip() for c in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [dict(zip(lines[0], line, strict=False)) for line in lines[2:]]
