"""Options that a method of ours has alone; nothing here needs numpy or torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zfscale.block import Block


class LossOver(Block):
    """Those of a method that trains a head which grows with the classes."""

    loss_over: Literal["seen", "new"] = Field(
        default="seen",
        description="whose logits compete in the loss: all classes seen, or the new task's alone, as in the benchmark",
    )


class Ewc(LossOver):
    """Those of EWC."""

    penalty: float = Field(
        default=100.0, ge=0, description="weight of the penalty; too large a one makes steps of a given rate diverge"
    )
    fisher: Literal["optimizer", "backprop", "forward"] = Field(
        default="optimizer",
        description="how the Fisher information is found: backprop, its diagonal; forward, the diagonal's mean over "
        "each matrix or vector of weights; optimizer, backprop if a phase of training uses it, else forward",
    )
    fisher_images: int = Field(default=128, ge=1, description="images of a task that it is estimated on, at most")


class Buffer(Block):
    """Those of a method that rehearses."""

    buffer_size: int = Field(default=2000, ge=1, description="training images that are kept")


class Distillation(Block):
    """Those of a method whose old network teaches the new one."""

    distillation: float = Field(default=1.0, ge=0, description="weight of the old network's answers in the loss")
    temperature: float = Field(default=2.0, gt=0, description="by which both networks' logits are divided there")


class Memo(Buffer):
    """Those of MEMO."""

    alpha_aux: float = Field(default=1.0, ge=0, description="weight of the auxiliary loss")
    later_weight_decay: float | None = Field(
        default=None,
        ge=0,
        description="weight decay from the second task on, 2e-4 in the paper after 5e-4; null: that of the optimizer",
    )


class CosineStart(Block):
    """Those of a method that trains an adapter under a cosine head, which is thrown away afterwards."""

    head_start: Literal["random", "prototypes"] = Field(
        default="random", description="the head's rows before training: random, or the mean features of the classes"
    )
    head_scale: float = Field(
        default=1.0, gt=0, description="by which the head's cosines are multiplied before training; it is trained, too"
    )


class Kept(CosineStart):
    """Those of a method that keeps an adapter a task."""

    adapters_kept: int | None = Field(
        default=None, ge=1, description="how many tasks, from the first, train an adapter of their own; null: all"
    )


class RandomFeatures(Block):
    """Those of a method that classifies random features."""

    random_features: int = Field(default=2000, ge=1, description="how many random features there are")
