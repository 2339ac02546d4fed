"""Small whole trials in a process that sees a GPU or none: `trials.py run DIR`, `trials.py replay DIR RESULTS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from zfscale.data.images import load
from zfscale.models.vit import load_base
from zfscale.sinks.about import About
from zfscale.sinks.fanout import make_sinks
from zfscale.spec import DatasetPath, OutputSpec, TrialSpec
from zfscale.trial import run as trial
from zfscale.trial.replay import replay

QUIET = OutputSpec.model_validate({"wandb": {"mode": "disabled"}})
CASES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": {"name": "zo-sgd", "lr": 1e-3}},
    "conserve": {"optimizer": {"name": "zo-adam-conserve", "lr": 1e-3, "noise": "gaussian"}},
    "sparse": {"optimizer": {"name": "zo-adamm", "lr": 1e-3, "queries": 2, "sparsity": 0.5, "history": 0.3}},
    "low-rank": {"optimizer": {"name": "zo-adam-sign", "lr": 1e-3, "noise": "low-rank", "rank": 4}},
    "forward-grad": {"optimizer": {"name": "forward-grad-adam", "lr": 1e-3}},
    "bf16-mixed": {"optimizer": {"name": "zo-sgd", "lr": 1e-3, "eps": 1e-2}, "train": {"precision": "bf16-mixed"}},
    "bf16": {"optimizer": {"name": "zo-adam-sign", "lr": 1e-3, "eps": 1e-2}, "train": {"precision": "bf16"}},
    "finetune": {"optimizer": {"name": "zo-sgd", "lr": 1e-3}, "method": {"name": "finetune"}},
}


def specs(directory: Path) -> dict[str, TrialSpec]:
    """Six classes in three tasks of the images and on the model that lie in the directory."""
    dataset = {"path": str(directory / "images"), "format": "imagefolder"}
    blocks: dict[str, Any] = {
        "model": {"name": str(directory / "model")},
        "stream": {"dataset": dataset, "tasks": 3},
        "method": {"name": "ease", "bottleneck": 4},
        "train": {"epochs": 1, "batch_size": 8},
    }
    return {
        name: TrialSpec.model_validate({k: {**blocks.get(k, {}), **case.get(k, {})} for k in {**blocks, **case}})
        for name, case in CASES.items()
    }


def run(directory: Path) -> None:
    """Run all of them, each into its own tables."""
    base = load_base(str(directory / "model"))
    for spec in specs(directory).values():
        data = load(DatasetPath(path=str(directory / "images"), format="imagefolder"), base.pixels.size)
        sink = make_sinks(About.of(directory / f"on-{device()}", "s", spec), QUIET)
        sink.close(trial.run(spec, base, data, sink))


def replays(directory: Path, results: str) -> None:
    """Rebuild all of them, at their ends and in the middle of a task, from the tables of one device."""
    for name, spec in specs(directory).items():
        for step in (3, None):
            out = directory / f"{results}-replayed-{device()}" / f"{name}-{step}"
            replay(directory / results, spec.trial_id, out, step)


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(Path(sys.argv[2]))
    else:
        replays(Path(sys.argv[2]), sys.argv[3])
    print(json.dumps({"device": device()}))
