"""A network of a few weights and a task that a linear classifier solves, trained as a trial would."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tests.conftest import OPTIMIZERS, Memory
from zfscale.engine.deepspeed import Engine
from zfscale.models.heads import LinearHead
from zfscale.models.network import Network
from zfscale.models.precision import PRECISIONS
from zfscale.spec import OptimizerSpec, TrainSpec, TrialSpec
from zfscale.streams.class_incremental import Task
from zfscale.training.fit import Fit
from zfscale.training.journal import Journal
from zfscale.training.relay import Leg
from zfscale.zo.ledger import Past


class Toy(nn.Module):
    """uint8 [B, 1, 2, 2] -> [B, 6]; `unused` is in no loss."""

    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(4, 6), nn.Linear(4, 6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.used(images.flatten(1).to(self.dtype) / 127.5 - 1))


def network(precision: str = "fp32") -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Network(Toy(), None, PRECISIONS[precision])  # type: ignore[arg-type]
    net.head = LinearHead(6)
    net.head.grow(2, seed=1)
    return net


def task(images: int = 32) -> Task:
    """Label 1 where the upper half is brighter than the lower."""
    x = np.random.default_rng(0).integers(0, 256, (images, 1, 2, 2), dtype=np.uint8)
    y = (x[:, 0, 0].sum(1, dtype=int) > x[:, 0, 1].sum(1, dtype=int)).astype(np.int64)
    return Task(1, range(2), x, y, x, y)


def spec(optimizer: str = "zo-sgd", epochs: int = 1, batch_size: int = 32, **more) -> TrialSpec:
    """What `Fit` looks at; keys of the train block are told from the optimizer's."""
    train = {k: v for k, v in more.items() if k in TrainSpec.model_fields}
    o = {"name": optimizer, "lr": OPTIMIZERS[optimizer], **{k: v for k, v in more.items() if k not in train}}
    return TrialSpec.model_construct(
        optimizer=OptimizerSpec.model_validate(o),
        train=TrainSpec(epochs=epochs, batch_size=batch_size, **train),
        seed=0,
    )


def fit(trial: TrialSpec, net: Network | None = None, data: Task | None = None, ledger: Past | None = None) -> Memory:
    """Train `net` on `data`, after the steps of the ledger; what it told."""
    net, sink = net or network(trial.train.precision), Memory()
    Fit(net, Engine(net, trial.train.batch_size), data or task(), 0, [Leg(None, trial)], Journal(sink, ledger)).run()
    return sink
