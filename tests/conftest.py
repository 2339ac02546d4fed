"""Shared by all tests: a tiny random ViT on disk, a tiny dataset, a sink that keeps everything, a sweep file."""

from __future__ import annotations

import gc
import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zfscale.records import Eval, Outcome, Query, Step
from zfscale.zo import catalogue

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for models this small, threads only wait for each other

RATES = {"fo-sgd": 0.1, "fo-adamw": 0.003, "fo-adam": 0.01}
OPTIMIZERS = {name: RATES.get(name, 1e-3) for name in catalogue.OPTIMIZERS}  # -> a learning rate that suits it


@dataclass
class Memory:
    """A sink that keeps its records."""

    steps: list[Step] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    evals: list[Eval] = field(default_factory=list)
    outcome: Any = None  # Outcome, once closed

    def step(self, record: Step) -> None:
        self.steps.append(record)

    def query(self, record: Query) -> None:
        self.queries.append(record)

    def eval(self, record: Eval) -> None:
        self.evals.append(record)

    def close(self, outcome: Outcome) -> None:
        self.outcome = outcome

    @property
    def told(self) -> list[Any]:
        """All that must come out the same again: everything but the clock."""
        steps = [(replace(step, loss=0.0, seconds=0.0), repr(step.loss)) for step in self.steps]
        queries = [(replace(query, coefficient=0.0), repr(query.coefficient)) for query in self.queries]
        return [*steps, *queries, *self.evals]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised ViT (12 px grey, 2 blocks of 16) as a user's local directory."""
    import torch
    from transformers import ViTConfig, ViTModel

    path = tmp_path_factory.mktemp("models") / "tiny-vit"
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=12,
        patch_size=4,
        num_channels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ViTModel(config, add_pooling_layer=False).save_pretrained(path)
    import deepspeed  # noqa: F401

    gc.freeze()  # DeepSpeed collects garbage at every start: seconds a trial, if it looks through all these modules
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes of ten RGB images of mixed sizes, each class of its own colour."""
    from PIL import Image

    root = tmp_path_factory.mktemp("data") / "colours"
    rng = np.random.default_rng(0)
    for c in range(6):
        (root / f"class{c}").mkdir(parents=True)
        for i in range(10):
            size = (int(rng.integers(12, 40)), int(rng.integers(12, 40)))
            noise = rng.integers(0, 60, (size[1], size[0], 3)) + np.array([30 * c, 180 - 30 * c, 90])
            Image.fromarray(noise.astype(np.uint8)).save(root / f"class{c}" / f"{i}.png")
    return root


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
