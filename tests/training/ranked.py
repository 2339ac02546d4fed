"""Small trials of embedded/lm-nano, run by `main` as one of their ranks: what they told, and where they end."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.conftest import Memory
from zfscale.engine.deepspeed import start_process_group
from zfscale.methods.domains import Sequential
from zfscale.models.lm import LanguageBase, load_lm
from zfscale.spec import TrialSpec
from zfscale.streams.domain_incremental import DomainTask
from zfscale.training.journal import Journal
from zfscale.zo.ledger import Entry, Past

SOME = {"train": "q_proj|norm"}  # of the weights; what is trained decides what noise costs
ZO: dict[str, dict[str, Any]] = {
    "full": {"optimizer": {"name": "zo-sgd", "lr": 1e-4, "history": 0.3, "weight_decay": 0.1}},
    "conserve": {
        "optimizer": {"name": "zo-adam-conserve", "lr": 1e-3, "queries": 2, "noise": "gaussian", "sparsity": 0.5},
        "model": SOME,
    },
    "bf16-mixed": {
        "optimizer": {"name": "zo-sgd", "lr": 1e-4, "eps": 1e-2},
        "train": {"precision": "bf16-mixed"},
        "model": SOME,
    },
    "bf16": {
        "optimizer": {"name": "zo-adam-sign", "lr": 1e-3, "eps": 1e-2},
        "train": {"precision": "bf16"},
        "model": SOME,
    },
    "adapter": {"optimizer": {"name": "zo-sgd", "lr": 1e-2}, "model": {"train": "adapter"}},
    "lora": {"optimizer": {"name": "zo-sgd", "lr": 1e-4}, "model": {"train": "lora"}},
}
STAGE_0 = {f"{name}/stage 0": case for name, case in ZO.items()}
STAGE_3 = {f"{name}/stage 3": {**case, "engine": {"stage": 3}} for name, case in ZO.items()}
OTHERS: dict[str, dict[str, Any]] = {
    "forward-grad": {"optimizer": {"name": "forward-grad", "lr": 1e-4, "queries": 2}, "model": SOME},
    "micro": {"optimizer": {"name": "zo-sgd", "lr": 1e-4}, "train": {"micro_batch_size": 1}, "model": SOME},
    "micro/stage 3": {
        "optimizer": {"name": "zo-sgd", "lr": 1e-4},
        "train": {"micro_batch_size": 1},
        "model": SOME,
        "engine": {"stage": 3, "offload": "cpu"},
    },
    "query": {
        "optimizer": {"name": "zo-adam-conserve", "lr": 1e-3, "queries": 2, "sides": 1},
        "train": {"parallel": "query"},
        "model": SOME,
    },
    "query forward-grad": {
        "optimizer": {"name": "forward-grad", "lr": 1e-4, "queries": 3},
        "train": {"parallel": "query"},
        "model": SOME,
    },
    "nothing": {
        "optimizer": {"name": "zo-sgd", "lr": 1e-4},
        "train": {"objective": "tests.training.ranked:sometimes"},
        "model": SOME,
    },
}
FIRST: dict[str, dict[str, Any]] = {
    f"{name}/stage {stage}/{dtype}/{offload}": {
        "optimizer": {"name": name, "lr": lr, "weight_decay": 0.01},
        "train": {"micro_batch_size": micro},
        "engine": {"stage": stage, "dtype": dtype, "offload": offload},
    }
    for name, lr, stage, dtype, offload, micro in (
        ("fo-sgd", 0.1, 0, "fp32", "none", None),
        ("fo-adamw", 1e-3, 0, "fp32", "none", 1),
        ("fo-adamw", 1e-3, 1, "fp32", "none", 1),
        ("fo-sgd", 0.1, 2, "fp32", "cpu", None),
        ("fo-adamw", 1e-3, 2, "fp32", "none", 1),
        ("fo-adamw", 1e-3, 1, "bf16", "none", None),
        ("fo-adamw", 1e-3, 2, "bf16", "cpu", 1),
    )
}
CASES = {**STAGE_0, **STAGE_3, **OTHERS, **FIRST}


@dataclass
class Found:
    """What a rank saw of a trial."""

    told: Memory
    weights: dict[str, torch.Tensor]
    past: list[Entry]
    bytes_sent: int
    losses: list[np.ndarray] = field(default_factory=list)


def sometimes(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy; no number where a batch holds block 1 of the first domain."""
    loss = torch.nn.functional.cross_entropy(logits, labels)
    return loss * torch.where((labels == 255).any(), torch.nan, 1.0)


def spec(case: dict[str, Any]) -> TrialSpec:
    blocks: dict[str, Any] = {
        "model": {"name": "embedded/lm-nano"},
        "stream": {"kind": "domain_incremental", "domains": [{"name": "a"}, {"name": "b"}], "block_size": 16},
        "method": {"name": "sequential"},
        "train": {"epochs": 1, "batch_size": 4},
    }
    return TrialSpec.model_validate({k: {**blocks.get(k, {}), **case.get(k, {})} for k in {**blocks, **case}})


def tasks() -> list[DomainTask]:
    """Batches of 4 and 2, then of 4 and 1 blocks; in the second, labels that do not count, more in some blocks."""
    rng, found = np.random.default_rng(0), []
    for index, blocks in ((1, 6), (2, 5)):
        x = rng.integers(0, 250, (blocks + 3, 16), dtype=np.int32)
        y = x[:, 1:].copy()
        if index == 2:
            y[1, :10] = y[3, 3:] = -100
        else:
            y[1, 0] = 255
        found.append(DomainTask("ab"[index - 1], x[:blocks], y[:blocks], x[blocks:], x[blocks:, 1:], 4.0, index=index))
    return found


class Kept(Past):
    """A ledger without a file."""

    def __init__(self, past: list[Entry]) -> None:
        super().__init__(past)
        self.all = list(past)

    def append(self, entry: Entry) -> None:
        self.all.append(entry)


def run(base: LanguageBase, one: TrialSpec, past: list[Entry] | None = None) -> Found:
    """The trial, in this process as one of its ranks; of the steps of `past`, the weights they end at and no more."""
    sink, method, ledger = Memory(), Sequential(one, base), Kept(past or [])
    journal = Journal(sink, ledger)
    for task in tasks():
        method.learn(task, journal)
    losses = [] if past else [method.losses(task) for task in tasks()]
    return Found(sink, gathered(method.network), ledger.all, journal.bytes_sent, losses)


def start(base: LanguageBase, one: TrialSpec) -> dict[str, torch.Tensor]:
    """The weights before the first step."""
    return gathered(Sequential(one, base).network)


def gathered(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of all parameters, whole."""
    import deepspeed

    found = {}
    for name, parameter in network.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            found[name] = parameter.detach().clone()
    return found


def replays(base: LanguageBase, pasts: dict[str, list[Entry]]) -> dict[str, dict[str, torch.Tensor]]:
    """The weights at which each of these ledgers ends on these ranks, by "case at stage"."""
    found = {}
    for name, past in pasts.items():
        for stage in (0, 3):
            if name in STAGE_0 | STAGE_3 or stage == 0:
                one = spec({**CASES[name], "engine": {"stage": stage}})
                found[f"{name} at {stage}"] = run(base, one, past).weights
    return found


def main(rank: int, world: int, port: int, directory: Path) -> None:
    """Run all `CASES` and write what this rank found."""
    torch.set_num_threads(1)
    store = torch.distributed.TCPStore("127.0.0.1", port, world, rank == 0)
    start_process_group(store, rank, world)
    base = load_lm("embedded/lm-nano")
    found = {name: run(base, spec(case)) for name, case in CASES.items()}
    pasts = pickle.loads((directory / "pasts").read_bytes())
    ours = {name: found[name].past for name in CASES if name not in FIRST}
    again = (replays(base, pasts), replays(base, ours))
    (directory / str(rank)).write_bytes(pickle.dumps((found, again)))
