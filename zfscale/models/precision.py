"""Number formats: what is stored, what is trained, what is computed in."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """The head always computes in float32, so that a loss is never rounded to 16 bits."""

    frozen: torch.dtype  # weights that are not trained
    trained: torch.dtype  # weights that are
    compute: torch.dtype  # the encoder's and the adapters' forward


PRECISIONS = {
    "fp32": Precision(torch.float32, torch.float32, torch.float32),
    "bf16-mixed": Precision(torch.bfloat16, torch.float32, torch.bfloat16),
    "bf16": Precision(torch.bfloat16, torch.bfloat16, torch.bfloat16),
}
ENGINE = {  # engine.dtype: DeepSpeed trains in 16 bits and keeps float32 weights
    "bf16": PRECISIONS["bf16-mixed"],
    "fp16": Precision(torch.float16, torch.float32, torch.float16),
}


def precision_of(train: str, engine: str) -> Precision:
    """What `engine.dtype` says or, where that is fp32, `train.precision`."""
    return ENGINE.get(engine, PRECISIONS[train])
