"""The blocks of a trial but the stream and the fork; a field's description is its documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zfscale.block import Block
from zfscale.methods.catalogue import METHODS, method
from zfscale.spec.names import OneOf
from zfscale.spec.outside import OpenBlock
from zfscale.spec.stream import StreamSpec
from zfscale.spec.text import Text, UserPath
from zfscale.zo.catalogue import DIRECTIONS, FIRST_ORDER, OPTIMIZERS, optimizer

# Those with a name; any other is the path of a user's function.
OBJECTIVES = ("accuracy", "cross_entropy", "reconstruction")


class ModelSpec(Block):
    """The pretrained base model."""

    name: UserPath = Field(description="embedded/<name>, a Hugging Face id, or a local directory (./, /, ~)")
    input_range: Literal["processor", "unit"] = Field(
        default="processor",
        description="pixel values: as the model's processor makes them, or plain [0, 1]",
    )
    train: Text = Field(
        default="full",
        description="full, adapter, lora, or a regular expression that parameter names contain",
    )
    lora_rank: int = Field(default=8, ge=1, description="rank of an update")
    lora_alpha: float = Field(default=16.0, gt=0, description="an update is scaled by alpha / rank")


class MethodSpec(OpenBlock):
    """The continual-learning method."""

    CATALOGUE = METHODS
    facts = staticmethod(method)

    name: Annotated[str, OneOf(METHODS, "module:Class of your own")] = Field(
        description="the method: finetune to memo for class_incremental, zero-shot to joint for domain_incremental"
    )
    bottleneck: int = Field(default=64, ge=1, description="width of an adapter's bottleneck")
    adapter_scale: float = Field(default=0.1, description="factor on an adapter's output")
    adapter_dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout inside an adapter while it trains")
    alpha: float = Field(default=0.1, description="weight of the other tasks' subspaces in the logits")
    beta: float = Field(default=0.0, description="moderation of the logits of old classes")
    replay_fraction: float = Field(
        default=0.1, gt=0, le=1, description="share of each earlier domain's examples that is learned again"
    )


class FirstOrderSpec(Block):
    """A hybrid's first-order phase: the first epochs of every task go by backpropagation (ZeroFlow, enhancement 1)."""

    name: Annotated[str, OneOf(FIRST_ORDER)] = Field(description="its update rule")
    lr: float = Field(ge=0, description="its learning rate; momentum, betas, decay and schedule are the optimizer's")
    epochs: int = Field(ge=1, description="how many of train.epochs it takes, from the start of each task")
    schedule_over: Literal["task", "phase"] = Field(
        default="task",
        description="what the schedule spans: task, both phases at once; phase, each of them, so that it starts anew",
    )


class OptimizerSpec(OpenBlock):
    """The optimizer: first order (fo-), zeroth order (zo-), or forward gradient."""

    CATALOGUE = OPTIMIZERS
    facts = staticmethod(optimizer)

    name: Annotated[str, OneOf(OPTIMIZERS, "module:NAME of your own")] = Field(description="the optimizer")
    lr: float = Field(ge=0, description="learning rate")
    eps: float = Field(default=1e-3, gt=0, description="size of the perturbation")
    queries: int = Field(default=1, ge=1, le=32, description="directions per step")
    noise: Annotated[str, OneOf(DIRECTIONS)] = Field(default="rademacher", description="distribution of a direction")
    rank: int = Field(default=4, ge=1, description="rank of a matrix's direction")
    sides: int = Field(default=2, ge=1, le=2, description="1 for a one-sided difference, 2 for a two-sided one")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="decay of the first moment")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="decay of the second moment")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay; decoupled in fo-adamw only")
    history: float = Field(default=0.0, ge=0, lt=1, description="share of past estimates in g")
    sparsity: float = Field(default=0.0, ge=0, lt=1, description="share of z's entries zeroed")
    clip: float = Field(default=0.0, ge=0, description="bound on |coefficient|; 0 for none")
    sign: Literal["elementwise", "projected"] = Field(
        default="elementwise", description="what -sign takes it of: every element of g, or each query's coefficient"
    )
    schedule: Literal["constant", "cosine", "warmup-cosine"] = Field(
        default="constant",
        description="learning rate within a task; warmup-cosine warms up and decays again in every task",
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of a task's steps that warm up")
    carry_state: bool = Field(
        default=False,
        description="whether moments and past estimates live on in the next task; if not, each task starts without. "
        "With first-order steps, a killed trial then starts again from its first task",
    )
    first_order: FirstOrderSpec | None = Field(
        default=None, description="a first-order phase at the start of each task; null: none"
    )


OPEN: dict[str, type[OpenBlock]] = {"stream": StreamSpec, "method": MethodSpec, "optimizer": OptimizerSpec}


class TrainSpec(Block):
    """How long a task is trained."""

    epochs: int = Field(ge=1, description="passes over the data of a task")
    batch_size: int = Field(ge=1, description="examples per step")
    micro_batch_size: int | None = Field(
        default=None, ge=1, description="examples per forward; a step's loss is the mean over its batch. null: all"
    )
    precision: Literal["fp32", "bf16-mixed", "bf16"] = Field(
        default="fp32",
        description="fp32; bf16-mixed: a bf16 model that trains fp32 weights; bf16: those too, rounded stochastically",
    )
    frozen_cache_mib: int = Field(
        default=1024,
        ge=0,
        description="MiB in which a stage keeps what frozen blocks before the first trained one make of its images; "
        "where it takes more, they run once a step instead of once an image",
    )
    parallel: Literal["data", "query"] = Field(
        default="data",
        description="what workers share: data, the examples of a batch; query, the forwards of a forward-only step",
    )
    objective: Annotated[str, OneOf(OBJECTIVES, "package.module:function", "objective")] = Field(
        default="cross_entropy",
        description="what is minimised: cross_entropy, accuracy (0-1 loss), reconstruction (squared error of hidden "
        "pixels, for image domains), or your own package.module:function",
    )


class EngineSpec(Block):
    """What DeepSpeed is told: how a trial is divided over its ranks, and in which number format it trains."""

    stage: int = Field(
        default=0,
        ge=0,
        le=3,
        description="ZeRO: 0 divides nothing; fo-: 1 divides the optimizer's state, 2 the gradients too; "
        "zo-: 3 divides the weights",
    )
    dtype: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="fo- at stages 1 and 2: the format DeepSpeed computes in, with fp32 weights in its optimizer",
    )
    offload: Literal["none", "cpu"] = Field(
        default="none", description="cpu: what the stage divides (of 3, the weights) is kept in the host's memory"
    )
