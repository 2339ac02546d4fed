"""The DeepSpeed engine that runs every forward, and a baseline's backward. The only importer of deepspeed."""

from __future__ import annotations

import functools
import logging
import math
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zfscale.engine.module_leaves import ModuleLeaves, Shard
from zfscale.engine.ranks import Ranks
from zfscale.patching import replaced

if TYPE_CHECKING:
    import torch.distributed as dist

    from zfscale.spec import EngineSpec

PATIENCE = timedelta(minutes=10)  # for which a rank waits for the others


class Engine:
    """A module behind DeepSpeed, in every process of the group.

    With `optimizer`, `backward` and `step` take a first-order step over the ranks, at `settings.stage` 0, 1 or 2;
    without, the engine only runs forward, at stage 3 on a module whose parameters are divided over the ranks from here
    on (`shard_of`). Without `settings`, stage 0 in float32. `ranks` are those of an earlier engine of the same trial.
    """

    def __init__(
        self,
        module: nn.Module,
        batch_size: int,
        optimizer: torch.optim.Optimizer | None = None,
        settings: EngineSpec | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        deepspeed = _deepspeed()
        start_process_group()
        self.plain = settings is None or (settings.stage, settings.dtype) == (0, "fp32")
        self._low = settings is not None and settings.dtype != "fp32"
        config = _config(batch_size, settings, backward=optimizer is not None)
        with _no_broadcast_alone():
            self._engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)
        if config.get("zero_optimization", {}).get("stage") == 3:
            weakref.finalize(self, _hollow, module)
        self.device: torch.device = self._engine.device
        self.ranks = ranks or Ranks.of_group(self.device)

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward of the module."""
        return self._engine(*args, **kwargs)

    def train(self, mode: bool) -> None:
        """Train mode (dropout on) or eval mode for the module."""
        self._engine.train(mode)

    def backward(self, loss: torch.Tensor, last: bool = True) -> None:
        """Backward of this rank's part of the loss; gradients add up until the `last` micro-batch of a step.

        The losses of all ranks add up to the one that is minimised; DeepSpeed takes their mean.
        """
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss * self.ranks.world if self.ranks.world > 1 else loss)

    def step(self) -> bool:
        """The optimizer's step; gradients are cleared. Whether it was taken: not where a gradient is no number, if
        DeepSpeed looks, as it does at any stage but 0.
        """
        self._engine.step()
        return self.plain or self._engine.was_step_applied()

    def discard(self, loss: torch.Tensor) -> None:
        """Clear the gradients of a step whose last part of the loss this is, in place of its backward and step."""
        if self.plain:
            self._engine.zero_grad()
        else:  # what ZeRO has gathered so far is not ours to clear: it does so where a gradient is no number
            self.backward(loss * math.nan)
            self._engine.step()

    def start_from(self, leaves: ModuleLeaves) -> None:
        """Where DeepSpeed trains in 16 bits: its float32 weights are those of the leaves, not the rounded ones."""
        from deepspeed.utils import safe_set_full_fp32_param

        for leaf in leaves if self._low else ():
            safe_set_full_fp32_param(leaf.parameter, leaf.of(leaves.flat))

    def hand_back(self, leaves: ModuleLeaves) -> None:
        """Training is over: the leaves hold the weights again, in their own format, and DeepSpeed lets go of them."""
        from deepspeed.utils import safe_get_full_fp32_param

        if self.plain:
            return
        for leaf in leaves:
            trained = safe_get_full_fp32_param(leaf.parameter) if self._low else leaf.parameter.data
            leaf.parameter.data = leaf.of(leaves.flat).copy_(trained)
        self._engine.destroy()


def shard_of(parameter: nn.Parameter) -> Shard | None:
    """Of a parameter that ZeRO-3 divides, this rank's part, the r-th of equal ones; None of any other parameter."""
    kept = getattr(parameter, "ds_tensor", None)
    if kept is None:
        return None
    shape, size, rank = parameter.ds_shape, kept.ds_numel, parameter.ds_zero_partition_rank  # type: ignore[attr-defined]
    count = shape.numel()
    return Shard(kept, min(rank * size, count), min((rank + 1) * size, count), shape)


def whole(parameter: nn.Parameter, ranks: Ranks) -> torch.Tensor:
    """All of a parameter: of one that ZeRO-3 divides, what the ranks hold, which each of them has to ask for."""
    if (shard := shard_of(parameter)) is None:
        return parameter.data
    return ranks.gathered(shard.home.data.view(-1))[: shard.shape.numel()].view(shard.shape)


@functools.cache  # the loggers look up their levels anew after each time
def _deepspeed() -> Any:
    """The package; its import does not warn everybody who has no GPU of that."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import deepspeed
    finally:
        logging.disable(before)
    return deepspeed


def start_process_group(store: dist.Store | None = None, rank: int = 0, world: int = 1) -> None:
    """A process group of `world` processes that meet at `store`, by default of this one alone; once per process.

    DeepSpeed would compile its shared-memory collectives at this point, a minute on CPU, for an all-reduce that a
    lone process never runs and that gloo does across several: it is told that the operator is not to be had.

    float32 is to mean float32: cuDNN would compute its convolutions in TF32, whose 10 bits lose a small perturbation.
    """
    import torch.distributed as dist

    deepspeed = _deepspeed()
    from deepspeed.utils import logger

    if dist.is_initialized():
        return
    logger.setLevel(logging.ERROR)
    torch.backends.cudnn.allow_tf32 = False
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists on the launcher's variable
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store or dist.HashStore(), rank=rank, world_size=world, timeout=PATIENCE)
    deepspeed.init_distributed(backend, verbose=False)


@contextmanager
def _no_broadcast_alone() -> Iterator[None]:
    """A lone process sends its weights to nobody: DeepSpeed would broadcast each parameter to a group of one, which was
    a quarter of a short trial.
    """
    import torch.distributed as dist
    from deepspeed.runtime.engine import DeepSpeedEngine

    if dist.get_world_size() > 1:
        yield
    else:
        with replaced(DeepSpeedEngine, "_broadcast_model", lambda engine: None):
            yield


def _hollow(module: nn.Module) -> None:
    """Empty a module that ZeRO-3 has divided: DeepSpeed holds on to it, in a cache that cannot be reached, for good."""
    for parameter in module.parameters():
        if (shard := shard_of(parameter)) is not None:
            shard.home.data = shard.home.data.new_empty(0)
    for part in list(module.modules()):
        for held in (part._modules, part._parameters, part._forward_pre_hooks, part._forward_hooks):
            held.clear()


def _config(batch_size: int, settings: EngineSpec | None, backward: bool) -> dict[str, Any]:
    import torch.distributed as dist

    world = dist.get_world_size()
    share = max(1, batch_size // world)
    config: dict[str, Any] = {
        "train_batch_size": share * world,
        "train_micro_batch_size_per_gpu": share,
        "zero_allow_untested_optimizer": True,
        "gradient_clipping": 0.0,  # DeepSpeed 0.19 clips to norm 1 by default
    }
    if settings is None:
        return config
    offload = {"device": "cpu"} if settings.offload == "cpu" else None
    if backward:
        config["zero_optimization"] = {"stage": settings.stage} | ({"offload_optimizer": offload} if offload else {})
        config["zero_force_ds_cpu_optimizer"] = False  # torch's optimizers run on the CPU as they are
        if settings.dtype != "fp32":
            config[settings.dtype] = {"enabled": True}
    elif settings.stage == 3:
        # Each module gathers its parameters when it starts and drops them when it ends: nothing is kept or fetched
        # ahead, since the next forward is at other weights.
        never = dict.fromkeys(("param_persistence_threshold", "prefetch_bucket_size"), 0)
        never |= dict.fromkeys(("max_live_parameters", "max_reuse_distance"), 0)
        config["zero_optimization"] = {"stage": 3} | {f"stage3_{key}": value for key, value in never.items()}
        config["zero_optimization"]["memory_efficient_linear"] = False  # it would replace torch's linear for good
        if offload:
            config["zero_optimization"]["offload_param"] = offload
    return config
