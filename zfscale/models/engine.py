"""The DeepSpeed engine that runs every forward, and a baseline's backward. The only importer of deepspeed."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from torch import nn


class Engine:
    """A module behind DeepSpeed: one process, ZeRO stage 0.

    With `optimizer`, `backward` and `step` take a first-order step; without, the engine only runs forward.
    """

    def __init__(self, module: nn.Module, batch_size: int, optimizer: torch.optim.Optimizer | None = None) -> None:
        import deepspeed

        _start_process_group()
        config = {
            "train_batch_size": batch_size,
            "train_micro_batch_size_per_gpu": batch_size,
            "zero_allow_untested_optimizer": True,
            "gradient_clipping": 0.0,  # DeepSpeed 0.19 clips to norm 1 by default
        }
        self._engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)
        self.device: torch.device = self._engine.device

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward of the module."""
        return self._engine(*args, **kwargs)

    def train(self, mode: bool) -> None:
        """Train mode (dropout on) or eval mode for the module."""
        self._engine.train(mode)

    def backward(self, loss: torch.Tensor, last: bool = True) -> None:
        """Backward; gradients add up until the `last` micro-batch of a step."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss)

    def step(self) -> None:
        """The optimizer's step; gradients are cleared."""
        self._engine.step()


def _start_process_group() -> None:
    """A process group of this process alone, once per process.

    DeepSpeed would compile its shared-memory collectives at this point, a minute on CPU, for an all-reduce that a
    lone process never runs and that gloo does across several: it is told that the operator is not to be had.
    """
    import deepspeed
    import torch.distributed as dist
    from deepspeed.utils import logger

    if dist.is_initialized():
        return
    logger.setLevel(logging.ERROR)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists on the launcher's variable
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    deepspeed.init_distributed(backend, verbose=False)
