"""The sweeps that are disturbed: eight trials of seconds, of which two diverge, by grid, under ASHA and on two ranks;
and a population of eight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

# An objective that misbehaves once where a file asks for it: its first caller takes the file away.
OBJECTIVE = """
import ctypes
import time
from pathlib import Path

import torch.nn.functional as F

WISH = Path(__file__).parent / "wish"


def loss(logits, labels):
    if WISH.exists():
        try:
            wish = WISH.rename(WISH.with_name("granted")).read_text()
        except FileNotFoundError:  # another worker was faster
            wish = ""
        if wish == "raise":
            raise RuntimeError("a trial that raises")
        if wish == "hang":
            ctypes.PyDLL(None).sleep(3600)  # a C function that keeps the interpreter's lock
        if wish == "eat":
            eaten = []
            for _ in range(48):  # at most 3 GiB
                eaten.append(b"x" * (64 << 20))
                time.sleep(0.05)
            time.sleep(30)
    return F.cross_entropy(logits, labels)
"""
NAME = "hurt"
BLOCKS: dict[str, Any] = {
    "name": NAME,
    "model": {"name": "embedded/vit-nano"},
    "stream": {"dataset": "digits", "tasks": 5},
    "train": {"epochs": 2, "batch_size": 64, "objective": "mine:loss"},
    "space": {
        "method": {"grid": [{"name": "finetune"}, {"name": "rehearsal", "buffer_size": 40}]},
        "optimizer": {
            "grid": [
                {"name": "zo-adam", "lr": 1e-3, "queries": 1},
                {"name": "zo-sgd", "lr": 1e-3, "first_order": {"name": "fo-adam", "lr": 1e-3, "epochs": 1}},
                {"name": "fo-adam", "lr": 1e-3},
                {"name": "fo-sgd", "lr": 1e30},
            ]
        },
    },
    "search": {"metric": "last_accuracy"},
    "output": {"dir": "results", "wandb": {"mode": "disabled"}},
}


@dataclass(frozen=True)
class Setting:
    """How the trials are run.

    Args:
        blocks: Replace those of the file.
        reference: The setting whose undisturbed trials these must equal, as far as they go; "" where each of them is
            run alone, as the recorded decisions have it.
    """

    blocks: Mapping[str, Any] = field(default_factory=dict)
    reference: str = "grid"


ASHA = {"scheduler": {"name": "asha", "reduction": 2}, "metric": "last_accuracy"}
POPULATION = {
    "stream": {"dataset": "digits", "tasks": 5, "validation": 0.2},
    "method": {"name": "finetune"},
    "optimizer": {"name": "zo-adam"},
    "space": {"optimizer.lr": {"loguniform": [1e-5, 0.1]}},
    "search": {"samples": 8, "metric": "last_accuracy", "scheduler": {"name": "pbt", "every": 8}},
}
STEPS = 200  # of a member of the population, with those of the trials it takes over; about
SETTINGS = {
    "grid": Setting(),
    "asha": Setting({"search": ASHA}),
    "ranks": Setting({"resources": {"workers": 2, "max_concurrent": 1}}, reference="ranks"),
    "pbt": Setting(POPULATION, reference=""),
}


def write(folder: Path, setting: str) -> Path:
    """The sweep file of a setting, with its objective beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(OBJECTIVE)
    file = folder / "s.yaml"
    output = {**BLOCKS["output"], "dir": str(folder / "results")}
    file.write_text(
        yaml.safe_dump(json.loads(json.dumps(BLOCKS | dict(SETTINGS[setting].blocks) | {"output": output})))
    )
    return file
